//! What the sessions of a node share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio_util::task::TaskTracker;
use tracing::debug;

use super::{interruption::Waiting, locks::Locks, settings::Settings};
use crate::{
    backend::{Changes, Expected, NoKeys, Slots},
    binlog,
    config::{Cluster, Server},
    duty::Orders,
    id::TransactionId,
    replicator::Replicator,
    write_set::{Cascades, Key, KeyHash},
};

/// What the sessions of a node share.
pub struct Shared {
    begun: AtomicU64,
    pub(super) replicator: Arc<Replicator>,
    pub(super) slots: Arc<Slots>,
    pub(super) locks: Arc<Locks>,
    pub(super) waiting: Waiting,
    pub(super) server: Server,
    pub(super) cluster: Cluster,
    pub(super) orders: Orders,
    /// All of them.
    pub(super) sessions: TaskTracker,
    /// Where clients connect.
    pub(super) client_port: u16,
    /// What a session has that begins.
    pub(super) defaults: Mutex<Settings>,
}

impl Shared {
    pub fn new(
        replicator: Arc<Replicator>,
        server: Server,
        cluster: Cluster,
        orders: Orders,
        sessions: TaskTracker,
        client_port: u16,
    ) -> Self {
        Self {
            begun: AtomicU64::new(0),
            replicator,
            slots: Arc::default(),
            locks: Arc::new(Locks::new(server.clone())),
            waiting: Waiting::default(),
            server,
            cluster,
            orders,
            sessions,
            client_port,
            defaults: Mutex::default(),
        }
    }

    /// Why no client can be served now, if so.
    pub(super) fn problem(&self) -> Option<String> {
        let captures = &self.replicator.captures;
        captures.problem().or_else(|| self.replicator.problem())
    }

    /// What a prepared transaction has changed, with its keys, unless that is nothing.
    pub(super) async fn changes(
        &self,
        expected: &mut Expected<'_>,
    ) -> Result<Option<(Changes, Vec<Key>)>, CommitError> {
        let mut changes = expected.changes().await?;
        if changes.rows.is_empty() {
            return Ok(None);
        }
        let (keys, cascades) = self.replicator.schemas.keys(&changes.rows).await?;
        if cascades == Cascades::Logged {
            changes.forbid_cascades();
        }
        Ok(Some((changes, keys)))
    }

    /// A transaction with these changes has lost to one that had this key, too. What that stands for is found out in the
    /// background, now and then.
    pub(super) fn note_conflict(self: &Arc<Self>, key: Option<KeyHash>, changes: &Changes) {
        let Some(key) = key else {
            return;
        };
        if !self.replicator.metrics.conflicts.wants_name() {
            return;
        }
        let (shared, rows) = (self.clone(), changes.rows.clone());
        tokio::spawn(async move {
            let Replicator {
                schemas, metrics, ..
            } = &*shared.replicator;
            match schemas.name(key, &rows).await {
                Ok(Some(name)) => metrics.conflicts.add(name),
                Ok(None) => {}
                Err(error) => debug!(%error, "what a conflict was about is not known"),
            }
        });
    }

    pub(super) fn next_id(&self) -> TransactionId {
        let (node, incarnation) = self.replicator.log.identity();
        TransactionId {
            node,
            incarnation,
            number: self.begun.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

/// Why what a transaction has changed cannot be replicated.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    #[error(transparent)]
    Refusal(#[from] binlog::Refusal),
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
}
