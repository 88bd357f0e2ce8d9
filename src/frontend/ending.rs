//! Statements by which a client ends its transaction.

use super::{
    answer::Answer,
    replicated::Replicated,
    rollback::abandon,
    session::{Session, SessionError},
    statement::Source,
};
use crate::{
    id::TransactionId,
    protocol::{errno, response::Status},
    sql::{Access, Class, Completion},
};

impl Replicated {
    /// Sets `autocommit`. Only the server knows whether that turns it on, and refuses to inside an XA transaction.
    pub(super) async fn set_autocommit(
        &mut self,
        session: &mut Session,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let answer = self.transactions.run(session, source, 0).await?;
        if session.has(Status::AUTOCOMMIT) {
            self.transactions.early.clear();
        }
        let commits =
            self.transactions.is_open() && answer.error_number() == Some(errno::NOT_INSIDE_XA);
        if !commits || matches!(source, Source::Packet) {
            return Ok(answer);
        }
        let committed = self.commit(session).await?;
        if committed.is_error() {
            return Ok(committed);
        }
        self.transactions.run(session, source, 0).await
    }

    /// What the open transaction may do.
    pub(super) fn access(&self, session: &Session) -> Option<Access> {
        let is_read_only = session.has(Status::IN_READ_ONLY_TRANSACTION);
        self.transactions.is_open().then_some(if is_read_only {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        })
    }

    /// Commits or rolls back what is open, and does what the statement asks for then.
    pub(super) async fn end(
        &mut self,
        session: &mut Session,
        class: Class,
        said: Completion,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let default = if self.sets_completion {
            session.value(b"SELECT @@completion_type").await?
        } else {
            None
        };
        let is_default = |completion: &str| default.as_deref() == Some(completion);
        let chain = said.chain.unwrap_or_else(|| is_default("CHAIN"));
        let release = said.release.unwrap_or_else(|| is_default("RELEASE"));
        let is_servers = !self.transactions.is_open() && (self.reads_only || !chain);
        let access = self.access(session);
        if !is_servers && !self.in_transaction(session) {
            // There is nothing to end: what was said of the next transaction holds.
            session.discard(source).await?;
            self.transactions.early.clear();
            self.is_released = release;
            return self.transactions.begin(session, access, false).await;
        }
        let answer = if is_servers {
            self.transactions.early.clear();
            session.relay(source, 0).await?
        } else {
            session.discard(source).await?;
            match class {
                Class::Commit(_) => self.commit(session).await?,
                _ => self.transactions.roll_back(session).await?,
            }
        };
        if answer.is_error() {
            return Ok(answer);
        }
        self.is_released = release;
        if chain && !is_servers {
            return self.transactions.begin(session, access, false).await;
        }
        Ok(answer)
    }
}

/// Ends a transaction that has only read.
pub(super) async fn commit_reads(
    session: &mut Session,
    id: TransactionId,
) -> Result<Answer, SessionError> {
    let commit = [
        format!("XA END '{id}'"),
        format!("XA COMMIT '{id}' ONE PHASE"),
    ];
    let [ended, committed] = session.run_own(commit).await?;
    if ended.is_error() {
        abandon(session, id).await?;
        return Ok(ended);
    }
    Ok(committed)
}
