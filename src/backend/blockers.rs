//! Who holds the locks that a connection waits for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{Connection, ConnectionError, pool::Pool};
use crate::config::Server;

/// What a connection does without waiting for a lock usually takes less.
const FIRST_LOOK: Duration = Duration::from_millis(5);

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
        let waiter = connection.id();
        let (question, between) = if connection.is_mariadb() {
            let question = format!(
                "SELECT DISTINCT holder.trx_mysql_thread_id FROM information_schema.innodb_lock_waits \
                JOIN information_schema.innodb_trx waiter ON waiter.trx_id = requesting_trx_id \
                JOIN information_schema.innodb_trx holder ON holder.trx_id = blocking_trx_id \
                WHERE waiter.trx_mysql_thread_id = {waiter}"
            );
            (question, BETWEEN_READS_OF_MARIADB)
        } else {
            let question = format!(
                "SELECT DISTINCT holder.processlist_id FROM performance_schema.data_lock_waits \
                JOIN performance_schema.threads waiter ON waiter.thread_id = requesting_thread_id \
                JOIN performance_schema.threads holder ON holder.thread_id = blocking_thread_id \
                WHERE waiter.processlist_id = {waiter}"
            );
            (question, BETWEEN_READS_OF_MYSQL)
        };
        Watch {
            blockers: self,
            question,
            first: Instant::now() + FIRST_LOOK,
            between,
        }
    }

    /// Ends the statement that a connection runs, if it runs one.
    ///
    /// # Errors
    /// The server cannot be reached, or there is no such connection.
    pub async fn kill_query(&self, connection: u32) -> Result<(), ConnectionError> {
        let kill = format!("KILL QUERY {connection}");
        self.pool.query(&kill).await.map(|_| ())
    }

    /// Ends a connection, and with it its transaction.
    ///
    /// # Errors
    /// As [`kill_query`](Self::kill_query).
    pub async fn kill(&self, connection: u32) -> Result<(), ConnectionError> {
        let kill = format!("KILL CONNECTION {connection}");
        self.pool.query(&kill).await.map(|_| ())
    }
}

/// The lock waits of one connection.
#[derive(Debug)]
pub struct Watch<'a> {
    blockers: &'a Blockers,
    question: String,
    first: Instant,
    between: Duration,
}

impl Watch<'_> {
    /// The connections that hold what this one waits for, looked up anew when the server has news.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the question.
    pub async fn next(&self) -> Result<Vec<u32>, ConnectionError> {
        let last_read = *self.last_read();
        let next = last_read.map_or(self.first, |last| self.first.max(last + self.between));
        sleep_until(next).await;
        let rows = self.blockers.pool.query(&self.question).await;
        *self.last_read() = Some(Instant::now());
        let id = |row: &super::Row| row.text(0)?.parse().ok();
        // A transaction that was prepared on a connection that has gone is nobody's.
        Ok(rows?.iter().filter_map(id).filter(|&id| id != 0).collect())
    }

    fn last_read(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        let last_read = self.blockers.last_read.lock();
        last_read.unwrap_or_else(PoisonError::into_inner)
    }
}
