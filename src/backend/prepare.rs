//! What a node needs of its server: settings, and two schemas of its own.

use tracing::info;

use super::{Connection, ConnectionError};
use crate::{config::AutoIncrement, id::TransactionId};

/// The global variables that a node depends on. A server has those of its own family.
const SETTINGS: [(&str, &str); 11] = [
    ("binlog_format", "ROW"),
    ("binlog_row_image", "FULL"),
    ("binlog_row_metadata", "FULL"),
    ("binlog_checksum", "CRC32"),
    // Rows in a form that is not the table's.
    ("binlog_row_value_options", ""),
    ("binlog_transaction_compression", "OFF"),
    ("log_bin_compress", "OFF"),
    // MySQL: temporary tables can be used inside XA transactions only with this (error 4091).
    ("xa_detach_on_prepare", "OFF"),
    // What events write commits at once, and on every node.
    ("event_scheduler", "OFF"),
    // After so many connections in a row that broke off before their login a server refuses the address that they
    // came from. All clients come from the node's, and a balancer may only look whether somebody listens.
    ("max_connect_errors", "4294967295"),
    // A node knows what a session sets, and not what it starts with.
    ("completion_type", "NO_CHAIN"),
];

/// The schemas, made without a trace in the binlog: every node has its own. All accounts need the right
/// to change their session's mark, and only the row in `mysql.db` gives it to all of them. Nobody writes to `nothing`: who reads it
/// waits for nobody, and has a snapshot. What is not theirs is in `trireme_private`, of which only `named_lock` and `event_run` are replicated.
/// The last statement makes it complete.
const SCHEMAS: [&str; 13] = [
    "CREATE DATABASE IF NOT EXISTS trireme",
    "INSERT IGNORE INTO mysql.db (Host, Db, User, Select_priv, Update_priv) \
        VALUES ('%', 'trireme', '', 'Y', 'Y')",
    "FLUSH PRIVILEGES",
    "CREATE TABLE IF NOT EXISTS trireme.mark (\
        slot INT UNSIGNED NOT NULL PRIMARY KEY, \
        txn VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
        previous VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trireme.nothing (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB",
    "CREATE DATABASE IF NOT EXISTS trireme_private",
    "CREATE TABLE IF NOT EXISTS trireme_private.definition (\
        id TINYINT UNSIGNED NOT NULL PRIMARY KEY, \
        seqno BIGINT UNSIGNED NOT NULL, \
        txn VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
        connection BIGINT UNSIGNED NOT NULL, \
        file VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
        place BIGINT UNSIGNED NOT NULL, \
        flush_log BIGINT UNSIGNED NOT NULL, \
        sync_binlog BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trireme_private.backdoor_commit (\
        id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
        file VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
        place BIGINT UNSIGNED NOT NULL, \
        what TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trireme_private.bookmark (\
        id TINYINT UNSIGNED NOT NULL PRIMARY KEY, \
        node CHAR(16) CHARACTER SET ascii NOT NULL, \
        file VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
        place BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trireme_private.named_lock (\
        name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, \
        holder VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
        connection BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trireme_private.event_run (\
        event_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
        event_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
        due BIGINT UNSIGNED NOT NULL, \
        PRIMARY KEY (event_schema, event_name)) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS trireme_private.position (\
        id TINYINT UNSIGNED NOT NULL PRIMARY KEY, \
        seqno BIGINT UNSIGNED NOT NULL, \
        fence BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
    "INSERT IGNORE INTO trireme_private.position VALUES (0, 0, 0)",
];

/// What a server says that has not got the schemas: `ER_BAD_DB_ERROR`, `ER_NO_SUCH_TABLE`.
const NO_SCHEMA: [u16; 2] = [1049, 1146];

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(
        "the server writes no binlog; put log_bin=binlog into its configuration ([mysqld]) and \
        restart it"
    )]
    NoBinlog,
    #[error("the server refuses to set {setting}: {error}")]
    Setting {
        setting: String,
        error: ConnectionError,
    },
}

/// Sets what can be set, checks the rest, and makes the node's schemas if they are not there.
///
/// # Errors
/// See [`PrepareError`].
pub async fn prepare(
    connection: &mut Connection,
    auto_increment: Option<AutoIncrement>,
) -> Result<(), PrepareError> {
    if !has_binlog(connection).await? {
        return Err(PrepareError::NoBinlog);
    }
    for Wrong {
        name,
        value,
        wanted,
    } in wrong(connection, auto_increment).await?
    {
        let is_number = wanted.parse::<u64>().is_ok();
        let quote = if is_number { "" } else { "'" };
        let setting = format!("SET GLOBAL {name} = {quote}{wanted}{quote}");
        if let Err(error) = connection.query(&setting).await {
            return Err(PrepareError::Setting { setting, error });
        }
        info!(name, from = value, to = wanted, "set on the server");
    }
    if !has_schemas(connection).await? {
        connection.run_unlogged(&SCHEMAS).await?;
    }
    Ok(())
}

/// A global variable that is not as a node needs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) wanted: String,
}

pub(super) async fn has_binlog(connection: &mut Connection) -> Result<bool, ConnectionError> {
    let binlog = connection.query("SELECT @@GLOBAL.log_bin").await?;
    Ok(binlog.first().and_then(|row| row.text(0)) == Some("1"))
}

/// The global variables that are not as a node needs them, of those that the server has.
pub(super) async fn wrong(
    connection: &mut Connection,
    auto_increment: Option<AutoIncrement>,
) -> Result<Vec<Wrong>, ConnectionError> {
    let settings = SETTINGS.map(|(name, wanted)| (name, wanted.to_owned()));
    let increments = auto_increment.map(|AutoIncrement { increment, offset }| {
        [
            ("auto_increment_increment", increment.to_string()),
            ("auto_increment_offset", offset.to_string()),
        ]
    });
    let mut wrong = Vec::new();
    for (name, wanted) in settings.into_iter().chain(increments.into_iter().flatten()) {
        let show = format!("SHOW GLOBAL VARIABLES LIKE '{name}'");
        let rows = connection.query(&show).await?;
        let Some(value) = rows.first().and_then(|row| row.text(1)) else {
            continue;
        };
        // A scheduler that is disabled cannot be turned on, nor off.
        if !value.eq_ignore_ascii_case(&wanted) && value != "DISABLED" {
            let value = value.to_owned();
            wrong.push(Wrong {
                name,
                value,
                wanted,
            });
        }
    }
    Ok(wrong)
}

/// Whether the schemas are there. Making them waits for those who use them, even where they have been
/// made; and they may wait for what comes after.
async fn has_schemas(connection: &mut Connection) -> Result<bool, ConnectionError> {
    let query = "SELECT seqno FROM trireme_private.position LEFT JOIN trireme.nothing USING (id) \
        LEFT JOIN trireme_private.event_run ON FALSE";
    match connection.query(query).await {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(ConnectionError::Server { number, .. }) if NO_SCHEMA.contains(&number) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Rolls back the transactions that an earlier start of a node has prepared and not decided: no
/// client has been told that one of them is committed.
///
/// # Errors
/// One of them is still in the hands of a connection, or the connection fails.
pub(super) async fn roll_back_forsaken(connection: &mut Connection) -> Result<(), ConnectionError> {
    for row in connection.query("XA RECOVER").await? {
        let id = row
            .text(3)
            .and_then(|name| name.parse::<TransactionId>().ok());
        if let Some(id) = id {
            connection.query(&format!("XA ROLLBACK '{id}'")).await?;
            info!(transaction = %id, "rolled back what an earlier start had prepared");
        }
    }
    Ok(())
}
