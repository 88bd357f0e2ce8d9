//! The locks with names that clients of the cluster have: a row each of `trireme_private.named_lock`, which is the same
//! on all servers.

use super::{ConnectionError, Row, literal, pool::Pool};
use crate::{config::Server, id::TransactionId};

/// The longest name that servers take, in characters.
pub const MAX_NAME: usize = 64;

const ROWS: &str = "SELECT name, holder, connection FROM trireme_private.named_lock";

/// A lock that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLock {
    /// In lower case, where the server takes both cases for the same.
    pub name: String,
    /// Who has it: a name of its own each time that somebody takes a lock.
    pub holder: TransactionId,
    /// What the holder's server calls the session.
    pub connection: u32,
}

/// The server's view of these locks.
#[derive(Debug)]
pub struct NamedLocks {
    pool: Pool,
}

impl NamedLocks {
    pub fn new(server: Server) -> Self {
        Self {
            pool: Pool::new(server),
        }
    }

    /// The locks that anybody in the cluster has, as far as this server knows.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn all(&self) -> Result<Vec<NamedLock>, ConnectionError> {
        let rows = self.pool.query(ROWS).await?;
        Ok(rows.iter().filter_map(NamedLock::of).collect())
    }

    /// For each of these locks, whether the server's session has it.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn are_held(
        &self,
        names: &[&str],
        connection: u32,
    ) -> Result<Vec<bool>, ConnectionError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let columns: Vec<_> = names
            .iter()
            .map(|name| literal(name))
            .map(|name| format!("COALESCE(IS_USED_LOCK({name}) = {connection}, 0)"))
            .collect();
        let query = format!("SELECT {}", columns.join(", "));
        let rows = self.pool.query(&query).await?;
        let row = rows.first();
        let held = (0..names.len()).map(|at| row.and_then(|row| row.text(at)) == Some("1"));
        Ok(held.collect())
    }
}

impl NamedLock {
    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            name: row.text(0)?.to_owned(),
            holder: row.text(1)?.parse().ok()?,
            connection: row.text(2)?.parse().ok()?,
        })
    }

    /// The statement by which a lock is taken. It fails with [`ER_DUP_ENTRY`](crate::protocol::errno) if somebody has it.
    pub fn take(&self) -> String {
        let Self {
            name,
            holder,
            connection,
        } = self;
        let name = literal(name);
        format!("INSERT INTO trireme_private.named_lock VALUES ({name}, '{holder}', {connection})")
    }

    /// The statement by which it is given up.
    pub fn give_up(&self) -> String {
        let (name, holder) = (literal(&self.name), self.holder);
        format!(
            "DELETE FROM trireme_private.named_lock WHERE name = {name} AND holder = '{holder}'"
        )
    }
}
