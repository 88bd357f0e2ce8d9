//! The bytes of the log's records on disk.
//!
//! raft-log frames each record with its kind, its length and a CRC; what it leaves to us is
//! written in big-endian order:
//!
//! | value     | bytes |
//! |-----------|-------|
//! | log id    | term `u64`, leader `u64`, index `u64` |
//! | vote      | term `u64`, candidate `u64`, committed `u8` |
//! | blank     | `0` |
//! | proposal  | `1`, node `u64`, incarnation `u64`, sequence `u64`, settled `u64`, length `u32`, body |
//! | membership| `2`, length `u32`, the engine's membership in postcard |
//! | owner     | node `u64`, incarnation `u64`, length `u32`, the snapshot or nothing in postcard |

use std::io::{self, Read, Write};

use bytes::Bytes;
use openraft::{EntryPayload, alias::LeaderIdOf, vote::RaftLeaderId};
use raft_log::codeq::{Decode, Encode};

use crate::{
    consensus::{
        once::Once,
        types::{LogId, Payload, Proposal, SnapshotMeta, TypeConfig, Vote},
    },
    id::{NodeId, ProposalId},
};

/// Term and leader, then index: ordered as the engine orders log ids.
pub(crate) type StoredLogId = ((u64, u64), u64);
/// Term and candidate, then whether a majority granted it: ordered as the engine orders votes.
pub(crate) type StoredVote = ((u64, u64), bool);

pub(crate) fn store_log_id(id: &LogId) -> StoredLogId {
    ((id.leader_id.term, id.leader_id.node_id.into()), id.index)
}

pub(crate) fn load_log_id(&((term, leader), index): &StoredLogId) -> LogId {
    let leader = LeaderIdOf::<TypeConfig>::new(term, leader.into());
    LogId::new(leader.to_committed(), index)
}

pub(crate) fn store_vote(vote: &Vote) -> StoredVote {
    let leader = &vote.leader_id;
    ((leader.term, leader.node_id.into()), vote.committed)
}

pub(crate) fn load_vote(&((term, candidate), committed): &StoredVote) -> Vote {
    let leader_id = LeaderIdOf::<TypeConfig>::new(term, candidate.into());
    Vote {
        leader_id,
        committed,
    }
}

/// An entry without its log id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPayload(pub(crate) Payload);

const BLANK: u8 = 0;
const PROPOSAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

impl Encode for StoredPayload {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        match &self.0 {
            EntryPayload::Blank => BLANK.encode(w),
            EntryPayload::Normal(Proposal { id, settled, body }) => {
                let mut n = PROPOSAL.encode(&mut w)?;
                for field in [id.node.into(), id.incarnation, id.sequence, *settled] {
                    n += field.encode(&mut w)?;
                }
                Ok(n + encode_bytes(body, w)?)
            }
            EntryPayload::Membership(membership) => {
                let n = MEMBERSHIP.encode(&mut w)?;
                let bytes = postcard::to_stdvec(membership).map_err(io::Error::other)?;
                Ok(n + encode_bytes(&bytes, w)?)
            }
        }
    }
}

impl Decode for StoredPayload {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let payload = match u8::decode(&mut r)? {
            BLANK => EntryPayload::Blank,
            PROPOSAL => {
                let mut field = || u64::decode(&mut r);
                let id = ProposalId {
                    node: field()?.into(),
                    incarnation: field()?,
                    sequence: field()?,
                };
                EntryPayload::Normal(Proposal {
                    id,
                    settled: field()?,
                    body: Bytes::from(Vec::<u8>::decode(r)?),
                })
            }
            MEMBERSHIP => {
                let bytes = Vec::<u8>::decode(r)?;
                EntryPayload::Membership(postcard::from_bytes(&bytes).map_err(invalid)?)
            }
            other => return Err(invalid(format!("entry of unknown kind {other}"))),
        };
        Ok(Self(payload))
    }
}

fn encode_bytes(bytes: &[u8], mut w: impl Write) -> io::Result<usize> {
    let length = u32::try_from(bytes.len()).map_err(invalid)?;
    let n = length.encode(&mut w)?;
    w.write_all(bytes)?;
    Ok(n + bytes.len())
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Whose log this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub node: NodeId,
    /// How often the node has started on this log.
    pub incarnation: u64,
}

/// What the log says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub identity: Identity,
    /// What is kept of the entries before those that the log has to have.
    pub snapshot: Option<(SnapshotMeta, Once)>,
}

impl Encode for Owner {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let Identity { node, incarnation } = self.identity;
        let n = (u64::from(node), incarnation).encode(&mut w)?;
        let bytes = postcard::to_stdvec(&self.snapshot).map_err(io::Error::other)?;
        Ok(n + encode_bytes(&bytes, w)?)
    }
}

impl Decode for Owner {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let (node, incarnation) = <(u64, u64)>::decode(&mut r)?;
        let bytes = Vec::<u8>::decode(r)?;
        let identity = Identity {
            node: node.into(),
            incarnation,
        };
        Ok(Self {
            identity,
            snapshot: postcard::from_bytes(&bytes).map_err(invalid)?,
        })
    }
}
