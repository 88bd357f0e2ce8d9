//! The variables of a node that its clients may set, for themselves or for all.

use std::sync::{MutexGuard, PoisonError};

use tracing::info;

use super::{
    answer::Answer,
    replicated::Replicated,
    session::{Session, SessionError},
    shared::Shared,
    statement::only_value,
};
use crate::{
    duty::Duty,
    protocol::{errno, packet::ERR},
    sql::{
        Dialect,
        galera::{Assignment, SyncWait, Value, Values, for_one_statement},
    },
};

/// An assignment that only administrators may make, and that changes nothing.
const ADMINISTRATORS_ONLY: &str = "SET GLOBAL sort_buffer_size = @@GLOBAL.sort_buffer_size";

/// Most of `wsrep_retry_autocommit`, as in Galera.
const MOST_RETRIES: u16 = 10_000;

/// What a session has set for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// What waits until this node has what others have committed.
    pub(super) sync_wait: SyncWait,
    /// How often a statement that is a transaction by itself runs again when another one has kept it from committing.
    pub(super) retries: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_wait: SyncWait::default(),
            retries: 4,
        }
    }
}

/// One of the settings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Setting {
    SyncWait(SyncWait),
    Retries(u16),
}

/// What an assignment does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Set { to: Setting, is_global: bool },
    Desync(Duty),
    Nothing,
}

impl Change {
    fn is_administrators(self) -> bool {
        matches!(
            self,
            Self::Desync(_)
                | Self::Set {
                    is_global: true,
                    ..
                }
        )
    }
}

impl Settings {
    /// The variables that have values of the session's own.
    pub(super) fn values(self) -> Vec<(&'static str, Value)> {
        let Self { sync_wait, retries } = self;
        vec![
            (
                "wsrep_causal_reads",
                Value::Switch(sync_wait.meets(SyncWait::READ)),
            ),
            ("wsrep_retry_autocommit", Value::Number(retries.to_string())),
            ("wsrep_sync_wait", Value::Number(sync_wait.0.to_string())),
        ]
    }

    fn set(&mut self, to: Setting) {
        match to {
            Setting::SyncWait(to) => self.sync_wait = to,
            Setting::Retries(to) => self.retries = to,
        }
    }
}

impl Replicated {
    /// Runs a statement that has come as a text, with the settings that it has for itself alone.
    pub(super) async fn text(
        &mut self,
        session: &mut Session,
        text: &[u8],
    ) -> Result<Answer, SessionError> {
        let Some((own, rest)) = for_one_statement(text, self.dialect) else {
            return self.statement_of(session, text).await;
        };
        let shared = self.transactions.shared.clone();
        let before = self.settings;
        let values = shared.galera(before);
        let changes = shared.changes_of(session, before, &values, &own, self.dialect);
        let changes = match changes.await? {
            Ok(changes) => changes,
            Err(answer) => return Ok(answer),
        };
        for change in changes {
            shared.make(&mut self.settings, change);
        }
        let answer = self.statement_of(session, &rest).await;
        self.settings = before;
        answer
    }
}

impl Shared {
    /// What a session has that begins.
    pub(super) fn settings(&self) -> Settings {
        *self.defaults()
    }

    fn defaults(&self) -> MutexGuard<'_, Settings> {
        self.defaults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What assignments do, if they can be made; or the error of the first that cannot.
    pub(super) async fn changes_of(
        &self,
        session: &mut Session,
        settings: Settings,
        values: &Values,
        assignments: &[Assignment],
        dialect: Dialect,
    ) -> Result<Result<Vec<Change>, Answer>, SessionError> {
        let mut changes = Vec::new();
        for assignment in assignments {
            let value = match evaluate(session, assignment, values, dialect).await? {
                Ok(value) => value,
                Err(answer) => return Ok(Err(answer)),
            };
            match self.change(settings, assignment, &value, values) {
                Ok(change) => changes.push(change),
                Err(answer) => return Ok(Err(answer)),
            }
        }
        if changes.iter().any(|change| change.is_administrators()) {
            let [answer] = session.run_own([ADMINISTRATORS_ONLY.to_owned()]).await?;
            if answer.is_error() {
                return Ok(Err(answer));
            }
        }
        Ok(Ok(changes))
    }

    /// What one does; an error if the variable can only be what it is.
    fn change(
        &self,
        settings: Settings,
        Assignment {
            name, is_global, ..
        }: &Assignment,
        value: &str,
        values: &Values,
    ) -> Result<Change, Answer> {
        let is_global = *is_global;
        let (present, default) = if is_global {
            (self.settings(), Settings::default())
        } else {
            (settings, self.settings())
        };
        let wrong = |code, reason: String| Err(Answer::refusal(code, reason));
        let set = |to| Ok(Change::Set { to, is_global });
        let number = |most: u16| {
            let number = value.parse::<i64>().map_err(|_| {
                let reason = format!("Incorrect argument type to variable '{name}'");
                Answer::refusal(errno::WRONG_TYPE_FOR_VARIABLE, reason)
            })?;
            Ok(number.clamp(0, most.into()) as u16)
        };
        match (name.as_str(), switch(value)) {
            ("wsrep_sync_wait", _) if value == "default" => {
                set(Setting::SyncWait(default.sync_wait))
            }
            ("wsrep_sync_wait", _) => {
                let bits = number(SyncWait::ALL.0.into())?;
                set(Setting::SyncWait(SyncWait(bits as u8)))
            }
            ("wsrep_retry_autocommit", _) if value == "default" => {
                set(Setting::Retries(default.retries))
            }
            ("wsrep_retry_autocommit", _) => set(Setting::Retries(number(MOST_RETRIES)?)),
            ("wsrep_causal_reads", Some(is_on)) => {
                let others = present.sync_wait.0 & !SyncWait::READ.0;
                let reads = if is_on { SyncWait::READ.0 } else { 0 };
                set(Setting::SyncWait(SyncWait(others | reads)))
            }
            ("wsrep_desync", Some(is_on)) if is_global => {
                let present = self.orders.duty();
                if present.is_open() {
                    let duty = if is_on { Duty::Desynced } else { Duty::Active };
                    return Ok(Change::Desync(duty));
                }
                let reason = present.problem().unwrap_or("leaving");
                wrong(errno::WRONG_VALUE_FOR_VARIABLE, reason.to_owned())
            }
            _ => match values.variable(|known| known.eq_ignore_ascii_case(name), is_global) {
                Some((_, own)) if own.is(value) => Ok(Change::Nothing),
                Some((known, own)) => wrong(
                    errno::WRONG_VALUE_FOR_VARIABLE,
                    format!(
                        "{known} is {} on this node and cannot be set to {value}",
                        own.shown()
                    ),
                ),
                None => wrong(
                    errno::UNKNOWN_SYSTEM_VARIABLE,
                    format!("Unknown system variable '{name}'"),
                ),
            },
        }
    }

    /// Makes a change.
    pub(super) fn make(&self, settings: &mut Settings, change: Change) {
        match change {
            Change::Set {
                to,
                is_global: true,
            } => self.defaults().set(to),
            Change::Set { to, .. } => settings.set(to),
            Change::Desync(duty) => {
                // A node that has been told to leave meanwhile does so.
                if self.orders.give(duty) {
                    info!(?duty, "an operator's order");
                }
            }
            Change::Nothing => {}
        }
    }
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "1" | "true" => Some(true),
        "off" | "0" | "false" => Some(false),
        _ => None,
    }
}

/// The value of an assignment in lower case, as the server evaluates it; or its error.
async fn evaluate(
    session: &mut Session,
    assignment: &Assignment,
    values: &Values,
    dialect: Dialect,
) -> Result<Result<String, Answer>, SessionError> {
    if let Some(word) = assignment.word(dialect) {
        return Ok(Ok(word));
    }
    let select = [b"SELECT ", &assignment.value[..]].concat();
    let select = values.put_into(&select, dialect);
    let packets = session.record(&select, 0).await?;
    if packets[0].first() == Some(&ERR) {
        return Ok(Err(session.replay(packets)));
    }
    let value = only_value(packets).unwrap_or_else(|| "NULL".to_owned());
    Ok(Ok(value.to_lowercase()))
}
