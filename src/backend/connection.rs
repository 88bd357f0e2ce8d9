//! A connection of the node's own to its server.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Waker},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    time::timeout,
};

use super::{
    ConnectionError,
    login::{self, Login, Step},
};
use crate::{
    binlog::Place,
    config::Server,
    id::Family,
    net::connect,
    protocol::{
        command::Command,
        error, handshake, lenenc,
        packet::{self, END, ERR, Header, OK},
        response::Status,
    },
    sql::Dialect,
};

const NULL: u8 = 0xfb;

/// Servers end what is idle for 8 hours, or for how long their administrator has said. A year is the most they take.
const STAY: &str = "SET SESSION wait_timeout = 31536000";

/// The longest packet that is read, in bytes: servers make none above 1 GiB and their overhead.
const MAX_PACKET: usize = (1 << 30) + (1 << 20);

/// What a connection runs over.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A logged-in connection, which speaks the protocol of MySQL 4.1 without anything newer in it:
/// one statement at a time, an EOF after definitions and after rows.
pub struct Connection {
    socket: BufReader<Box<dyn Socket>>,
    /// The number of the next packet, whoever sends it.
    sequence: u8,
    version: String,
    id: u32,
}

impl Connection {
    /// No server takes a larger one, in bytes.
    pub const LARGEST_STATEMENT: usize = 1 << 30;

    /// Connects and logs in with the node's account.
    ///
    /// # Errors
    /// The server cannot be reached within its `connect_timeout`, or refuses the account.
    pub async fn open(server: &Server) -> Result<Self, ConnectionError> {
        let opened = async {
            let socket = connect(&server.address).await?;
            Self::log_in(Box::new(socket), server).await
        };
        timeout(server.connect_timeout, opened).await?
    }

    /// Logs in with the node's account through what leads to its server.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn over(
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        server: &Server,
    ) -> Result<Self, ConnectionError> {
        let opened = Self::log_in(Box::new(socket), server);
        timeout(server.connect_timeout, opened).await?
    }

    /// As [`open`](Self::open), for statements of so many bytes. A session has the limit that was global when it
    /// began, so that is raised for the moment if it is lower.
    ///
    /// # Errors
    /// As there, or the server refuses to raise its limit.
    pub async fn open_for(server: &Server, bytes: usize) -> Result<Self, ConnectionError> {
        let mut usual = Self::open(server).await?;
        let limits = "SELECT @@SESSION.max_allowed_packet, @@GLOBAL.max_allowed_packet";
        let rows = usual.query(limits).await?;
        let limit = |column| rows.first()?.text(column)?.parse::<usize>().ok();
        let (Some(own), Some(global)) = (limit(0), limit(1)) else {
            return Err(ConnectionError::Malformed("a setting"));
        };
        if bytes <= own {
            return Ok(usual);
        }
        let set = |bytes| format!("SET GLOBAL max_allowed_packet = {bytes}");
        usual.query(&set(Self::LARGEST_STATEMENT)).await?;
        let large = Self::open(server).await;
        usual.query(&set(global)).await?;
        large
    }

    async fn log_in(socket: Box<dyn Socket>, server: &Server) -> Result<Self, ConnectionError> {
        let mut connection = Self {
            socket: BufReader::new(socket),
            sequence: 0,
            version: String::new(),
            id: 0,
        };
        let greeting = connection.receive().await?;
        connection.version = login::version(&greeting)?;
        connection.id = handshake::connection_id(&greeting);
        let (mut login, answer) = Login::start(&greeting, &server.user, &server.password.0)?;
        connection.send(&answer).await?;
        loop {
            let packet = connection.receive().await?;
            match login.step(&packet)? {
                Step::Done => break,
                Step::Wait => {}
                Step::Answer(answer) => connection.send(&answer).await?,
            }
        }
        connection.query(STAY).await?;
        Ok(connection)
    }

    /// What the server calls this connection.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn is_mariadb(&self) -> bool {
        self.family() == Family::MariaDb
    }

    pub fn family(&self) -> Family {
        Family::of(&self.version)
    }

    /// How it reads statements.
    pub fn dialect(&self) -> Dialect {
        Dialect::of(self.version.as_bytes())
    }

    /// What the server calls itself, such as `10.11.6-MariaDB-log`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs a statement to its end and gives the rows of its result, if it has one; those of its first result, if it is
    /// a `CALL` that has several.
    ///
    /// # Errors
    /// The server refuses the statement, or the connection fails, which leaves it of no use.
    pub async fn query(
        &mut self,
        sql: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<Vec<Row>, ConnectionError> {
        self.command(Command::QUERY, sql.as_ref()).await?;
        let (rows, mut more_follow) = self.result().await?;
        while more_follow {
            (_, more_follow) = self.result().await?;
        }
        Ok(rows)
    }

    /// The rows of a result, and whether another one follows.
    async fn result(&mut self) -> Result<(Vec<Row>, bool), ConnectionError> {
        let head = self.receive().await?;
        if head.first() == Some(&OK) {
            return Ok((Vec::new(), more_follow(&head)));
        }
        let columns = match lenenc::split(&head) {
            Some((columns, [])) => columns as usize,
            _ => return Err(ConnectionError::Malformed("the head of a result")),
        };
        while !is_end(&self.receive().await?) {}
        let mut rows = Vec::new();
        loop {
            let packet = self.receive().await?;
            if is_end(&packet) {
                return Ok((rows, more_follow(&packet)));
            }
            let row = Row::decode(&packet, columns);
            rows.push(row.ok_or(ConnectionError::Malformed("a row"))?);
        }
    }

    /// Runs statements that have no results, sent in one write. The last ones run also when one
    /// before has failed.
    ///
    /// # Errors
    /// The server refuses one of the statements: the first error. Or the connection fails, which
    /// leaves it of no use.
    pub async fn run(&mut self, statements: &[String]) -> Result<(), ConnectionError> {
        let mut bytes = Vec::new();
        for statement in statements {
            packet::write(&mut bytes, 0, &Command::QUERY.with(statement.as_bytes()));
        }
        self.socket.get_mut().write_all(&bytes).await?;
        let mut result = Ok(());
        for _ in statements {
            self.sequence = 1;
            match self.receive().await {
                Ok(_) => {}
                Err(error @ ConnectionError::Server { .. }) => result = result.and(Err(error)),
                Err(error) => return Err(error),
            }
        }
        result
    }

    /// Runs statements one after the other that leave no trace in the binlog.
    ///
    /// # Errors
    /// The server refuses one of them, after which no more are run, or the connection fails.
    pub async fn run_unlogged<S: AsRef<str>>(
        &mut self,
        statements: &[S],
    ) -> Result<(), ConnectionError> {
        self.query("SET SESSION sql_log_bin = 0").await?;
        for statement in statements {
            self.query(statement.as_ref()).await?;
        }
        self.query("SET SESSION sql_log_bin = 1").await?;
        Ok(())
    }

    /// Runs statements in one transaction that leaves no trace in the binlog.
    ///
    /// # Errors
    /// See [`Self::run_unlogged`].
    pub async fn commit_unlogged(&mut self, statements: &[&str]) -> Result<(), ConnectionError> {
        // With `sql_mode = ORACLE`, which a definition may have set here, `BEGIN` begins a block.
        self.run_unlogged(&[&["START TRANSACTION"], statements, &["COMMIT"]].concat())
            .await
    }

    /// Starts a command.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) async fn command(
        &mut self,
        command: Command,
        rest: &[u8],
    ) -> Result<(), ConnectionError> {
        self.sequence = 0;
        self.send(&command.with(rest)).await
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let mut bytes = Vec::new();
        self.sequence = packet::write(&mut bytes, self.sequence, payload);
        Ok(self.socket.get_mut().write_all(&bytes).await?)
    }

    /// The next packet, whole. Memory is used as its bytes arrive, not as its header promises.
    ///
    /// # Errors
    /// The server has sent an ERR packet in its place, or the connection fails.
    pub(super) async fn receive(&mut self) -> Result<Bytes, ConnectionError> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; Header::LEN];
            self.socket.read_exact(&mut header).await?;
            let header = Header::decode(header);
            if header.sequence != self.sequence {
                return Err(match header.sequence {
                    // What nobody has asked for: MySQL says goodbye to who was idle for long.
                    0 => io::Error::from(io::ErrorKind::ConnectionAborted).into(),
                    _ => ConnectionError::Malformed("a sequence number"),
                });
            }
            self.sequence = self.sequence.wrapping_add(1);
            let end = payload.len() + header.length as usize;
            if end > MAX_PACKET {
                return Err(ConnectionError::Malformed("the length of a packet"));
            }
            let mut part = (&mut self.socket).take(header.length.into());
            part.read_to_end(&mut payload).await?;
            if payload.len() < end {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if !header.continues() {
                break;
            }
        }
        if payload.first() == Some(&ERR) {
            return Err(error::decode(&payload).map_or(
                ConnectionError::Malformed("an error"),
                |(number, message)| ConnectionError::Server { number, message },
            ));
        }
        Ok(payload.into())
    }
}

impl Drop for Connection {
    /// Says goodbye if that needs no waiting, or the server logs the end as an aborted connection.
    fn drop(&mut self) {
        let mut quit = Vec::new();
        packet::write(&mut quit, 0, &Command::QUIT.with(b""));
        let mut context = Context::from_waker(Waker::noop());
        let _ = Pin::new(self.socket.get_mut()).poll_write(&mut context, &quit);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} of the node", self.id)
    }
}

/// An EOF packet: shorter than any row that starts with the same byte.
fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&END) && packet.len() < 9
}

/// Whether the last packet of a result is followed by another result.
fn more_follow(last: &[u8]) -> bool {
    Status::of_last(last).is_some_and(|status| status.flags & Status::MORE_RESULTS != 0)
}

/// A row of a result, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<Option<Bytes>>);

impl Row {
    /// The place in the binlog that two columns name, from this one on.
    pub fn place(&self, column: usize) -> Option<Place> {
        Some(Place {
            file: self.text(column)?.to_owned(),
            position: self.text(column + 1)?.parse().ok()?,
        })
    }

    /// Reads the packet of a row of text.
    ///
    /// | bytes | field |
    /// |---|---|
    /// | 1 | 0xfb for NULL; nothing else follows |
    /// | lenenc | length of the value |
    /// | … | value |
    pub fn decode(packet: &Bytes, columns: usize) -> Option<Self> {
        let mut rest = &packet[..];
        let mut values = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(&[NULL]) {
                values.push(None);
                rest = after;
            } else {
                let (length, after) = lenenc::split(rest)?;
                let (value, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
                values.push(Some(packet.slice_ref(value)));
                rest = after;
            }
        }
        (values.len() == columns).then_some(Self(values))
    }

    /// The value of a column, counted from 0; `None` for NULL, for no such column, and for what is
    /// not UTF-8.
    pub fn text(&self, column: usize) -> Option<&str> {
        str::from_utf8(self.0.get(column)?.as_deref()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_split_into_its_values() {
        for (bytes, columns, expected) in [
            (
                &b"\x01a\xfb\x00"[..],
                3,
                Some(vec![Some("a"), None, Some("")]),
            ),
            (b"\x01a", 2, None),
            (b"\x02a", 1, None),
            (b"\x01a\x01b", 1, None),
            (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", 1, None),
        ] {
            let row = Row::decode(&Bytes::from_static(bytes), columns);
            let values = row.map(|row| {
                (0..columns)
                    .map(|at| row.text(at).map(str::to_owned))
                    .collect::<Vec<_>>()
            });
            let expected =
                expected.map(|values| values.into_iter().map(|v| v.map(str::to_owned)).collect());
            assert_eq!(values, expected, "{bytes:?}");
        }
    }
}
