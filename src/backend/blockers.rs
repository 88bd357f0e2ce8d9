//! Who holds the locks that a connection waits for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{Connection, ConnectionError, Row, pool::Pool};
use crate::config::Server;

/// What a connection does without waiting for a lock usually takes less.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// Ends with the waiting connection.
const LOCK_WAITS_OF_MARIADB: &str = "SELECT DISTINCT holder.trx_mysql_thread_id \
    FROM information_schema.innodb_lock_waits \
    JOIN information_schema.innodb_trx waiter ON waiter.trx_id = requesting_trx_id \
    JOIN information_schema.innodb_trx holder ON holder.trx_id = blocking_trx_id \
    WHERE waiter.trx_mysql_thread_id = ";

/// Ends with the waiting connection.
const LOCK_WAITS_OF_MYSQL: &str = "SELECT DISTINCT holder.processlist_id \
    FROM performance_schema.data_lock_waits \
    JOIN performance_schema.threads waiter ON waiter.thread_id = requesting_thread_id \
    JOIN performance_schema.threads holder ON holder.thread_id = blocking_thread_id \
    WHERE waiter.processlist_id = ";

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
    pub fn watch(&self, connection: &Connection) -> Watch<'_> {
        Watch {
            blockers: self,
            waiter: connection.id(),
            is_mariadb: connection.is_mariadb(),
            first: Instant::now() + FIRST_LOOK,
        }
    }

    /// Ends what a connection does.
    ///
    /// # Errors
    /// The server cannot be reached, or there is no such connection.
    pub async fn kill(&self, what: Kill, connection: u32) -> Result<(), ConnectionError> {
        let what = match what {
            Kill::Statement => "QUERY",
            Kill::Connection => "CONNECTION",
        };
        let kill = format!("KILL {what} {connection}");
        self.pool.query(&kill).await.map(|_| ())
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
        let (lock_waits, between) = if self.is_mariadb {
            (LOCK_WAITS_OF_MARIADB, BETWEEN_READS_OF_MARIADB)
        } else {
            (LOCK_WAITS_OF_MYSQL, BETWEEN_READS_OF_MYSQL)
        };
        let last_read = *self.blockers.last_read();
        let next = last_read.map_or(self.first, |last| self.first.max(last + between));
        sleep_until(next).await;
        let question = format!("{lock_waits}{}", self.waiter);
        let rows = self.blockers.pool.query(&question).await;
        *self.blockers.last_read() = Some(Instant::now());
        let id = |row: &Row| row.text(0)?.parse().ok();
        // A transaction that was prepared on a connection that has gone is nobody's.
        Ok(rows?.iter().filter_map(id).filter(|&id| id != 0).collect())
    }
}
