//! Who holds the locks that a connection waits for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{ConnectionError, Row, pool::Pool};
use crate::config::Server;

/// What a connection does without waiting for a lock usually takes less.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// Who holds the row locks that a connection waits for.
const ROW_LOCKS_OF_MARIADB: &str = "SELECT holder.trx_mysql_thread_id \
    FROM information_schema.innodb_lock_waits \
    JOIN information_schema.innodb_trx waiter ON waiter.trx_id = requesting_trx_id \
    JOIN information_schema.innodb_trx holder ON holder.trx_id = blocking_trx_id \
    WHERE waiter.trx_mysql_thread_id = {waiter}";

/// Who may hold the metadata lock that a connection waits for: MariaDB does not say who does, so all
/// that are in a transaction.
const METADATA_LOCKS_OF_MARIADB: &str = "SELECT trx_mysql_thread_id \
    FROM information_schema.innodb_trx \
    JOIN information_schema.processlist waiter ON waiter.id = {waiter} \
    WHERE waiter.state LIKE 'Waiting for % lock' AND trx_mysql_thread_id <> {waiter}";

/// Who holds the row locks that a connection waits for. A row lock is not always made by whom it
/// belongs to: who waits for a row that was inserted makes its lock, a gap's lock is made anew by
/// who removes a row beside it, and the lock that is waited for by whoever lets its row grow. So
/// transactions, on either side, are known by their locks of tables.
const ROW_LOCKS_OF_MYSQL: &str = "SELECT holder.processlist_id \
    FROM performance_schema.threads waiter \
    JOIN performance_schema.data_locks wanted \
        ON wanted.thread_id = waiter.thread_id AND wanted.lock_type = 'TABLE' \
    JOIN performance_schema.data_lock_waits \
        ON requesting_engine_transaction_id = wanted.engine_transaction_id \
    JOIN performance_schema.data_locks held \
        ON held.engine_transaction_id = blocking_engine_transaction_id \
        AND held.lock_type = 'TABLE' \
    JOIN performance_schema.threads holder ON holder.thread_id = held.thread_id \
    WHERE waiter.processlist_id = {waiter}";

/// Who holds the metadata lock that a connection waits for: of what all use, those who want
/// something else with it; of a table, not those who only use it too.
const METADATA_LOCKS_OF_MYSQL: &str = "SELECT holder.processlist_id \
    FROM performance_schema.metadata_locks wanted \
    JOIN performance_schema.threads waiter ON waiter.thread_id = wanted.owner_thread_id \
    JOIN performance_schema.metadata_locks held ON held.object_type = wanted.object_type \
        AND held.object_schema <=> wanted.object_schema \
        AND held.object_name <=> wanted.object_name \
    JOIN performance_schema.threads holder ON holder.thread_id = held.owner_thread_id \
    WHERE waiter.processlist_id = {waiter} AND wanted.lock_status = 'PENDING' \
    AND held.lock_status = 'GRANTED' AND held.owner_thread_id <> wanted.owner_thread_id \
    AND NOT (held.lock_type = wanted.lock_type AND held.lock_type <> 'EXCLUSIVE') \
    AND NOT (wanted.object_type = 'TABLE' \
        AND wanted.lock_type IN ('SHARED_READ', 'SHARED_WRITE') \
        AND held.lock_type IN ('SHARED_READ', 'SHARED_WRITE', 'SHARED_UPGRADABLE', 'SHARED'))";

/// MariaDB answers from what it read last, unless nobody has asked for 0.1 s.
/// Source: the `INNODB_LOCK_WAITS` table in MariaDB's documentation of the information schema.
const BETWEEN_READS_OF_MARIADB: Duration = Duration::from_millis(105);

const BETWEEN_READS_OF_MYSQL: Duration = Duration::from_millis(10);

/// Looks at the lock waits of a server, and ends what its connections do.
#[derive(Debug)]
pub struct Blockers {
    pool: Pool,
    last_read: Mutex<Option<Instant>>,
}

impl Blockers {
    pub fn new(server: Server) -> Self {
        Self {
            pool: Pool::new(server),
            last_read: Mutex::default(),
        }
    }

    /// Watches who holds what this connection waits for, from now on.
    pub fn watch(&self, connection: u32, is_mariadb: bool) -> Watch<'_> {
        Watch {
            blockers: self,
            waiter: connection,
            is_mariadb,
            first: Instant::now() + FIRST_LOOK,
        }
    }

    /// Ends what a connection does.
    ///
    /// # Errors
    /// The server cannot be reached, or there is no such connection.
    pub async fn kill(&self, what: Kill, connection: u32) -> Result<(), ConnectionError> {
        self.pool
            .query(&what.statement(connection))
            .await
            .map(|_| ())
    }

    fn last_read(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// The statement that it runs, if it runs one.
    Statement,
    /// All of it, with its transaction.
    Connection,
}

impl Kill {
    pub(super) fn statement(self, connection: u32) -> String {
        let what = match self {
            Self::Statement => "QUERY",
            Self::Connection => "CONNECTION",
        };
        format!("KILL {what} {connection}")
    }
}

/// The lock waits of one connection.
#[derive(Debug)]
pub struct Watch<'a> {
    blockers: &'a Blockers,
    waiter: u32,
    is_mariadb: bool,
    first: Instant,
}

impl Watch<'_> {
    /// The connections that hold what this one waits for, looked up anew when the server has news.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the question.
    pub async fn next(&self) -> Result<Vec<u32>, ConnectionError> {
        let (row_locks, metadata_locks, between) = if self.is_mariadb {
            (
                ROW_LOCKS_OF_MARIADB,
                METADATA_LOCKS_OF_MARIADB,
                BETWEEN_READS_OF_MARIADB,
            )
        } else {
            (
                ROW_LOCKS_OF_MYSQL,
                METADATA_LOCKS_OF_MYSQL,
                BETWEEN_READS_OF_MYSQL,
            )
        };
        let last_read = *self.blockers.last_read();
        let next = last_read.map_or(self.first, |last| self.first.max(last + between));
        sleep_until(next).await;
        let question = format!("{row_locks} UNION {metadata_locks}");
        let question = question.replace("{waiter}", &self.waiter.to_string());
        let rows = self.blockers.pool.query(&question).await;
        *self.blockers.last_read() = Some(Instant::now());
        let id = |row: &Row| row.text(0)?.parse().ok();
        // A transaction that was prepared on a connection that has gone is nobody's.
        Ok(rows?.iter().filter_map(id).filter(|&id| id != 0).collect())
    }
}
