//! Does what the log says, in its order.

use std::{convert::Infallible, sync::Arc};

use futures::FutureExt;
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, info};

use super::{
    Outcome, Refusal, ReplicationFailure, Replicator, Turn, Waiting,
    claims::{Claims, nothing_defined},
    definition::{Progress, Reporter},
    entry::{Assembly, Entry, small_body},
    fence::Fences,
    order::{Action, Loser},
    prepared::{Decision, decide},
    recovery::{Recovered, read_from, recover, save, save_fence, unreadable},
    signs::{Silence, looks},
    startup::Stage,
};
use crate::{
    applier::{Applier, Batch},
    backend::Defining,
    consensus::{Delivered, ProposeError, ReplicatedLog},
    id::{Seqno, TransactionId},
    metrics::Stopwatch,
    write_set::{Definition, WriteSet},
};

/// The one reader of the log that acts on it.
struct Delivery<'a> {
    replicator: &'a Arc<Replicator>,
    recovered: Recovered,
    assembly: Assembly,
    claims: Claims,
    applier: Applier,
    /// While something is being defined.
    defining: Option<Defining<'a>>,
    /// A definition of this node that the others do not know yet.
    own: Option<Own>,
    /// Of the node that defines something, if that is another.
    silence: Silence,
    /// What is to be applied before anything else is done.
    batch: Option<Batch>,
    /// The sessions of this node whose transactions are in the batch.
    yielded: Vec<(Seqno, Waiting)>,
    fences: Fences,
}

/// A definition that this node's server has run.
struct Own {
    id: TransactionId,
    had_effect: bool,
    progress: Reporter,
}

impl Replicator {
    /// Delivers the log to this node's server, which has been prepared for it: first what the
    /// server lacks, then what comes.
    ///
    /// # Errors
    /// It ends only when the node must stop.
    pub async fn deliver(self: &Arc<Self>) -> ReplicationFailure {
        tokio::select! {
            ended = self.deliver_all() => match ended {
                Ok(never) => match never {},
                Err(failure) => failure,
            },
            never = self.show_life() => match never {},
            never = self.watch_lag() => match never {},
        }
    }

    async fn deliver_all(self: &Arc<Self>) -> Result<Infallible, ReplicationFailure> {
        let recovered = recover(self).await?;
        self.startup.begin(Stage::CatchingUp, recovered.end);
        let mut deliveries = read_from(&self.log, recovered.fence);
        let mut delivery = Delivery {
            replicator: self,
            fences: Fences::new(self.log.step()),
            recovered,
            assembly: Assembly::default(),
            claims: Claims::default(),
            defining: None,
            own: None,
            silence: Silence::default(),
            applier: Applier::new(
                self.captures.run.clone(),
                self.blockers.clone(),
                self.captures.backdoor.clone(),
            ),
            batch: None,
            yielded: Vec::new(),
        };
        let mut looks = looks();
        loop {
            let delivered = if let Some(delivered) = deliveries.next().now_or_never() {
                delivered
            } else if delivery.batch.is_some() {
                delivery.apply().await?;
                continue;
            } else {
                // What comes after a definition waits for it.
                if delivery.claims.holder().is_none() {
                    self.level.reach(deliveries.reached());
                }
                let look = async {
                    looks.tick().await;
                    delivery.may_show_life().await
                };
                tokio::select! {
                    biased;
                    delivered = deliveries.next() => delivered,
                    may_show = look, if delivery.waits_for_others() => {
                        delivery.look_for_signs(may_show);
                        delivery.look_for_fence();
                        continue;
                    }
                }
            };
            let delivered = delivered.map_err(|error| unreadable(error, self.seen()))?;
            delivery.take(delivered).await?;
        }
    }
}

impl Delivery<'_> {
    /// Whether the log is to be looked after though nothing comes.
    fn waits_for_others(&self) -> bool {
        self.claims.holder().is_some() || self.fences.is_wanted()
    }

    /// Whether a node that holds claims could have shown that it lives: a majority may be there and take nothing in.
    async fn may_show_life(&self) -> bool {
        self.claims.holder().is_some() && self.replicator.log.read_index().await.is_some()
    }

    /// Has the claims of another node declared void if that has gone.
    fn look_for_signs(&mut self, may_show: bool) {
        let (node, _) = self.replicator.log.identity();
        let holder = self.claims.holder().filter(|(id, _)| id.node != node);
        if let Some((id, signs)) = self.silence.look(holder, may_show) {
            self.replicator.declare_lapsed(id, signs);
        }
    }

    /// Whether this is a transaction of this node, since its start.
    fn is_own(&self, id: TransactionId) -> bool {
        (id.node, id.incarnation) == self.replicator.log.identity()
    }

    async fn take(&mut self, delivered: Delivered) -> Result<(), ReplicationFailure> {
        let Delivered { index, body, .. } = delivered;
        if index <= self.recovered.end.0 {
            self.replicator.startup.reach(self.replicator.seen());
        }
        self.fences.passed(body.len());
        let entry = self.assembly.take(&body);
        let entry = entry.map_err(|error| ReplicationFailure::Entry { index, error })?;
        if let Some(entry) = entry {
            for (seqno, entry) in self.claims.take(Seqno(index), entry) {
                self.effect(seqno, entry).await?;
            }
        }
        self.look_for_fence();
        Ok(())
    }

    /// Has the log get its next fence, if that is this node's to see to.
    fn look_for_fence(&mut self) {
        let log = &self.replicator.log;
        let now = Instant::now();
        if self.fences.is_due(now, self.assembly.has_parts(now))
            && self.claims.holder().is_none()
            && self.replicator.startup.problem().is_none()
            && log.leads()
        {
            self.fences.propose(now);
            let family = self.recovered.family;
            let body = small_body(&Entry::Fence { family });
            let log = log.clone();
            // If nothing comes of it, another is proposed later.
            tokio::spawn(async move { log.propose(body).await });
        }
    }

    /// An entry takes effect.
    async fn effect(&mut self, seqno: Seqno, entry: Entry) -> Result<(), ReplicationFailure> {
        let action = self.replicator.lock().order.deliver(seqno, entry);
        let cut = if action == Action::Fence {
            self.fences.stands();
            self.assembly.fence()
        } else {
            Vec::new()
        };
        if self.recovered.found.has(seqno) {
            self.apply().await?;
            self.replicator.has_applied(seqno);
        } else {
            self.act(seqno, action).await?;
        }
        for id in cut {
            debug!(transaction = %id, "a fence has come between its parts");
            self.replicator.lock().order.withdraw(id);
            self.propose_again(id);
        }
        if seqno == self.recovered.end {
            self.apply().await?;
            save(&self.replicator.captures.run, seqno).await;
            self.replicator.startup.begin(Stage::Level, seqno);
            info!("the node has what its cluster has");
        }
        Ok(())
    }

    async fn act(&mut self, seqno: Seqno, action: Action) -> Result<(), ReplicationFailure> {
        match action {
            Action::Nothing => {}
            Action::Commit(write_set) => {
                self.apply().await?;
                self.commit(seqno, write_set).await?;
            }
            Action::Apply { write_set, doomed } => {
                self.add(seqno, write_set, doomed).await?;
            }
            Action::RollBack(loser) => self.roll_back(vec![loser]),
            Action::ProposeAgain(id) => self.propose_again(id),
            Action::Define(id) => {
                self.apply().await?;
                self.define(seqno, id).await?;
            }
            Action::Defined(id, definition) => self.defined(seqno, id, definition).await?,
            Action::Fence => {
                self.apply().await?;
                self.pass(seqno).await;
            }
        }
        Ok(())
    }

    /// The server has all up to a fence, and needs nothing of the log before it any more. What is proposed
    /// from now on has seen the fence, and does not wait until that is saved.
    async fn pass(&self, fence: Seqno) {
        self.replicator.has_applied(fence);
        save_fence(&self.replicator.captures.run, fence).await;
        self.replicator.log.release(fence.0).await;
    }

    /// Has the session whose definition is next run it, if it is here.
    async fn define(&mut self, seqno: Seqno, id: TransactionId) -> Result<(), ReplicationFailure> {
        self.defining = Some(self.replicator.schemas.defining());
        self.replicator.lag.suspend(true);
        if !self.is_own(id) {
            return Ok(());
        }
        let claiming = {
            let mut state = self.replicator.lock();
            state.is_defining = true;
            state.claims.remove(&id)
        };
        let (defined, progress) = match claiming {
            Some(claiming) => {
                let defined = self.replicator.run(seqno, id, &claiming).await?;
                (defined, Some(claiming.progress))
            }
            None => (nothing_defined(id), None),
        };
        self.own = progress.clone().map(|progress| Own {
            id,
            had_effect: defined != nothing_defined(id),
            progress,
        });
        tokio::spawn(self.replicator.clone().tell(defined, progress));
        Ok(())
    }

    /// Has the effect of a definition here, too.
    async fn defined(
        &mut self,
        seqno: Seqno,
        id: TransactionId,
        definition: Definition,
    ) -> Result<(), ReplicationFailure> {
        let own = self.own.take_if(|own| own.id == id);
        let had_effect = !definition.events.is_empty();
        if let Some(own) = &own {
            if own.had_effect != had_effect {
                return Err(ReplicationFailure::Void { seqno });
            }
            self.replicator.noted(seqno, had_effect, &[]).await;
        } else if had_effect {
            let clear = |obstacle| self.replicator.clear(obstacle);
            self.applier.define(seqno, &definition, clear).await?;
        }
        if had_effect {
            self.replicator.refresh(&definition).await;
        }
        self.defining = None;
        self.replicator.has_applied(seqno);
        self.replicator.lag.suspend(false);
        let mut state = self.replicator.lock();
        // A session that has gone does not want to know.
        if let Some(claiming) = state.claims.remove(&id) {
            let refused = Progress::Refused(ProposeError::NoQuorum);
            let _ = claiming.progress.send(refused);
        }
        if let Some(own) = own {
            let _ = own.progress.send(Progress::Over);
        }
        state.is_defining = false;
        Ok(())
    }

    /// Has a transaction replicated again, if it still has its locks.
    fn propose_again(&self, id: TransactionId) {
        let mut state = self.replicator.lock();
        match state
            .waiting
            .get_mut(&id)
            .and_then(|waiting| waiting.held.take())
        {
            Some(held) => {
                let waiting = state.waiting.remove(&id).expect("it was there");
                let prepared = self.replicator.prepare(held);
                let _ = waiting.answer.send(Outcome::Again(prepared));
            }
            None => {
                let refusal = Refusal::Conflict(None);
                self.replicator.roll_back(&mut state, id, refusal);
            }
        }
    }

    fn roll_back(&self, losers: Vec<Loser>) {
        let mut state = self.replicator.lock();
        for Loser { id, key } in losers {
            let refusal = Refusal::Conflict(key);
            self.replicator.roll_back(&mut state, id, refusal);
        }
    }

    /// Gives a transaction of this node its turn, and waits until it is committed; or has it applied,
    /// if it has given up its locks.
    async fn commit(
        &mut self,
        seqno: Seqno,
        write_set: WriteSet,
    ) -> Result<(), ReplicationFailure> {
        let turn = self.replicator.lock().take_turn(seqno, write_set.id);
        let Some((held, answer)) = turn else {
            let keys = &write_set.keys;
            let doomed = self.replicator.lock().order.applying(seqno, keys);
            return self.add(seqno, write_set, doomed).await;
        };
        held.slot.set_ordered(held.id);
        let (done, is_done) = oneshot::channel();
        // A session that has gone drops its turn.
        let _ = answer.send(Outcome::Commit(Turn { seqno, done }));
        if is_done.await.is_err()
            && decide(&self.replicator.captures.run, &held, Decision::Commit).await
                == Decision::RollBack
        {
            return Err(ReplicationFailure::PreparedLost { id: held.id, seqno });
        }
        Ok(())
    }

    /// Puts a write set into the batch, where these are not in its way.
    async fn add(
        &mut self,
        seqno: Seqno,
        write_set: WriteSet,
        doomed: Vec<Loser>,
    ) -> Result<(), ReplicationFailure> {
        self.roll_back(doomed);
        if !self.is_own(write_set.id) {
            let received = &self.replicator.metrics.received;
            received.count(write_set.keys.len(), write_set.event_bytes());
        }
        let yielded = self.replicator.lock().waiting.remove(&write_set.id);
        match &mut self.batch {
            Some(batch) if batch.accepts(&write_set) => batch.push(seqno, write_set)?,
            _ => {
                self.apply().await?;
                self.batch = Some(Batch::of(seqno, write_set)?);
            }
        }
        self.yielded.extend(yielded.map(|waiting| (seqno, waiting)));
        Ok(())
    }

    /// Commits the batch.
    async fn apply(&mut self) -> Result<(), ReplicationFailure> {
        if let Some(batch) = self.batch.take() {
            let last = batch.last();
            let metrics = &self.replicator.metrics;
            metrics.batch_write_sets.observe(batch.count() as f64);
            let mut stopwatch = Stopwatch::start();
            let clear = |obstacle| self.replicator.clear(obstacle);
            self.applier.apply(batch, clear).await?;
            metrics.batch_seconds.observe(stopwatch.lap().as_secs_f64());
            self.replicator.has_applied(last);
            for (seqno, Waiting { answer, .. }) in self.yielded.drain(..) {
                // A session that has gone does not want to know.
                let _ = answer.send(Outcome::Committed(seqno));
            }
        }
        Ok(())
    }
}
