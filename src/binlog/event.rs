//! One event of the binlog.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | time of the statement, in seconds |
//! | 1 | kind |
//! | 4 | id of the server that wrote it |
//! | 4 | length of the event, header and checksum included |
//! | 4 | where it ends in its file, modulo 2^32; 0 for one that stands in no file |
//! | 2 | flags |
//! | … | body |
//! | 4 | CRC32 of all that is before |
//!
//! Integers are little-endian. Sources: "Binary Log Event" in the MySQL source documentation,
//! "Binlog Event Header" in MariaDB's protocol documentation.

use bytes::Bytes;

const KIND: usize = 4;
const LENGTH: usize = 9;
const END: usize = 13;
const FLAGS: usize = 17;
const HEADER_BYTES: usize = 19;
const CHECKSUM_BYTES: usize = 4;

/// Where the flags of a row event are in its body.
const ROWS_FLAGS: usize = 6;

/// `STMT_END_F`.
const STATEMENT_END: u8 = 1;

/// `NO_FOREIGN_KEY_CHECKS_F`.
const NO_FOREIGN_KEYS: u8 = 2;

/// `LOG_EVENT_SUPPRESS_USE_F`: the statement does not depend on its default schema, which it may make
/// or remove.
const SUPPRESS_USE: u16 = 8;

/// `LOG_EVENT_ARTIFICIAL_F`: made up for the reader, and not in the file.
const ARTIFICIAL: u16 = 0x20;

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    pub const QUERY: Self = Self(2);
    pub const STOP: Self = Self(3);
    pub const ROTATE: Self = Self(4);
    pub const INTVAR: Self = Self(5);
    pub const RAND: Self = Self(13);
    pub const USER_VARIABLE: Self = Self(14);
    pub const FORMAT_DESCRIPTION: Self = Self(15);
    pub const XID: Self = Self(16);
    pub const TABLE_MAP: Self = Self(19);
    pub const INCIDENT: Self = Self(26);
    /// Not in the binlog: that the server is there, and has no more of it.
    pub const HEARTBEAT: Self = Self(27);
    pub const IGNORABLE: Self = Self(28);
    pub const ROWS_QUERY: Self = Self(29);
    pub const GTID: Self = Self(33);
    pub const ANONYMOUS_GTID: Self = Self(34);
    pub const PREVIOUS_GTIDS: Self = Self(35);
    pub const XA_PREPARE: Self = Self(38);
    pub const PARTIAL_UPDATE_ROWS: Self = Self(39);
    pub const TRANSACTION_PAYLOAD: Self = Self(40);
    pub const HEARTBEAT_V2: Self = Self(41);
    pub const GTID_TAGGED: Self = Self(42);
    pub const MARIADB_ANNOTATE_ROWS: Self = Self(160);
    pub const MARIADB_BINLOG_CHECKPOINT: Self = Self(161);
    pub const MARIADB_GTID: Self = Self(162);
    pub const MARIADB_GTID_LIST: Self = Self(163);

    /// The kind of an event that has not been looked at yet, if these bytes are one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.get(KIND).copied().map(Self)
    }

    /// Rows that were written, changed or removed, in either version of the event.
    pub fn is_rows(self) -> bool {
        matches!(self.0, 23..=25 | 30..=32)
    }

    /// What the next statement needs beside its own event.
    pub fn is_statement_context(self) -> bool {
        matches!(self, Self::INTVAR | Self::RAND | Self::USER_VARIABLE)
    }

    /// A file that a statement loads, or that statement: rows that are logged as such.
    pub fn is_load(self) -> bool {
        matches!(self.0, 17 | 18)
    }

    /// An event whose content is compressed, as MariaDB's `log_bin_compress` has it.
    pub fn is_mariadb_compressed(self) -> bool {
        matches!(self.0, 165..=171)
    }
}

/// Bytes that are not an event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EventError {
    #[error("{0} bytes are too few for an event")]
    Short(usize),
    #[error("an event of {stated} bytes came in {actual}")]
    Length { stated: u32, actual: usize },
    #[error(
        "the event that ends at {end} is damaged: its CRC32 is {stated:08x}, its bytes give {actual:08x}; \
        if the server has binlog_checksum=NONE, run SET GLOBAL binlog_checksum=CRC32"
    )]
    Checksum { end: u32, stated: u32, actual: u32 },
}

/// An event whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(Bytes);

impl Event {
    /// Takes the whole of an event.
    ///
    /// # Errors
    /// The length or the checksum is wrong.
    pub fn new(bytes: Bytes) -> Result<Self, EventError> {
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES {
            return Err(EventError::Short(bytes.len()));
        }
        let event = Self(bytes);
        let (stated, actual) = (event.u32(LENGTH), event.0.len());
        if stated as usize != actual {
            return Err(EventError::Length { stated, actual });
        }
        let end = actual - CHECKSUM_BYTES;
        let (stated, actual) = (event.u32(end), crc32fast::hash(&event.0[..end]));
        if stated != actual {
            let end = event.end();
            return Err(EventError::Checksum {
                end,
                stated,
                actual,
            });
        }
        Ok(event)
    }

    pub fn kind(&self) -> Kind {
        Kind(self.0[KIND])
    }

    /// When its statement was begun, in seconds since 1970.
    pub fn second(&self) -> u32 {
        self.u32(0)
    }

    /// Where the event ends in its file, modulo 2^32.
    pub fn end(&self) -> u32 {
        self.u32(END)
    }

    /// Whether the event stands in the file, and not only in this stream of it.
    pub fn is_in_file(&self) -> bool {
        self.flags() & ARTIFICIAL == 0 && self.end() != 0
    }

    /// Whether a statement is to be run in its default schema.
    pub fn uses_schema(&self) -> bool {
        self.flags() & SUPPRESS_USE == 0
    }

    fn flags(&self) -> u16 {
        u16::from_le_bytes([self.0[FLAGS], self.0[FLAGS + 1]])
    }

    /// This row event, with the flag that it is its statement's last.
    pub fn ending_a_statement(&self) -> Self {
        self.with_rows_flag(STATEMENT_END)
    }

    /// Whether this row event says that foreign keys do nothing.
    pub fn is_without_foreign_keys(&self) -> bool {
        let flags = self.body().get(ROWS_FLAGS);
        flags.is_some_and(|flags| flags & NO_FOREIGN_KEYS != 0)
    }

    /// This row event, with the flag that its rows are changed as they are, and foreign keys do nothing.
    pub fn without_foreign_keys(&self) -> Self {
        self.with_rows_flag(NO_FOREIGN_KEYS)
    }

    fn with_rows_flag(&self, flag: u8) -> Self {
        self.with(|bytes| {
            if let Some(flags) = bytes.get_mut(HEADER_BYTES + ROWS_FLAGS) {
                *flags |= flag;
            }
        })
    }

    /// This format description, without what is of one server at one time: equal for all servers
    /// that write their events alike.
    ///
    /// | bytes of its body | field |
    /// |---|---|
    /// | 2 + 50 | version of the binlog, version of the server |
    /// | 4 | when the server started, or 0 |
    /// | … | how long the fixed parts of events are, kind of checksum |
    pub fn as_format_of_all(&self) -> Self {
        self.with(|bytes| {
            let created = HEADER_BYTES + 52;
            for range in [
                0..KIND,
                KIND + 1..LENGTH,
                END..HEADER_BYTES,
                created..created + 4,
            ] {
                if let Some(bytes) = bytes.get_mut(range) {
                    bytes.fill(0);
                }
            }
        })
    }

    /// This event with a change of its bytes, and the checksum that they have then.
    fn with(&self, change: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = self.0.to_vec();
        let (content, checksum) = bytes.split_at_mut(self.0.len() - CHECKSUM_BYTES);
        change(content);
        checksum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        Self(bytes.into())
    }

    /// What is between header and checksum.
    pub fn body(&self) -> &[u8] {
        &self.0[HEADER_BYTES..self.0.len() - CHECKSUM_BYTES]
    }

    /// The whole event, as `BINLOG` takes it.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    fn u32(&self, at: usize) -> u32 {
        let bytes = self.0[at..at + 4].try_into();
        u32::from_le_bytes(bytes.expect("a slice of four bytes"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An event that ends at `end` of its file.
    pub(crate) fn event(kind: Kind, end: u32, body: &[u8]) -> Event {
        let length = (HEADER_BYTES + body.len() + CHECKSUM_BYTES) as u32;
        let mut bytes = vec![0; 4];
        bytes.push(kind.0);
        bytes.extend(7u32.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(end.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Event::new(bytes.into()).unwrap()
    }

    #[test]
    fn an_event_has_its_parts() {
        let event = event(Kind::QUERY, 300, b"abc");
        assert_eq!(event.kind(), Kind::QUERY);
        assert_eq!(event.end(), 300);
        assert_eq!(event.body(), b"abc");
        assert!(event.is_in_file());
    }

    #[test]
    fn row_events_get_flags() {
        let rows = event(Kind(30), 300, &[1, 0, 0, 0, 0, 0, 0x10, 0, 9]);
        let flagged = rows.without_foreign_keys().ending_a_statement();
        assert_eq!(flagged.body(), [1, 0, 0, 0, 0, 0, 0x13, 0, 9]);
        assert_eq!(Event::new(flagged.bytes().clone()), Ok(flagged));
    }

    #[test]
    fn what_is_made_up_is_not_in_the_file() {
        assert!(!event(Kind::ROTATE, 0, b"").is_in_file());
        let mut bytes = event(Kind::ROTATE, 9, b"").0.to_vec();
        bytes[FLAGS] = ARTIFICIAL as u8;
        let end = bytes.len() - CHECKSUM_BYTES;
        let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        assert!(!Event::new(bytes.into()).unwrap().is_in_file());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(body: Vec<u8>, at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = event(Kind::QUERY, 300, &body).0.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Event::new(bytes.into()).is_err());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            prop_assert!(Event::new(bytes.into()).is_err());
        }
    }
}
