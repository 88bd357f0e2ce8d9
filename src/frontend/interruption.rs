//! `KILL QUERY` of a statement that waits in its node, where the server knows nothing of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

/// The sessions whose statements wait, by what their server calls them.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<u32, Arc<Notify>>>);

impl Waiting {
    /// A session begins to wait, until this is dropped.
    pub(super) fn begin(&self, connection: u32) -> Wait<'_> {
        let interrupted = Arc::<Notify>::default();
        self.sessions().insert(connection, interrupted.clone());
        Wait {
            waiting: self,
            connection,
            interrupted,
        }
    }

    /// Ends what a session waits for, if it waits.
    pub(super) fn interrupt(&self, connection: u32) {
        if let Some(interrupted) = self.sessions().get(&connection) {
            interrupted.notify_one();
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u32, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session waits.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    waiting: &'a Waiting,
    connection: u32,
    interrupted: Arc<Notify>,
}

impl Wait<'_> {
    /// Waits until somebody ends the statement.
    pub(super) fn interrupted(&self) -> Notified<'_> {
        self.interrupted.notified()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waiting.sessions().remove(&self.connection);
    }
}
