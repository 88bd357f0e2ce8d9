//! Savepoints that are set before a transaction begins.
//!
//! With autocommit off a server keeps a savepoint until the transaction ends that a later statement begins. An XA transaction
//! starts without it.

use super::{
    answer::Answer,
    replicated::Replicated,
    session::{Session, SessionError},
    statement::Source,
    transaction::Transactions,
};
use crate::{protocol::response::Status, sql::Savepoint};

impl Replicated {
    /// Runs a statement about a savepoint. Where autocommit is off and no transaction has begun, it belongs to the one that
    /// will.
    pub(super) async fn savepoint(
        &mut self,
        session: &mut Session,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let is_early =
            !session.has(Status::AUTOCOMMIT) && !self.transactions.is_open() && !self.reads_only;
        if is_early && !matches!(source, Source::Text(_)) {
            let begun = self.transactions.begin(session, None, false).await?;
            if begun.is_error() {
                session.discard(source).await?;
                return Ok(begun);
            }
        }
        let answer = self.transactions.run(session, source, 0).await?;
        if is_early
            && !answer.is_error()
            && let Source::Text(text) = source
            && let Some(savepoint) = Savepoint::of(text, self.dialect)
        {
            savepoint.note(&mut self.transactions.early);
        }
        Ok(answer)
    }
}

impl Transactions {
    /// Sets the savepoints that the client has set before; gives the server's refusal.
    pub(super) async fn set_early(
        &self,
        session: &mut Session,
    ) -> Result<Option<Answer>, SessionError> {
        for name in &self.early {
            let set = [b"SAVEPOINT `", &name[..], b"`"].concat();
            let answer = session.record(&set, 0).await?;
            let answer = session.replay(answer);
            if answer.is_error() {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}
