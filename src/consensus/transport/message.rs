//! What nodes say to each other.
//!
//! Every message is a frame: its length as a big-endian `u32`, then the value in postcard's
//! format. A connection starts with a [`Hello`] from the node that opened it and a [`Welcome`];
//! what follows depends on its [`Lane`].

use std::io;

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio_util::codec::LengthDelimitedCodec;

use crate::{
    consensus::{
        once::Once,
        types::{Proposal, SnapshotMeta, TypeConfig, Vote},
    },
    id::NodeId,
};

/// Names this protocol and its version. A node of another version is refused.
pub(crate) const PROTOCOL: [u8; 8] = *b"trireme1";
/// A hello that is longer does not come from a node.
pub(crate) const MAX_HELLO_BYTES: usize = 1 << 10;
/// Above what one read of the log or one batch of proposals holds, whose last entry may pass their
/// limits by [`crate::consensus::MAX_BODY_BYTES`].
pub(crate) const MAX_FRAME_BYTES: usize = 8 << 20;

/// The first message on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: [u8; 8],
    /// The cluster's configured name.
    pub(crate) cluster: String,
    pub(crate) from: NodeId,
    /// The node that is expected to answer; nobody in particular while a cluster forms.
    pub(crate) to: Option<NodeId>,
    pub(crate) lane: Lane,
}

/// What a connection is for: large messages never stand before urgent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lane {
    /// [`Call`]s that are short and urgent: votes, heartbeats, read indexes.
    Control,
    /// [`Call`]s that carry proposals to the leader.
    Proposals,
    /// [`Call`]s that nobody waits for.
    Reports,
    /// The leader's append requests, each answered in order with a [`StreamAppendResult`].
    Log,
}

/// The answer to a hello: the node's id, or why it does not talk.
pub(crate) type Welcome = Result<NodeId, String>;

/// A request with the number that its reply will carry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call<T> {
    pub(crate) number: u64,
    pub(crate) content: T,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    PreVote(VoteRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    Heartbeat(AppendEntriesRequest<TypeConfig>),
    TransferLeader(TransferLeaderRequest<TypeConfig>),
    /// What the leader's log has kept of the entries that it does not have any more.
    Snapshot {
        vote: Vote,
        meta: SnapshotMeta,
        once: Once,
    },
    /// How far the log is committed, confirmed by a majority.
    ReadIndex,
    /// Entries for the leader to put into the log.
    Propose(Vec<Proposal>),
    /// What do you say of yourself?
    Report,
    /// Who are you, and is there a cluster already?
    Probe,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Vote(VoteResponse<TypeConfig>),
    Heartbeat(StreamAppendResult<TypeConfig>),
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    Snapshot(SnapshotResponse<TypeConfig>),
    /// The index, or none if this node does not lead a majority.
    ReadIndex(Option<u64>),
    /// Whether this node leads and has taken the proposals in. That is not yet an outcome.
    Propose(bool),
    Report(Bytes),
    Probe {
        /// Whether the node is a member of a cluster already.
        is_member: bool,
        /// The addresses that its configuration lists.
        members: Vec<String>,
    },
    /// The node is stopping.
    Stopped,
}

pub(crate) fn codec(max_bytes: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(max_bytes)
        .new_codec()
}

pub(crate) fn encode(message: &impl Serialize) -> io::Result<Bytes> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    Ok(bytes.into())
}

pub(crate) fn decode<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    postcard::from_bytes(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
