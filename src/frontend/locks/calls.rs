//! Statements that call lock functions.

use std::{fmt, mem, ops::Range, time::Duration};

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::Held;
use crate::{
    backend::{MAX_NAME, NamedLock, Row},
    frontend::{
        answer::Answer,
        replicated::{Known, Replicated},
        session::{Session, SessionError, Speaker},
        shared::Shared,
        statement::{self, Source},
    },
    protocol::{capability::Capabilities, errno, error, execution::Execution},
    sql::{
        Dialect, LockCall, LockFunction, lock_calls, parameters_in, prepares, put_numbers,
        with_parameters,
    },
};

/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a lock may take that nobody has.
const GRACE: Duration = Duration::from_secs(2);

const IN_PREPARED_TEXT: &str = "lock functions cannot be used in PREPARE and EXECUTE IMMEDIATE, since the cluster has to \
    know the lock first; call them in a statement, or have the driver prepare it";

const TOO_LONG: &str = "a statement with lock functions can have no parameters that are sent in advance or take more than 1 MiB";

const UNKNOWN_PARAMETERS: &str = "the parameters of lock functions must be strings and numbers";

const NOT_EVALUATED: &str = "the arguments of lock functions have to be known before their statement runs, and the server cannot tell them";

const MALFORMED: &str = "the statement's parameters cannot be read";

/// What is to stand in place of calls.
type Numbers = Vec<(Range<usize>, u32)>;

/// A prepared statement that calls lock functions.
pub(in crate::frontend) struct Locking {
    text: Vec<u8>,
    calls: Vec<LockCall>,
    parameters: usize,
    /// As the last execution has said them.
    types: Vec<u8>,
}

impl Locking {
    /// The statement with this text, if it calls any.
    pub(in crate::frontend) fn of(text: &[u8], dialect: Dialect) -> Option<Self> {
        let calls = calls(text, dialect)?;
        Some(Self {
            text: text.to_vec(),
            calls,
            parameters: parameters_in(text, dialect),
            types: Vec::new(),
        })
    }
}

fn calls(text: &[u8], dialect: Dialect) -> Option<Vec<LockCall>> {
    let calls = lock_calls(text, dialect);
    (!calls.is_empty()).then_some(calls)
}

/// A call, when the server has evaluated its arguments.
struct Evaluated<'a> {
    call: &'a LockCall,
    name: String,
    /// In seconds.
    timeout: f64,
}

impl Replicated {
    /// Runs a statement that calls lock functions, and gives the last packet of its answer; nothing happens if it calls none.
    pub(in crate::frontend) async fn with_locks(
        &mut self,
        session: &mut Session,
        known: Known,
        source: Source<'_>,
    ) -> Result<Option<Answer>, SessionError> {
        let refused = |reason| Ok(Some(Answer::refusal(errno::NOT_SUPPORTED_YET, reason)));
        match source {
            Source::Text(text) => match calls(text, self.dialect) {
                Some(calls) => {
                    let answer = self.locking_text(session, known, text, &calls).await?;
                    Ok(Some(answer))
                }
                None if prepares(text, self.dialect) => refused(IN_PREPARED_TEXT),
                None => Ok(None),
            },
            Source::Command(command) => {
                let prepared = self.prepared_as(statement::id(command).unwrap_or_default());
                let Some(mut locking) = prepared.and_then(|prepared| prepared.locking.take())
                else {
                    return Ok(None);
                };
                let answer = self.locking_execution(session, known, command, &mut locking);
                let answer = answer.await?;
                if let Some(prepared) = self.prepared_as(statement::id(command).unwrap_or_default())
                {
                    prepared.locking = Some(locking);
                }
                Ok(Some(answer))
            }
            Source::Packet => {
                let prepared = self.prepared(session).await?;
                if prepared.is_none_or(|prepared| prepared.locking.is_none()) {
                    return Ok(None);
                }
                session.discard(source).await?;
                refused(TOO_LONG)
            }
        }
    }

    async fn locking_text(
        &mut self,
        session: &mut Session,
        known: Known,
        text: &[u8],
        calls: &[LockCall],
    ) -> Result<Answer, SessionError> {
        let answer = match self.numbers_for(session, text, calls, &[]).await? {
            Ok(numbers) => {
                let text = put_numbers(text, &numbers, self.dialect);
                self.run(session, known, Source::Text(&text)).await?
            }
            Err(answer) => answer,
        };
        self.give_up_lost(session.connection_id).await;
        Ok(answer)
    }

    async fn locking_execution(
        &mut self,
        session: &mut Session,
        known: Known,
        command: &[u8],
        locking: &mut Locking,
    ) -> Result<Answer, SessionError> {
        let has_attributes = session.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
        let types = mem::take(&mut locking.types);
        let execution = Execution::decode(command, locking.parameters, has_attributes, &types);
        let Some(execution) = execution else {
            return Ok(Answer::refusal(errno::MALFORMED_PACKET, MALFORMED));
        };
        locking.types.clone_from(&execution.types);
        let parameters = &execution.parameters;
        let Locking { text, calls, .. } = locking;
        let answer = match self.numbers_for(session, text, calls, parameters).await? {
            Ok(numbers) if numbers.is_empty() => {
                self.run(session, known, Source::Command(command)).await?
            }
            Ok(numbers) => {
                let text = put_numbers(text, &numbers, self.dialect);
                match session.prepare_own(&text).await? {
                    Ok(id) => {
                        let other = execution.of_statement(command, id);
                        let answer = self.run(session, known, Source::Command(&other)).await?;
                        session.close_own(id).await?;
                        answer
                    }
                    Err(answer) => answer,
                }
            }
            Err(answer) => answer,
        };
        self.give_up_lost(session.connection_id).await;
        Ok(answer)
    }

    /// Takes the locks that a statement is to take; gives what is to stand in place of calls, or the answer if the
    /// statement must not run.
    async fn numbers_for(
        &mut self,
        session: &mut Session,
        text: &[u8],
        calls: &[LockCall],
        parameters: &[Option<String>],
    ) -> Result<Result<Numbers, Answer>, SessionError> {
        let evaluated = self.evaluate(session, text, calls, parameters).await?;
        let evaluated = match evaluated {
            Ok(evaluated) => evaluated,
            Err(answer) => return Ok(Err(answer)),
        };
        if evaluated.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut numbers = Vec::new();
        for evaluated in evaluated {
            let place = evaluated.call.place.clone();
            match self.number_for(session, evaluated).await? {
                Ok(number) => numbers.extend(number.map(|number| (place, number))),
                Err(answer) => return Ok(Err(answer)),
            }
        }
        Ok(Ok(numbers))
    }

    /// Takes a lock, or finds out who has it; gives what is to stand in place of the call if its server does not know, or
    /// the answer if the statement must not run.
    async fn number_for(
        &mut self,
        session: &mut Session,
        evaluated: Evaluated<'_>,
    ) -> Result<Result<Option<u32>, Answer>, SessionError> {
        if self.locks.iter().any(|held| held.name == evaluated.name) {
            return Ok(Ok(None));
        }
        let shared = self.transactions.shared.clone();
        let function = evaluated.call.function;
        let asked = tokio::select! {
            asked = ask(&shared, evaluated, session.connection_id) => asked,
            () = self.transactions.doomed() => {
                self.transactions.roll_back(session).await?;
                return Ok(Err(Answer::deadlock()));
            }
            error = gone(session) => return Err(error),
        };
        Ok(match asked {
            Ok(Asked::Held(held)) => {
                self.locks.push(held);
                Ok(None)
            }
            Ok(Asked::TimedOut) => Ok(Some(0)),
            Ok(Asked::Elsewhere(holder)) if function == LockFunction::IsUsed => Ok(Some(holder)),
            Ok(Asked::Elsewhere(_)) => Ok(Some(0)),
            Ok(Asked::NotElsewhere) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Has the server evaluate the arguments of the calls. Calls that it refuses or answers with NULL are not among them.
    async fn evaluate<'a>(
        &self,
        session: &mut Session,
        text: &[u8],
        calls: &'a [LockCall],
        parameters: &[Option<String>],
    ) -> Result<Result<Vec<Evaluated<'a>>, Answer>, SessionError> {
        let refused = |reason| Ok(Err(Answer::refusal(errno::NOT_SUPPORTED_YET, reason)));
        let mut asked = Vec::new();
        // To MariaDB letters of another case are other letters.
        let fold: &[u8] = if self.dialect.mariadb { b"" } else { b"LOWER" };
        let mut query = b"SELECT ".to_vec();
        for call in calls {
            let (name, timeout) = match (call.function, &call.arguments[..]) {
                (LockFunction::Get, [name, timeout]) => (name, Some(timeout)),
                (LockFunction::ReleaseAll | LockFunction::Get, _) => continue,
                (_, [name]) => (name, None),
                _ => continue,
            };
            let expression = |place: &Range<usize>| {
                with_parameters(text, place.clone(), parameters, self.dialect)
            };
            let timeout = timeout.map_or(Some(b"0".to_vec()), expression);
            let (Some(name), Some(timeout)) = (expression(name), timeout) else {
                return refused(UNKNOWN_PARAMETERS.to_owned());
            };
            let separator: &[u8] = if asked.is_empty() { b"" } else { b", " };
            let columns: [&[u8]; 8] = [
                separator,
                b"HEX(",
                fold,
                b"(CONVERT((",
                &name,
                b") USING utf8mb4))), (",
                &timeout,
                b") + 0e0",
            ];
            query.extend(columns.concat());
            asked.push(call);
        }
        if asked.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let packets = session.record(&query, 0).await?;
        let row = match &packets[..] {
            [error] => {
                let (_, error) = error::decode(error).unwrap_or_default();
                return refused(format!("{NOT_EVALUATED}: {error}"));
            }
            [.., row, _end] => Row::decode(&row.clone().into(), 2 * asked.len()),
            [] => None,
        };
        let Some(row) = row else {
            return refused(NOT_EVALUATED.to_owned());
        };
        let evaluated = asked.into_iter().enumerate().filter_map(|(at, call)| {
            let name = unhex(row.text(2 * at)?)?;
            let timeout = row
                .text(2 * at + 1)
                .map_or(Some(0.0), |number| number.parse().ok())?;
            let is_taken = (1..=MAX_NAME).contains(&name.chars().count())
                // For as long as it takes; MariaDB answers with NULL.
                && (timeout >= 0.0 || !self.dialect.mariadb);
            is_taken.then_some(Evaluated {
                call,
                name,
                timeout,
            })
        });
        Ok(Ok(evaluated.collect()))
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
async fn ask(shared: &Shared, evaluated: Evaluated<'_>, connection: u32) -> Result<Asked, Answer> {
    let Evaluated {
        call,
        name,
        timeout,
    } = evaluated;
    let Shared {
        locks, replicator, ..
    } = shared;
    let patience = Duration::try_from_secs_f64(timeout).unwrap_or(FOREVER);
    let now = Instant::now();
    let deadline = now + patience.min(FOREVER);
    // What the cluster needs itself is not part of the wait.
    let end = deadline.max(now + GRACE);
    // While somebody defines something it takes as long as that does.
    let level = timeout_at(end, locks.level(replicator)).await;
    if let Ok(Err(error)) = level {
        return Err(unknown(&error));
    }
    if call.function != LockFunction::Get {
        let (node, _) = replicator.log.identity();
        let holder = locks.elsewhere(&name, node).await;
        let holder = holder.map_err(|error| unknown(&error))?;
        return Ok(holder.map_or(Asked::NotElsewhere, Asked::Elsewhere));
    }
    let lock = NamedLock {
        name,
        holder: shared.next_id(),
        connection,
    };
    match timeout_at(end, locks.acquire(lock, deadline)).await {
        Ok(Ok(Some(held))) => Ok(Asked::Held(held)),
        Ok(Ok(None)) | Err(_) => Ok(Asked::TimedOut),
        Ok(Err(error)) => Err(unknown(&error)),
    }
}

/// Waits until the session has lost its client or its server, while the client waits for an answer.
async fn gone(session: &mut Session) -> SessionError {
    match session.speaker().await {
        Ok(Some(Speaker::Client(_))) => session.server_lost().await,
        Ok(Some(Speaker::Server)) => SessionError::ServerLost,
        Ok(None) => SessionError::Left,
        Err(error) => error.into(),
    }
}

/// The answer where the node does not know who has a lock.
fn unknown(error: &impl fmt::Display) -> Answer {
    let reason = format!("the cluster's locks cannot be used: {error}");
    Answer::refusal(errno::UNKNOWN_COMMAND, reason)
}

fn unhex(hex: &str) -> Option<String> {
    let digits = hex.as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}
