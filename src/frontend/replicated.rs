//! The commands of a client whose node is in a cluster.
//!
//! Statements are told apart by what they do to the transaction ([`Class`]); the transaction itself
//! is [`Transactions`]'. Everything else passes as in a session without a cluster.

use std::sync::Arc;

use super::{
    aftermath::{Aftermath, Told},
    answer::Answer,
    dynamic::Texts,
    galera,
    history::Repetition,
    known::Known,
    locks::{Held, TableLocks},
    prepared::Statements,
    session::{Session, SessionError},
    settings::Settings,
    shared::Shared,
    statement::Source,
    transaction::Transactions,
};
use crate::{
    protocol::{capability::Capabilities, command::Command, errno, response::Status},
    sql::{
        self, Access, Class, Diagnostics, Dialect,
        galera::{Assignments, Question},
    },
};

const MALFORMED_ATTRIBUTES: &str = "the statement's query attributes cannot be read";

/// A statement that does nothing.
pub(super) const NOTHING: &[u8] = b"DO 0";

/// A session whose transactions are replicated.
pub(super) struct Replicated {
    pub(super) transactions: Transactions,
    pub(super) dialect: Dialect,
    pub(super) settings: Settings,
    pub(super) prepared: Statements,
    pub(super) texts: Texts,
    multi_statements: bool,
    /// What the transaction might do that the last statement of the kind has committed implicitly, if there was one.
    access: Option<Access>,
    /// In a `START TRANSACTION READ ONLY`, which is the server's own.
    pub(super) reads_only: bool,
    /// What the server no longer knows of the last statement, if that was a transaction by itself.
    pub(super) aftermath: Option<Aftermath>,
    /// The client does not know yet that its transaction has been rolled back.
    has_lost: bool,
    /// The client may have set `completion_type`.
    pub(super) sets_completion: bool,
    /// The client has asked for the end of its connection.
    pub(super) is_released: bool,
    /// Those with names that the session has.
    pub(super) locks: Vec<Held>,
    pub(super) table_locks: Option<TableLocks>,
}

impl Replicated {
    pub(super) fn new(shared: Arc<Shared>, session: &Session) -> Self {
        Self {
            settings: shared.settings(),
            transactions: Transactions::new(shared, session),
            dialect: Dialect::of(&session.server_version),
            prepared: Statements::default(),
            texts: Texts::default(),
            multi_statements: session.capabilities.has(Capabilities::MULTI_STATEMENTS),
            access: None,
            reads_only: false,
            aftermath: None,
            has_lost: false,
            sets_completion: false,
            is_released: false,
            locks: Vec::new(),
            table_locks: None,
        }
    }

    /// Whether the client is in a transaction, or in one that it does not know to be over.
    pub(super) fn in_transaction(&self, session: &Session) -> bool {
        self.has_lost || self.transactions.is_open() || session.has(Status::IN_TRANSACTION)
    }

    /// Waits, while the session does nothing, until it must [`yield_to_applier`](Self::yield_to_applier).
    pub(super) async fn in_the_way(&self) {
        self.transactions.doomed().await;
    }

    /// Rolls back the transaction that the client has left open. The client's next statement says so.
    pub(super) async fn yield_to_applier(
        &mut self,
        session: &mut Session,
    ) -> Result<(), SessionError> {
        self.has_lost |= self.transactions.is_open() || session.has(Status::IN_TRANSACTION);
        self.transactions.lose(session).await
    }

    /// Answers a command; tells whether the session goes on.
    pub(super) async fn command(
        &mut self,
        session: &mut Session,
        command: Command,
    ) -> Result<bool, SessionError> {
        self.dialect.backslash_is_plain = session.has(Status::BACKSLASH_IS_PLAIN);
        match command {
            Command::QUERY => return self.query(session).await,
            Command::STMT_PREPARE => self.prepare(session).await?,
            Command::STMT_EXECUTE | Command::STMT_BULK_EXECUTE => {
                return self.execute(session, command).await;
            }
            Command::STMT_SEND_LONG_DATA => {
                if let Some(prepared) = self.prepared(session).await? {
                    prepared.has_long_data = true;
                }
                return session.command(command).await;
            }
            Command::STMT_CLOSE => {
                self.prepared.remove(session.statement_id().await?);
                return session.command(command).await;
            }
            Command::CHANGE_USER | Command::RESET_CONNECTION => {
                if self.transactions.is_open() {
                    self.transactions.roll_back(session).await?;
                }
                self.has_lost = false;
                self.unlock_tables(session).await?;
                self.transactions.early.clear();
                self.transactions.repetition = Repetition::default();
                self.prepared.clear();
                self.texts.forget();
                self.settings = self.transactions.shared.settings();
                let goes_on = session.command(command).await?;
                self.give_up_lost(session.connection_id).await;
                return Ok(goes_on);
            }
            Command::SET_OPTION => {
                self.multi_statements = session.client_head().await?.get(1..3) == Some(&[0, 0]);
                return session.command(command).await;
            }
            // Nothing of them is noted.
            _ => {
                self.forget_history();
                return session.command(command).await;
            }
        }
        Ok(true)
    }

    /// `COM_QUERY`: one statement, or several that the client may have agreed to send.
    async fn query(&mut self, session: &mut Session) -> Result<bool, SessionError> {
        let packet = session.take_command().await?;
        let Some(text) = session.take_attributes(&packet[1..]) else {
            let refusal = Answer::refusal(errno::MALFORMED_PACKET, MALFORMED_ATTRIBUTES);
            session.answer_with(refusal).await?;
            return Ok(true);
        };
        let statements = if self.multi_statements {
            sql::statements(text, self.dialect)
        } else {
            vec![text]
        };
        let last = statements.len() - 1;
        let mut goes_on = true;
        for (at, text) in statements.into_iter().enumerate() {
            session.more_follows = at < last;
            let first = session.server.first_sequence();
            let answer = self.text(session, text).await?;
            let answer = answer.starting_at(first);
            goes_on = self.goes_on();
            let ends = at == last || answer.is_error() || !goes_on;
            session.renumber(if ends { 0 } else { answer.packet.sequence });
            session.answer_with(answer).await?;
            if ends {
                break;
            }
        }
        session.more_follows = false;
        Ok(goes_on)
    }

    /// Whether the session goes on after a statement.
    pub(super) fn goes_on(&self) -> bool {
        !self.is_released && !self.transactions.must_end()
    }

    /// Runs a statement and gives the last packet of its answer; what is before has been relayed.
    pub(super) async fn statement(
        &mut self,
        session: &mut Session,
        known: Known,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        self.notice_end(session);
        if let Source::Text(text) = source
            && let Some(aftermath) = &mut self.aftermath
            && let Some(asked) = Diagnostics::of(text, self.dialect)
        {
            return match aftermath.tell(&asked, self.dialect) {
                Told::Packets(packets) => Ok(session.replay(packets)),
                Told::Text(text) => session.relay(Source::Text(&text), 0).await,
                Told::Refused(refusal) => Ok(refusal),
            };
        }
        let completed = match (self.aftermath.take(), source) {
            (Some(aftermath), Source::Text(text)) if Aftermath::may_be_read(text) => {
                Some(aftermath.put_into(text, self.dialect))
            }
            _ => None,
        };
        let source = completed.as_deref().map_or(source, Source::Text);
        if let Some(answer) = self.hindrance(session, known, source).await? {
            session.discard(source).await?;
            return Ok(answer);
        }
        // In a box, as it is rare and its future large.
        if known.may_call {
            self.forget_history();
        }
        if known.may_call
            && let Some(answer) = Box::pin(self.with_calls(session, known, source)).await?
        {
            return Ok(answer);
        }
        self.ask(session, known, source).await
    }

    /// Runs a statement, with what it asks of the node.
    pub(super) async fn ask(
        &mut self,
        session: &mut Session,
        known: Known,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        if let Source::Text(text) = source
            && let Some(question) = known.question(text, self.dialect)
        {
            return self.answer(session, known, question, text).await;
        }
        self.run(session, known, source).await
    }

    /// Sees to what has to be over before a statement; the answer to it, if it must not run.
    async fn hindrance(
        &mut self,
        session: &mut Session,
        Known { class, kinds, .. }: Known,
        source: Source<'_>,
    ) -> Result<Option<Answer>, SessionError> {
        if self.transactions.is_doomed() {
            self.yield_to_applier(session).await?;
        }
        if std::mem::take(&mut self.has_lost)
            && !matches!(class, Class::Rollback(_))
            && !Box::pin(self.run_again(session)).await?
        {
            let answer = Answer::deadlock();
            if matches!(class, Class::Commit(_)) {
                self.transactions.count(true, &answer);
            }
            return Ok(Some(answer));
        }
        // What was lost before this, its client knows.
        self.transactions.repetition.lost = None;
        if let Some(refusal) = self.transactions.without_majority(class) {
            return Ok(Some(refusal));
        }
        if let Source::Text(text) = source
            && let Some(refusal) = self.unreplicable(session, class, text).await?
        {
            return Ok(Some(refusal));
        }
        if class.commits_implicitly() {
            self.access = self.access(session);
            self.transactions.early.clear();
            if self.transactions.is_open() {
                let answer = self.commit(session).await?;
                if answer.is_error() {
                    return Ok(Some(answer));
                }
            }
        }
        if self.table_locks.is_some()
            && let Some(answer) = Box::pin(self.meet_table_locks(session, class)).await?
        {
            return Ok(Some(answer));
        }
        if self.settings.sync_wait.meets(kinds) && !self.in_transaction(session) {
            return self.transactions.level(session).await;
        }
        self.transactions.see();
        Ok(None)
    }

    /// Answers a statement that asks for what only the node knows.
    async fn answer(
        &mut self,
        session: &mut Session,
        known: Known,
        question: Question,
        text: &[u8],
    ) -> Result<Answer, SessionError> {
        let shared = self.transactions.shared.clone();
        let values = shared.galera(self.settings);
        match question {
            Question::Show {
                kind,
                is_global,
                condition,
            } => {
                let asked = (kind, is_global, &condition[..]);
                galera::show(session, &values, text, asked, self.dialect).await
            }
            Question::Set(Assignments { own, rest }) => {
                let dialect = self.dialect;
                let changes = shared.changes_of(session, self.settings, &values, &own, dialect);
                let changes = match changes.await? {
                    Ok(changes) => changes,
                    Err(answer) => return Ok(answer),
                };
                let rest = rest.as_deref().unwrap_or(NOTHING);
                let rest = values.put_into(rest, dialect);
                let answer = self.run(session, known, Source::Text(&rest)).await?;
                if !answer.is_error() {
                    for change in changes {
                        shared.make(&mut self.settings, change);
                    }
                }
                Ok(answer)
            }
            Question::Read => {
                let text = values.put_into(text, self.dialect);
                self.run(session, known, Source::Text(&text)).await
            }
        }
    }

    pub(super) async fn run(
        &mut self,
        session: &mut Session,
        known: Known,
        source: Source<'_>,
    ) -> Result<Answer, SessionError> {
        let class = self.class_now(known);
        let known = Known { class, ..known };
        if class == Class::Program {
            self.texts.forget();
        }
        self.meet(class, source);
        match class {
            Class::Unsupported(reason) => {
                session.discard(source).await?;
                Ok(Answer::refusal(errno::NOT_SUPPORTED_YET, reason))
            }
            Class::Begin {
                access: Some(Access::ReadOnly),
                ..
            } => {
                self.reads_only = true;
                self.transactions.run(session, source, 0).await
            }
            // On MySQL a transaction that only reads is followed by another one of the kind.
            Class::Begin { access: None, .. } if self.reads_only && !self.dialect.mariadb => {
                self.transactions.run(session, source, 0).await
            }
            Class::Begin { access, snapshot } => {
                session.discard(source).await?;
                self.reads_only = false;
                // On MySQL it is like the one that it has ended.
                let before = self.access.filter(|_| !self.dialect.mariadb);
                let access = access.or(before);
                self.transactions.begin(session, access, snapshot).await
            }
            Class::Commit(completion) | Class::Rollback(completion) => {
                self.end(session, class, completion, source).await
            }
            Class::Read | Class::Write | Class::Program if !self.reads_only => {
                self.data(session, known, source).await
            }
            Class::Expressions { .. } => {
                self.listen(session);
                let answer = self.transactions.run(session, source, 0).await?;
                self.note(session, known, source, &answer);
                Ok(answer)
            }
            Class::LockTables => Box::pin(self.lock_tables(session, source)).await,
            Class::Definition => self.transactions.define(session, source).await,
            Class::Autocommit => self.set_autocommit(session, source).await,
            Class::Savepoint => self.savepoint(session, source).await,
            Class::Session => {
                let answer = self.transactions.run(session, source, 0).await?;
                if let Source::Text(text) = source
                    && let Some(killed) = sql::killed_query(text, self.dialect)
                    && !answer.is_error()
                {
                    self.transactions.shared.waiting.interrupt(killed);
                }
                Ok(answer)
            }
            _ => self.transactions.run(session, source, 0).await,
        }
    }
}
