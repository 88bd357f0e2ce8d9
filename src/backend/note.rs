//! Notes of definitions: what a server is in the midst of.
//!
//! A definition commits by itself, so the saved position cannot be moved within it. The note says
//! that it is about to run; whether it has run is in the server's binlog, which the server keeps in
//! step with its schema through crashes, but for what MariaDB may lose ([`Effect::is_in_doubt`]).

use std::{fmt, time::Duration};

use tokio::time::sleep;

use super::{
    AtTheEnd, Backdoor, Connection, ConnectionError, Dump, Kill, Sent, ServerRun,
    dump::NO_SUCH_BINLOG, end_of_binlog, position, system_tables,
};
use crate::{
    binlog::{CaptureError, Event, Group, Groups, Kind, Place, Query, Refusal},
    id::{Seqno, TransactionId},
    sql::{self, Dialect},
    write_set::{KeysError, TableName, tables_of},
};

/// Between two looks at whether a connection has gone.
const RETRY: Duration = Duration::from_millis(50);

/// The statement that removes the note.
const REMOVE: &str = "DELETE FROM trireme_private.definition";

/// A definition that is about to run, or has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub seqno: Seqno,
    /// If a client of this node has issued it, and it is not only applied.
    pub issued: Option<TransactionId>,
    /// The connection that runs it.
    pub connection: u32,
    /// Where the binlog ended before.
    pub place: Place,
}

impl Note {
    /// Notes that a definition is about to run, so that neither this nor what was committed before it
    /// is forgotten in a crash that the definition survives, nor taken for a backdoor commit; and has the
    /// server make durable what it does, so that its binlog does not tell of what a crash takes.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn write(
        own: &mut Connection,
        backdoor: &Backdoor,
        (seqno, issued): (Seqno, Option<TransactionId>),
        connection: u32,
    ) -> Result<Self, ConnectionError> {
        if own.is_mariadb() {
            system_tables::save(own).await?;
        }
        let place = end_of_binlog(own).await?;
        let Place { file, position } = &place;
        let id = issued.map_or_else(String::new, |id| id.to_string());
        let note = format!(
            "INSERT INTO trireme_private.definition VALUES (0, {seqno}, '{id}', {connection}, \
            '{file}', {position}, @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog)"
        );
        own.run_unlogged(&[&note, &durability(1, 1), "FLUSH ENGINE LOGS"])
            .await?;
        backdoor.defines(connection, place.clone());
        Ok(Self {
            seqno,
            issued,
            connection,
            place,
        })
    }

    /// The note of the definition that the server was in the midst of, if it was.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn read(own: &mut Connection) -> Result<Option<Self>, ConnectionError> {
        let sql = "SELECT seqno, txn, connection, file, place FROM trireme_private.definition";
        let rows = own.query(sql).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let note = (|| {
            Some(Self {
                seqno: Seqno(row.text(0)?.parse().ok()?),
                issued: match row.text(1)? {
                    "" => None,
                    id => Some(id.parse().ok()?),
                },
                connection: row.text(2)?.parse().ok()?,
                place: row.place(3)?,
            })
        })();
        let note = note.ok_or(ConnectionError::Malformed("the note of a definition"))?;
        Ok(Some(note))
    }

    /// The definition has run: the position is moved past it, the bookmark as well, and the note removed. `rest` is
    /// what it had left to do, in the same transaction.
    ///
    /// # Errors
    /// The connection fails, or the server refuses the rest.
    pub async fn has_run(
        own: &mut Connection,
        backdoor: &Backdoor,
        seqno: Seqno,
        rest: &[String],
    ) -> Result<(), ConnectionError> {
        let moved = position::update(seqno);
        let bookmark = backdoor.bookmark(own).await?;
        let rest = rest.iter().map(String::as_str);
        let all: Vec<_> = rest.chain([&*moved, &bookmark, REMOVE]).collect();
        end(own, &all).await
    }

    /// The definition has not run and will not, or it has to run again: the note is removed, and what is there
    /// nevertheless, which `undo` does ([`Effect::undo`]) as far as it is no system table.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn has_not_run(
        own: &mut Connection,
        backdoor: &Backdoor,
        undo: &[String],
    ) -> Result<(), ConnectionError> {
        own.run_unlogged(undo).await?;
        if own.is_mariadb() {
            system_tables::restore(own).await?;
        }
        let bookmark = backdoor.bookmark(own).await?;
        end(own, &[&bookmark, REMOVE]).await
    }

    /// Ends the connection that runs the definition, and waits until it has ended.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn end_connection(&self, run: &ServerRun) -> Result<(), ConnectionError> {
        let Self { connection, .. } = *self;
        let mut own = run.open().await?;
        let alive = format!("SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {connection}");
        while !own.query(&alive).await?.is_empty() {
            // It may have ended meanwhile.
            let _ = own.query(&Kill::Connection.statement(connection)).await;
            sleep(RETRY).await;
        }
        Ok(())
    }

    /// What the definition has done so far.
    ///
    /// # Errors
    /// The server cannot be reached, or its binlog not be read.
    pub async fn effect(&self, run: &ServerRun) -> Result<Effect, NoteError> {
        let mut own = run.open().await?;
        let dialect = own.dialect();
        let end = end_of_binlog(&mut own).await?;
        let mut groups = Groups::from(self.place.clone());
        let mut dump = Dump::start(own, &self.place, rand::random(), AtTheEnd::Stop).await?;
        let mut events = Vec::new();
        while *groups.place() != end || groups.format().is_none() {
            let sent = dump.next().await.map_err(|error| match error {
                ConnectionError::Server {
                    number: NO_SUCH_BINLOG,
                    message,
                } => NoteError::Lost(message),
                error => error.into(),
            })?;
            let Sent::Event(event) = sent else { continue };
            match groups.take(event)? {
                // What MariaDB does about a table that it has lost.
                Some(Group::Direct(direct)) if direct.is_of_server() && has_rows(&events) => {}
                Some(Group::Direct(direct)) if direct.is_of(self.connection) => {
                    events.extend(direct.events?)
                }
                _ => {}
            }
        }
        let format = groups.format().expect("waited for above").clone();
        let undo = if dialect.mariadb {
            removal_of_copies(&events)?
        } else {
            Vec::new()
        };
        Ok(Effect {
            end,
            format,
            is_in_doubt: !undo.is_empty() || may_be_lost(dialect, &events),
            undo,
            events,
        })
    }
}

/// The statement that has the server make its commits and its binlog durable at once, or as lazily as this.
fn durability(flush_log: impl fmt::Display, sync_binlog: impl fmt::Display) -> String {
    format!(
        "{}, GLOBAL sync_binlog = {sync_binlog}",
        position::flush_log(flush_log)
    )
}

/// Makes the server as lazy as it was when the note was written, and commits these statements in one transaction.
async fn end(own: &mut Connection, statements: &[&str]) -> Result<(), ConnectionError> {
    let sql = "SELECT flush_log, sync_binlog FROM trireme_private.definition";
    let rows = own.query(sql).await?;
    let before = rows
        .first()
        .and_then(|row| Some((row.text(0)?, row.text(1)?)));
    if let Some((flush_log, sync_binlog)) = before {
        own.query(&durability(flush_log, sync_binlog)).await?;
    }
    own.commit_unlogged(statements).await
}

/// What a definition has done.
#[derive(Debug)]
pub struct Effect {
    /// All of it is in the binlog before this.
    pub end: Place,
    /// How the events are to be read.
    pub format: Event,
    pub events: Vec<Event>,
    /// A crash may have taken what is logged here: after one it has to run again from the beginning, when
    /// what is left is undone ([`Note::has_not_run`]).
    pub is_in_doubt: bool,
    /// Statements that remove what may be left of it then.
    pub undo: Vec<String>,
}

fn has_rows(logged: &[Event]) -> bool {
    logged.iter().any(|event| event.kind() == Kind::TABLE_MAP)
}

/// The statements that remove the tables that a definition has made with rows in them. Between logging that and completing it
/// MariaDB 10.11 does not know that it was logged, and removes the table when it starts after a crash.
fn removal_of_copies(logged: &[Event]) -> Result<Vec<String>, KeysError> {
    let tables = tables_of(logged)?.into_iter();
    let quoted = |name: &str| name.replace('`', "``");
    let removal = tables.map(|TableName { schema, table }| {
        let (schema, table) = (quoted(&schema), quoted(&table));
        format!("DROP TABLE IF EXISTS `{schema}`.`{table}`")
    });
    Ok(removal.collect())
}

/// Whether a server may have logged this and not have it after a crash.
fn may_be_lost(dialect: Dialect, logged: &[Event]) -> bool {
    let statements = logged.iter().filter(|event| event.kind() == Kind::QUERY);
    let mut queries = statements.map(|event| Query::decode(event.body()));
    let may_be = |query: Option<Query>| {
        query.is_some_and(|query| sql::defines_account_or_routine(query.text, dialect))
    };
    dialect.mariadb && !logged.is_empty() && queries.all(may_be)
}

/// Why it is not known what a definition has done; for ever, unless it is the connection.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("the server no longer has its binlog from before the definition on ({0})")]
    Lost(String),
    #[error(transparent)]
    Binlog(#[from] CaptureError),
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Rows(#[from] KeysError),
}
