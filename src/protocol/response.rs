//! The server's answer to one command, packet by packet.
//!
//! A [`Response`] is told the head of each packet the server sends and says what comes next. It
//! holds no bytes and knows no socket.
//!
//! Sources: "Command Phase" in the MySQL source documentation, "Result Set Packets" in the MariaDB
//! protocol documentation.

use super::{
    capability::Capabilities,
    command::Shape,
    lenenc,
    packet::{END, Head, MAX_FRAME, OK},
};

const FILE: u8 = 0xfb;

/// `SERVER_STATUS_CURSOR_EXISTS`: the rows stay in the server until they are fetched.
const CURSOR: u16 = 1 << 6;
/// `SERVER_PS_OUT_PARAMS`.
const OUT_PARAMETERS: u16 = 1 << 12;
/// The error number of MariaDB's progress reports.
const PROGRESS_REPORT: [u8; 2] = [0xff, 0xff];

/// A packet that no server sends where it came.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the server sent a packet that cannot stand where it came ({state:?})")]
pub struct Unexpected {
    state: State,
}

/// Who speaks next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The server: the answer goes on.
    Server,
    /// The client, with the content of a file in packets up to an empty one; then the server.
    File,
    /// The client: the answer is complete.
    Command,
}

/// The status flags of an OK or an EOF packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub flags: u16,
    /// Where they stand in the payload, within its head: two bytes, little endian.
    pub at: usize,
}

impl Status {
    /// `SERVER_STATUS_IN_TRANS`.
    pub const IN_TRANSACTION: u16 = 1;
    pub const IN_READ_ONLY_TRANSACTION: u16 = 1 << 13;
    /// `SERVER_STATUS_AUTOCOMMIT`.
    pub const AUTOCOMMIT: u16 = 1 << 1;
    /// `SERVER_MORE_RESULTS_EXISTS`.
    pub const MORE_RESULTS: u16 = 1 << 3;
    /// `SERVER_STATUS_NO_BACKSLASH_ESCAPES`.
    pub const BACKSLASH_IS_PLAIN: u16 = 1 << 9;

    fn at(payload: &[u8], at: usize) -> Option<Self> {
        let flags = payload.get(at..)?.first_chunk()?;
        Some(Self {
            flags: u16::from_le_bytes(*flags),
            at,
        })
    }

    /// Of an OK packet, where they stand after the affected rows and the insert id.
    pub fn of_ok(payload: &[u8]) -> Option<Self> {
        let (_, rest) = lenenc::split(payload.get(1..)?)?;
        let (_, rest) = lenenc::split(rest)?;
        Self::at(payload, payload.len() - rest.len())
    }

    /// Of the packet that ends an answer, if that is no error.
    pub fn of_last(payload: &[u8]) -> Option<Self> {
        match payload {
            [OK, ..] => Self::of_ok(payload),
            _ => Self::of_end(payload),
        }
    }

    /// Of the packet after definitions or rows: an EOF, which has a length of 5 and the flags last,
    /// or the OK that stands in its place.
    fn of_end(payload: &[u8]) -> Option<Self> {
        match payload {
            [END, _, _, _, _] => Self::at(payload, 3),
            [END, ..] => Self::of_ok(payload),
            _ => None,
        }
    }
}

/// What the next packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Whatever it is, it ends the answer.
    Single,
    /// The start of a result.
    Result,
    /// The identity of a prepared statement.
    Prepared,
    /// One of `left` definitions; `left` is not 0.
    Definitions { left: u64, then: Then },
    /// The EOF after definitions.
    DefinitionsEnd(Then),
    /// A row, or the end of the rows. MySQL's OUT parameters are a result set that says only in
    /// the EOF after its definitions that `more` results follow.
    Rows { more: bool },
}

/// What follows definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Rows,
    /// The columns of a prepared statement, if it has any, after its parameters.
    Columns(Option<u64>),
    Nothing,
}

/// The state of an answer between two packets.
#[derive(Debug)]
pub struct Response {
    state: State,
    capabilities: Capabilities,
    status: Option<Status>,
}

impl Response {
    /// An answer of which nothing has come yet.
    pub fn new(shape: Shape, capabilities: Capabilities) -> Self {
        let state = match shape {
            Shape::Single => State::Single,
            Shape::Results => State::Result,
            Shape::Prepared => State::Prepared,
            Shape::Rows => State::Rows { more: false },
        };
        Self {
            state,
            capabilities,
            status: None,
        }
    }

    /// The status flags in the packet that was taken last, if it has any.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// Takes the server's next packet.
    ///
    /// # Errors
    /// The packet cannot stand here. The answer can no longer be followed.
    pub fn packet(&mut self, head: &Head) -> Result<Next, Unexpected> {
        let state = self.state;
        self.status = None;
        match state {
            State::Single => {
                self.status = match head.payload.first() {
                    Some(&OK) => Status::of_ok(head.payload),
                    _ => Status::of_end(head.payload),
                };
                Some(Next::Command)
            }
            _ if head.is_error() => Some(self.error(head)),
            State::Result => self.result(head),
            State::Prepared => self.prepared(head),
            State::Definitions { left: 1, then } => Some(self.after_definitions(then)),
            State::Definitions { left, then } => {
                self.state = State::Definitions {
                    left: left - 1,
                    then,
                };
                Some(Next::Server)
            }
            State::DefinitionsEnd(then) => self.definitions_end(head, then),
            State::Rows { more } => self.row(head, more),
        }
        .ok_or(Unexpected { state })
    }

    fn error(&self, head: &Head) -> Next {
        let reports_progress = self.capabilities.has(Capabilities::PROGRESS)
            && head.payload[1..].starts_with(&PROGRESS_REPORT);
        if reports_progress {
            Next::Server
        } else {
            Next::Command
        }
    }

    fn result(&mut self, head: &Head) -> Option<Next> {
        match *head.payload.first()? {
            OK => {
                self.status = Status::of_ok(head.payload);
                self.status.map(|status| self.result_end(status.flags))
            }
            END => self.end(head).map(|flags| self.result_end(flags)),
            FILE => Some(Next::File),
            _ => {
                let (columns, rest) = lenenc::split(head.payload)?;
                let described = rest.first() != Some(&0);
                Some(self.definitions(if described { columns } else { 0 }, Then::Rows))
            }
        }
    }

    fn prepared(&mut self, head: &Head) -> Option<Next> {
        let &[OK, _, _, _, _, c0, c1, p0, p1, ..] = head.payload else {
            return None;
        };
        let described = head.payload.get(12) != Some(&0);
        let group = |count| match u16::from_le_bytes(count) {
            0 => None,
            count => Some(if described { count.into() } else { 0 }),
        };
        let columns = group([c0, c1]);
        Some(match group([p0, p1]) {
            Some(parameters) => self.definitions(parameters, Then::Columns(columns)),
            None => self.prepared_columns(columns),
        })
    }

    fn prepared_columns(&mut self, columns: Option<u64>) -> Next {
        match columns {
            Some(columns) => self.definitions(columns, Then::Nothing),
            None => Next::Command,
        }
    }

    /// A group of definitions and its EOF, which comes even when the definitions are left out.
    fn definitions(&mut self, left: u64, then: Then) -> Next {
        if left == 0 {
            return self.after_definitions(then);
        }
        self.state = State::Definitions { left, then };
        Next::Server
    }

    fn after_definitions(&mut self, then: Then) -> Next {
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            return self.follow(then, 0);
        }
        self.state = State::DefinitionsEnd(then);
        Next::Server
    }

    fn definitions_end(&mut self, head: &Head, then: Then) -> Option<Next> {
        let status = self.end(head)?;
        // A cursor of a procedure's own leaves the flag set, and more results follow then.
        let ends = status & (CURSOR | Status::MORE_RESULTS) == CURSOR;
        if then == Then::Rows && ends {
            return Some(self.result_end(status));
        }
        Some(self.follow(then, status))
    }

    fn end(&mut self, head: &Head) -> Option<u16> {
        self.status = Status::of_end(head.payload);
        self.status.map(|status| status.flags)
    }

    fn follow(&mut self, then: Then, status: u16) -> Next {
        match then {
            Then::Rows => {
                let more = status & OUT_PARAMETERS != 0;
                self.state = State::Rows { more };
                Next::Server
            }
            Then::Columns(columns) => self.prepared_columns(columns),
            Then::Nothing => Next::Command,
        }
    }

    fn row(&mut self, head: &Head, more: bool) -> Option<Next> {
        let deprecated = self.capabilities.has(Capabilities::DEPRECATE_EOF);
        let end_below = if deprecated { MAX_FRAME } else { 9 };
        if head.payload.first() == Some(&END) && head.header.length < end_below {
            let status = self.end(head)?;
            return Some(self.result_end(if more {
                status | Status::MORE_RESULTS
            } else {
                status
            }));
        }
        Some(Next::Server)
    }

    fn result_end(&mut self, status: u16) -> Next {
        if status & Status::MORE_RESULTS == 0 {
            return Next::Command;
        }
        self.state = State::Result;
        Next::Server
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Next::{Command as C, File as F, Server as S};
    use proptest::prelude::*;

    const EOF: &[u8] = b"\xfe\0\0\x02\0";
    const EOF_MORE: &[u8] = b"\xfe\0\0\x0a\0";
    const EOF_OUT: &[u8] = b"\xfe\0\0\x0a\x10";
    const EOF_CURSOR: &[u8] = b"\xfe\0\0\x42\0";
    const EOF_OWN_CURSOR: &[u8] = b"\xfe\0\0\x4a\0";
    const OK_END: &[u8] = b"\xfe\0\0\x02\0\0\0";
    const OK_END_MORE: &[u8] = b"\xfe\0\0\x0a\0\0\0";
    const OK_END_CURSOR: &[u8] = b"\xfe\0\0\x42\0\0\0";
    const DONE: &[u8] = b"\0\0\0\x02\0\0\0";
    const DONE_MORE: &[u8] = b"\0\xfc\x01\x01\x05\x0a\0\0\0";
    const ERROR: &[u8] = b"\xff\x48\x04#HY000No";
    const PROGRESS: &[u8] = b"\xff\xff\xff\x01\x01\x02\0\0\0\x04copy";
    const DEFINITION: &[u8] = b"\x03def\0\0\0\x01a\0\x0c\x3f\0\x01\0\0\0\x03\x81\0\0\0\0";
    const ROW: &[u8] = b"\x011";

    fn head(payload: &[u8]) -> Head<'_> {
        let header = crate::protocol::packet::Header {
            length: payload.len() as u32,
            sequence: 0,
        };
        Head {
            header,
            payload: &payload[..payload.len().min(Head::LEN)],
        }
    }

    /// What is said after each packet; the answer must end with the last and not before.
    fn follow(shape: Shape, capabilities: Capabilities, packets: &[&[u8]]) {
        let mut response = Response::new(shape, capabilities);
        for (at, packet) in packets.iter().enumerate() {
            let expected = match (at + 1 == packets.len(), packet[0]) {
                (true, _) => C,
                (false, FILE) => F,
                (false, _) => S,
            };
            assert_eq!(
                response.packet(&head(packet)),
                Ok(expected),
                "packet {at} of {packets:?}"
            );
        }
    }

    #[test]
    fn answers_with_eof_packets() {
        let old = Capabilities::PROTOCOL_41;
        for (shape, packets) in [
            (Shape::Single, &[&b"Uptime: 1"[..]][..]),
            (Shape::Single, &[EOF]),
            (Shape::Results, &[DONE]),
            (Shape::Results, &[ERROR]),
            (Shape::Results, &[EOF]),
            (Shape::Results, &[PROGRESS]),
            (Shape::Results, &[DONE_MORE, DONE_MORE, ERROR]),
            (Shape::Results, &[b"\x01", DEFINITION, EOF, EOF]),
            (Shape::Results, &[b"\x01", DEFINITION, EOF_MORE, ROW, EOF]),
            (
                Shape::Results,
                &[b"\x02", DEFINITION, DEFINITION, EOF, ROW, ROW, ERROR],
            ),
            (
                Shape::Results,
                &[
                    b"\x01", DEFINITION, EOF, ROW, EOF_MORE, b"\x01", DEFINITION, EOF, EOF_MORE,
                    DONE,
                ],
            ),
            (Shape::Results, &[b"\x01", DEFINITION, ERROR]),
            (
                Shape::Results,
                &[b"\x02", DEFINITION, DEFINITION, EOF_CURSOR],
            ),
            (
                Shape::Results,
                &[b"\x01", DEFINITION, EOF_OWN_CURSOR, ROW, EOF_MORE, DONE],
            ),
            (Shape::Results, &[b"\x01\0", EOF, ROW, EOF]),
            (Shape::Results, &[b"\x01\x01", DEFINITION, EOF, ROW, EOF]),
            (Shape::Results, &[b"\xfb/tmp/f", DONE]),
            (Shape::Results, &[DONE_MORE, b"\xfb/tmp/f", DONE_MORE, DONE]),
            (Shape::Rows, &[ROW, ROW, EOF]),
            (Shape::Rows, &[DEFINITION, EOF]),
            (Shape::Rows, &[ERROR]),
            (Shape::Prepared, &[ERROR]),
            (Shape::Prepared, &[b"\0\x01\0\0\0\0\0\0\0\0\0\0"]),
            (
                Shape::Prepared,
                &[b"\0\x01\0\0\0\x01\0\0\0\0\0\0", DEFINITION, EOF],
            ),
            (
                Shape::Prepared,
                &[b"\0\x01\0\0\0\0\0\x02\0\0\0\0", DEFINITION, DEFINITION, EOF],
            ),
            (
                Shape::Prepared,
                &[
                    b"\0\x01\0\0\0\x01\0\x01\0\0\0\0",
                    DEFINITION,
                    EOF,
                    DEFINITION,
                    EOF,
                ],
            ),
            (
                Shape::Prepared,
                &[b"\0\x01\0\0\0\x01\0\x01\0\0\0\0\0", EOF, EOF],
            ),
            (
                Shape::Results,
                &[b"\x01", DEFINITION, EOF_OUT, ROW, EOF, DONE],
            ),
        ] {
            follow(shape, old, packets);
        }
    }

    #[test]
    fn answers_without_eof_packets() {
        let new = Capabilities::PROTOCOL_41 | Capabilities::DEPRECATE_EOF | Capabilities::PROGRESS;
        for (shape, packets) in [
            (Shape::Results, &[DONE][..]),
            (Shape::Results, &[PROGRESS, PROGRESS, DONE]),
            (Shape::Results, &[PROGRESS, ERROR]),
            (Shape::Results, &[b"\x01", DEFINITION, OK_END]),
            (
                Shape::Results,
                &[b"\x01", DEFINITION, ROW, ROW, OK_END_MORE, DONE],
            ),
            (Shape::Results, &[b"\x01", DEFINITION, OK_END_CURSOR]),
            (Shape::Results, &[b"\x01\0", ROW, OK_END]),
            (Shape::Rows, &[ROW, OK_END]),
            (Shape::Rows, &[DEFINITION, DEFINITION, EOF]),
            (
                Shape::Prepared,
                &[b"\0\x01\0\0\0\x01\0\x01\0\0\0\0", DEFINITION, DEFINITION],
            ),
        ] {
            follow(shape, new, packets);
        }
    }

    #[test]
    fn a_row_may_start_like_an_end_packet_when_it_is_long() {
        let long = |length| Head {
            header: crate::protocol::packet::Header {
                length,
                sequence: 0,
            },
            payload: b"\xfe\0\0\0\x01\0\0\0\0xxxxxxxxxxxxxxxxxxxxxxxxx",
        };
        for (capabilities, length) in [
            (Capabilities::PROTOCOL_41, 9),
            (Capabilities::DEPRECATE_EOF, MAX_FRAME),
        ] {
            let mut response = Response::new(Shape::Rows, capabilities);
            assert_eq!(response.packet(&long(length)), Ok(S));
        }
    }

    #[test]
    fn packets_out_of_place_are_errors() {
        for (shape, packet) in [
            (Shape::Results, &b""[..]),
            (Shape::Results, b"\0\0"),
            (Shape::Results, b"\xfc\x01"),
            (Shape::Results, b"\xfe\0"),
            (Shape::Prepared, b"\0\x01\0\0\0"),
            (Shape::Prepared, ROW),
            (Shape::Rows, b"\xfe\0"),
        ] {
            let mut response = Response::new(shape, Capabilities::PROTOCOL_41);
            assert!(response.packet(&head(packet)).is_err(), "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn no_packets_are_too_strange(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            capabilities: u64,
        ) {
            for shape in [Shape::Single, Shape::Results, Shape::Prepared, Shape::Rows] {
                let mut response = Response::new(shape, Capabilities(capabilities));
                for packet in &packets {
                    let _ = response.packet(&head(packet));
                }
            }
        }
    }
}
