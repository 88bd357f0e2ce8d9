//! What the nodes of a cluster say to each other through the log, and how it becomes the bodies of
//! the log's entries.
//!
//! | bytes of a body | field |
//! |---|---|
//! | 1 | 0: whole; 1: a part |
//! | … | whole: the entry, in postcard's format |
//! | … | a part: its [`PartHead`], in postcard's format |
//! | … | and its share of the entry's bytes |

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    consensus::MAX_BODY_BYTES,
    id::{Family, NodeId, TransactionId},
    write_set::{Definition, WriteSet},
};

/// The largest entry, in bytes; it must fit into the memory of every node.
pub const MAX_ENTRY_BYTES: usize = 256 << 20;

/// More than the head of a part takes.
const HEAD_BYTES: usize = 64;

const WHOLE: u8 = 0;
const PART: u8 = 1;

/// An entry of the log, put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// To be certified, and committed where it passes.
    WriteSet(WriteSet),
    /// Nothing of an earlier start of this node comes after this.
    Started {
        node: NodeId,
        incarnation: u64,
        family: Family,
    },
    /// Nothing more of this transaction comes: its parts are for nothing.
    Abandoned(TransactionId),
    /// From here on nothing is to be done before this definition is over.
    Claim(TransactionId),
    /// The definition is over, with this effect.
    Defined {
        id: TransactionId,
        definition: Definition,
    },
    /// This node, which has claims, and its server are alive.
    Alive { node: NodeId, incarnation: u64 },
    /// Of the node that has this claim somebody has seen so many signs of life since it came to hold
    /// the cluster, and then none for too long.
    Lapsed { id: TransactionId, signs: u64 },
    /// Nothing before this matters to what comes after: a write set fails whose transaction has not seen all
    /// up to here, or of which a part came before. It is void while something is being defined. The cluster's
    /// servers are of this family.
    Fence { family: Family },
}

#[derive(Debug, Serialize, Deserialize)]
struct PartHead {
    id: TransactionId,
    /// Counts the attempts to propose the entry.
    attempt: u32,
    number: u32,
    count: u32,
}

/// An entry that cannot be replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its write set of {0} bytes is larger than {MAX_ENTRY_BYTES}; change fewer rows at once")]
pub struct TooLarge(pub usize);

/// A body of the log that is no entry of this version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is malformed, or of a newer Trireme")]
pub struct Malformed;

impl Entry {
    /// The bodies that stand for this entry. Parts may be delivered in any order, with other
    /// entries between them. An entry of which nobody knows what has become is proposed again as
    /// another `attempt`.
    ///
    /// # Errors
    /// The entry is too large.
    pub(super) fn bodies(&self, attempt: u32) -> Result<Vec<Bytes>, TooLarge> {
        let whole = encode(self, vec![WHOLE]);
        if whole.len() > MAX_ENTRY_BYTES {
            return Err(TooLarge(whole.len()));
        }
        let (Self::WriteSet(WriteSet { id, .. }) | Self::Defined { id, .. }) = *self else {
            return Ok(vec![whole.into()]);
        };
        if whole.len() <= MAX_BODY_BYTES {
            return Ok(vec![whole.into()]);
        }
        let parts = whole[1..].chunks(MAX_BODY_BYTES - HEAD_BYTES);
        let count = parts.len() as u32;
        let parts = parts.zip(0..).map(|(share, number)| {
            let head = PartHead {
                id,
                attempt,
                number,
                count,
            };
            let mut body = encode(&head, vec![PART]);
            body.extend(share);
            body.into()
        });
        Ok(parts.collect())
    }
}

/// The body of an entry that carries no changes, and so always fits into one.
pub(super) fn small_body(entry: &Entry) -> Bytes {
    encode(entry, vec![WHOLE]).into()
}

/// Appends a value in postcard's format.
fn encode(value: &impl Serialize, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("a vector takes all that is written to it")
}

/// An entry of which no part has come for so long is not waited for: its node may be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which attempt to have an entry ordered it is.
type Attempt = (TransactionId, u32);

/// Entries of which not all parts were delivered.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    parts: HashMap<Attempt, Parts>,
    /// What the last fence has cut: its later parts are of no use.
    cut: HashSet<Attempt>,
}

#[derive(Debug)]
struct Parts {
    shares: Vec<Option<Bytes>>,
    missing: usize,
    /// When the last one came.
    last: Instant,
}

impl Assembly {
    /// Takes the next body of the log; gives the entry that it completes.
    ///
    /// # Errors
    /// The body is none that a node of this version makes.
    pub(super) fn take(&mut self, body: &Bytes) -> Result<Option<Entry>, Malformed> {
        let entry = match body.split_first() {
            Some((&WHOLE, entry)) => postcard::from_bytes(entry).map_err(|_| Malformed)?,
            Some((&PART, part)) => match self.part(body, part)? {
                Some(entry) => entry,
                None => return Ok(None),
            },
            _ => return Err(Malformed),
        };
        match entry {
            Entry::Started {
                node, incarnation, ..
            } => {
                self.parts
                    .retain(|(id, _), _| id.node != node || id.incarnation >= incarnation);
            }
            Entry::WriteSet(WriteSet { id, .. })
            | Entry::Abandoned(id)
            | Entry::Defined { id, .. } => {
                self.parts.retain(|(other, _), _| *other != id);
            }
            Entry::Claim(_) | Entry::Alive { .. } | Entry::Lapsed { .. } | Entry::Fence { .. } => {}
        }
        Ok(Some(entry))
    }

    /// Drops all parts; gives whose they were.
    pub(super) fn fence(&mut self) -> Vec<TransactionId> {
        self.cut = self.parts.drain().map(|(attempt, _)| attempt).collect();
        self.cut.iter().map(|(id, _)| *id).collect()
    }

    /// Whether entries are coming in parts.
    pub(super) fn has_parts(&self, now: Instant) -> bool {
        let mut parts = self.parts.values();
        parts.any(|parts| now.duration_since(parts.last) < PATIENCE)
    }

    fn part(&mut self, body: &Bytes, part: &[u8]) -> Result<Option<Entry>, Malformed> {
        let head = postcard::take_from_bytes(part);
        let (head, share) = head.map_err(|_| Malformed)?;
        let PartHead {
            id,
            attempt,
            number,
            count,
        } = head;
        let limit = MAX_ENTRY_BYTES.div_ceil(MAX_BODY_BYTES - HEAD_BYTES);
        if count as usize > limit {
            return Err(Malformed);
        }
        if self.cut.contains(&(id, attempt)) {
            return Ok(None);
        }
        let last = Instant::now();
        let parts = self.parts.entry((id, attempt)).or_insert_with(|| Parts {
            shares: vec![None; count as usize],
            missing: count as usize,
            last,
        });
        parts.last = last;
        let place = parts.shares.get_mut(number as usize).ok_or(Malformed)?;
        if place.replace(body.slice_ref(share)).is_some() {
            return Err(Malformed);
        }
        parts.missing -= 1;
        if parts.missing > 0 {
            return Ok(None);
        }
        let parts = self
            .parts
            .remove(&(id, attempt))
            .expect("its last part was just added");
        let shares: Vec<_> = parts.shares.into_iter().flatten().collect();
        let entry = postcard::from_bytes(&shares.concat()).map_err(|_| Malformed)?;
        Ok(Some(entry))
    }
}

/// What fuzzing feeds with bytes: bodies of the log, each after its length in two bytes.
#[cfg(fuzzing)]
pub fn take_bodies(mut bytes: &[u8]) {
    let mut assembly = Assembly::default();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (body, rest) = rest.split_at(length);
        if assembly.take(&Bytes::copy_from_slice(body)).is_err() {
            return;
        }
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        id::Seqno,
        write_set::{Key, KeyHash, Mode},
    };

    fn id(incarnation: u64, number: u64) -> TransactionId {
        TransactionId {
            node: 7.into(),
            incarnation,
            number,
        }
    }

    fn write_set(number: u64, bytes: usize) -> Entry {
        Entry::WriteSet(WriteSet {
            id: id(1, number),
            last_seen: Seqno(9),
            keys: vec![Key {
                hash: KeyHash([3; 16]),
                mode: Mode::Update,
            }],
            format: Bytes::from_static(b"format"),
            events: vec![vec![number as u8; bytes].into()],
        })
    }

    #[test]
    fn entries_come_back_whole_whatever_the_order_of_their_parts() {
        let large = write_set(1, 3 * MAX_BODY_BYTES);
        let other = write_set(2, 2 * MAX_BODY_BYTES);
        let mut bodies = large.bodies(0).unwrap();
        bodies.extend(other.bodies(0).unwrap());
        assert_eq!(bodies.len(), 7);
        assert!(bodies.iter().all(|body| body.len() <= MAX_BODY_BYTES));
        bodies.swap(0, 6);
        let mut assembly = Assembly::default();
        let entries = bodies
            .iter()
            .filter_map(|body| assembly.take(body).unwrap());
        let entries: Vec<_> = entries.collect();
        // Too much to print.
        assert!(entries == [other, large]);
        assert!(assembly.parts.is_empty());
    }

    #[test]
    fn small_entries_are_one_body() {
        let started = Entry::Started {
            node: 3.into(),
            incarnation: 4,
            family: Family::MySql,
        };
        for entry in [
            write_set(1, 100),
            started,
            Entry::Abandoned(id(1, 2)),
            Entry::Claim(id(1, 2)),
            defined(100),
            Entry::Alive {
                node: 3.into(),
                incarnation: 4,
            },
            Entry::Lapsed {
                id: id(1, 2),
                signs: 3,
            },
            Entry::Fence {
                family: Family::MariaDb,
            },
        ] {
            let bodies = entry.bodies(0).unwrap();
            assert_eq!(bodies.len(), 1);
            assert_eq!(Assembly::default().take(&bodies[0]), Ok(Some(entry)));
        }
        let bytes = MAX_ENTRY_BYTES;
        assert!(write_set(1, bytes).bodies(0).is_err());
    }

    fn defined(bytes: usize) -> Entry {
        Entry::Defined {
            id: id(1, 1),
            definition: Definition {
                format: Bytes::from_static(b"format"),
                events: vec![vec![1; bytes].into()],
            },
        }
    }

    #[test]
    fn what_a_fence_has_cut_is_not_waited_for() {
        let entry = write_set(1, 2 * MAX_BODY_BYTES);
        let [first, second] = [0, 1].map(|attempt| entry.bodies(attempt).unwrap());
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(&first[0]), Ok(None));
        assert_eq!(assembly.fence(), [id(1, 1)]);
        let came = [&second[0], &second[1], &second[2], &first[1], &first[2]];
        let came = came.map(|body| assembly.take(body).unwrap().is_some());
        assert_eq!(came, [false, false, true, false, false]);
        assert!(!assembly.has_parts(Instant::now()));
    }

    #[test]
    fn a_node_that_sends_no_more_is_not_waited_for() {
        let mut assembly = Assembly::default();
        let bodies = write_set(1, 2 * MAX_BODY_BYTES).bodies(0).unwrap();
        assert_eq!(assembly.take(&bodies[0]), Ok(None));
        let now = Instant::now();
        assert!(assembly.has_parts(now));
        assert!(!assembly.has_parts(now + PATIENCE));
    }

    #[test]
    fn an_entry_is_put_together_from_the_parts_of_one_attempt() {
        let entry = defined(2 * MAX_BODY_BYTES);
        let [first, second] = [0, 1].map(|attempt| entry.bodies(attempt).unwrap());
        let mut assembly = Assembly::default();
        let mut came = first[..2].iter().chain(&second);
        let entries = came
            .by_ref()
            .filter_map(|body| assembly.take(body).unwrap());
        assert!(entries.collect::<Vec<_>>() == [entry]);
        assert!(assembly.parts.is_empty());
    }

    #[test]
    fn parts_that_nothing_comes_of_are_dropped() {
        let abandoned = Entry::Abandoned(id(1, 1));
        let restarted = Entry::Started {
            node: 7.into(),
            incarnation: 2,
            family: Family::MySql,
        };
        for end in [abandoned, restarted] {
            let mut assembly = Assembly::default();
            let parts = write_set(1, 2 * MAX_BODY_BYTES).bodies(0).unwrap();
            assert_eq!(assembly.take(&parts[0]), Ok(None));
            assembly.take(&end.bodies(0).unwrap()[0]).unwrap();
            assert!(assembly.parts.is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(body: Vec<u8>) {
            let _ = Assembly::default().take(&body.into());
        }
    }
}
