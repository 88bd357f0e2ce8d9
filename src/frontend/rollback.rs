//! How a transaction ends that does not commit, and what its client is told.

use std::fmt;

use super::{
    answer::Answer,
    session::{Session, SessionError},
    shared::CommitError,
    transaction::Transactions,
};
use crate::{
    consensus::ProposeError,
    id::TransactionId,
    protocol::errno,
    replicator::{Prepared, Refusal},
};

/// Reads a table; without a lock, unless the session is at SERIALIZABLE.
const READ: &[u8] = b"SELECT COUNT(*) FROM trireme.mark WHERE slot = 0";

impl Transactions {
    /// Whether the server has rolled the open transaction back by itself.
    pub(super) async fn is_rolled_back(&self, session: &mut Session) -> Result<bool, SessionError> {
        Ok(session.value(READ).await?.is_none())
    }
}

/// Rolls back a transaction that was prepared, or was about to be, for this reason.
pub(super) async fn give_up(
    session: &mut Session,
    prepared: Prepared,
    reason: Answer,
) -> Result<Answer, SessionError> {
    abandon(session, prepared.id()).await?;
    prepared.over();
    Ok(reason)
}

/// Rolls back a transaction that was prepared, since it cannot be replicated.
pub(super) async fn irreplicable(
    session: &mut Session,
    prepared: Prepared,
    reason: CommitError,
) -> Result<Answer, SessionError> {
    let reason = format!("this transaction cannot be replicated: {reason}");
    let error = Answer::refusal(errno::UNKNOWN_ERROR, reason);
    give_up(session, prepared, error).await
}

/// Rolls back a transaction, whatever its state.
pub(super) async fn abandon(
    session: &mut Session,
    id: TransactionId,
) -> Result<Answer, SessionError> {
    let end = [format!("XA END '{id}'"), format!("XA ROLLBACK '{id}'")];
    let [_, answer] = unless_killed(session, end).await?;
    Ok(answer)
}

/// Runs statements that may run twice. What was to end a statement may come when that is over, and end
/// the next one.
pub(super) async fn unless_killed<const N: usize>(
    session: &mut Session,
    statements: [String; N],
) -> Result<[Answer; N], SessionError> {
    loop {
        let answers = session.run_own(statements.clone()).await?;
        if !answers.iter().any(Answer::is_interruption) {
            return Ok(answers);
        }
    }
}

/// What a client is told of a transaction that may have committed in the cluster: no error by which it would
/// take it for rolled back, and run it again.
pub(super) fn undecided(reason: impl fmt::Display) -> Answer {
    let reason =
        format!("the transaction may have committed ({reason}); look for what it has changed");
    Answer::refusal(errno::ERROR_DURING_COMMIT, reason)
}

/// What a client is told of a transaction that was not to commit.
pub(super) fn refusal(reason: &Refusal) -> Answer {
    let code = match reason {
        Refusal::Conflict(_) => return Answer::deadlock(),
        Refusal::TooLarge(_) => errno::ERROR_DURING_COMMIT,
        Refusal::Propose(ProposeError::NoQuorum | ProposeError::Stopped) => errno::UNKNOWN_COMMAND,
        Refusal::Propose(_) => errno::ERROR_DURING_COMMIT,
    };
    Answer::refusal(code, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_committed_is_not_refused_with_what_says_that_it_has_not() {
        for reason in [ProposeError::Unknown, ProposeError::Stopped] {
            let number = undecided(reason).error_number();
            assert_eq!(number, Some(errno::ERROR_DURING_COMMIT.number), "{reason}");
        }
    }
}
