//! A client's transaction on its server: an XA transaction that carries the session's mark.
//!
//! The mark is an update of the session's own row in `trireme.mark`. A transaction that changed
//! nothing is not in the binlog when it has been prepared; with the mark it always is, so that
//! waiting for it ends.

use std::sync::Arc;

use super::{
    answer::Answer,
    ending::commit_reads,
    history::{History, Repetition},
    rollback::{abandon, give_up, irreplicable, refusal, undecided, unless_killed},
    session::{Session, SessionError},
    shared::Shared,
    statement::Source,
};
use crate::{
    backend::{Changes, ConnectionError, Defined, Slot},
    id::{Seqno, TransactionId},
    metrics::{CommitPhase, Stopwatch},
    protocol::{errno, response::Status},
    replicator::{Held, Outcome, Prepared, Refusal, Seat, Stale},
    sql::{Access, Class},
    write_set::Key,
};

/// Whatever `completion_type` is.
pub(super) const COMMIT: &str = "COMMIT AND NO CHAIN NO RELEASE";
const ROLLBACK: &str = "ROLLBACK AND NO CHAIN NO RELEASE";

/// Of the next transaction.
pub(super) const READ_ONLY: &str = "SET TRANSACTION READ ONLY";

/// The transactions of one session, one after the other.
pub(super) struct Transactions {
    pub(super) shared: Arc<Shared>,
    slot: Option<Arc<Slot>>,
    seat: Seat,
    pub(super) open: Option<Open>,
    /// Savepoints of the one that a client with autocommit off has not yet begun, oldest first.
    pub(super) early: Vec<Vec<u8>>,
    /// The place of the last transaction or definition that the session has committed.
    pub(super) written: Option<Seqno>,
    pub(super) repetition: Repetition,
    /// The session cannot end the last transaction: only the node can decide it, or only the session's end
    /// rids the server of it.
    must_end: bool,
}

/// A transaction that has been started and not ended.
#[derive(Debug)]
pub(super) struct Open {
    id: TransactionId,
    /// Whether a statement was in it that may have changed rows.
    wrote: bool,
    /// What was committed here before its first statement, if its isolation is that of a snapshot.
    pub(super) snapshot: Option<Seqno>,
    /// If it may be run again.
    pub(super) history: Option<History>,
}

impl Transactions {
    pub(super) fn new(shared: Arc<Shared>, session: &Session) -> Self {
        Self {
            seat: shared.replicator.seat(session.connection_id),
            shared,
            slot: None,
            open: None,
            early: Vec::new(),
            written: None,
            repetition: Repetition::default(),
            must_end: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the session must end.
    pub(super) fn must_end(&self) -> bool {
        self.must_end
    }

    /// What is defined on the server.
    pub(super) fn defined(&self) -> Arc<Defined> {
        self.shared.replicator.captures.defined()
    }

    /// Waits until the server has all that was committed anywhere; the answer to the statement that has waited in vain.
    pub(super) async fn level(
        &self,
        session: &mut Session,
    ) -> Result<Option<Answer>, SessionError> {
        let level = tokio::select! {
            level = self.shared.replicator.level() => level,
            error = session.server_lost() => return Err(error),
        };
        Ok(level.err().map(|stale| match stale {
            Stale::NoMajority(error) => refusal(&error.into()),
            Stale::Behind => Answer::refusal(errno::LOCK_WAIT_TIMEOUT, stale),
        }))
    }

    /// The answer to a statement that must not run, since there is no majority.
    pub(super) fn without_majority(&self, class: Class) -> Option<Answer> {
        let Shared {
            replicator,
            cluster,
            ..
        } = &*self.shared;
        let needs_one = match class {
            Class::Write
            | Class::Program
            | Class::LockTables
            | Class::Definition
            | Class::Administration => true,
            Class::Read | Class::Expressions { calls: true } | Class::Begin { .. } => {
                !cluster.reads_without_majority
            }
            _ => false,
        };
        let lacking = needs_one.then(|| replicator.majority().err())?;
        lacking.map(|error| refusal(&error.into()))
    }

    /// Runs a definition, where no transaction is open, when it is alone in the cluster.
    pub(super) async fn define(
        &mut self,
        session: &mut Session,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let id = self.shared.next_id();
        let mut claimed = self.shared.replicator.define(id, session.connection_id);
        let turn = tokio::select! {
            turn = claimed.turn() => turn,
            error = session.server_lost() => return Err(error),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => {
                session.discard(source).await?;
                return Ok(refusal(&error.into()));
            }
        };
        let answer = session.relay(source, 0).await?;
        let seqno = turn.done();
        let over = tokio::select! {
            over = claimed.over() => over,
            error = session.server_lost() => return Err(error),
        };
        Ok(match over {
            Ok(()) => {
                if !answer.is_error() {
                    self.written = Some(seqno);
                }
                answer
            }
            Err(error) => {
                self.must_end = true;
                let reason = format!("the statement ran here, but the others do not know: {error}");
                Answer::refusal(errno::ERROR_DURING_COMMIT, reason).in_place_of(&answer)
            }
        })
    }

    /// Notes that a statement goes into the open transaction that may change rows.
    pub(super) fn writes(&mut self) {
        if let Some(open) = &mut self.open {
            open.wrote = true;
        }
    }

    /// Starts a transaction, where none of ours is open, with `access` if that is not to be the session's default, and
    /// with the snapshot that it reads from if that is not to wait for the first read. The answer is as `BEGIN` would get it.
    pub(super) async fn begin(
        &mut self,
        session: &mut Session,
        access: Option<Access>,
        snapshot: bool,
    ) -> Result<Answer, SessionError> {
        if session.has(Status::IN_TRANSACTION) {
            // The server's own: it has only read, and would refuse another one inside it.
            let [answer] = session.run_own([COMMIT.to_owned()]).await?;
            if answer.is_error() {
                return Ok(answer);
            }
        }
        let id = self.shared.next_id();
        let set = access.map(|access| match access {
            Access::ReadOnly => READ_ONLY,
            Access::ReadWrite => "SET TRANSACTION READ WRITE",
        });
        let start = format!("XA START '{id}'");
        let answer = if let Some(set) = set {
            let [_, answer] = session.run_own([set.to_owned(), start]).await?;
            answer
        } else {
            let [answer] = session.run_own([start]).await?;
            answer
        };
        if answer.is_error() {
            return Ok(answer);
        }
        self.open = Some(Open {
            id,
            wrote: false,
            snapshot: None,
            history: self.new_history(access, snapshot),
        });
        if let Some(error) = self.set_early(session).await? {
            self.roll_back(session).await?;
            return Ok(error);
        }
        if snapshot && let Some(error) = self.begin_snapshot(session).await? {
            self.roll_back(session).await?;
            return Ok(error);
        }
        Ok(answer)
    }

    /// Runs a statement of the client in the transaction; see [`Session::relay`]. If the applier needs
    /// what the transaction holds, that is rolled back, and the answer says so.
    pub(super) async fn run(
        &mut self,
        session: &mut Session,
        source: Source<'_>,
        hidden: u16,
    ) -> Result<Answer, SessionError> {
        self.seat.run().await;
        let answer = session.relay(source, hidden).await?;
        let may_go_on = self.seat.ran().await;
        if self.is_lost(session, &answer) {
            self.open = None;
            self.must_end = true;
            return Ok(Answer::deadlock().in_place_of(&answer));
        }
        if !may_go_on {
            self.lose(session).await?;
            return Ok(Answer::deadlock().in_place_of(&answer));
        }
        if answer.is_deadlock() {
            self.seat.lost();
            self.repetition.lost = self.take_history();
        }
        Ok(answer)
    }

    /// Whether a statement has succeeded, but the server has no transaction any more. MySQL 9.7 rolls it back
    /// and says nothing when a cascade meets a deadlock at its second row or later; it takes no end of the XA
    /// transaction after that.
    fn is_lost(&self, session: &Session, answer: &Answer) -> bool {
        self.open.is_some() && !answer.is_error() && !session.has(Status::IN_TRANSACTION)
    }

    /// Whether the applier needs what the transaction holds.
    pub(super) fn is_doomed(&self) -> bool {
        self.seat.is_doomed()
    }

    /// Waits, while the session does nothing, until it must roll its transaction back.
    pub(super) async fn doomed(&self) {
        self.seat.doomed().await;
    }

    /// Commits the open transaction. The answer is as `COMMIT` would get it; after an error the
    /// transaction has been rolled back, unless the session [`must_end`](Self::must_end).
    pub(super) async fn commit(&mut self, session: &mut Session) -> Result<Answer, SessionError> {
        self.early.clear();
        let wrote = self.open.as_ref().is_some_and(|open| open.wrote);
        let id = self.open.as_ref().map(|open| open.id);
        if !self.seat.end(id).await {
            self.lose(session).await?;
            let answer = Answer::deadlock();
            self.count(wrote, &answer);
            return Ok(answer);
        }
        let history = self.take_history();
        let answer = self.commit_open(session).await;
        self.seat.ended();
        let answer = answer?;
        if answer.is_deadlock() && !self.must_end {
            self.repetition.lost = history;
        }
        self.count(wrote, &answer);
        Ok(answer)
    }

    /// Counts the commit of a transaction by its answer, if it wrote.
    pub(super) fn count(&self, wrote: bool, answer: &Answer) {
        if wrote {
            let metrics = &self.shared.replicator.metrics;
            metrics.count_commit(answer.commit_outcome());
        }
    }

    async fn commit_open(&mut self, session: &mut Session) -> Result<Answer, SessionError> {
        let Some(Open {
            id,
            wrote,
            snapshot,
            ..
        }) = self.open.take()
        else {
            let [answer] = session.run_own([COMMIT.to_owned()]).await?;
            return Ok(answer);
        };
        if !wrote {
            return commit_reads(session, id).await;
        }
        let shared = self.shared.clone();
        let mut stopwatch = Stopwatch::start();
        if let Err(error) = shared.replicator.majority() {
            abandon(session, id).await?;
            return Ok(refusal(&error.into()));
        }
        let slot = match self.slot().await {
            Ok(slot) => slot,
            Err(error) => {
                let reason = format!("the node cannot use its own account: {error}");
                let error = Answer::refusal(errno::UNKNOWN_COMMAND, reason);
                abandon(session, id).await?;
                return Ok(error);
            }
        };
        let prepare = [
            slot.mark(id),
            format!("XA END '{id}'"),
            format!("XA PREPARE '{id}'"),
        ];
        let mut expected = shared.replicator.captures.expect(id);
        let prepared = shared.replicator.prepare(Held {
            id,
            connection: session.connection_id,
            slot,
        });
        let replies = session.run_own(prepare).await?;
        if let [mark, others @ ..] = &replies
            && mark.error_number() == Some(errno::READ_ONLY_TRANSACTION)
            && !others.iter().any(Answer::is_error)
        {
            return self.commit_prepared(session, prepared).await;
        }
        if let Some(error) = replies.into_iter().find(Answer::is_error) {
            return give_up(session, prepared, error).await;
        }
        let captured = tokio::select! {
            captured = self.seat.unless_in_the_way(shared.changes(&mut expected)) => captured,
            error = session.server_lost() => return Err(error),
        };
        match captured {
            Some(Ok(Some((changes, keys)))) => {
                let metrics = &shared.replicator.metrics;
                metrics.time_commit(CommitPhase::Capture, stopwatch.lap());
                self.replicate(session, prepared, &changes, keys, snapshot)
                    .await
            }
            Some(Ok(None)) => self.commit_prepared(session, prepared).await,
            Some(Err(reason)) => irreplicable(session, prepared, reason).await,
            None => give_up(session, prepared, Answer::deadlock()).await,
        }
    }

    /// Commits a prepared transaction that has changed nothing the others have.
    async fn commit_prepared(
        &mut self,
        session: &mut Session,
        prepared: Prepared,
    ) -> Result<Answer, SessionError> {
        let commit = format!("XA COMMIT '{}'", prepared.id());
        let [answer] = session.run_own([commit]).await?;
        if answer.is_error() {
            self.must_end = true;
        } else {
            prepared.over();
        }
        Ok(answer)
    }

    /// Has a prepared transaction ordered, and does what becomes of it.
    async fn replicate(
        &mut self,
        session: &mut Session,
        prepared: Prepared,
        changes: &Changes,
        keys: Vec<Key>,
        snapshot: Option<Seqno>,
    ) -> Result<Answer, SessionError> {
        let id = prepared.id();
        let shared = self.shared.clone();
        let replicator = &shared.replicator;
        let metrics = &replicator.metrics;
        let mut stopwatch = Stopwatch::start();
        let mut replication = replicator.replicate(prepared, changes, keys, snapshot, &self.seat);
        loop {
            let outcome = tokio::select! {
                outcome = replication.next() => outcome,
                error = session.server_lost() => return Err(error),
            };
            match outcome {
                Outcome::Commit(turn) => {
                    metrics.time_commit(CommitPhase::Order, stopwatch.lap());
                    let answer = self.conclude(session, format!("XA COMMIT '{id}'")).await?;
                    metrics.time_commit(CommitPhase::Commit, stopwatch.lap());
                    if !self.must_end {
                        self.written = Some(replicator.committed(turn));
                    }
                    return Ok(answer);
                }
                Outcome::Yield(prepared) => {
                    metrics.overtaken.inc();
                    abandon(session, id).await?;
                    prepared.over();
                }
                Outcome::Committed(seqno) => {
                    metrics.replayed.inc();
                    self.written = Some(seqno);
                    return self.conclude(session, COMMIT.to_owned()).await;
                }
                Outcome::Again(prepared) => {
                    let keys = replicator.schemas.keys(&changes.rows);
                    match self.seat.unless_in_the_way(keys).await {
                        Some(Ok((keys, _))) => {
                            // Later it would give up the locks of the next one.
                            drop(replication);
                            replication =
                                replicator.replicate(prepared, changes, keys, snapshot, &self.seat);
                        }
                        Some(Err(reason)) => {
                            return irreplicable(session, prepared, reason.into()).await;
                        }
                        None => return give_up(session, prepared, Answer::deadlock()).await,
                    }
                }
                Outcome::RollBack(reason, prepared) => {
                    if let Refusal::Conflict(key) = reason {
                        metrics.certification_failures.inc();
                        self.seat.lost();
                        shared.note_conflict(key, changes);
                    }
                    if let Some(prepared) = prepared {
                        abandon(session, id).await?;
                        prepared.over();
                    }
                    return Ok(refusal(&reason));
                }
                Outcome::Open(reason) => {
                    self.must_end = true;
                    return Ok(undecided(reason));
                }
            }
        }
    }

    /// Ends a transaction here that has committed in the cluster. The answer is as `COMMIT` would get it.
    async fn conclude(
        &mut self,
        session: &mut Session,
        statement: String,
    ) -> Result<Answer, SessionError> {
        let [answer] = unless_killed(session, [statement]).await?;
        let Some(number) = answer.error_number() else {
            return Ok(answer);
        };
        self.must_end = true;
        let reason = format!("the server answers with error {number}");
        Ok(undecided(reason))
    }

    /// The session's slot, from its first write on.
    async fn slot(&mut self) -> Result<Arc<Slot>, ConnectionError> {
        if let Some(slot) = &self.slot {
            return Ok(slot.clone());
        }
        let slot = self.shared.slots.take(&self.shared.server).await?;
        Ok(self.slot.insert(slot.into()).clone())
    }

    /// Rolls the open transaction back. The answer is as `ROLLBACK` would get it.
    pub(super) async fn roll_back(
        &mut self,
        session: &mut Session,
    ) -> Result<Answer, SessionError> {
        self.early.clear();
        // Whether it may commit does not matter any more.
        let _ = self.seat.end(None).await;
        let answer = match self.open.take() {
            Some(Open { id, .. }) => abandon(session, id).await?,
            None => {
                let [answer] = unless_killed(session, [ROLLBACK.to_owned()]).await?;
                answer
            }
        };
        self.seat.ended();
        Ok(answer)
    }
}
