//! Error numbers of MySQL that a node answers with itself.
//! Source: the server error reference of the MySQL manual.

/// `ER_UNKNOWN_COM_ERROR`, SQLSTATE 08S01: what Galera answers when a node cannot serve, so
/// drivers and pools that know Galera treat it as "try another node".
pub const UNKNOWN_COMMAND: u16 = 1047;
