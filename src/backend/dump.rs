//! The server's binlog, as it sends it to its replicas.

use std::time::Duration;

use bytes::Bytes;

use super::{Connection, ConnectionError};
use crate::{
    binlog::{Kind, Place},
    protocol::command::Command,
};

/// How often a server that has sent all of its binlog is to say that it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// `BINLOG_SEND_ANNOTATE_ROWS_EVENT`: without it MariaDB leaves those events out, and nobody could
/// tell that from a gap. To MySQL the flag asks for newer heartbeats, `USE_HEARTBEAT_EVENT_V2`.
const SEND_ANNOTATE_ROWS: u16 = 2;

/// `BINLOG_DUMP_NON_BLOCK`: the server ends where its binlog does.
const NON_BLOCK: u16 = 1;

/// The server no longer has the binlog that was asked for: `ER_MASTER_FATAL_ERROR_READING_BINLOG`.
pub(super) const NO_SUCH_BINLOG: u16 = 1236;

/// A parse error: what an older server says to a statement that it does not have.
const SYNTAX_ERROR: u16 = 1064;

/// Where the server's binlog ends now, which is between two groups.
///
/// # Errors
/// The connection fails, or the server has no binlog.
pub async fn end_of_binlog(connection: &mut Connection) -> Result<Place, ConnectionError> {
    const OF_ALL: &str = "SHOW MASTER STATUS";
    // MySQL has had it since 8.2, and since 8.4 no other.
    const OF_MYSQL: &str = "SHOW BINARY LOG STATUS";
    let rows = if connection.is_mariadb() {
        connection.query(OF_ALL).await?
    } else {
        match connection.query(OF_MYSQL).await {
            Err(ConnectionError::Server {
                number: SYNTAX_ERROR,
                ..
            }) => connection.query(OF_ALL).await?,
            rows => rows?,
        }
    };
    let place = rows.first().and_then(|row| row.place(0));
    place.ok_or(ConnectionError::Malformed("a binlog status"))
}

/// What a server does that has sent all of its binlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTheEnd {
    Wait,
    /// It sends no more; to ask for more is an error.
    Stop,
}

/// What a server sends.
#[derive(Debug)]
pub enum Sent {
    Event(Bytes),
    /// It has sent all of its binlog.
    Heartbeat,
}

/// A connection on which the server sends its binlog, event by event.
#[derive(Debug)]
pub struct Dump(Connection);

impl Dump {
    /// Asks for everything from `place` on. `reader` is a server id that no other reader of this
    /// server has: the server ends the older of two.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn start(
        mut connection: Connection,
        place: &Place,
        reader: u32,
        at_the_end: AtTheEnd,
    ) -> Result<Self, ConnectionError> {
        let flags = match at_the_end {
            AtTheEnd::Wait => SEND_ANNOTATE_ROWS,
            AtTheEnd::Stop => SEND_ANNOTATE_ROWS | NON_BLOCK,
        };
        // That the reader knows of checksums, in the words of either family and age; and of every
        // event of MariaDB's, whose place others would take.
        let heartbeat = HEARTBEAT.as_nanos();
        let knows = format!(
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', \
            @mariadb_slave_capability = 4, @master_heartbeat_period = {heartbeat}, \
            @source_heartbeat_period = {heartbeat}"
        );
        connection.query(&knows).await?;
        let position = u32::try_from(place.position);
        let position = position.map_err(|_| ConnectionError::Far(place.clone()))?;
        // | 4 position | 2 flags | 4 server id | … file |
        let request = [
            &position.to_le_bytes()[..],
            &flags.to_le_bytes(),
            &reader.to_le_bytes(),
            place.file.as_bytes(),
        ];
        connection
            .command(Command::BINLOG_DUMP, &request.concat())
            .await?;
        Ok(Self(connection))
    }

    /// What comes next, once it is there.
    ///
    /// Not safe to drop while it waits: a part of the event would be lost.
    ///
    /// # Errors
    /// The connection fails, or the server cannot go on.
    pub async fn next(&mut self) -> Result<Sent, ConnectionError> {
        let mut packet = self.0.receive().await?;
        if packet.first() != Some(&0) {
            return Err(ConnectionError::Malformed("a packet of its binlog"));
        }
        let event = packet.split_off(1);
        Ok(match Kind::of(&event) {
            Some(Kind::HEARTBEAT | Kind::HEARTBEAT_V2) => Sent::Heartbeat,
            _ => Sent::Event(event),
        })
    }
}
