//! Definitions, one at a time.
//!
//! Nobody knows what a definition does before its origin's server has run it: it may be refused, and
//! only what the server has logged is exact. So the origin claims the cluster first. From the place
//! of its claim on, every node leaves everything undone until the origin says what the definition
//! was; it takes effect in the place of the claim, and then all goes on.
//!
//! While a node has claims it shows signs of life in the log. When these have ceased for too long,
//! another node says so, and the claims of the silent one are void: nothing was defined. Since the
//! order of the log decides, all agree on it, the silent node included.
//!
//! Pure: entries go in, in the order of the log, and come out in the order in which they take effect.

use std::collections::VecDeque;

use super::entry::Entry;
use crate::{
    id::{Seqno, TransactionId},
    write_set::Definition,
};

/// Who has claimed the cluster, and what waits for that to end.
#[derive(Debug, Default)]
pub(super) struct Claims {
    holder: Option<Claim>,
    behind: VecDeque<(Seqno, Entry)>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    seqno: Seqno,
    id: TransactionId,
    /// How often its node has shown that it is alive since it came to hold the cluster.
    signs: u64,
}

impl Claims {
    /// Takes the next entry of the log; gives those that take effect now, each with its place.
    pub(super) fn take(&mut self, seqno: Seqno, entry: Entry) -> Vec<(Seqno, Entry)> {
        let mut ready = Vec::new();
        match (self.holder, &entry) {
            (Some(claim), Entry::Defined { id, .. }) if *id == claim.id => {
                self.holder = None;
                ready.push((claim.seqno, entry));
            }
            // Whoever had the claim is no longer waited for.
            (_, Entry::Defined { .. }) => {}
            (
                _,
                Entry::Started {
                    node, incarnation, ..
                },
            ) => {
                let (node, incarnation) = (*node, *incarnation);
                ready.extend(self.end(|id| id.node == node && id.incarnation < incarnation));
                self.behind.push_back((seqno, entry));
            }
            (Some(claim), Entry::Alive { node, incarnation }) => {
                let is_its = claim.id.node == *node && claim.id.incarnation == *incarnation;
                self.holder = Some(Claim {
                    signs: claim.signs + u64::from(is_its),
                    ..claim
                });
            }
            (Some(claim), Entry::Lapsed { id, signs })
                if (*id, *signs) == (claim.id, claim.signs) =>
            {
                let (node, incarnation) = (id.node, id.incarnation);
                ready.extend(self.end(|id| id.node == node && id.incarnation == incarnation));
            }
            (_, Entry::Alive { .. } | Entry::Lapsed { .. }) => {}
            // Behind it nothing is known of the claim.
            (Some(_), Entry::Fence { .. }) => {}
            _ => self.behind.push_back((seqno, entry)),
        }
        while self.holder.is_none()
            && let Some((seqno, entry)) = self.behind.pop_front()
        {
            if let Entry::Claim(id) = entry {
                let signs = 0;
                self.holder = Some(Claim { seqno, id, signs });
            }
            ready.push((seqno, entry));
        }
        ready
    }

    /// Ends claims without an effect: the holder's at once, others in their places.
    fn end(&mut self, is_over: impl Fn(&TransactionId) -> bool) -> Option<(Seqno, Entry)> {
        for (_, entry) in &mut self.behind {
            if let Entry::Claim(id) = *entry
                && is_over(&id)
            {
                *entry = nothing_defined(id);
            }
        }
        let claim = self.holder.take_if(|claim| is_over(&claim.id))?;
        Some((claim.seqno, nothing_defined(claim.id)))
    }

    /// Which claim all wait for, and how many signs of life its node has shown.
    pub(super) fn holder(&self) -> Option<(TransactionId, u64)> {
        self.holder.map(|claim| (claim.id, claim.signs))
    }
}

/// The end of a claim whose definition has had no effect.
pub(super) fn nothing_defined(id: TransactionId) -> Entry {
    let definition = Definition::default();
    Entry::Defined { id, definition }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Family;

    fn id(node: u64, incarnation: u64) -> TransactionId {
        TransactionId {
            node: node.into(),
            incarnation,
            number: 1,
        }
    }

    /// An entry that is nothing but itself.
    fn other(number: u64) -> Entry {
        Entry::Abandoned(TransactionId { number, ..id(9, 9) })
    }

    fn started(node: u64, incarnation: u64) -> Entry {
        Entry::Started {
            node: node.into(),
            incarnation,
            family: Family::MariaDb,
        }
    }

    /// What comes out after each entry, by the places.
    fn run(entries: Vec<Entry>) -> Vec<Vec<u64>> {
        let mut claims = Claims::default();
        let numbered = entries.into_iter().zip(1..);
        numbered
            .map(|(entry, at)| {
                let ready = claims.take(Seqno(at), entry);
                ready.into_iter().map(|(seqno, _)| seqno.0).collect()
            })
            .collect()
    }

    #[test]
    fn all_wait_for_a_definition_and_for_the_next_one() {
        let came = run(vec![
            other(1),
            Entry::Claim(id(1, 1)),
            other(2),
            Entry::Claim(id(2, 1)),
            other(3),
            nothing_defined(id(1, 1)),
            other(4),
            nothing_defined(id(2, 1)),
        ]);
        let expected: [&[u64]; 8] = [&[1], &[2], &[], &[], &[], &[2, 3, 4], &[], &[4, 5, 7]];
        assert_eq!(came, expected);
    }

    #[test]
    fn nobody_waits_for_an_earlier_start_of_a_node() {
        let came = run(vec![
            Entry::Claim(id(1, 1)),
            other(1),
            Entry::Claim(id(1, 1)),
            started(2, 5),
            started(1, 1),
            started(1, 2),
            Entry::Claim(id(1, 2)),
            nothing_defined(id(1, 1)),
            nothing_defined(id(1, 2)),
        ]);
        let expected: [&[u64]; 9] = [
            &[1],
            &[],
            &[],
            &[],
            &[],
            &[1, 2, 3, 4, 5, 6],
            &[7],
            &[],
            &[7],
        ];
        assert_eq!(came, expected);
    }

    fn alive(node: u64, incarnation: u64) -> Entry {
        Entry::Alive {
            node: node.into(),
            incarnation,
        }
    }

    fn lapsed(node: u64, signs: u64) -> Entry {
        let id = id(node, 1);
        Entry::Lapsed { id, signs }
    }

    #[test]
    fn nobody_waits_for_a_node_whose_signs_of_life_have_ceased() {
        let came = run(vec![
            alive(1, 1),
            Entry::Claim(id(1, 1)),
            other(1),
            alive(1, 1),
            alive(2, 1),
            alive(1, 2),
            // Who says this has not seen all signs, or counts more than there were, or means another.
            lapsed(1, 0),
            lapsed(1, 2),
            lapsed(2, 1),
            lapsed(1, 1),
            lapsed(1, 1),
            nothing_defined(id(1, 1)),
            other(2),
        ]);
        let ends = came.iter().position(|at| *at == [2, 3]);
        assert_eq!(ends, Some(9));
        let rest = [&came[..1], &came[2..9], &came[10..12]].concat();
        assert!(rest.iter().all(Vec::is_empty));
        assert_eq!((&came[1], &came[12]), (&vec![2], &vec![13]));
    }

    #[test]
    fn all_claims_of_a_silent_node_are_void_and_no_others() {
        let mut claims = Claims::default();
        let second = TransactionId {
            number: 2,
            ..id(1, 1)
        };
        let queued = [id(1, 1), id(2, 1), second, id(1, 2)].map(Entry::Claim);
        for (entry, at) in queued.into_iter().zip(1..) {
            claims.take(Seqno(at), entry);
        }
        let void = |at, id| (Seqno(at), nothing_defined(id));
        assert_eq!(
            claims.take(Seqno(5), lapsed(1, 0)),
            [void(1, id(1, 1)), (Seqno(2), Entry::Claim(id(2, 1)))]
        );
        assert_eq!(claims.holder(), Some((id(2, 1), 0)));
        assert_eq!(
            claims.take(Seqno(6), nothing_defined(id(2, 1))),
            [
                void(2, id(2, 1)),
                void(3, second),
                (Seqno(4), Entry::Claim(id(1, 2)))
            ]
        );
    }

    #[test]
    fn a_fence_is_void_while_something_is_being_defined() {
        let family = Family::MariaDb;
        let came = run(vec![
            Entry::Fence { family },
            Entry::Claim(id(1, 1)),
            Entry::Claim(id(2, 1)),
            Entry::Fence { family },
            nothing_defined(id(1, 1)),
            Entry::Fence { family },
            nothing_defined(id(2, 1)),
            Entry::Fence { family },
        ]);
        let expected: [&[u64]; 8] = [&[1], &[2], &[], &[], &[2, 3], &[], &[3], &[8]];
        assert_eq!(came, expected);
    }

    #[test]
    fn the_end_of_no_claim_is_nothing() {
        let came = run(vec![
            nothing_defined(id(1, 1)),
            Entry::Claim(id(1, 1)),
            nothing_defined(id(2, 1)),
            nothing_defined(id(1, 1)),
            nothing_defined(id(1, 1)),
        ]);
        let expected: [&[u64]; 5] = [&[], &[2], &[], &[2], &[]];
        assert_eq!(came, expected);
    }
}
