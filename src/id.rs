//! Names of the cluster's parts that every layer shares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A node's identity in the replicated log: drawn at random when its log directory is made, and
/// never used again once that directory is lost.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NodeId(u64);

impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl From<NodeId> for u64 {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Who proposed an entry, and which of its proposals it is. A proposal that is sent again keeps
/// its id, so that it is delivered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProposalId {
    pub node: NodeId,
    /// Counts the node's starts; proposals of an earlier start are dropped once one of a later
    /// start was delivered.
    pub incarnation: u64,
    /// Counts the proposals of one incarnation, from 1.
    pub sequence: u64,
}

impl fmt::Display for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.node, self.incarnation, self.sequence)
    }
}
