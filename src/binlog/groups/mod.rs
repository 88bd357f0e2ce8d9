//! From events to groups: what the server has written as a whole.
//!
//! A group starts with an event that gives it a GTID (or says that it has none) and ends with the
//! one that prepares, commits, rolls back or is its only statement. Groups never mix.

use bytes::Bytes;

use super::{
    event::{Event, EventError, Kind},
    place::Place,
    query::{Query, Statement},
    xid::{Prepare, Xid},
};

/// What the server has written as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// A transaction that has been prepared and waits for its decision.
    Prepared {
        xid: Xid,
        /// Its row events with the table maps that belong to them, in order.
        rows: Result<Vec<Event>, Refusal>,
    },
    /// The decision about a transaction that had been prepared.
    Decided,
    /// What took effect at once: a statement of its own, or a transaction that was not prepared.
    Direct(Direct),
}

/// What took effect at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// The connection that did it, or [`SERVER`](Self::SERVER); none where the server does not say, as MariaDB
    /// of a transaction in InnoDB alone.
    pub connection: Option<u32>,
    /// Its statements, and its row events with their table maps, in order.
    pub events: Result<Vec<Event>, Refusal>,
}

impl Direct {
    /// No connection, but the server itself when it starts after a crash: MariaDB logs the definition that had
    /// taken effect and was not logged.
    const SERVER: u32 = 0;

    /// Whether the server has done it by itself.
    pub fn is_of_server(&self) -> bool {
        self.connection == Some(Self::SERVER)
    }

    /// Whether a connection has done it, or the server for one that it had.
    pub fn is_of(&self, connection: u32) -> bool {
        let by = [connection, Self::SERVER];
        self.connection.is_some_and(|own| by.contains(&own))
    }
}

/// Why a prepared transaction cannot be replicated, though the binlog is in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "it was logged as statements; set binlog_format=ROW, and see to it that no table has a history by numbers of transactions"
    )]
    Statement,
    #[error("it was logged with partial JSON values; set binlog_row_value_options=''")]
    PartialRows,
}

/// Why the binlog can no longer be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CaptureError {
    #[error("at {place}: {error}")]
    Event { place: Place, error: EventError },
    #[error("events are missing from the binlog at {place}: what came next is at {found}")]
    Gap { place: Place, found: Place },
    #[error("at {place}: an event of kind {kind} cannot stand there or is malformed")]
    Malformed { place: Place, kind: u8 },
    #[error("at {place}: events of kind {kind} are not known; is this server newer than Trireme?")]
    Unknown { place: Place, kind: u8 },
    #[error(
        "at {place}: events are compressed; run SET GLOBAL log_bin_compress=OFF (MariaDB) or \
        SET GLOBAL binlog_transaction_compression=OFF (MySQL)"
    )]
    Compressed { place: Place },
    #[error("at {place}: the server says that events were lost (an incident event)")]
    Incident { place: Place },
}

/// An event that cannot stand where it does, or that is malformed.
struct Misplaced;

/// The groups of a stream of events.
#[derive(Debug)]
pub struct Groups {
    /// What has been read up to here.
    place: Place,
    /// The last event of this kind: without it rows cannot be read.
    format: Option<Event>,
    open: Option<Open>,
}

/// A group whose end has not come.
#[derive(Debug)]
struct Open {
    /// Row events with their table maps, and statements that do more than open or end the group.
    events: Vec<Event>,
    connection: Option<u32>,
    /// Whether a statement is among them.
    has_statement: bool,
    refusal: Option<Refusal>,
    /// Whether the group is a transaction, with an event at its end, and not one statement.
    transaction: bool,
}

impl Open {
    fn direct(self) -> Option<Group> {
        Some(Group::Direct(Direct {
            connection: self.connection,
            events: self.refusal.map_or(Ok(self.events), Err),
        }))
    }
}

impl Groups {
    /// A reader that has asked for the binlog from `place` on, where a group starts.
    pub fn from(place: Place) -> Self {
        Self {
            place,
            format: None,
            open: None,
        }
    }

    /// Takes the bytes of the next event; gives the group that it completes.
    ///
    /// # Errors
    /// The binlog cannot be followed from here on: nothing more must be read.
    pub fn take(&mut self, bytes: Bytes) -> Result<Option<Group>, CaptureError> {
        let event = Event::new(bytes).map_err(|error| CaptureError::Event {
            place: self.place.clone(),
            error,
        })?;
        let kind = event.kind();
        if event.is_in_file() {
            self.advance(&event)?;
        } else if kind == Kind::ROTATE {
            return self.rotate(&event).map(|()| None);
        }
        let taken = match kind {
            Kind::FORMAT_DESCRIPTION => {
                self.format = Some(event.as_format_of_all());
                Ok(None)
            }
            Kind::STOP
            | Kind::ROTATE
            | Kind::PREVIOUS_GTIDS
            | Kind::MARIADB_GTID_LIST
            | Kind::MARIADB_BINLOG_CHECKPOINT
            | Kind::IGNORABLE
            | Kind::ROWS_QUERY
            | Kind::MARIADB_ANNOTATE_ROWS => Ok(None),
            Kind::GTID | Kind::ANONYMOUS_GTID | Kind::GTID_TAGGED | Kind::MARIADB_GTID => {
                self.start(&event)
            }
            Kind::QUERY => self.query(event),
            Kind::XID => self.finish().map(Open::direct),
            Kind::XA_PREPARE => self.prepare(&event),
            _ if kind == Kind::TABLE_MAP || kind.is_rows() => self.rows(event),
            Kind::PARTIAL_UPDATE_ROWS => self.refuse(Refusal::PartialRows),
            _ if kind.is_statement_context() => self.context(event),
            _ if kind.is_load() => self.refuse(Refusal::Statement),
            _ => return Err(self.strange(kind)),
        };
        taken.map_err(|Misplaced| self.malformed(kind))
    }

    /// What has been read up to here.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The place, where a reader can begin as well: no group is open there.
    pub fn boundary(&self) -> Option<&Place> {
        self.open.is_none().then_some(&self.place)
    }

    /// The event that says how the others are to be read, once it has come; the same for all servers
    /// that write them alike.
    pub fn format(&self) -> Option<&Event> {
        self.format.as_ref()
    }

    fn advance(&mut self, event: &Event) -> Result<(), CaptureError> {
        let length = event.bytes().len() as u64;
        let next = self.place.position + length;
        // The event holds only the low half of where it ends.
        if next as u32 != event.end() {
            let start = event.end().wrapping_sub(length as u32);
            return Err(self.gap(Place {
                file: self.place.file.clone(),
                position: start.into(),
            }));
        }
        self.place.position = next;
        Ok(())
    }

    /// The server goes on in another file, or says where it starts in the first one.
    fn rotate(&mut self, event: &Event) -> Result<(), CaptureError> {
        let next = Place::after_rotate(event.body());
        let next = next.ok_or_else(|| self.malformed(Kind::ROTATE))?;
        if next != self.place {
            if !self.place.is_followed_by(&next) {
                return Err(self.gap(next));
            }
            // A file that ends within a group: the server crashed, and the group never was.
            self.open = None;
            self.place = next;
        }
        Ok(())
    }

    fn start(&mut self, event: &Event) -> Result<Option<Group>, Misplaced> {
        if self.open.is_some() || self.format.is_none() {
            return Err(Misplaced);
        }
        self.open = Some(Open {
            events: Vec::new(),
            connection: None,
            has_statement: false,
            refusal: None,
            transaction: event.kind() == Kind::MARIADB_GTID
                && !is_standalone(event.body()).ok_or(Misplaced)?,
        });
        Ok(None)
    }

    fn query(&mut self, event: Event) -> Result<Option<Group>, Misplaced> {
        let query = Query::decode(event.body()).ok_or(Misplaced)?;
        let (statement, connection) = (Statement::of(query.text), query.connection);
        let open = self.open()?;
        open.connection.get_or_insert(connection);
        match statement {
            Statement::Begin => {
                open.transaction = true;
                Ok(None)
            }
            Statement::Inside => Ok(None),
            Statement::Other => {
                open.events.push(event);
                open.has_statement = true;
                if open.transaction {
                    return Ok(None);
                }
                self.finish().map(Open::direct)
            }
            Statement::Commit => self.finish().map(Open::direct),
            Statement::RollBack => self.finish().map(|_| None),
            Statement::Decide => self.finish().map(|_| Some(Group::Decided)),
        }
    }

    fn rows(&mut self, event: Event) -> Result<Option<Group>, Misplaced> {
        self.open()?.events.push(event);
        Ok(None)
    }

    /// What the next statement needs.
    fn context(&mut self, event: Event) -> Result<Option<Group>, Misplaced> {
        let open = self.open()?;
        if open.transaction {
            return self.refuse(Refusal::Statement);
        }
        open.events.push(event);
        open.has_statement = true;
        Ok(None)
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<Option<Group>, Misplaced> {
        self.open()?.refusal.get_or_insert(refusal);
        Ok(None)
    }

    fn prepare(&mut self, event: &Event) -> Result<Option<Group>, Misplaced> {
        let Prepare { one_phase, xid } = Prepare::decode(event.body()).ok_or(Misplaced)?;
        let open = self.finish()?;
        if one_phase {
            return Ok(open.direct());
        }
        let refusal = open.has_statement.then_some(Refusal::Statement);
        let rows = open.refusal.or(refusal).map_or(Ok(open.events), Err);
        Ok(Some(Group::Prepared { xid, rows }))
    }

    fn open(&mut self) -> Result<&mut Open, Misplaced> {
        self.open.as_mut().ok_or(Misplaced)
    }

    fn finish(&mut self) -> Result<Open, Misplaced> {
        self.open.take().ok_or(Misplaced)
    }

    fn gap(&self, found: Place) -> CaptureError {
        CaptureError::Gap {
            place: self.place.clone(),
            found,
        }
    }

    fn malformed(&self, Kind(kind): Kind) -> CaptureError {
        CaptureError::Malformed {
            place: self.place.clone(),
            kind,
        }
    }

    fn strange(&self, kind: Kind) -> CaptureError {
        let place = self.place.clone();
        match kind {
            Kind::INCIDENT => CaptureError::Incident { place },
            Kind::TRANSACTION_PAYLOAD => CaptureError::Compressed { place },
            _ if kind.is_mariadb_compressed() => CaptureError::Compressed { place },
            Kind(kind) => CaptureError::Unknown { place, kind },
        }
    }
}

/// Whether a MariaDB GTID event's group is one statement without an event at its end.
///
/// The body is the sequence number (8 bytes), the domain (4 bytes) and flags, of which the lowest
/// is `FL_STANDALONE`. Source: "GTID_EVENT" in MariaDB's protocol documentation.
fn is_standalone(body: &[u8]) -> Option<bool> {
    body.get(12).map(|flags| flags & 1 != 0)
}

#[cfg(test)]
mod tests;
