//! The run of a server that a node has to do with, from one start of it to its next.
//!
//! A server that crashes may forget what it had committed, and what the node does next must not be done to what is
//! left. The node starts over as soon as it has lost the connection that follows the binlog. But that stays silent if
//! the server's machine was gone as well, and other connections notice first. So that one holds an advisory lock,
//! which dies with the server, and whoever connects for more than a look looks for it.

use std::sync::{Mutex, PoisonError};

use super::{Connection, ConnectionError};
use crate::config::Server;

/// A server, as long as its binlog is followed without a break.
#[derive(Debug)]
pub struct ServerRun {
    server: Server,
    /// The name of the lock.
    lock: Mutex<String>,
    /// Nobody uses it, and it is in no state of its own.
    kept: Mutex<Option<Connection>>,
}

impl ServerRun {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            lock: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// From now on it is the run that this connection has to do with, while it lasts.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) async fn follow(&self, connection: &mut Connection) -> Result<(), ConnectionError> {
        let lock = format!("trireme-{:016x}", rand::random::<u64>());
        let rows = connection
            .query(&format!("SELECT GET_LOCK('{lock}', 0)"))
            .await?;
        if rows.first().and_then(|row| row.text(0)) != Some("1") {
            return Err(ConnectionError::Malformed("an advisory lock"));
        }
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
        Ok(())
    }

    /// Connects to the server.
    ///
    /// # Errors
    /// As [`Connection::open`], or the server has started anew.
    pub async fn open(&self) -> Result<Connection, ConnectionError> {
        self.same(Connection::open(&self.server).await?).await
    }

    /// As [`open`](Self::open), or the connection that was [kept](Self::keep). That dies with the server's run.
    ///
    /// # Errors
    /// As there.
    pub async fn kept(&self) -> Result<Connection, ConnectionError> {
        let kept = self.kept.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner).take();
        match kept {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    /// Keeps a connection that has done what it was to do, and has its settings as they were, for the next use.
    pub fn keep(&self, connection: Connection) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// As [`Connection::open_for`].
    ///
    /// # Errors
    /// As there, or the server has started anew.
    pub async fn open_for(&self, bytes: usize) -> Result<Connection, ConnectionError> {
        self.same(Connection::open_for(&self.server, bytes).await?)
            .await
    }

    async fn same(&self, mut connection: Connection) -> Result<Connection, ConnectionError> {
        let sql = {
            let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            format!("SELECT IS_USED_LOCK('{lock}')")
        };
        let rows = connection.query(&sql).await?;
        match rows.first().and_then(|row| row.text(0)) {
            Some(_) => Ok(connection),
            None => Err(ConnectionError::StartedAnew),
        }
    }
}
