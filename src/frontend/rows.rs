//! Statements that read or write rows.

use std::mem;

use super::{
    aftermath::Aftermath,
    answer::Answer,
    known::Known,
    replicated::Replicated,
    session::{Session, SessionError},
    statement::Source,
    transaction::READ_ONLY,
};
use crate::{
    protocol::{errno, response::Status},
    sql::{Class, Effect},
};

/// What a client is told whose routine would end the transaction that the routine runs in.
const ENDS_TRANSACTION: &str = "a stored procedure or EXECUTE cannot commit, roll back, begin a transaction or define \
    anything here, since it runs inside a transaction of the cluster; have the client do so itself";

/// To the client, a transaction that is one statement is never seen open.
pub(super) const HIDDEN: u16 = Status::IN_TRANSACTION | Status::IN_READ_ONLY_TRANSACTION;

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
        known: Known,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let Known { class, .. } = known;
        let alone = self.is_alone(session);
        if alone && class == Class::Read {
            return self.transactions.run(session, source, 0).await;
        }
        let mut retries = self.retries(session);
        loop {
            let answer = self.once(session, known, source, alone).await?;
            if !answer.is_deadlock() {
                self.note(session, known, source, &answer);
                return Ok(answer);
            }
            session.digest = None;
            let may_repeat = !self.transactions.must_end()
                && answer.is_first
                && self.leaves_nothing(class, source);
            if !may_repeat {
                return Ok(answer);
            }
            if alone && retries > 0 {
                retries -= 1;
                self.aftermath = None;
                self.transactions.shared.replicator.metrics.retried.inc();
            } else if alone || !Box::pin(self.run_again(session)).await? {
                return Ok(answer);
            }
        }
    }

    /// Runs a statement that reads or writes rows once.
    pub(super) async fn once(
        &mut self,
        session: &mut Session,
        Known { class, effect, .. }: Known,
        source: Source<'_>,
        alone: bool,
    ) -> Result<Answer, SessionError> {
        let is_first = !self.transactions.is_open();
        // A transaction of the server's own, which has only read, goes on to the client.
        let begins = is_first && !session.has(Status::IN_TRANSACTION);
        if is_first {
            let begun = self.transactions.begin(session, None, false).await?;
            if begun.is_error() {
                session.discard(source).await?;
                return Ok(begun);
            }
            // A statement that is a transaction by itself reads what it changes under locks, if it is no routine.
            if !alone || effect == Effect::Unknown {
                self.transactions.see();
            }
        }
        if class != Class::Read {
            self.transactions.writes();
        }
        if !alone && session.digest.is_none() {
            self.listen(session);
        }
        let hidden = if alone { HIDDEN } else { 0 };
        let answer = self.transactions.run(session, source, hidden).await?;
        if answer.is_error() {
            let ends = alone || begins && class != Class::Program && starts_nothing(&answer);
            return match self.failed(session, class, &answer, ends).await {
                Ok(None) => Ok(answer),
                Ok(Some(other)) => Ok(other.in_place_of(&answer)),
                Err(lost) => {
                    // A server that closes after an error has said why.
                    session.answer_with(answer).await?;
                    Err(lost)
                }
            };
        }
        if class != Class::Read && self.transactions.may_have_missed(session, effect, &answer) {
            self.transactions.roll_back(session).await?;
            return Ok(Answer::deadlock().in_place_of(&answer));
        }
        if alone {
            self.aftermath = Some(Aftermath::of(session, &answer).await?);
            let committed = self.transactions.commit(session).await?;
            if committed.is_error() {
                self.aftermath = None;
                return Ok(committed.in_place_of(&answer));
            }
        }
        Ok(answer)
    }

    /// Does after a failed statement what becomes of the transaction, which it `ends` or not; gives another answer if
    /// that is what the client must know.
    async fn failed(
        &mut self,
        session: &mut Session,
        class: Class,
        answer: &Answer,
        ends: bool,
    ) -> Result<Option<Answer>, SessionError> {
        let number = answer.error_number().unwrap_or_default();
        let is_doubtful = errno::PERHAPS_ROLLED_BACK.contains(&number);
        if ends || is_doubtful {
            self.aftermath = Some(Aftermath::of(session, answer).await?);
        }
        let ends_transaction = number == errno::NOT_INSIDE_XA;
        let is_over = errno::ROLLED_BACK.contains(&number)
            || is_doubtful && self.transactions.is_rolled_back(session).await?;
        // One that has not begun leaves what was said of it for the next.
        let is_to_read = session.has(Status::IN_READ_ONLY_TRANSACTION) && starts_nothing(answer);
        if ends && class == Class::Program && !is_over && !ends_transaction {
            let committed = self.transactions.commit(session).await?;
            if is_to_read {
                let [_] = session.run_own([READ_ONLY.to_owned()]).await?;
            }
            return Ok(committed.is_error().then_some(committed));
        }
        if ends || is_over {
            let early = mem::take(&mut self.transactions.early);
            self.transactions.roll_back(session).await?;
            if ends && !is_over {
                if is_to_read {
                    let [_] = session.run_own([READ_ONLY.to_owned()]).await?;
                }
                self.transactions.early = early;
                if let Some(error) = self.transactions.set_early(session).await? {
                    return Ok(Some(error));
                }
            }
        }
        let refusal = || Answer::refusal(errno::NOT_SUPPORTED_YET, ENDS_TRANSACTION);
        Ok(ends_transaction.then(refusal))
    }
}

/// Whether a statement has failed before it would have started a transaction.
fn starts_nothing(answer: &Answer) -> bool {
    let number = answer.error_number();
    number.is_some_and(|number| errno::STARTS_NOTHING.contains(&number))
}
