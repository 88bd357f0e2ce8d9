//! What the sessions of a node share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    backend::{Captures, Changes, Expected, NoKeys, Schemas, Slots},
    binlog,
    config::Server,
    id::{NodeId, TransactionId},
    metrics::Metrics,
    replicator::Replicator,
    write_set::Key,
};

/// What the sessions of a node share.
pub struct Shared {
    node: NodeId,
    incarnation: u64,
    begun: AtomicU64,
    pub(super) server: Server,
    pub(super) captures: Arc<Captures>,
    pub(super) replicator: Arc<Replicator>,
    pub(super) schemas: Arc<Schemas>,
    pub(super) slots: Arc<Slots>,
    pub(super) reads_without_majority: bool,
    pub(super) metrics: Arc<Metrics>,
}

impl Shared {
    pub fn new(
        (node, incarnation): (NodeId, u64),
        server: Server,
        reads_without_majority: bool,
        captures: Arc<Captures>,
        schemas: Arc<Schemas>,
        replicator: Arc<Replicator>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            node,
            incarnation,
            begun: AtomicU64::new(0),
            schemas,
            server,
            captures,
            replicator,
            slots: Arc::default(),
            reads_without_majority,
            metrics,
        }
    }

    /// Why no client can be served now, if so.
    pub(super) fn problem(&self) -> Option<String> {
        let captures = self.captures.problem();
        captures.or_else(|| self.replicator.problem())
    }

    /// What a prepared transaction has changed, with its keys, unless that is nothing.
    pub(super) async fn changes(
        &self,
        expected: &mut Expected<'_>,
    ) -> Result<Option<(Changes, Vec<Key>)>, CommitError> {
        let changes = expected.changes().await?;
        if changes.rows.is_empty() {
            return Ok(None);
        }
        let keys = self.schemas.keys(&changes.rows).await?;
        Ok(Some((changes, keys)))
    }

    pub(super) fn next_id(&self) -> TransactionId {
        TransactionId {
            node: self.node,
            incarnation: self.incarnation,
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
