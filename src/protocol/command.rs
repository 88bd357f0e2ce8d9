//! What a client asks for, and the shape of what the server says to it.

/// The first byte of a command.
///
/// Sources: `enum_server_command` in the MySQL source documentation; MariaDB's additions in its
/// protocol documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command(pub u8);

/// The shape of the server's answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Nothing, even when the command fails.
    None,
    /// Nothing but the end of the connection.
    Close,
    /// Packets up to one that ends them.
    Packets(Shape),
    /// An authentication as after the client's answer to the greeting.
    Authentication,
    /// A stream in which either side speaks when it likes, to the end of the connection.
    Stream,
}

/// The packets of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One packet, whatever it is.
    Single,
    /// An OK, an ERR, a request for a file or a result set, and again while there are more results.
    Results,
    /// A prepared statement and the definitions of its parameters and columns.
    Prepared,
    /// Rows or definitions up to an end packet.
    Rows,
}

impl Command {
    pub const SLEEP: Self = Self(0x00);
    pub const QUIT: Self = Self(0x01);
    pub const QUERY: Self = Self(0x03);
    pub const FIELD_LIST: Self = Self(0x04);
    pub const PROCESS_INFO: Self = Self(0x0a);
    pub const CHANGE_USER: Self = Self(0x11);
    pub const BINLOG_DUMP: Self = Self(0x12);
    pub const STMT_PREPARE: Self = Self(0x16);
    pub const STMT_EXECUTE: Self = Self(0x17);
    pub const STMT_SEND_LONG_DATA: Self = Self(0x18);
    pub const STMT_CLOSE: Self = Self(0x19);
    pub const STMT_FETCH: Self = Self(0x1c);
    pub const SET_OPTION: Self = Self(0x1b);
    pub const BINLOG_DUMP_GTID: Self = Self(0x1e);
    pub const RESET_CONNECTION: Self = Self(0x1f);
    pub const CLONE: Self = Self(0x20);
    pub const SUBSCRIBE_GROUP_REPLICATION: Self = Self(0x21);
    /// MariaDB's bulk execution.
    pub const STMT_BULK_EXECUTE: Self = Self(0xfa);

    /// The command in a packet. Servers take an empty packet for `COM_SLEEP`.
    pub fn of(payload: &[u8]) -> Self {
        payload.first().copied().map_or(Self::SLEEP, Self)
    }

    /// The packet that asks for this with what belongs to it.
    pub fn with(self, rest: &[u8]) -> Vec<u8> {
        [&[self.0], rest].concat()
    }

    /// What the server answers. A command that no server knows is answered by one ERR packet.
    pub fn reply(self) -> Reply {
        match self {
            Self::QUIT => Reply::Close,
            Self::STMT_SEND_LONG_DATA | Self::STMT_CLOSE => Reply::None,
            Self::QUERY | Self::PROCESS_INFO | Self::STMT_EXECUTE | Self::STMT_BULK_EXECUTE => {
                Reply::Packets(Shape::Results)
            }
            Self::STMT_PREPARE => Reply::Packets(Shape::Prepared),
            Self::FIELD_LIST | Self::STMT_FETCH => Reply::Packets(Shape::Rows),
            Self::CHANGE_USER => Reply::Authentication,
            Self::BINLOG_DUMP
            | Self::BINLOG_DUMP_GTID
            | Self::CLONE
            | Self::SUBSCRIBE_GROUP_REPLICATION => Reply::Stream,
            _ => Reply::Packets(Shape::Single),
        }
    }
}
