//! Statements that a client has its driver prepare.

use std::{collections::HashMap, mem, sync::Arc};

use super::{
    calls::Incomplete,
    known::Known,
    replicated::Replicated,
    session::{Session, SessionError},
    statement::Source,
};
use crate::{
    protocol::command::{Command, Shape},
    sql::Class,
};

/// The id that stands for the statement prepared last.
const LAST: u32 = u32::MAX;

/// An execution with parameters of more bytes than these is not kept for running again.
const MOST_KEPT: usize = 1 << 20;

/// A statement that the server has prepared.
pub(super) struct Prepared {
    pub(super) text: Arc<[u8]>,
    pub(super) known: Known,
    pub(super) may_repeat: bool,
    /// The server has some of its parameters, for one run.
    pub(super) has_long_data: bool,
    /// If it asks for what only the node knows.
    pub(super) incomplete: Option<Incomplete>,
}

/// The statements that a session has prepared.
#[derive(Default)]
pub(super) struct Statements {
    by_id: HashMap<u32, Prepared>,
    last: Option<u32>,
}

impl Statements {
    fn insert(&mut self, id: u32, prepared: Prepared) {
        self.by_id.insert(id, prepared);
        self.last = Some(id);
    }

    /// The one that goes by this id.
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Prepared> {
        let id = if id == LAST { self.last? } else { id };
        self.by_id.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.by_id.remove(&id);
    }

    pub(super) fn clear(&mut self) {
        self.by_id.clear();
    }
}

impl Replicated {
    /// Runs a prepared statement, once or for many rows of parameters; tells whether the session goes on.
    pub(super) async fn execute(
        &mut self,
        session: &mut Session,
        command: Command,
    ) -> Result<bool, SessionError> {
        let id = session.statement_id().await?;
        let known = match self.known_again(session, id).await? {
            Ok(known) => known,
            Err(refusal) => {
                session.discard(Source::Packet).await?;
                session.answer_with(refusal).await?;
                return Ok(true);
            }
        };
        if command == Command::STMT_BULK_EXECUTE && !known.may_be_bulk() {
            self.aftermath = None;
            self.forget_history();
            return session.command(command).await;
        }
        let mut kept = None;
        let retries = self.retries(session);
        let keeps_history = self.may_keep_history(session);
        if let Some(prepared) = self.prepared.get(id) {
            let has_long_data = mem::take(&mut prepared.has_long_data);
            let is_whole = command == Command::STMT_EXECUTE && !has_long_data;
            let is_retried = keeps_history || retries > 0 && known.class == Class::Write;
            let is_needed = is_retried && prepared.may_repeat
                || matches!(known.class, Class::Autocommit | Class::LockTables)
                || prepared.incomplete.is_some();
            if is_needed && is_whole {
                kept = session.take_small_command(MOST_KEPT).await?;
            }
        }
        let source = kept.as_deref().map_or(Source::Packet, Source::Command);
        let answer = self.statement(session, known, source).await?;
        session.answer_with(answer).await?;
        Ok(self.goes_on())
    }

    /// Has the server prepare a statement.
    pub(super) async fn prepare(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let packet = session.take_command().await?;
        let text: Arc<[u8]> = packet[1..].into();
        let known = self.known(&text);
        if let Some(refusal) = self.unreplicable(session, known.class, &text).await? {
            return session.answer_with(refusal).await;
        }
        let node = || self.transactions.shared.galera(self.settings);
        let incomplete = match Incomplete::of(&text, known, node, self.dialect) {
            Some((incomplete, introduction)) => {
                let prepare = Command::STMT_PREPARE.with(&introduction);
                session.send(&prepare).await?;
                Some(incomplete)
            }
            None => {
                session.send(&packet).await?;
                None
            }
        };
        if let Some(id) = session.prepared_id().await? {
            let may_call = incomplete.is_some();
            let prepared = Prepared {
                known: Known { may_call, ..known },
                may_repeat: self.may_repeat(known.class, &text),
                text,
                has_long_data: false,
                incomplete,
            };
            self.prepared.insert(id, prepared);
        }
        let answer = session.respond(Shape::Prepared, 0).await?;
        session.answer_with(answer).await
    }

    /// The prepared statement that the client's command is about.
    pub(super) async fn prepared(
        &mut self,
        session: &mut Session,
    ) -> Result<Option<&mut Prepared>, SessionError> {
        let id = session.statement_id().await?;
        Ok(self.prepared.get(id))
    }
}
