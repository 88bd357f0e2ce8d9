//! Statements that read or write rows.

use super::{
    answer::Answer,
    replicated::Replicated,
    session::{Session, SessionError},
    statement::Source,
};
use crate::{
    protocol::{errno, response::Status},
    sql::{self, Class},
};

/// What a client is told whose routine would end the transaction that the routine runs in.
const ENDS_TRANSACTION: &str = "a stored procedure or EXECUTE cannot commit, roll back, begin a transaction or define \
    anything here, since it runs inside a transaction of the cluster; have the client do so itself";

impl Replicated {
    /// Whether a statement that writes rows would be a transaction by itself.
    fn is_alone(&self, session: &Session) -> bool {
        session.has(Status::AUTOCOMMIT) && !self.transactions.is_open()
    }

    /// How often it would run again then.
    pub(super) fn retries(&self, session: &Session) -> u16 {
        if self.is_alone(session) {
            self.settings.retries
        } else {
            0
        }
    }

    /// Runs a statement that reads or writes rows, in the transaction where it belongs. If that is the statement alone,
    /// and another transaction has kept it from committing, it runs again.
    pub(super) async fn data(
        &mut self,
        session: &mut Session,
        class: Class,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let alone = self.is_alone(session);
        if alone && class == Class::Read {
            return self.transactions.run(session, source, 0).await;
        }
        let mut retries = self.retries(session);
        loop {
            let answer = self.once(session, class, source, alone).await?;
            let has_lost = answer.error_number() == Some(errno::DEADLOCK.number);
            if retries == 0 || !has_lost || !answer.is_first || self.transactions.must_end() {
                return Ok(answer);
            }
            let may_repeat = match source {
                Source::Text(text) => sql::may_repeat(text, self.dialect),
                Source::Command(_) => true,
                Source::Packet => false,
            };
            if !may_repeat {
                return Ok(answer);
            }
            retries -= 1;
            self.warnings = None;
            self.transactions.shared.replicator.metrics.retried.inc();
        }
    }

    /// Runs a statement that reads or writes rows once.
    async fn once(
        &mut self,
        session: &mut Session,
        class: Class,
        source: Source<'_>,
        alone: bool,
    ) -> Result<Answer, SessionError> {
        if !self.transactions.is_open() {
            let begun = self.transactions.begin(session, false).await?;
            if begun.is_error() {
                session.discard(source).await?;
                return Ok(begun);
            }
        }
        if class == Class::Write {
            self.transactions.writes();
        }
        // To the client, a transaction that is one statement is never seen open.
        let hidden = if alone { Status::IN_TRANSACTION } else { 0 };
        let answer = self.transactions.run(session, source, hidden).await?;
        if answer.is_error() {
            if let Err(lost) = self.failed(session, &answer, alone).await {
                // A server that closes after an error has said why.
                session.answer_with(answer).await?;
                return Err(lost);
            }
            if answer.error_number() == Some(errno::NOT_INSIDE_XA) {
                let refusal = Answer::refusal(errno::NOT_SUPPORTED_YET, ENDS_TRANSACTION);
                return Ok(refusal.in_place_of(&answer));
            }
            return Ok(answer);
        }
        if alone {
            self.keep_warnings(session, &answer).await?;
            let committed = self.transactions.commit(session).await?;
            if committed.is_error() {
                return Ok(committed.in_place_of(&answer));
            }
        }
        Ok(answer)
    }

    /// Rolls back what a failed statement leaves, if the transaction is over.
    async fn failed(
        &mut self,
        session: &mut Session,
        answer: &Answer,
        alone: bool,
    ) -> Result<(), SessionError> {
        let number = answer.error_number().unwrap_or_default();
        let is_doubtful = errno::PERHAPS_ROLLED_BACK.contains(&number);
        if alone || is_doubtful {
            self.keep_warnings(session, answer).await?;
        }
        if alone
            || errno::ROLLED_BACK.contains(&number)
            || is_doubtful && self.transactions.is_rolled_back(session).await?
        {
            self.transactions.roll_back(session).await?;
        }
        Ok(())
    }

    /// Keeps what `SHOW WARNINGS` says, which the node's own statements are about to change.
    async fn keep_warnings(
        &mut self,
        session: &mut Session,
        answer: &Answer,
    ) -> Result<(), SessionError> {
        if answer.warnings() > 0 {
            let recorded = session.record(b"SHOW WARNINGS", Status::IN_TRANSACTION);
            self.warnings = Some(recorded.await?);
        }
        Ok(())
    }
}
