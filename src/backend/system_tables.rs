//! MariaDB's system tables of accounts and routines.
//!
//! MariaDB changes them, writes into its binlog what has changed them, and then makes the change
//! durable: after a crash either may be there without the other. So they are copied before a definition
//! runs, and put back when it was not completed. MySQL does all in one.

use tracing::info;

use super::{Connection, ConnectionError};

const TABLES: [&str; 10] = [
    "columns_priv",
    "db",
    "event",
    "func",
    "global_priv",
    "proc",
    "procs_priv",
    "proxies_priv",
    "roles_mapping",
    "tables_priv",
];

/// Some of the tables have dates without a day.
const ANY_DATE: &str = "SET SESSION sql_mode = ''";
const AS_BEFORE: &str = "SET SESSION sql_mode = DEFAULT";

/// Copies the tables that are not as they were when they were copied last.
///
/// # Errors
/// The connection fails.
pub(super) async fn save(own: &mut Connection) -> Result<(), ConnectionError> {
    let copy = |table| {
        format!(
            "CREATE OR REPLACE TABLE trireme_private.{table} ENGINE=InnoDB SELECT * FROM mysql.{table}"
        )
    };
    let changed = changed(own).await?;
    if changed.is_empty() {
        return Ok(());
    }
    let copies = changed.into_iter().map(copy);
    own.query(ANY_DATE).await?;
    own.run_unlogged(&copies.collect::<Vec<_>>()).await?;
    own.query(AS_BEFORE).await?;
    Ok(())
}

/// Makes the tables what they were when they were copied last.
///
/// # Errors
/// The connection fails.
pub(super) async fn restore(own: &mut Connection) -> Result<(), ConnectionError> {
    let changed = changed(own).await?;
    if changed.is_empty() {
        return Ok(());
    }
    info!(?changed, "undoing a definition that was not completed");
    let mut all = Vec::new();
    for table in changed {
        all.push(format!("DELETE FROM mysql.{table}"));
        all.push(format!(
            "INSERT INTO mysql.{table} SELECT * FROM trireme_private.{table}"
        ));
    }
    all.push("FLUSH PRIVILEGES".to_owned());
    own.query(ANY_DATE).await?;
    own.run_unlogged(&all).await?;
    own.query(AS_BEFORE).await?;
    Ok(())
}

/// The tables that differ from their copies, or have none.
async fn changed(own: &mut Connection) -> Result<Vec<&'static str>, ConnectionError> {
    let pairs = TABLES.map(|table| format!("mysql.{table}, trireme_private.{table}"));
    let question = format!("CHECKSUM TABLE {}", pairs.join(", "));
    let rows = own.query(&question).await?;
    let sums: Vec<_> = rows.iter().map(|row| row.text(1)).collect();
    let differs = |pair: &[Option<&str>]| pair[0] != pair[1];
    let pairs = TABLES.into_iter().zip(sums.chunks_exact(2));
    Ok(pairs
        .filter_map(|(table, pair)| differs(pair).then_some(table))
        .collect())
}
