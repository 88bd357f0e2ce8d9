//! The saved position: how far in the log this server's data are.
//!
//! Each batch of write sets moves it within its own transaction. A client's transaction does not,
//! but it has its mark.

use std::{collections::HashSet, fmt};

use super::{Connection, ConnectionError};
use crate::id::{Seqno, TransactionId};

/// What a server says of its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// All up to here is committed.
    pub position: Seqno,
    /// The last fence before: all that matters to what comes later is in the log from here on. None is 0.
    pub fence: Seqno,
}

/// The statement that moves the position.
pub fn update(seqno: Seqno) -> String {
    format!("UPDATE trireme_private.position SET seqno = {seqno}")
}

/// Moves the position to a fence, durably: no crash takes from the server what it has had before. It is
/// the commit that makes it so, whatever the server is set to.
///
/// # Errors
/// The connection fails.
pub async fn pass(connection: &mut Connection, fence: Seqno) -> Result<(), ConnectionError> {
    let rows = connection
        .query("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")
        .await?;
    let laziness = rows.first().and_then(|row| row.text(0));
    let laziness = laziness.ok_or(ConnectionError::Malformed("a setting"))?;
    let moved = format!("{}, fence = {fence}", update(fence));
    connection
        .run_unlogged(&[flush_log(1), moved, flush_log(laziness)])
        .await
}

/// The statement that has the server make its commits durable at once, or as lazily as this.
pub(super) fn flush_log(laziness: impl fmt::Display) -> String {
    format!("SET GLOBAL innodb_flush_log_at_trx_commit = {laziness}")
}

/// Reads the position, as soon as nobody else is about to commit another one: the commit of a connection that is
/// gone may still be under way.
///
/// # Errors
/// The connection fails.
pub async fn read(connection: &mut Connection) -> Result<Saved, ConnectionError> {
    let rows = connection
        .query("SELECT seqno, fence FROM trireme_private.position FOR UPDATE")
        .await?;
    let saved = rows.first().and_then(|row| {
        Some(Saved {
            position: Seqno(row.text(0)?.parse().ok()?),
            fence: Seqno(row.text(1)?.parse().ok()?),
        })
    });
    saved.ok_or(ConnectionError::Malformed("the position"))
}

/// The transactions whose marks are on the server.
#[derive(Debug, Default)]
pub struct Marks {
    /// The last one of each slot.
    pub last: HashSet<TransactionId>,
    /// Of each slot the one that was ordered last when the last one was marked.
    pub previous: HashSet<TransactionId>,
}

/// Reads the marks.
///
/// # Errors
/// The connection fails.
pub async fn marks(connection: &mut Connection) -> Result<Marks, ConnectionError> {
    let rows = connection
        .query("SELECT txn, previous FROM trireme.mark")
        .await?;
    // A slot that is new has none.
    let ids = |column| {
        let names = rows.iter().filter_map(move |row| row.text(column));
        names.filter_map(|name| name.parse().ok()).collect()
    };
    Ok(Marks {
        last: ids(0),
        previous: ids(1),
    })
}

/// The transaction whose mark is in a slot.
///
/// # Errors
/// The connection fails.
pub async fn mark(
    connection: &mut Connection,
    slot: u32,
) -> Result<Option<TransactionId>, ConnectionError> {
    let sql = format!("SELECT txn FROM trireme.mark WHERE slot = {slot}");
    let rows = connection.query(&sql).await?;
    Ok(rows.first().and_then(|row| row.text(0)?.parse().ok()))
}
