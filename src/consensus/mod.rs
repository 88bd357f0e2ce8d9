//! The replicated log: every node delivers the same entries in the same order, and an entry that
//! was delivered anywhere is durable on a majority.
//!
//! The log carries bytes and must never know what they mean.

mod awake;
mod deliveries;
mod engine;
mod formation;
#[cfg(fuzzing)]
mod fuzzing;
mod majority;
pub(crate) mod once;
mod proposer;
mod reports;
mod route;
mod state_machine;
mod store;
mod transport;
mod types;

use std::{collections::BTreeMap, future::Future};

use bytes::Bytes;

pub use deliveries::{Delivered, Deliveries};
pub use engine::{Engine, StartError};
#[cfg(fuzzing)]
pub use fuzzing::{decode_frames, decode_stored};
use state_machine::StateMachine;
pub use store::Extent;
pub use transport::security::Security;
pub use types::Member;
use types::TypeConfig;

use crate::id::NodeId;

/// The largest body of an entry.
pub const MAX_BODY_BYTES: usize = 1 << 20;

type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// A log that the nodes of a cluster share.
pub trait ReplicatedLog: Send + Sync + 'static {
    /// Puts an entry into the log, and returns its index once this node may deliver it. The entry
    /// is delivered at most once, whatever happens to nodes and connections on the way; dropping
    /// the future takes nothing back.
    ///
    /// # Errors
    /// See [`ProposeError`]; without a majority it comes within a second.
    fn propose(&self, body: Bytes) -> impl Future<Output = Result<u64, ProposeError>> + Send;

    /// The index up to which entries were delivered anywhere before this call, confirmed by a
    /// majority; none if that takes longer than a second. Who has delivered up to there reads
    /// nothing stale.
    fn read_index(&self) -> impl Future<Output = Option<u64>> + Send;

    /// The entries after the one at `index`, in order.
    fn deliveries(&self, index: u64) -> Deliveries;

    /// Waits until this node may deliver the entry at `index`.
    fn committed(&self, index: u64) -> impl Future<Output = ()> + Send;

    /// This node needs no entries before `index` any more. Those that it does not keep for others are
    /// removed in the background.
    fn release(&self, index: u64) -> impl Future<Output = ()> + Send;

    /// Whether this node reaches a majority, known at once: at the latest two seconds after the last sign of one
    /// it does not, and its start counts as a sign.
    fn has_majority(&self) -> bool;

    /// What this node knows of the log and its members.
    fn view(&self) -> View;

    /// Has the other members get this report when they ask, which they do each second.
    fn publish(&self, report: Bytes);
}

/// Why a proposal has no place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was not sent to anybody and will never be delivered.
    #[error(
        "no quorum: this node does not reach a majority of its cluster; use another node, or start those \
        that are down"
    )]
    NoQuorum,
    /// It was sent, and may be delivered when there is a majority again.
    #[error(
        "no quorum, outcome unknown: no majority of the cluster has taken the entry in in time; look at the other nodes and \
        their disks"
    )]
    Unknown,
    #[error("an entry of {0} bytes is too large: it may have {MAX_BODY_BYTES}")]
    TooLarge(usize),
    #[error("the node is stopping")]
    Stopped,
}

/// What a node knows of the log and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub node: NodeId,
    pub leader: Option<NodeId>,
    /// In the order of their ids.
    pub members: Vec<(NodeId, Member)>,
    /// The last entry that this node may deliver; 0 before the first.
    pub committed: u64,
    pub extent: Extent,
    /// What the other members [published](ReplicatedLog::publish), of those that were heard of in the last seconds.
    pub reports: BTreeMap<NodeId, Bytes>,
}
