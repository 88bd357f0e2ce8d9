//! Delivery once: which proposals the log has delivered already.
//!
//! Pure, and part of the replicated state: every node feeds it the same entries in the same order
//! and so drops the same duplicates.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ProposalId};

/// What has been delivered of each node's proposals.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Once {
    nodes: BTreeMap<NodeId, Delivered>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Delivered {
    /// The node's latest start of which a proposal was delivered.
    incarnation: u64,
    /// No sequence below this one comes again.
    settled: u64,
    /// The sequences from `settled` on that were delivered: no more than the node has in flight.
    sequences: BTreeSet<u64>,
}

impl Once {
    /// Whether an entry is delivered: not if it was before, nor if its proposer has died and a
    /// proposal of its next incarnation came first. Nobody was told that such an entry is in the
    /// log, and nobody waits for it.
    pub(crate) fn admit(&mut self, id: ProposalId, settled: u64) -> bool {
        let node = self.nodes.entry(id.node).or_default();
        if id.incarnation < node.incarnation {
            return false;
        }
        if id.incarnation > node.incarnation {
            *node = Delivered {
                incarnation: id.incarnation,
                ..Delivered::default()
            };
        }
        if id.sequence < node.settled || !node.sequences.insert(id.sequence) {
            return false;
        }
        if settled > node.settled {
            node.settled = settled;
            node.sequences = node.sequences.split_off(&settled);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(node: u64, incarnation: u64, sequence: u64) -> ProposalId {
        ProposalId {
            node: node.into(),
            incarnation,
            sequence,
        }
    }

    #[test]
    fn a_proposal_is_admitted_once() {
        let mut once = Once::default();
        for (proposal, settled, admitted) in [
            (id(1, 1, 1), 1, true),
            (id(1, 1, 1), 1, false),
            (id(2, 1, 1), 1, true),  // another node counts for itself
            (id(1, 1, 3), 1, true),  // out of order
            (id(1, 1, 2), 1, true),  // and the one that it passed
            (id(1, 1, 4), 4, true),  // 1 to 3 are settled
            (id(1, 1, 2), 1, false), // a late copy of one of them
            (id(1, 1, 4), 4, false),
            (id(1, 2, 1), 1, true),  // the next start of node 1
            (id(1, 1, 5), 4, false), // nothing of the earlier one after that
            (id(1, 2, 1), 1, false),
            (id(2, 1, 2), 1, true),
        ] {
            assert_eq!(once.admit(proposal, settled), admitted, "{proposal}");
        }
    }

    #[test]
    fn only_what_is_in_flight_is_remembered() {
        let mut once = Once::default();
        for sequence in 1..=1000_u64 {
            assert!(once.admit(id(1, 1, sequence), sequence.saturating_sub(9)));
        }
        assert_eq!(once.nodes[&NodeId::from(1)].sequences.len(), 10);
    }

    proptest! {
        /// A proposer with up to `flight` proposals in the air that sends any of them again, at
        /// any time, in any order: each is admitted the first time and never after.
        #[test]
        fn copies_never_pass(flight in 1_u64..20, picks in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
            let mut once = Once::default();
            let mut admitted = BTreeSet::new();
            let mut sent: Vec<(u64, u64)> = Vec::new();
            let mut next = 1;
            for pick in picks {
                let oldest_unanswered = (1..next).find(|s| !admitted.contains(s)).unwrap_or(next);
                if next < oldest_unanswered + flight && pick.index(2) == 0 {
                    sent.push((next, oldest_unanswered));
                    next += 1;
                } else if !sent.is_empty() {
                    let (sequence, settled) = sent[pick.index(sent.len())];
                    prop_assert_eq!(once.admit(id(1, 1, sequence), settled), admitted.insert(sequence));
                }
            }
        }
    }
}
