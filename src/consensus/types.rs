//! The types that the Raft engine works with.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::once::Once;
use crate::id::{NodeId, ProposalId};

openraft::declare_raft_types!(
    /// What Trireme puts in the engine's places.
    pub(crate) TypeConfig:
        D = Proposal,
        R = (),
        NodeId = NodeId,
        Node = Member,
);

pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Payload = openraft::EntryPayload<Proposal, NodeId, Member>;
/// Of the entries up to a place, what those after it are judged by.
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Once>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;

/// What a node asks the log to order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) id: ProposalId,
    /// The proposer has had an answer for each of its sequences below this one, and will not send
    /// them again.
    pub(crate) settled: u64,
    /// The bytes to order; the log does not look inside.
    pub(crate) body: Bytes,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.id, self.body.len())
    }
}

/// What the log knows of a member beside its id.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `host:port` on which the member listens to its peers.
    pub address: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}
