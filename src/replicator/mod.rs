//! Replication: puts the write sets of this node's transactions into the log, and does what the
//! order of the log says, one entry after the other.

mod claims;
mod definition;
mod delivery;
mod entry;
mod fence;
mod lag;
mod level;
mod order;
mod prepared;
mod recovery;
mod seat;
mod signs;
#[cfg(test)]
mod simulation;
mod startup;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tracing::{debug, warn};

use crate::{
    applier::ApplyError,
    backend::{Blockers, Captures, Changes, ConnectionError, Schemas},
    consensus::{Engine, ProposeError, ReplicatedLog},
    id::{Family, Seqno, TransactionId},
    metrics::Metrics,
    write_set::{Key, KeyHash, WriteSet},
};

pub use definition::Claimed;
use definition::Claiming;
#[cfg(fuzzing)]
pub use entry::take_bodies;
use entry::{Entry, small_body};
pub use entry::{MAX_ENTRY_BYTES, Malformed, TooLarge};
use lag::Lag;
use level::Level;
pub use level::Stale;
pub use order::Load;
use order::{InTheWay, Order};
pub use prepared::{Held, Prepared};
pub use seat::Seat;
use seat::Seated;
use startup::Startup;

/// Parts of a write set that are proposed at once.
const PARTS_UNDER_WAY: usize = 8;

/// Between two attempts at what needs a majority or the server.
const RETRY: Duration = Duration::from_millis(200);

/// Joins the sessions of a node with the order of the log.
pub struct Replicator {
    pub log: Arc<Engine>,
    pub captures: Arc<Captures>,
    pub schemas: Arc<Schemas>,
    pub metrics: Arc<Metrics>,
    pub blockers: Arc<Blockers>,
    state: Mutex<State>,
    startup: Startup,
    lag: Lag,
    level: Level,
}

#[derive(Default)]
struct State {
    order: Order,
    waiting: HashMap<TransactionId, Waiting>,
    /// The definitions of this node that have not had their turn.
    claims: HashMap<TransactionId, Claiming>,
    /// One of them has it, or the others do not know yet what it has done.
    is_defining: bool,
    /// By the connections on the server.
    seats: HashMap<u32, Arc<Seated>>,
    /// How often a transaction was proposed.
    attempts: u32,
}

/// A session that waits for what becomes of its transaction.
struct Waiting {
    /// The one that counts: a fence may come between the parts of an earlier one.
    attempt: u32,
    /// Not there any more after the transaction has yielded.
    held: Option<Held>,
    answer: mpsc::UnboundedSender<Outcome>,
}

impl State {
    /// The turn of a transaction, if it still has its locks; it is about to commit then.
    fn take_turn(
        &mut self,
        seqno: Seqno,
        id: TransactionId,
    ) -> Option<(Held, mpsc::UnboundedSender<Outcome>)> {
        let held = self.waiting.get_mut(&id)?.held.take()?;
        let Waiting { answer, .. } = self.waiting.remove(&id)?;
        self.order.committing(seqno);
        Some((held, answer))
    }
}

/// What a session is to do about its prepared transaction.
#[derive(Debug)]
pub enum Outcome {
    Commit(Turn),
    /// Roll it back and wait on: it stands in the applier's way. If it passes certification the
    /// applier brings it in.
    Yield(Prepared),
    /// Nothing: it had yielded and is committed, in this place.
    Committed(Seqno),
    /// Replicate it again: it has not seen all that may concern it, but that did not touch its locks.
    Again(Prepared),
    /// It does not commit; it is still prepared unless it had yielded.
    RollBack(Refusal, Option<Prepared>),
    /// Nothing: it may still commit, and only the node can decide it. The session must end.
    Open(ProposeError),
}

/// A transaction's turn to commit, or a definition's to run: those before it are done, those after it
/// wait.
#[derive(Debug)]
pub struct Turn {
    seqno: Seqno,
    done: oneshot::Sender<()>,
}

impl Turn {
    /// The server has done it; gives its place. A turn that is dropped instead leaves to the node to see whether it has.
    pub fn done(self) -> Seqno {
        // Nobody listens when the node is stopping.
        let _ = self.done.send(());
        self.seqno
    }
}

/// Attempts what needs the server until it succeeds.
async fn retry<T>(failure: &str, attempt: impl AsyncFn() -> Result<T, ConnectionError>) -> T {
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => warn!(%error, "{failure}; trying again"),
        }
        sleep(RETRY).await;
    }
}

/// Why a prepared transaction does not commit.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// With what has this key, if that is known.
    #[error("another transaction has committed first")]
    Conflict(Option<KeyHash>),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Why a node must stop.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationFailure {
    #[error("the log cannot be read: {0}")]
    Log(#[from] io::Error),
    #[error("entry {index} of the log cannot be used: {error}")]
    Entry { index: u64, error: Malformed },
    #[error(
        "the cluster has gone on for longer than its log is kept (cluster.log_retention_mb): what comes after \
        {seen}, which this server needs, is not there any more; give it a copy of another node's data"
    )]
    Behind { seen: Seqno },
    #[error(
        "this server has what was committed up to {position}, but the cluster's log ends at {end}: it \
        belongs to another cluster; give the node the server and the log that belong together"
    )]
    Foreign { position: Seqno, end: Seqno },
    #[error(
        "this server is {own}, and the cluster's servers are {expected}, whose row changes it does not \
        understand; give the node a server of the same kind"
    )]
    Mixed { own: Family, expected: Family },
    /// Its locks are gone: others may have read, and be about to commit, what it has changed. A node that
    /// starts over gives its server what it lacks.
    #[error(
        "the server no longer has transaction {id}, which was prepared and has committed in the \
        cluster as {seqno}"
    )]
    PreparedLost { id: TransactionId, seqno: Seqno },
    #[error(
        "what was defined here at {seqno} cannot be replicated ({error}): this server's data are not \
        those of the other nodes any more; give it a copy of theirs"
    )]
    Undefined { seqno: Seqno, error: String },
    #[error(
        "the cluster went on without what was defined here at {seqno}, since this node or its server had \
        shown no sign of life: this server's data are not those of the other nodes any more; give it a copy \
        of theirs"
    )]
    Void { seqno: Seqno },
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Replicator {
    pub fn new(
        log: Arc<Engine>,
        captures: Arc<Captures>,
        schemas: Arc<Schemas>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            log,
            blockers: Arc::new(Blockers::new(captures.run.server().clone())),
            captures,
            schemas,
            state: Mutex::default(),
            startup: Startup::new(),
            lag: Lag::default(),
            level: Level::default(),
            metrics,
        }
    }

    /// Why no client can be served now, if so.
    pub fn problem(&self) -> Option<String> {
        self.startup.problem()
    }

    /// That clients should go elsewhere, since this node's server does not keep up, if so.
    pub fn lag(&self) -> Option<String> {
        self.lag.problem(self.level.reached())
    }

    /// All up to here is committed on this node's server, or about to be.
    pub fn seen(&self) -> Seqno {
        self.lock().order.seen()
    }

    /// The server has committed the transaction whose turn it was; gives its place.
    pub fn committed(&self, turn: Turn) -> Seqno {
        // Whoever hears of the commit and then reads must count it among what has been seen.
        self.level.reach(turn.seqno.0);
        turn.done()
    }

    /// All up to here is committed on this node's server.
    pub fn reached(&self) -> Seqno {
        Seqno(self.level.reached())
    }

    /// Whether anything may be committed on this node's server that was not when this was all.
    pub fn is_past(&self, snapshot: Seqno) -> bool {
        self.lock().order.is_past(snapshot)
    }

    /// Nothing after this can be seen on this node's server.
    pub fn ordered(&self) -> Seqno {
        self.lock().order.ordered()
    }

    /// How much there is to keep in mind.
    pub fn load(&self) -> Load {
        self.lock().order.load()
    }

    /// Why nothing can be committed now, if so.
    ///
    /// # Errors
    /// [`ProposeError::NoQuorum`].
    pub fn majority(&self) -> Result<(), ProposeError> {
        if self.log.has_majority() {
            Ok(())
        } else {
            Err(ProposeError::NoQuorum)
        }
    }

    /// Takes in a transaction that its session is about to prepare.
    pub fn prepare(&self, held: Held) -> Prepared {
        Prepared::new(held, self.captures.run.clone())
    }

    /// Has a prepared transaction ordered. If it has read from a `snapshot`, it must not have overwritten anything that
    /// was committed after that.
    pub fn replicate(
        self: &Arc<Self>,
        prepared: Prepared,
        changes: &Changes,
        keys: Vec<Key>,
        snapshot: Option<Seqno>,
        seat: &Seat,
    ) -> Replication {
        let id = prepared.id();
        let (answer, outcomes) = mpsc::unbounded_channel();
        let replication = Replication {
            id,
            outcomes,
            replicator: self.clone(),
        };
        let (last_seen, attempt) = {
            let mut state = self.lock();
            let last_seen = match state.order.prepared(id, &keys, snapshot) {
                Ok(last_seen) => last_seen,
                Err(InTheWay(key)) => {
                    drop(state);
                    let refusal = Refusal::Conflict(Some(key));
                    let _ = answer.send(Outcome::RollBack(refusal, Some(prepared)));
                    return replication;
                }
            };
            state.attempts = state.attempts.wrapping_add(1);
            let attempt = state.attempts;
            let waiting = Waiting {
                attempt,
                held: Some(prepared.over()),
                answer,
            };
            state.waiting.insert(id, waiting);
            if seat.is_doomed() {
                self.give_up_locks(&mut state, id);
            }
            (last_seen, attempt)
        };
        let events = changes.rows.iter();
        let write_set = WriteSet {
            id,
            last_seen,
            keys,
            format: changes.format.bytes().clone(),
            events: events.map(|event| event.bytes().clone()).collect(),
        };
        self.metrics
            .sent
            .count(write_set.keys.len(), write_set.event_bytes());
        match Entry::WriteSet(write_set).bodies(attempt) {
            Ok(bodies) => {
                tokio::spawn(self.clone().propose(id, attempt, bodies));
            }
            Err(error) => self.refuse(id, attempt, error.into()),
        }
        replication
    }

    /// Proposes the bodies of a transaction's entry. What comes of it is told when it is delivered.
    async fn propose(self: Arc<Self>, id: TransactionId, attempt: u32, bodies: Vec<Bytes>) {
        let is_in_parts = bodies.len() > 1;
        let proposals = bodies.into_iter().map(|body| self.log.propose(body));
        let mut proposals = stream::iter(proposals).buffer_unordered(PARTS_UNDER_WAY);
        while let Some(proposed) = proposals.next().await {
            if let Err(error) = proposed {
                self.refuse(id, attempt, error.into());
                if is_in_parts {
                    self.abandon(id);
                }
                return;
            }
        }
    }

    /// Tells a session that its transaction cannot be proposed, unless it has been told already what
    /// becomes of it.
    fn refuse(&self, id: TransactionId, attempt: u32, refusal: Refusal) {
        let mut state = self.lock();
        let waiting = state.waiting.get(&id);
        if waiting.is_some_and(|waiting| waiting.attempt != attempt) {
            return;
        }
        if let Refusal::Propose(error @ (ProposeError::Unknown | ProposeError::Stopped)) = refusal {
            if let Some(waiting) = state.waiting.get(&id) {
                let _ = waiting.answer.send(Outcome::Open(error));
            }
            return;
        }
        state.order.withdraw(id);
        self.roll_back(&mut state, id, refusal);
    }

    /// Has everybody drop the parts of a write set, as soon as there is a majority to tell them.
    fn abandon(&self, id: TransactionId) {
        let log = self.log.clone();
        tokio::spawn(async move {
            let body = small_body(&Entry::Abandoned(id));
            while let Err(ProposeError::NoQuorum) = log.propose(body.clone()).await {
                sleep(RETRY).await;
            }
        });
    }

    /// Has a transaction that waits for its turn rolled back, and brought in by the applier if it
    /// passes certification.
    fn give_up_locks(&self, state: &mut State, id: TransactionId) {
        if let Some(Waiting { held, answer, .. }) = state.waiting.get_mut(&id)
            && let Some(held) = held.take()
        {
            debug!(transaction = %id, "yields to the applier");
            // If its session has gone, this is dropped, and the node rolls it back.
            let _ = answer.send(Outcome::Yield(self.prepare(held)));
        }
    }

    /// Tells a session to roll its transaction back. If it has gone the node does.
    fn roll_back(&self, state: &mut State, id: TransactionId, refusal: Refusal) {
        if let Some(Waiting { held, answer, .. }) = state.waiting.remove(&id) {
            let prepared = held.map(|held| self.prepare(held));
            // What is not taken is dropped, and with it goes the transaction.
            let _ = answer.send(Outcome::RollBack(refusal, prepared));
        }
    }

    /// The server has all up to here.
    fn has_applied(&self, seqno: Seqno) {
        self.lock().order.applied(seqno);
        self.level.reach(seqno.0);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that is being ordered. If its session drops this before it knows what becomes of
/// the transaction, the node rolls it back, and applies it if it is ordered.
pub struct Replication {
    id: TransactionId,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    replicator: Arc<Replicator>,
}

impl Replication {
    /// Waits for what the session is to do next.
    pub async fn next(&mut self) -> Outcome {
        let stopped = || Outcome::Open(ProposeError::Stopped);
        self.outcomes.recv().await.unwrap_or_else(stopped)
    }
}

impl Drop for Replication {
    fn drop(&mut self) {
        let replicator = &self.replicator;
        replicator.give_up_locks(&mut replicator.lock(), self.id);
    }
}
