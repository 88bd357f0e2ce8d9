//! What a call of a lock function asks of the node.

use std::{fmt, mem, time::Duration};

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::Held;
use crate::{
    backend::{MAX_NAME, NamedLock},
    frontend::{
        answer::Answer,
        calls::Evaluated,
        replicated::Replicated,
        session::{Session, SessionError},
        shared::Shared,
    },
    protocol::errno,
    sql::{Function, Instead},
};

/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a lock may take that nobody has.
const GRACE: Duration = Duration::from_secs(2);

impl Replicated {
    /// Takes a lock, or finds out who has it; gives what is to stand in place of the call if its server does not know, or
    /// the answer if the statement must not run.
    pub(in crate::frontend) async fn lock(
        &mut self,
        session: &mut Session,
        evaluated: Evaluated<'_>,
    ) -> Result<Result<Option<Instead>, Answer>, SessionError> {
        let Evaluated {
            call,
            text,
            timeout,
        } = evaluated;
        let timeout = timeout.unwrap_or_default();
        // The server refuses other names; and MariaDB answers with NULL who would wait for as long as it takes.
        let is_taken = |name: &String| {
            (1..=MAX_NAME).contains(&name.chars().count())
                && (timeout >= 0.0 || !self.dialect.mariadb)
                && self.locks.iter().all(|held| held.name != *name)
        };
        let Some(name) = text.filter(is_taken) else {
            return Ok(Ok(None));
        };
        let shared = self.transactions.shared.clone();
        let asks = ask(&shared, call.function, name, timeout, session.connection_id);
        let asked = match self.meanwhile(session, asks).await? {
            Ok(asked) => asked,
            // MariaDB goes on with the statement.
            Err(answer)
                if answer.is_interruption()
                    && self.dialect.mariadb
                    && call.function == Function::GetLock =>
            {
                return Ok(Ok(Some(Instead::Null)));
            }
            Err(answer) => return Ok(Err(answer)),
        };
        Ok(Ok(match asked {
            Asked::Held(held) => {
                self.locks.push(held);
                None
            }
            Asked::TimedOut => Some(Instead::Number(0)),
            Asked::Elsewhere(holder) if call.function == Function::IsUsedLock => {
                Some(Instead::Number(holder))
            }
            Asked::Elsewhere(_) => Some(Instead::Number(0)),
            Asked::NotElsewhere => None,
        }))
    }

    /// Gives up the locks that the session does not have any more on its server.
    pub(in crate::frontend) async fn give_up_lost(&mut self, connection: u32) {
        if self.locks.is_empty() {
            return;
        }
        let locks = self.transactions.shared.locks.clone();
        match locks.are_held(&self.locks, connection).await {
            Ok(are_held) => {
                let held = mem::take(&mut self.locks).into_iter().zip(are_held);
                for (held, is_held) in held {
                    if is_held {
                        self.locks.push(held);
                    } else {
                        locks.give_up(held.holder).await;
                    }
                }
            }
            // What it has given up is noticed later.
            Err(error) => debug!(%error, "which locks a session has is not known"),
        }
    }
}

/// What has come of a call.
enum Asked {
    Held(Held),
    TimedOut,
    /// A session of another node has the lock.
    Elsewhere(u32),
    NotElsewhere,
}

/// Takes a lock for a session, or asks who has it.
async fn ask(
    shared: &Shared,
    function: Function,
    name: String,
    timeout: f64,
    connection: u32,
) -> Result<Asked, Answer> {
    let Shared {
        locks, replicator, ..
    } = shared;
    let patience = Duration::try_from_secs_f64(timeout).unwrap_or(FOREVER);
    let patience = Patience::of(patience);
    patience.level(shared).await?;
    if function != Function::GetLock {
        let (node, _) = replicator.log.identity();
        let holder = locks.elsewhere(&name, node).await;
        let holder = holder.map_err(|error| unknown(&error))?;
        return Ok(holder.map_or(Asked::NotElsewhere, Asked::Elsewhere));
    }
    let taken = patience.acquire(shared, name, connection).await?;
    Ok(taken.map_or(Asked::TimedOut, Asked::Held))
}

/// How long somebody waits for locks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) deadline: Instant,
    /// What the cluster needs itself is not part of the wait.
    end: Instant,
}

impl Patience {
    pub(super) fn of(patience: Duration) -> Self {
        let now = Instant::now();
        let deadline = now + patience.min(FOREVER);
        let end = deadline.max(now + GRACE);
        Self { deadline, end }
    }

    /// Waits until the node knows which locks were taken before this call, or for as long as may be.
    pub(super) async fn level(self, shared: &Shared) -> Result<(), Answer> {
        // While somebody defines something it takes as long as that does.
        let level = shared.locks.level(&shared.replicator);
        match timeout_at(self.end, level).await {
            Ok(Err(error)) => Err(unknown(&error)),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Takes a lock for a session, unless that takes too long.
    pub(super) async fn acquire(
        self,
        shared: &Shared,
        name: String,
        connection: u32,
    ) -> Result<Option<Held>, Answer> {
        let lock = NamedLock {
            name,
            holder: shared.next_id(),
            connection,
        };
        match timeout_at(self.end, shared.locks.acquire(lock, self.deadline)).await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(error)) => Err(unknown(&error)),
            Err(_) => Ok(None),
        }
    }
}

/// The answer where the node does not know who has a lock.
pub(super) fn unknown(error: &impl fmt::Display) -> Answer {
    let reason = format!("the cluster's locks cannot be used: {error}");
    Answer::refusal(errno::UNKNOWN_COMMAND, reason)
}
