//! A client's transaction on its server: an XA transaction that carries the session's mark.
//!
//! The mark is an update of the session's own row in `trireme.mark`. A transaction that changed
//! nothing is not in the binlog when it has been prepared; with the mark it always is, so that
//! waiting for it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    answer::Answer,
    session::{Session, SessionError},
};
use crate::{
    backend::{Captures, Slot, Slots},
    config::Server,
    id::{NodeId, TransactionId},
    protocol::{errno, response::Status},
    sql::{self, Dialect},
};

/// What the sessions of a node share.
#[derive(Debug)]
pub struct Shared {
    node: NodeId,
    incarnation: u64,
    begun: AtomicU64,
    server: Server,
    captures: Arc<Captures>,
    slots: Arc<Slots>,
}

impl Shared {
    pub fn new(node: NodeId, incarnation: u64, server: Server, captures: Arc<Captures>) -> Self {
        Self {
            node,
            incarnation,
            begun: AtomicU64::new(0),
            server,
            captures,
            slots: Arc::default(),
        }
    }

    /// Why no client can be served now, if so.
    pub(super) fn problem(&self) -> Option<&'static str> {
        self.captures.problem()
    }

    fn next_id(&self) -> TransactionId {
        TransactionId {
            node: self.node,
            incarnation: self.incarnation,
            number: self.begun.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

/// The transactions of one session, one after the other.
#[derive(Debug)]
pub(super) struct Transactions {
    shared: Arc<Shared>,
    slot: Option<Slot>,
    open: Option<Open>,
}

/// A transaction that has been started and not ended.
#[derive(Debug)]
struct Open {
    id: TransactionId,
    /// Whether a statement was in it that may have changed rows.
    wrote: bool,
}

impl Transactions {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            slot: None,
            open: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a statement that reads calls something that may write.
    pub(super) fn may_write(&self, text: &[u8], dialect: Dialect) -> bool {
        let names = self.shared.captures.functions.names();
        sql::names_one_of(text, dialect, &names)
    }

    /// Takes note of a definition, before its client knows of it.
    pub(super) async fn defined(&self, answer: Answer) -> Answer {
        let Shared {
            captures, server, ..
        } = &*self.shared;
        match captures.functions.refresh(server).await {
            Ok(()) => answer,
            Err(error) => {
                let reason = format!(
                    "the statement took effect, but what it defined cannot be read: {error}"
                );
                Answer::refusal(errno::UNKNOWN_ERROR, reason).in_place_of(&answer)
            }
        }
    }

    /// Notes that a statement goes into the open transaction that may change rows.
    pub(super) fn writes(&mut self) {
        if let Some(open) = &mut self.open {
            open.wrote = true;
        }
    }

    /// Starts a transaction, where none of ours is open, and with it the snapshot that it reads from
    /// if that is not to wait for the first read. The answer is as `BEGIN` would get it.
    pub(super) async fn begin(
        &mut self,
        session: &mut Session,
        snapshot: bool,
    ) -> Result<Answer, SessionError> {
        if session.has(Status::IN_TRANSACTION) {
            // The server's own: it has only read, and would refuse another one inside it.
            let [answer] = session.run_own(["COMMIT".to_owned()]).await?;
            if answer.is_error() {
                return Ok(answer);
            }
        }
        let id = self.shared.next_id();
        let [answer] = session.run_own([format!("XA START '{id}'")]).await?;
        if answer.is_error() {
            return Ok(answer);
        }
        self.open = Some(Open { id, wrote: false });
        if snapshot {
            let read = "DO (SELECT COUNT(*) FROM trireme.mark WHERE slot = 0)";
            let [read] = session.run_own([read.to_owned()]).await?;
            if read.is_error() {
                self.roll_back(session).await?;
                return Ok(read);
            }
        }
        Ok(answer)
    }

    /// Commits the open transaction. The answer is as `COMMIT` would get it; after an error the
    /// transaction has been rolled back.
    pub(super) async fn commit(&mut self, session: &mut Session) -> Result<Answer, SessionError> {
        let Some(Open { id, wrote }) = self.open.take() else {
            let [answer] = session.run_own(["COMMIT".to_owned()]).await?;
            return Ok(answer);
        };
        if !wrote {
            let commit = [
                format!("XA END '{id}'"),
                format!("XA COMMIT '{id}' ONE PHASE"),
            ];
            let [ended, committed] = session.run_own(commit).await?;
            return if ended.is_error() {
                abandon(session, id, ended).await
            } else {
                Ok(committed)
            };
        }
        if self.slot.is_none() {
            match self.shared.slots.take(&self.shared.server).await {
                Ok(slot) => self.slot = Some(slot),
                Err(error) => {
                    let reason = format!("the node cannot use its own account: {error}");
                    let error = Answer::refusal(errno::UNKNOWN_COMMAND, reason);
                    return abandon(session, id, error).await;
                }
            }
        }
        let slot = self.slot.as_ref().expect("taken above").number();
        let mut expected = self.shared.captures.expect(id);
        let prepare = [
            format!("UPDATE trireme.mark SET txn = '{id}' WHERE slot = {slot}"),
            format!("XA END '{id}'"),
            format!("XA PREPARE '{id}'"),
        ];
        let replies = session.run_own(prepare).await?;
        if let Some(error) = replies.into_iter().find(Answer::is_error) {
            return abandon(session, id, error).await;
        }
        let changes = tokio::select! {
            changes = expected.changes() => changes,
            error = session.server_lost() => return Err(error),
        };
        if let Err(reason) = changes {
            let reason = format!("this transaction cannot be replicated: {reason}");
            let error = Answer::refusal(errno::UNKNOWN_ERROR, reason);
            return abandon(session, id, error).await;
        }
        let [answer] = session.run_own([format!("XA COMMIT '{id}'")]).await?;
        Ok(answer)
    }

    /// Rolls the open transaction back. The answer is as `ROLLBACK` would get it.
    pub(super) async fn roll_back(
        &mut self,
        session: &mut Session,
    ) -> Result<Answer, SessionError> {
        let Some(Open { id, .. }) = self.open.take() else {
            let [answer] = session.run_own(["ROLLBACK".to_owned()]).await?;
            return Ok(answer);
        };
        let end = [format!("XA END '{id}'"), format!("XA ROLLBACK '{id}'")];
        let [_, answer] = session.run_own(end).await?;
        Ok(answer)
    }
}

/// Rolls back a transaction that cannot commit, whatever its state, for this reason.
async fn abandon(
    session: &mut Session,
    id: TransactionId,
    reason: Answer,
) -> Result<Answer, SessionError> {
    let end = [format!("XA END '{id}'"), format!("XA ROLLBACK '{id}'")];
    session.run_own(end).await?;
    Ok(reason)
}
