//! Connections of the node's own that are kept for their next use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Connection, ConnectionError, Row};
use crate::config::Server;

/// Connections which nobody uses and which are in no state of their own.
#[derive(Debug)]
pub struct Pool {
    server: Server,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// More than these are not kept.
    const MAX_IDLE: usize = 8;

    pub fn new(server: Server) -> Self {
        Self {
            server,
            idle: Mutex::default(),
        }
    }

    /// Runs a statement that may run twice, and gives the rows of its result.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the statement.
    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Row>, ConnectionError> {
        self.query_by(sql, || Connection::open(&self.server)).await
    }

    /// As [`query`](Self::query); where no connection is at hand this opens one.
    ///
    /// # Errors
    /// As there.
    pub async fn query_by<F: Future<Output = Result<Connection, ConnectionError>>>(
        &self,
        sql: &str,
        open: impl FnOnce() -> F,
    ) -> Result<Vec<Row>, ConnectionError> {
        let idle = self.idle().pop();
        if let Some(connection) = idle {
            match self.query_on(connection, sql).await {
                // It was killed, or died with the server's last start.
                Err(ConnectionError::Io(_)) => {}
                result => return result,
            }
        }
        self.query_on(open().await?, sql).await
    }

    async fn query_on(
        &self,
        mut connection: Connection,
        sql: &str,
    ) -> Result<Vec<Row>, ConnectionError> {
        let result = connection.query(sql).await;
        if matches!(result, Ok(_) | Err(ConnectionError::Server { .. })) {
            self.keep(connection);
        }
        result
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < Self::MAX_IDLE {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
