//! Transactions that are run again as a whole when another one has kept them from committing.
//!
//! All that a client knows of its open transaction is what its statements have answered. If all of them answer the same once
//! more, it cannot tell, and what it does next is as right as it was before. Source: this is what Galera calls replaying, but there the
//! row changes are applied again, and here the statements are run, so that their answers are known to hold.

use std::mem;

use tokio::io::empty;
use xxhash_rust::xxh3::Xxh3;

use super::{
    answer::Answer,
    channel::{Channel, Side},
    known::Known,
    replicated::Replicated,
    session::{Session, SessionError},
    statement::{Source, id},
    transaction::Transactions,
};
use crate::{
    protocol::{command::Command, response::Status},
    sql::{self, Access, Class, Dialect},
};

/// A transaction of more bytes than these in its statements is not run again, nor is one of more statements.
const MOST_BYTES: usize = 1 << 20;
const MOST_STATEMENTS: usize = 1000;

/// What matters to whether a session's transactions are run again.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    /// The transaction that was lost last, if it may be.
    pub(super) lost: Option<History>,
    /// The next transaction is not to begin as others do.
    next_differs: bool,
    /// The session may have temporary tables, which keep what is rolled back if their engine has no transactions.
    has_temporary: bool,
}

/// What a transaction has done so far.
#[derive(Debug)]
pub(super) struct History {
    /// How often it may run again.
    left: u16,
    /// How it has begun: with this access, and with a snapshot or not.
    began: (Option<Access>, bool),
    steps: Vec<Step>,
    bytes: usize,
}

#[derive(Debug)]
struct Step {
    known: Known,
    command: Vec<u8>,
    /// Whether its answer says that another one follows.
    more_follows: bool,
    /// Of the answer.
    digest: u64,
}

/// What has come of running a transaction again.
enum Rerun {
    /// It is open, and its client cannot tell.
    Same,
    Differs,
    /// It has lost again.
    Lost,
}

impl History {
    /// Whether there is room for another step.
    fn add(&mut self, step: Step) -> bool {
        self.bytes += step.command.len();
        self.steps.push(step);
        self.bytes <= MOST_BYTES && self.steps.len() <= MOST_STATEMENTS
    }
}

impl Transactions {
    /// Of a transaction that begins like this.
    pub(super) fn new_history(
        &mut self,
        access: Option<Access>,
        snapshot: bool,
    ) -> Option<History> {
        self.repetition.lost = None;
        let differs = mem::take(&mut self.repetition.next_differs)
            || self.repetition.has_temporary
            || !self.early.is_empty();
        let attempts = self.shared.cluster.retry_transactions;
        (attempts > 0 && !differs).then(|| History {
            left: attempts,
            began: (access, snapshot),
            steps: Vec::new(),
            bytes: 0,
        })
    }

    pub(super) fn take_history(&mut self) -> Option<History> {
        self.open.as_mut()?.history.take()
    }

    /// Rolls the open transaction back, since another one needs what it holds.
    pub(super) async fn lose(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let history = self.take_history();
        self.roll_back(session).await?;
        self.repetition.lost = history;
        Ok(())
    }
}

impl Replicated {
    /// Whether a statement leaves nothing behind when its transaction is rolled back, so that it may run again.
    pub(super) fn leaves_nothing(&mut self, class: Class, source: Source<'_>) -> bool {
        match source {
            Source::Text(text) => leaves_nothing(class, text, self.dialect),
            Source::Command(command) => id(command)
                .and_then(|id| self.prepared.get(id))
                .is_some_and(|prepared| prepared.may_repeat),
            Source::Packet => false,
        }
    }

    fn runs_again(&self) -> bool {
        self.transactions.shared.cluster.retry_transactions > 0
    }

    /// Whether a statement with this text may run again, if that is ever asked.
    pub(super) fn may_repeat(&self, class: Class, text: &[u8]) -> bool {
        (class == Class::Write || self.runs_again()) && leaves_nothing(class, text, self.dialect)
    }

    /// Whether what the client does now may have to be done again.
    pub(super) fn keeps_history(&self) -> bool {
        let open = self.transactions.open.as_ref();
        open.is_some_and(|open| open.history.is_some())
    }

    /// Whether it may be, before a transaction is open that the client's next statement may begin.
    pub(super) fn may_keep_history(&self, session: &Session) -> bool {
        let may_begin = !self.transactions.is_open() && !session.has(Status::AUTOCOMMIT);
        self.keeps_history() || may_begin && self.runs_again()
    }

    /// Sees what a statement means for the history of the open transaction, or of later ones.
    pub(super) fn meet(&mut self, class: Class, source: Source<'_>) {
        if !self.runs_again() {
            return;
        }
        let is_noted = matches!(
            class,
            Class::Read | Class::Write | Class::Expressions { .. }
        );
        // Those that end it, and lose, are not in it.
        let ends = class.commits_implicitly()
            || matches!(
                class,
                Class::Commit(_) | Class::Rollback(_) | Class::Autocommit
            );
        if !is_noted && !ends {
            self.forget_history();
        }
        let (sets_next, makes_temporary) = match (class, source) {
            (Class::Session | Class::Autocommit, Source::Text(text)) => (
                sql::sets_next_transaction(text, self.dialect),
                sql::makes_temporary(text, self.dialect),
            ),
            (Class::Session | Class::Autocommit, _) => (true, true),
            (Class::Program, _) => (false, true),
            _ => (false, false),
        };
        self.transactions.repetition.next_differs |= sets_next;
        self.transactions.repetition.has_temporary |= makes_temporary;
    }

    /// The open transaction is not run again.
    pub(super) fn forget_history(&mut self) {
        if let Some(open) = &mut self.transactions.open {
            open.history = None;
        }
    }

    /// From now on the answer is noted that the client gets, if it may be needed.
    pub(super) fn listen(&self, session: &mut Session) {
        session.digest = self.keeps_history().then(Xxh3::new);
    }

    /// Notes a statement that has run in the open transaction.
    pub(super) fn note(
        &mut self,
        session: &mut Session,
        known: Known,
        source: Source<'_>,
        answer: &Answer,
    ) {
        let digest = session.digest.take();
        if !self.keeps_history() {
            return;
        }
        let Some(digest) = digest.filter(|_| self.leaves_nothing(known.class, source)) else {
            return self.forget_history();
        };
        let step = Step {
            known,
            command: match source {
                Source::Text(text) => [&[Command::QUERY.0], &session.attributes[..], text].concat(),
                Source::Command(command) => command.to_vec(),
                Source::Packet => unreachable!("nobody knows that it leaves nothing"),
            },
            more_follows: session.more_follows,
            digest: finish(digest, answer),
        };
        let open = self.transactions.open.as_mut();
        let history = open.and_then(|open| open.history.as_mut());
        if !history.is_some_and(|history| history.add(step)) {
            self.forget_history();
        }
    }

    /// Commits the open transaction, as [`Transactions::commit`](super::transaction::Transactions::commit) does, again and
    /// again if it loses and may be run again.
    pub(super) async fn commit(&mut self, session: &mut Session) -> Result<Answer, SessionError> {
        loop {
            let answer = self.transactions.commit(session).await?;
            if !answer.is_deadlock() || !Box::pin(self.run_again(session)).await? {
                return Ok(answer);
            }
        }
    }

    /// Runs the transaction again that has just been lost, if that may be done; tells whether it is open as it was, and its client
    /// cannot tell.
    pub(super) async fn run_again(&mut self, session: &mut Session) -> Result<bool, SessionError> {
        let Some(mut history) = self.transactions.repetition.lost.take() else {
            return Ok(false);
        };
        let client = mem::replace(&mut session.client, Channel::new(Side::Client, empty()));
        let attributes = mem::take(&mut session.attributes);
        let more_follows = session.more_follows;
        let rerun = loop {
            if history.left == 0 {
                break Ok(Rerun::Differs);
            }
            history.left -= 1;
            match self.rerun(session, &history).await {
                Ok(Rerun::Lost) => {}
                rerun => break rerun,
            }
        };
        session.client = client;
        session.attributes = attributes;
        session.more_follows = more_follows;
        let is_same = matches!(rerun?, Rerun::Same);
        if is_same {
            let metrics = &self.transactions.shared.replicator.metrics;
            metrics.transactions_retried.inc();
            if let Some(open) = &mut self.transactions.open {
                open.history = Some(history);
            }
        } else if self.transactions.is_open() {
            self.transactions.roll_back(session).await?;
        }
        Ok(is_same)
    }

    async fn rerun(
        &mut self,
        session: &mut Session,
        history: &History,
    ) -> Result<Rerun, SessionError> {
        let (access, snapshot) = history.began;
        let begun = self.transactions.begin(session, access, snapshot).await?;
        if begun.is_error() {
            return Ok(Rerun::Differs);
        }
        self.forget_history();
        self.transactions.see();
        for step in &history.steps {
            let class = self.class_now(step.known);
            let known = Known {
                class,
                ..step.known
            };
            session.more_follows = step.more_follows;
            session.digest = Some(Xxh3::new());
            let source = Source::Command(&step.command);
            let answer = if matches!(class, Class::Expressions { .. }) {
                self.transactions.run(session, source, 0).await?
            } else {
                self.once(session, known, source, false).await?
            };
            let digest = session.digest.take().map(|digest| finish(digest, &answer));
            if digest != Some(step.digest) || !self.transactions.is_open() {
                let has_lost = answer.is_deadlock() && !self.transactions.must_end();
                return Ok(if has_lost {
                    Rerun::Lost
                } else {
                    Rerun::Differs
                });
            }
        }
        Ok(Rerun::Same)
    }
}

/// The digest of an answer whose packets before the last one are in it.
fn finish(mut digest: Xxh3, answer: &Answer) -> u64 {
    digest.update(&answer.packet.payload);
    digest.digest()
}

/// Whether a statement leaves nothing behind when its transaction is rolled back, so that it may run again.
fn leaves_nothing(class: Class, text: &[u8], dialect: Dialect) -> bool {
    match class {
        Class::Write => sql::may_repeat(text, dialect),
        Class::Read | Class::Expressions { .. } => sql::may_read_again(text, dialect),
        _ => false,
    }
}
