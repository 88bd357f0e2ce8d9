//! Backdoor commits: what a server has committed that did not come through its node. The other nodes do not have
//! it, and nothing can take it back.
//!
//! What comes through the node is prepared under a name of its own, or is a definition, which one connection
//! runs from a known place of the binlog on. What the node gives the server is not in the binlog.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Connection, ConnectionError, Row, bookmark, end_of_binlog};
use crate::{
    binlog::{Direct, Event, Kind, Place, Query, TableMap, Xid},
    id::NodeId,
    sql::{Class, Dialect, hex},
};

/// How much of a statement is shown, in characters.
const SHOWN: usize = 200;

/// What did not come through the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackdoorCommit {
    /// Where it ends in the binlog.
    pub place: Place,
    /// What it is, for people.
    pub what: String,
}

impl BackdoorCommit {
    /// An XA transaction, prepared by somebody else than the node.
    pub(super) fn prepared(xid: &Xid, place: &Place) -> Self {
        let name = String::from_utf8_lossy(&xid.global);
        Self {
            place: place.clone(),
            what: format!("the XA transaction {name:?}"),
        }
    }
}

impl fmt::Display for BackdoorCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what } = self;
        write!(f, "{what} (before {place} in the binlog)")
    }
}

/// Tells backdoor commits from what came through the node.
#[derive(Debug)]
pub struct Backdoor {
    pub(super) node: NodeId,
    known: Mutex<Known>,
    /// How far the binlog was judged.
    read: watch::Sender<Option<Place>>,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order of their places.
    definitions: Vec<Defining>,
    count: u64,
    last: Option<BackdoorCommit>,
}

/// A definition that a connection runs, or has run.
#[derive(Debug)]
struct Defining {
    connection: u32,
    from: Place,
    until: Option<Place>,
}

impl Backdoor {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            known: Mutex::default(),
            read: watch::Sender::new(None),
        }
    }

    /// All up to here is judged.
    pub(super) fn has_read(&self, place: &Place) {
        self.read.send_replace(Some(place.clone()));
    }

    /// The statement that has a later start of the node go on reading at the present end of the binlog, once that is
    /// read. What was defined before is not taken for a backdoor commit then, though nobody knows whose it was.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) async fn bookmark(&self, own: &mut Connection) -> Result<String, ConnectionError> {
        let end = end_of_binlog(own).await?;
        let mut read = self.read.subscribe();
        let is_there = |read: &Option<Place>| read.as_ref().is_some_and(|at| !end.is_after(at));
        let _ = read
            .wait_for(is_there)
            .await
            .expect("the sender is in self");
        Ok(bookmark::set(self.node, &end))
    }

    /// A connection is about to run a definition, which will be logged after `from`.
    pub fn defines(&self, connection: u32, from: Place) {
        self.lock().definitions.push(Defining {
            connection,
            from,
            until: None,
        });
    }

    /// All that the connection has defined is logged before this.
    pub fn has_defined(&self, connection: u32, until: &Place) {
        for defining in &mut self.lock().definitions {
            if defining.connection == connection && defining.until.is_none() {
                defining.until = Some(until.clone());
            }
        }
    }

    /// How many backdoor commits there were since the node started, and the last one.
    pub fn seen(&self) -> (u64, Option<BackdoorCommit>) {
        let known = self.lock();
        (known.count, known.last.clone())
    }

    /// Judges a group of the binlog that took effect at once and ends at `place`, after those before it.
    pub(super) fn judge(
        &self,
        direct: &Direct,
        place: &Place,
        dialect: Dialect,
    ) -> Option<BackdoorCommit> {
        let is_one = !self.lock().is_defined(direct, place) && !is_without_effect(direct, dialect);
        is_one.then(|| BackdoorCommit {
            place: place.clone(),
            what: describe(direct),
        })
    }

    /// Counts one.
    pub(super) fn count(&self, commit: BackdoorCommit) {
        let mut known = self.lock();
        known.count += 1;
        known.last = Some(commit);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether a definition has done this.
    fn is_defined(&mut self, direct: &Direct, place: &Place) -> bool {
        // Definitions run one after the other: what is before the next one's start is of none before it.
        let started = self
            .definitions
            .iter()
            .rposition(|defining| place.is_after(&defining.from));
        let Some(started) = started else {
            return false;
        };
        self.definitions.drain(..started);
        let Defining {
            connection, until, ..
        } = &self.definitions[0];
        let is_over = until.as_ref().is_some_and(|until| place.is_after(until));
        !is_over && direct.is_of(*connection)
    }
}

/// Writes down that there is one, for later starts of the node. Whoever removes that has compared all that was
/// committed until then.
///
/// # Errors
/// The connection fails.
pub(super) async fn record(
    own: &mut Connection,
    commit: &BackdoorCommit,
) -> Result<(), ConnectionError> {
    let BackdoorCommit { place, what } = commit;
    let sql = format!(
        "INSERT INTO trireme_private.backdoor_commit (file, place, what) \
        VALUES (X'{}', {}, X'{}')",
        hex(&place.file),
        place.position,
        hex(what)
    );
    own.commit_unlogged(&[&sql, bookmark::REMOVE]).await
}

/// What has been written down, and not removed since.
///
/// # Errors
/// The connection fails.
pub(super) async fn recorded(own: &mut Connection) -> Result<Vec<BackdoorCommit>, ConnectionError> {
    let sql = "SELECT file, place, what FROM trireme_private.backdoor_commit ORDER BY id";
    let rows = own.query(sql).await?;
    let commit = |row: &Row| {
        Some(BackdoorCommit {
            place: row.place(0)?,
            what: row.text(2)?.to_owned(),
        })
    };
    let commits: Option<_> = rows.iter().map(commit).collect();
    commits.ok_or(ConnectionError::Malformed("a backdoor commit"))
}

/// Whether nothing that nodes have in common is changed.
fn is_without_effect(direct: &Direct, dialect: Dialect) -> bool {
    // A table that has its rows in memory is empty after a start of its server.
    const EMPTIED: &[u8] = b"/* generated by server";
    let is_harmless = |event: &Event| {
        let query = (event.kind() == Kind::QUERY).then(|| Query::decode(event.body()));
        query.flatten().is_some_and(|query| {
            let class = Class::of(query.text, dialect);
            matches!(class, Class::Administration | Class::Session)
                || query
                    .text
                    .windows(EMPTIED.len())
                    .any(|part| part == EMPTIED)
        })
    };
    direct
        .events
        .as_ref()
        .is_ok_and(|events| events.iter().all(is_harmless))
}

/// The start of a statement, without a password.
fn shown(text: &[u8]) -> String {
    let secrets = ["IDENTIFIED", "PASSWORD"].map(str::as_bytes);
    let ends = secrets.iter().filter_map(|secret| {
        let mut parts = text.windows(secret.len());
        Some(parts.position(|part| part.eq_ignore_ascii_case(secret))? + secret.len())
    });
    let text = &text[..ends.min().unwrap_or(text.len())];
    String::from_utf8_lossy(text).chars().take(SHOWN).collect()
}

/// What a group is, for people.
fn describe(direct: &Direct) -> String {
    let by = match direct.connection {
        Some(connection) => format!("connection {connection}"),
        None => "some connection".to_owned(),
    };
    let events = match &direct.events {
        Ok(events) => events,
        Err(refusal) => return format!("a transaction of {by}: {refusal}"),
    };
    let statement = events.iter().find(|event| event.kind() == Kind::QUERY);
    if let Some(query) = statement.and_then(|event| Query::decode(event.body())) {
        return format!("a statement of {by}: {}", shown(query.text));
    }
    let maps = events
        .iter()
        .filter(|event| event.kind() == Kind::TABLE_MAP);
    let mut tables: Vec<_> = maps
        .filter_map(|event| TableMap::decode(event.body()))
        .map(|map| format!("{}.{}", map.schema, map.table))
        .collect();
    tables.dedup();
    format!("rows of {} changed by {by}", tables.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{Refusal, written_event};

    const MARIADB: Dialect = Dialect {
        version: 101119,
        mariadb: true,
        backslash_is_plain: false,
    };

    fn place(position: u64) -> Place {
        Place {
            file: "log.000001".to_owned(),
            position,
        }
    }

    fn statement(connection: u32, text: &str) -> Direct {
        let mut body = connection.to_le_bytes().to_vec();
        body.extend([0; 9]);
        body.push(0);
        body.extend(text.as_bytes());
        Direct {
            connection: Some(connection),
            events: Ok(vec![written_event(Kind::QUERY, 0, &body)]),
        }
    }

    fn rows(connection: Option<u32>) -> Direct {
        let map = written_event(Kind::TABLE_MAP, 0, b"?");
        Direct {
            connection,
            events: Ok(vec![map]),
        }
    }

    fn verdict(backdoor: &Backdoor, direct: &Direct, end: u64) -> Option<String> {
        let commit = backdoor.judge(direct, &place(end), MARIADB);
        commit.map(|commit| commit.what)
    }

    #[test]
    fn what_is_no_definition_is_a_backdoor_commit_unless_it_changes_nothing() {
        let backdoor = Backdoor::new(1.into());
        for (direct, expected) in [
            (statement(3, "FLUSH TABLES"), None),
            (statement(3, "DROP TEMPORARY TABLE t"), None),
            (
                statement(3, "TRUNCATE TABLE t /* generated by server */"),
                None,
            ),
            (
                statement(3, "DROP TABLE t"),
                Some("a statement of connection 3: DROP TABLE t"),
            ),
            (rows(Some(3)), Some("rows of  changed by connection 3")),
            (rows(None), Some("rows of  changed by some connection")),
        ] {
            assert_eq!(
                verdict(&backdoor, &direct, 9).as_deref(),
                expected,
                "{direct:?}"
            );
        }
        let statements = Direct {
            connection: Some(3),
            events: Err(Refusal::Statement),
        };
        assert!(verdict(&backdoor, &statements, 9).is_some());
    }

    #[test]
    fn a_definition_is_of_its_connection_from_its_start_to_its_end() {
        let backdoor = Backdoor::new(1.into());
        let drop = |connection| statement(connection, "DROP TABLE t");
        backdoor.defines(3, place(10));
        backdoor.defines(4, place(50));
        for (direct, end, is_foreign) in [
            (drop(3), 10, true),
            (drop(3), 11, false),
            (drop(0), 20, false),
            (drop(4), 30, true),
            (rows(None), 40, true),
            (drop(3), 50, false),
            (drop(3), 51, true),
            (drop(4), 52, false),
        ] {
            assert_eq!(
                verdict(&backdoor, &direct, end).is_some(),
                is_foreign,
                "{end}"
            );
        }
        backdoor.has_defined(4, &place(60));
        assert!(verdict(&backdoor, &drop(4), 60).is_none());
        assert!(verdict(&backdoor, &drop(4), 61).is_some());
    }

    #[test]
    fn a_statement_is_shown_without_passwords_and_in_part() {
        for (text, expected) in [
            (
                "CREATE USER u IDENTIFIED BY PASSWORD '*0A'",
                "CREATE USER u IDENTIFIED",
            ),
            ("set password for u = 'x'", "set password"),
        ] {
            assert_eq!(shown(text.as_bytes()), expected);
        }
        let text = format!("DROP TABLE {}", "é".repeat(1000));
        let shown = verdict(&Backdoor::new(1.into()), &statement(3, &text), 9).unwrap();
        assert_eq!(
            shown.chars().count(),
            "a statement of connection 3: ".len() + SHOWN
        );
    }
}
