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
    const SLEEP: u8 = 0x00;
    const QUIT: u8 = 0x01;
    const QUERY: u8 = 0x03;
    const FIELD_LIST: u8 = 0x04;
    const PROCESS_INFO: u8 = 0x0a;
    const CHANGE_USER: u8 = 0x11;
    const BINLOG_DUMP: u8 = 0x12;
    const STMT_PREPARE: u8 = 0x16;
    const STMT_EXECUTE: u8 = 0x17;
    const STMT_SEND_LONG_DATA: u8 = 0x18;
    const STMT_CLOSE: u8 = 0x19;
    const STMT_FETCH: u8 = 0x1c;
    const BINLOG_DUMP_GTID: u8 = 0x1e;
    const CLONE: u8 = 0x20;
    const SUBSCRIBE_GROUP_REPLICATION: u8 = 0x21;
    /// MariaDB's bulk execution.
    const STMT_BULK_EXECUTE: u8 = 0xfa;

    /// The command in a packet. Servers take an empty packet for `COM_SLEEP`.
    pub fn of(payload: &[u8]) -> Self {
        Self(payload.first().copied().unwrap_or(Self::SLEEP))
    }

    /// What the server answers. A command that no server knows is answered by one ERR packet.
    pub fn reply(self) -> Reply {
        match self.0 {
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
