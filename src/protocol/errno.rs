//! Errors of MySQL that a node answers with itself.
//! Source: the server error reference of the MySQL manual.

/// An error number and the SQLSTATE that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    pub number: u16,
    pub state: &'static [u8; 5],
}

impl ErrorCode {
    const fn new(number: u16, state: &'static [u8; 5]) -> Self {
        Self { number, state }
    }
}

/// `ER_HANDSHAKE_ERROR`: the client's first packet is of no use.
pub const HANDSHAKE: ErrorCode = ErrorCode::new(1043, b"08S01");

/// `ER_UNKNOWN_COM_ERROR`: what Galera answers when a node cannot serve, so drivers and pools that
/// know Galera treat it as "try another node".
pub const UNKNOWN_COMMAND: ErrorCode = ErrorCode::new(1047, b"08S01");

/// `ER_LOCK_DEADLOCK`: clients run their transaction again.
pub const DEADLOCK: ErrorCode = ErrorCode::new(1213, b"40001");

/// What servers say with it; some clients read it.
pub const DEADLOCK_MESSAGE: &str =
    "Deadlock found when trying to get lock; try restarting transaction";

/// `ER_ERROR_DURING_COMMIT`.
pub const ERROR_DURING_COMMIT: ErrorCode = ErrorCode::new(1180, b"HY000");

/// `ER_MALFORMED_PACKET`.
pub const MALFORMED_PACKET: ErrorCode = ErrorCode::new(1835, b"HY000");

/// `ER_UNKNOWN_ERROR`.
pub const UNKNOWN_ERROR: ErrorCode = ErrorCode::new(1105, b"HY000");

/// `ER_NOT_SUPPORTED_YET`.
pub const NOT_SUPPORTED_YET: ErrorCode = ErrorCode::new(1235, b"42000");

/// `ER_WRONG_ARGUMENTS`.
pub const WRONG_ARGUMENTS: ErrorCode = ErrorCode::new(1210, b"HY000");

/// `ER_WRONG_VALUE_FOR_VAR`.
pub const WRONG_VALUE_FOR_VARIABLE: ErrorCode = ErrorCode::new(1231, b"42000");

/// `ER_WRONG_TYPE_FOR_VAR`.
pub const WRONG_TYPE_FOR_VARIABLE: ErrorCode = ErrorCode::new(1232, b"42000");

/// `ER_UNKNOWN_SYSTEM_VARIABLE`.
pub const UNKNOWN_SYSTEM_VARIABLE: ErrorCode = ErrorCode::new(1193, b"HY000");

/// `ER_LOCK_WAIT_TIMEOUT`.
pub const LOCK_WAIT_TIMEOUT: ErrorCode = ErrorCode::new(1205, b"HY000");

/// `ER_LOCK_OR_ACTIVE_TRANSACTION`.
pub const LOCKED_TABLES: ErrorCode = ErrorCode::new(1192, b"HY000");

/// `ER_QUERY_INTERRUPTED`.
pub const QUERY_INTERRUPTED: ErrorCode = ErrorCode::new(1317, b"70100");

/// `ER_NET_PACKET_TOO_LARGE`.
pub const PACKET_TOO_LARGE: ErrorCode = ErrorCode::new(1153, b"08S01");

/// `ER_SECURE_TRANSPORT_REQUIRED`.
pub const INSECURE_TRANSPORT: ErrorCode = ErrorCode::new(3159, b"HY000");

/// What servers say with it.
pub const INSECURE_TRANSPORT_MESSAGE: &str =
    "Connections using insecure transport are prohibited while --require_secure_transport=ON.";

/// After these the server has rolled the transaction back, or an XA transaction can only be rolled
/// back: `ER_LOCK_DEADLOCK`, `ER_XA_RBROLLBACK`, `ER_XA_RBTIMEOUT`, `ER_XA_RBDEADLOCK`.
pub const ROLLED_BACK: [u16; 4] = [1213, 1402, 1613, 1614];

/// After these it may have: `ER_CHECKREAD`, `ER_LOCK_WAIT_TIMEOUT` (with `innodb_rollback_on_timeout`),
/// `ER_LOCK_TABLE_FULL`, and `ER_AUTOINC_READ_FAILED`, by which MariaDB tells of a deadlock about its
/// lock for AUTO_INCREMENT.
pub const PERHAPS_ROLLED_BACK: [u16; 4] = [1020, 1205, 1206, 1467];

/// Before these a statement has not come to its tables, and does not start a transaction: `ER_NO_DB_ERROR`,
/// `ER_BAD_DB_ERROR`, `ER_PARSE_ERROR`, `ER_NONUNIQ_TABLE`, `ER_NO_SUCH_TABLE`, `ER_UNKNOWN_STMT_HANDLER`, `ER_UNSUPPORTED_PS`, `ER_SP_DOES_NOT_EXIST`, and
/// [`READ_ONLY_TRANSACTION`].
pub const STARTS_NOTHING: [u16; 9] = [
    1046,
    1049,
    1064,
    1066,
    1146,
    1243,
    1295,
    1305,
    READ_ONLY_TRANSACTION,
];

/// `ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION`.
pub const READ_ONLY_TRANSACTION: u16 = 1792;

/// `ER_XAER_RMFAIL`: inside an XA transaction, a statement that would end it, or any where it can only be rolled back.
pub const NOT_INSIDE_XA: u16 = 1399;
