//! Statements that call functions which the node has a part in: locks with names and positions in the log.

use std::{mem, ops::Range, sync::Arc};

use super::{
    answer::Answer,
    gtid::NOWHERE,
    known::Known,
    replicated::{NOTHING, Replicated},
    session::{Session, SessionError, Speaker},
    statement::{self, Source},
};
use crate::{
    backend::Row,
    protocol::{capability::Capabilities, errno, error, execution::Execution},
    sql::{
        Call, Dialect, Function, Instead, calls,
        galera::{self, Question},
        parameters_in, prepares, put_values, with_parameters,
    },
};

pub(super) const IN_PREPARED_TEXT: &str = "lock functions and WSREP_..._GTID cannot be used in PREPARE and EXECUTE IMMEDIATE, since the \
    node has to evaluate them first; call them in a statement, or have the driver prepare it";

const TOO_LONG: &str = "a statement with lock functions, WSREP_..._GTID or a node's own variables can have no parameters that are sent in advance or take more than 1 MiB";

const UNKNOWN_PARAMETERS: &str = "the parameters of lock functions, WSREP_..._GTID and a node's own variables must be strings and numbers";

const NOT_EVALUATED: &str = "the arguments of lock functions and WSREP_..._GTID have to be known before their statement runs, and the server cannot tell them";

const MALFORMED: &str = "the statement's parameters cannot be read";

/// What is to stand in place of calls.
type Values<'a> = Vec<(&'a Call, Instead)>;

/// A prepared statement that asks for what only the node knows, which it puts into the text before each run.
pub(super) struct Incomplete {
    text: Arc<[u8]>,
    calls: Vec<Call>,
    question: Option<Question>,
    parameters: usize,
    /// As the last execution has said them.
    types: Vec<u8>,
}

impl Incomplete {
    /// The statement with this text, if it asks for anything; and what the server is to prepare so that the client learns of
    /// parameters and columns.
    pub(super) fn of(
        text: &Arc<[u8]>,
        known: Known,
        node: impl FnOnce() -> galera::Values,
        dialect: Dialect,
    ) -> Option<(Self, Vec<u8>)> {
        let calls = if known.may_call {
            calls(text, dialect)
        } else {
            Vec::new()
        };
        let question = known.question(text, dialect);
        // One that also takes locks is left to the server.
        let is_kept = |question: &_| calls.is_empty() || !matches!(question, Question::Set(_));
        let question = question.filter(is_kept);
        if question.is_none() && calls.is_empty() {
            return None;
        }
        let incomplete = Self {
            text: text.clone(),
            calls,
            question,
            parameters: parameters_in(text, dialect),
            types: Vec::new(),
        };
        let introduction = incomplete.introduction(&node(), dialect);
        // A text may have such a name in it and ask for nothing.
        let asks = !incomplete.calls.is_empty() || introduction != **text;
        asks.then_some((incomplete, introduction))
    }

    fn introduction(&self, node: &galera::Values, dialect: Dialect) -> Vec<u8> {
        let values = self.calls.iter().filter_map(|call| match call.function {
            Function::LastSeenGtid | Function::LastWrittenGtid => {
                Some((call, Instead::Text(NOWHERE.to_owned())))
            }
            Function::SyncWaitUptoGtid => Some((call, Instead::Own(1))),
            _ => None,
        });
        self.completed(&values.collect::<Vec<_>>(), node, dialect)
    }

    fn completed(&self, values: &Values<'_>, node: &galera::Values, dialect: Dialect) -> Vec<u8> {
        let text = put_values(&self.text, values, dialect);
        match &self.question {
            None => text,
            Some(Question::Show {
                kind,
                is_global,
                condition,
            }) => node.select(*kind, *is_global, condition, dialect),
            Some(Question::Set(_)) => [NOTHING, &b", ?".repeat(self.parameters)].concat(),
            Some(Question::Read) => node.put_into(&text, dialect),
        }
    }
}

/// A call, when the server has evaluated its arguments.
pub(super) struct Evaluated<'a> {
    pub(super) call: &'a Call,
    /// The name of a lock, in the case that tells it from others, or a position; nothing for NULL.
    pub(super) text: Option<String>,
    /// In seconds; nothing if there is none.
    pub(super) timeout: Option<f64>,
}

impl Replicated {
    /// Runs a statement that calls such functions, and gives the last packet of its answer; nothing happens if it calls none.
    pub(super) async fn with_calls(
        &mut self,
        session: &mut Session,
        known: Known,
        source: Source<'_>,
    ) -> Result<Option<Answer>, SessionError> {
        let refused = |reason| Ok(Some(Answer::refusal(errno::NOT_SUPPORTED_YET, reason)));
        match source {
            Source::Text(text) => match &calls(text, self.dialect)[..] {
                [] if prepares(text, self.dialect) => refused(IN_PREPARED_TEXT),
                [] => Ok(None),
                calls => {
                    let answer = self.calling_text(session, known, text, calls).await?;
                    Ok(Some(answer))
                }
            },
            Source::Command(command) => {
                let prepared = self
                    .prepared
                    .get(statement::id(command).unwrap_or_default());
                let Some(mut incomplete) = prepared.and_then(|prepared| prepared.incomplete.take())
                else {
                    return Ok(None);
                };
                let answer = self.calling_execution(session, known, command, &mut incomplete);
                let answer = answer.await?;
                if let Some(prepared) = self
                    .prepared
                    .get(statement::id(command).unwrap_or_default())
                {
                    prepared.incomplete = Some(incomplete);
                }
                Ok(Some(answer))
            }
            Source::Packet => {
                let prepared = self.prepared(session).await?;
                if prepared.is_none_or(|prepared| prepared.incomplete.is_none()) {
                    return Ok(None);
                }
                session.discard(source).await?;
                refused(TOO_LONG)
            }
        }
    }

    async fn calling_text(
        &mut self,
        session: &mut Session,
        known: Known,
        text: &[u8],
        calls: &[Call],
    ) -> Result<Answer, SessionError> {
        let answer = match self.values_for(session, text, calls, &[]).await? {
            Ok(values) => {
                let text = put_values(text, &values, self.dialect);
                self.ask(session, known, Source::Text(&text)).await?
            }
            Err(answer) => answer,
        };
        self.give_up_lost(session.connection_id).await;
        Ok(answer)
    }

    async fn calling_execution(
        &mut self,
        session: &mut Session,
        known: Known,
        command: &[u8],
        incomplete: &mut Incomplete,
    ) -> Result<Answer, SessionError> {
        let has_attributes = session.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
        let types = mem::take(&mut incomplete.types);
        let execution = Execution::decode(command, incomplete.parameters, has_attributes, &types);
        let Some(execution) = execution else {
            return Ok(Answer::refusal(errno::MALFORMED_PACKET, MALFORMED));
        };
        incomplete.types.clone_from(&execution.types);
        let (text, calls) = (&incomplete.text, &incomplete.calls);
        let values = self.values_for(session, text, calls, &execution.parameters);
        let answer = match values.await? {
            Ok(values) if values.is_empty() && incomplete.question.is_none() => {
                self.run(session, known, Source::Command(command)).await?
            }
            Ok(_) if matches!(incomplete.question, Some(Question::Set(_))) => {
                let (whole, parameters) = (0..text.len(), &execution.parameters);
                match with_parameters(text, whole, parameters, self.dialect) {
                    Some(text) => self.ask(session, known, Source::Text(&text)).await?,
                    None => Answer::refusal(errno::NOT_SUPPORTED_YET, UNKNOWN_PARAMETERS),
                }
            }
            Ok(values) => {
                let node = self.transactions.shared.galera(self.settings);
                let text = incomplete.completed(&values, &node, self.dialect);
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

    /// Does what the calls of a statement are to do; gives what is to stand in place of them, or the answer if the statement
    /// must not run.
    async fn values_for<'a>(
        &mut self,
        session: &mut Session,
        text: &[u8],
        calls: &'a [Call],
        parameters: &[Option<String>],
    ) -> Result<Result<Values<'a>, Answer>, SessionError> {
        let evaluated = self.evaluate(session, text, calls, parameters).await?;
        let evaluated = match evaluated {
            Ok(evaluated) => evaluated,
            Err(answer) => return Ok(Err(answer)),
        };
        let mut values = Vec::new();
        for evaluated in evaluated {
            let call = evaluated.call;
            match self.value_for(session, evaluated).await? {
                Ok(value) => values.extend(value.map(|value| (call, value))),
                Err(answer) => return Ok(Err(answer)),
            }
        }
        Ok(Ok(values))
    }

    /// Does what a call is to do. Gives what is to stand in place of it if its server does not know, or the answer if the
    /// statement must not run.
    async fn value_for(
        &mut self,
        session: &mut Session,
        evaluated: Evaluated<'_>,
    ) -> Result<Result<Option<Instead>, Answer>, SessionError> {
        let shared = self.transactions.shared.clone();
        let gtid = |place| Instead::Text(shared.gtid(place));
        let value = match evaluated.call.function {
            Function::LastSeenGtid => gtid(Some(shared.replicator.ordered())),
            Function::LastWrittenGtid => gtid(self.transactions.written),
            Function::SyncWaitUptoGtid => {
                let waits = shared.wait_up_to(evaluated.text.as_deref(), evaluated.timeout);
                match self.meanwhile(session, waits).await? {
                    Ok(()) => Instead::Own(1),
                    Err(answer) => return Ok(Err(answer)),
                }
            }
            _ => return self.lock(session, evaluated).await,
        };
        Ok(Ok(Some(value)))
    }

    /// Does something that takes time, while the applier may need what the session's transaction holds.
    pub(super) async fn meanwhile<T>(
        &mut self,
        session: &mut Session,
        action: impl Future<Output = Result<T, Answer>>,
    ) -> Result<Result<T, Answer>, SessionError> {
        let shared = self.transactions.shared.clone();
        let wait = shared.waiting.begin(session.connection_id);
        tokio::select! {
            done = action => Ok(done),
            () = wait.interrupted() => Ok(Err(Answer::interrupted())),
            () = self.transactions.doomed() => {
                self.transactions.roll_back(session).await?;
                Ok(Err(Answer::deadlock()))
            }
            error = gone(session) => Err(error),
        }
    }

    /// Has the server evaluate the arguments of the calls. Calls of which it knows all are not among them.
    async fn evaluate<'a>(
        &self,
        session: &mut Session,
        text: &[u8],
        calls: &'a [Call],
        parameters: &[Option<String>],
    ) -> Result<Result<Vec<Evaluated<'a>>, Answer>, SessionError> {
        let refused = |reason| Ok(Err(Answer::refusal(errno::NOT_SUPPORTED_YET, reason)));
        let mut asked = Vec::new();
        let mut columns = Vec::new();
        // To MariaDB letters of another case are other letters.
        let fold: &[u8] = if self.dialect.mariadb { b"" } else { b"LOWER" };
        for call in calls.iter().filter(|call| is_asked(call)) {
            let expression = |at| {
                let place: Option<&Range<usize>> = call.arguments.get(at);
                place.map_or(Some(b"NULL".to_vec()), |place| {
                    with_parameters(text, place.clone(), parameters, self.dialect)
                })
            };
            let (Some(name), Some(timeout)) = (expression(0), expression(1)) else {
                return refused(UNKNOWN_PARAMETERS.to_owned());
            };
            columns.push([b"HEX(", fold, b"(CONVERT((", &name, b") USING utf8mb4)))"].concat());
            columns.push([b"(", &timeout[..], b") + 0e0"].concat());
            asked.push(call);
        }
        let row = if asked.iter().any(|call| !call.arguments.is_empty()) {
            let query = [b"SELECT ", &columns.join(&b", "[..])[..]].concat();
            let packets = session.record(&query, 0).await?;
            let row = match &packets[..] {
                [error] => {
                    let (_, error) = error::decode(error).unwrap_or_default();
                    return refused(format!("{NOT_EVALUATED}: {error}"));
                }
                [.., row, _end] => Row::decode(&row.clone().into(), columns.len()),
                [] => None,
            };
            if row.is_none() {
                return refused(NOT_EVALUATED.to_owned());
            }
            row
        } else {
            None
        };
        let value = |column| row.as_ref().and_then(|row: &Row| row.text(column));
        let asked = asked.into_iter().enumerate();
        let evaluated = asked.map(|(at, call)| Evaluated {
            call,
            text: value(2 * at).and_then(unhex),
            timeout: value(2 * at + 1).and_then(|number| number.parse().ok()),
        });
        Ok(Ok(evaluated.collect()))
    }
}

/// Whether a call has the arguments that it needs, and is one in which the node has a part before the server runs it.
fn is_asked(call: &Call) -> bool {
    let arguments = call.arguments.len();
    match call.function {
        Function::GetLock => arguments == 2,
        Function::ReleaseAllLocks => false,
        Function::ReleaseLock | Function::IsFreeLock | Function::IsUsedLock => arguments == 1,
        Function::LastSeenGtid | Function::LastWrittenGtid => arguments == 0,
        Function::SyncWaitUptoGtid => (1..=2).contains(&arguments),
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

fn unhex(hex: &str) -> Option<String> {
    let digits = hex.as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}
