//! Errors of MySQL that a node answers with itself.
//! Source: the server error reference of the MySQL manual.

/// An error number and the SQLSTATE that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    pub number: u16,
    pub state: &'static [u8; 5],
}

/// `ER_HANDSHAKE_ERROR`: the client's first packet is of no use.
pub const HANDSHAKE: ErrorCode = ErrorCode {
    number: 1043,
    state: b"08S01",
};

/// `ER_UNKNOWN_COM_ERROR`: what Galera answers when a node cannot serve, so drivers and pools that
/// know Galera treat it as "try another node".
pub const UNKNOWN_COMMAND: ErrorCode = ErrorCode {
    number: 1047,
    state: b"08S01",
};

/// `ER_MALFORMED_PACKET`.
pub const MALFORMED_PACKET: ErrorCode = ErrorCode {
    number: 1835,
    state: b"HY000",
};
