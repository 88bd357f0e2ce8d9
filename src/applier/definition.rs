//! Definitions of other nodes, run here as their servers have logged them.

use tokio::time::sleep;
use tracing::{debug, warn};

use super::{
    Applier, ApplyError, BY_OTHERS, Obstacle, Obstacles, RETRY, STATEMENT_BYTES, Session,
    statements::statements,
};
use crate::{
    backend::{ConnectionError, Note, NoteError, position},
    binlog::{Event, Kind, Query, preparation},
    id::Seqno,
    sql,
    write_set::Definition,
};

/// `ER_BAD_TABLE_ERROR`: MariaDB names in a `DROP TABLE` that it logs also the tables that were not
/// there, and not the error that came of it.
const NOT_THERE: u16 = 1051;

/// Directories are one server's: a table's files are here where all others are. In a strict mode that is an error.
const NO_DIRECTORIES: &str = "SET SESSION sql_mode = CONCAT(REPLACE(REPLACE(@@sql_mode, \
    'STRICT_TRANS_TABLES', 'NO_DIR_IN_CREATE'), 'STRICT_ALL_TABLES', 'NO_DIR_IN_CREATE'), ',NO_DIR_IN_CREATE')";

/// A part of a definition that the server does as a whole.
enum Step<'a> {
    /// The last event, which needs what the others say.
    Statement(&'a [Event]),
    /// The rows that a statement has filled its table with. MySQL takes them in one transaction with
    /// it, and logs both as one. MariaDB does not, and does not log whose they are.
    Rows(&'a [Event]),
}

/// Why an attempt has not led to the end.
enum Failure {
    /// Somebody was in the way.
    InTheWay(String),
    /// The server cannot be reached now.
    Lost(ConnectionError),
    /// The same will come of every attempt.
    Final(String),
}

impl Applier {
    /// Gives the server what a definition has done elsewhere, and the position after it, through lost
    /// connections and restarts. What is in its way is to `clear` it.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn define(
        &self,
        seqno: Seqno,
        definition: &Definition,
        clear: impl Fn(Obstacle),
    ) -> Result<(), ApplyError> {
        let Definition { format, events } = definition;
        let events: Result<Vec<_>, _> = events.iter().cloned().map(Event::new).collect();
        let events = events.map_err(|error| ApplyError::Damaged { seqno, error })?;
        let steps = steps(&events);
        // Rows take a third more as text.
        let bytes = 2 * events
            .iter()
            .map(|event| event.bytes().len())
            .sum::<usize>();
        let mut obstacles = Obstacles::new(clear);
        loop {
            let attempt = async {
                let mut session = Session::plain(&self.run, bytes).await?;
                let watch = self
                    .blockers
                    .watch(session.connection.id(), session.connection.is_mariadb());
                let run = async {
                    let Some(done) = self.begin(&mut session, seqno).await? else {
                        return Ok(());
                    };
                    session.expect(format).await?;
                    let steps = steps.get(done..).unwrap_or_default();
                    let rest = session.run_steps(steps).await?;
                    let ended =
                        Note::has_run(&mut session.connection, &self.backdoor, seqno, &rest);
                    ended.await.map_err(Failure::of_statement)
                };
                obstacles.clear_for(&watch, run).await
            };
            match attempt.await {
                Ok(()) => return Ok(()),
                Err(Failure::InTheWay(message)) => {
                    debug!(%seqno, message, "somebody is in the way of a definition");
                }
                Err(Failure::Lost(error)) => {
                    warn!(%error, "a definition cannot be run now; trying again");
                    sleep(RETRY).await;
                }
                Err(Failure::Final(error)) => {
                    let (first, last) = (seqno, seqno);
                    return Err(ApplyError::Diverged { first, last, error });
                }
            }
        }
    }

    /// Notes what is about to run. Gives the number of steps that an earlier attempt has done, or
    /// nothing if that has come to its end.
    async fn begin(&self, session: &mut Session, seqno: Seqno) -> Result<Option<usize>, Failure> {
        let connection = &mut session.connection;
        if position::read(connection).await?.position >= seqno {
            return Ok(None);
        }
        if let Some(note) = Note::read(connection).await?
            && note.seqno == seqno
        {
            note.end_connection(&self.run).await?;
            let effect = note.effect(&self.run).await?;
            let done = steps(&effect.events).len();
            if done > 0 && !effect.is_in_doubt {
                // A new note would not know of them.
                self.backdoor.defines(connection.id(), effect.end);
                return Ok(Some(done));
            }
            Note::has_not_run(connection, &self.backdoor, &effect.undo).await?;
        }
        let own = connection.id();
        Note::write(connection, &self.backdoor, (seqno, None), own).await?;
        Ok(Some(0))
    }
}

impl Session {
    /// Runs the steps up to those that are to be in one transaction with the position; gives those as
    /// statements.
    async fn run_steps(&mut self, steps: &[Step<'_>]) -> Result<Vec<String>, Failure> {
        let mut rest = Vec::new();
        for step in steps {
            match step {
                Step::Statement(events) => self.run_statement(events).await?,
                Step::Rows(events) => {
                    let rows = statements(events.iter().cloned(), STATEMENT_BYTES);
                    if self.connection.is_mariadb() {
                        rest.extend(rows);
                    } else {
                        let run = self.connection.run(&rows).await;
                        run.map_err(Failure::of_statement)?;
                    }
                }
            }
        }
        self.connection.query("COMMIT").await?;
        Ok(rest)
    }

    async fn run_statement(&mut self, events: &[Event]) -> Result<(), Failure> {
        let malformed = || Failure::Final("it is malformed".to_owned());
        let (event, needed) = events.split_last().ok_or_else(malformed)?;
        let query = Query::decode(event.body()).ok_or_else(malformed)?;
        for event in needed {
            for statement in preparation(event).ok_or_else(malformed)? {
                let set = self.connection.query(&statement).await;
                set.map_err(Failure::of_statement)?;
            }
        }
        let settings = query.settings(event.second(), self.connection.is_mariadb());
        let settings = settings.map_err(|error| Failure::Final(error.to_string()))?;
        if event.uses_schema() && !query.schema.is_empty() {
            let schema = query.schema.split(|&byte| byte == b'`');
            let schema = schema.collect::<Vec<_>>().join(&b"``"[..]);
            let schema = [b"USE `", &schema[..], b"`"].concat();
            let used = self.connection.query(&schema).await;
            used.map_err(Failure::of_statement)?;
        }
        for assignments in settings {
            let set = format!("SET SESSION {assignments}");
            let set = self.connection.query(&set).await;
            set.map_err(Failure::of_statement)?;
        }
        let dialect = self.connection.dialect();
        if sql::names_directory(query.text, dialect) {
            let ignored = self.connection.query(NO_DIRECTORIES).await;
            ignored.map_err(Failure::of_statement)?;
        }
        match (self.connection.query(query.text).await, query.error) {
            (Ok(_), 0) => Ok(()),
            (Err(ConnectionError::Server { number, .. }), expected)
                if [expected, NOT_THERE].contains(&number) =>
            {
                Ok(())
            }
            (Ok(_), expected) => Err(Failure::Final(format!(
                "it took effect here as a whole, and only in part where it was issued, with error \
                {expected}"
            ))),
            (Err(error), _) => Err(Failure::of_statement(error)),
        }
    }
}

impl Failure {
    /// What a server says to a part of the definition.
    fn of_statement(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Server { number, message } if BY_OTHERS.contains(&number) => {
                Self::InTheWay(message)
            }
            ConnectionError::Server { .. } => Self::Final(error.to_string()),
            error => Self::Lost(error),
        }
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error)
    }
}

impl From<NoteError> for Failure {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::Connection(error) => Self::Lost(error),
            error => Self::Final(error.to_string()),
        }
    }
}

/// The steps of a definition, from its events.
fn steps(events: &[Event]) -> Vec<Step<'_>> {
    let is_statement = |event: &Event| event.kind() == Kind::QUERY;
    let is_context = |event: &Event| event.kind().is_statement_context();
    let parts = events.chunk_by(|one, next| {
        is_context(one) || !is_statement(one) && !is_statement(next) && !is_context(next)
    });
    parts
        .map(|part| match part {
            [.., event] if is_statement(event) => Step::Statement(part),
            rows => Step::Rows(rows),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::written_event;

    #[test]
    fn rows_belong_together_and_statements_stand_alone() {
        let [query, map, rows, seed] = [Kind::QUERY, Kind::TABLE_MAP, Kind(30), Kind(13)]
            .map(|kind| written_event(kind, 0, &[0; 30]));
        let events = [
            &query, &query, &map, &rows, &rows, &query, &map, &seed, &seed, &query, &query,
        ];
        let events = events.map(Clone::clone);
        let lengths = steps(&events).into_iter().map(|step| match step {
            Step::Statement(events) => (true, events.len()),
            Step::Rows(rows) => (false, rows.len()),
        });
        let (statement, rows) = (|length| (true, length), |length| (false, length));
        let expected = [
            statement(1),
            statement(1),
            rows(3),
            statement(1),
            rows(1),
            statement(3),
            statement(1),
        ];
        assert_eq!(lengths.collect::<Vec<_>>(), expected);
        assert!(steps(&[]).is_empty());
    }
}
