//! What a node tells the other members of itself, so that each of them can show all.

use std::{convert::Infallible, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Logged, Source};
use crate::{
    consensus::{ReplicatedLog, View},
    duty::Duty,
    metrics::CommitOutcome,
};

/// Between two reports.
const PERIOD: Duration = Duration::from_secs(1);

/// So many of the hottest conflicts are told.
const HOTTEST: usize = 10;

/// What one node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub version: String,
    /// Why clients should go to another node now; none if this one may serve them.
    pub problem: Option<String>,
    /// What its operator has told it to do.
    #[serde(default)]
    pub duty: Duty,
    /// The port for clients.
    pub client_port: u16,
    /// Clients that are connected.
    pub sessions: usize,
    /// Index of the last log entry that this node has delivered; 0 before the first.
    pub last_delivered: u64,
    /// Index of the last log entry that this node's server has, or is about to have.
    pub last_committed: Option<u64>,
    /// How many entries of the log its server does not have yet.
    pub lacking: u64,
    /// Transactions of its clients that wrote and have committed, since it started.
    pub commits: u64,
    /// Those that failed with error 1213, since another one had committed first.
    pub conflicts: u64,
    /// What most of the last conflicts were about, and how many, the hottest first.
    pub hottest: Vec<(String, u64)>,
    /// The last warning or error in its log since it started.
    pub last_error: Option<Logged>,
}

impl Report {
    /// Reads what another node has published; none if that is of a version that this one does not understand.
    pub fn decode(report: &[u8]) -> Option<Self> {
        serde_json::from_slice(report).ok()
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report is plain JSON")
    }
}

impl<L: ReplicatedLog> Source<L> {
    /// What this node says of itself, with this problem and this view of the log, if it has one.
    pub(super) fn report(&self, problem: Option<String>, view: Option<&View>) -> Report {
        let replicator = self.replicator.as_ref();
        let last_delivered = view.map_or(0, |view| view.committed);
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            problem,
            duty: self.orders.duty(),
            client_port: self.config.borrow().listen.port(),
            sessions: self.sessions.len(),
            last_delivered,
            last_committed: replicator.map(|replicator| replicator.seen().0),
            lacking: replicator.map_or(0, |replicator| replicator.lacking(last_delivered)),
            commits: self.metrics.commits(CommitOutcome::Committed),
            conflicts: self.metrics.commits(CommitOutcome::Conflict),
            hottest: self.metrics.conflicts.hottest(HOTTEST),
            last_error: self.last_error.get(),
        }
    }

    /// Keeps the other members informed.
    pub async fn publish(&self) -> Infallible {
        loop {
            if let Some((_, log)) = &self.cluster {
                let report = self.report(self.problem().await, Some(&log.view()));
                log.publish(report.encode().into());
            }
            sleep(PERIOD).await;
        }
    }
}
