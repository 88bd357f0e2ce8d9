//! What is known of a statement before it runs.

use std::sync::Arc;

use super::{
    answer::Answer,
    calls::Incomplete,
    replicated::Replicated,
    session::{Session, SessionError},
};
use crate::{
    backend::Defined,
    config::Isolation,
    sql::{
        self, Class, Dialect, Effect,
        galera::{Question, SyncWait},
    },
};

/// What is known of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) class: Class,
    /// Known at [`Isolation::Snapshot`] alone.
    pub(super) effect: Effect,
    /// Which of these kinds it may be of.
    pub(super) kinds: SyncWait,
    /// Whether it may call functions that the node has a part in.
    pub(super) may_call: bool,
}

impl Known {
    /// Of a statement whose text is not known.
    pub(super) const NOTHING: Self = Self {
        class: Class::Write,
        effect: Effect::Unknown,
        kinds: SyncWait::ALL,
        may_call: false,
    };

    /// What it asks of the node, if its text is this.
    pub(super) fn question(self, text: &[u8], dialect: Dialect) -> Option<Question> {
        let may_ask = matches!(
            self.class,
            Class::Read | Class::Expressions { .. } | Class::Session | Class::Autocommit
        );
        may_ask.then(|| Question::of(text, dialect)).flatten()
    }
}

/// A statement that the server has prepared.
pub(super) struct Prepared {
    pub(super) text: Arc<[u8]>,
    pub(super) known: Known,
    /// What was defined when that became known.
    pub(super) judged_by: Arc<Defined>,
    pub(super) may_repeat: bool,
    /// The server has some of its parameters, for one run.
    pub(super) has_long_data: bool,
    /// If it asks for what only the node knows.
    pub(super) incomplete: Option<Incomplete>,
}

impl Replicated {
    /// Finds out what a statement is.
    pub(super) fn known(&mut self, text: &[u8]) -> Known {
        let mut class = Class::of(text, self.dialect);
        self.sets_completion = self.sets_completion
            || matches!(class, Class::Session | Class::Autocommit)
                && sql::sets_completion(text, self.dialect);
        let looks_harmless = matches!(
            class,
            Class::Read | Class::Expressions { .. } | Class::Session
        );
        if looks_harmless && self.may_write(text) {
            class = Class::Write;
        }
        // It takes reading all of a text, and nobody else wants to know.
        let effect = match self.transactions.shared.cluster.isolation {
            Isolation::Server => Effect::Unknown,
            Isolation::Snapshot => Effect::of(text, self.dialect),
        };
        Known {
            class,
            effect,
            kinds: SyncWait::of(text, self.dialect),
            may_call: class.evaluates() && sql::names_calls(text),
        }
    }

    /// What is known of a prepared statement, which may do something else than when it was prepared: a view that it reads or a trigger of what it
    /// changes may be another one. The answer to its execution, if it must not run.
    pub(super) async fn known_again(
        &mut self,
        session: &mut Session,
        id: u32,
    ) -> Result<Result<Known, Answer>, SessionError> {
        let defined = self.transactions.defined();
        let Some(prepared) = self.prepared_as(id) else {
            return Ok(Ok(Known::NOTHING));
        };
        let before = prepared.known;
        if Arc::ptr_eq(&prepared.judged_by, &defined) {
            return Ok(Ok(before));
        }
        let text = prepared.text.clone();
        let known = Known {
            may_call: before.may_call,
            ..self.known(&text)
        };
        if let Some(refusal) = self.unreplicable(session, known.class, &text).await? {
            return Ok(Err(refusal));
        }
        if let Some(prepared) = self.prepared_as(id) {
            prepared.known = known;
            prepared.judged_by = defined;
        }
        Ok(Ok(known))
    }

    /// Whether a statement that reads calls something that may write.
    fn may_write(&self, text: &[u8]) -> bool {
        let defined = self.transactions.defined();
        defined.functions.are_named(text, self.dialect)
    }
}
