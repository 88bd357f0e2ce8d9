//! What the order of the log means for the transactions of this node and for the write sets of the
//! others.
//!
//! Pure: it is told what is proposed, delivered and committed, and says what is to be done.

use std::collections::HashMap;

use super::entry::Entry;
use crate::{
    certification::{Certification, Conflict, Verdict},
    id::{Seqno, TransactionId},
    write_set::{Definition, Key, KeyHash, Mode, WriteSet},
};

/// What is to be done about an entry, when all before it is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// A transaction of this node: commit it, or apply it if it has given up its locks.
    Commit(WriteSet),
    /// Apply the write set and commit it. The transactions of this node that it conflicts with can
    /// no longer commit: roll them back, or they stand in its way.
    Apply {
        write_set: WriteSet,
        doomed: Vec<Loser>,
    },
    /// A transaction that this node holds prepared: roll it back.
    RollBack(Loser),
    /// A transaction that this node holds prepared, and that nothing is known against: propose it
    /// again, with what it has seen by now.
    ProposeAgain(TransactionId),
    /// A definition is the next to take effect: run it, if it is this node's.
    Define(TransactionId),
    /// A definition has had this effect: have it here too, if it was another node's.
    Defined(TransactionId, Definition),
    /// Who starts may read the log from here on: save the place.
    Fence,
}

/// A transaction of this node that does not commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loser {
    pub(super) id: TransactionId,
    /// What it has in common with one that committed first, if it has lost to that.
    pub(super) key: Option<KeyHash>,
}

/// The order as one node sees it.
#[derive(Debug, Default)]
pub(super) struct Order {
    certification: Certification,
    /// The transactions of this node that are proposed and not ordered yet.
    local: HashMap<TransactionId, Local>,
    /// The keys of write sets that are to be applied and are not committed yet, with the last of
    /// the write sets that have them.
    applying: HashMap<KeyHash, (Mode, Seqno)>,
    /// See [`seen`](Self::seen).
    seen: Seqno,
    /// See [`ordered`](Self::ordered).
    ordered: Seqno,
}

/// A transaction of this node that is proposed.
#[derive(Debug)]
struct Local {
    keys: Vec<Key>,
    /// It has read before it had all the locks of what it changes.
    has_snapshot: bool,
}

/// How much there is to keep in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Transactions of this node that are proposed and not ordered yet.
    pub proposed: usize,
    /// Keys that certification remembers.
    pub certification_keys: usize,
}

impl Order {
    pub(super) fn load(&self) -> Load {
        Load {
            proposed: self.local.len(),
            certification_keys: self.certification.keys(),
        }
    }

    /// All up to here is committed on this node's server, or about to be and holds its locks.
    pub(super) fn seen(&self) -> Seqno {
        self.seen
    }

    /// Takes in a transaction that is prepared, before it is proposed; gives the `last_seen` of its
    /// write set: all that is committed here, since it holds the locks of what it changes; or only what was in its
    /// `snapshot`, if it is to have changed nothing else.
    ///
    /// # Errors
    /// It conflicts with a write set that is being applied, and stands in its way.
    pub(super) fn prepared(
        &mut self,
        id: TransactionId,
        keys: &[Key],
        snapshot: Option<Seqno>,
    ) -> Result<Seqno, InTheWay> {
        if let Some(key) = conflict(keys, |hash| Some(self.applying.get(&hash)?.0)) {
            return Err(InTheWay(key));
        }
        let local = Local {
            keys: keys.to_vec(),
            has_snapshot: snapshot.is_some(),
        };
        self.local.insert(id, local);
        Ok(snapshot.unwrap_or(self.seen))
    }

    /// Forgets a transaction that will not be ordered, or that is to be rolled back before it is.
    pub(super) fn withdraw(&mut self, id: TransactionId) {
        self.local.remove(&id);
    }

    /// Nothing after this has taken effect on this node's server.
    pub(super) fn ordered(&self) -> Seqno {
        self.ordered
    }

    /// Takes the next entry of the log.
    pub(super) fn deliver(&mut self, seqno: Seqno, entry: Entry) -> Action {
        // A definition takes effect in the place of its claim.
        self.ordered = self.ordered.max(seqno);
        let write_set = match entry {
            Entry::WriteSet(write_set) => write_set,
            Entry::Abandoned(id) if self.local.remove(&id).is_some() => {
                return Action::RollBack(Loser { id, key: None });
            }
            Entry::Abandoned(_)
            | Entry::Started { .. }
            | Entry::Alive { .. }
            | Entry::Lapsed { .. } => return Action::Nothing,
            Entry::Claim(id) => {
                // What the keys of a row are may be another matter from here on.
                self.certification.fence(seqno);
                return Action::Define(id);
            }
            Entry::Defined { id, definition } => return Action::Defined(id, definition),
            Entry::Fence { .. } => {
                self.certification.fence(seqno);
                return Action::Fence;
            }
        };
        let WriteSet {
            id,
            last_seen,
            ref keys,
            ..
        } = write_set;
        let verdict = self.certification.certify(seqno, last_seen, keys);
        match (verdict, self.local.remove(&id)) {
            (Verdict::Commit, Some(_)) => Action::Commit(write_set),
            (Verdict::Commit, None) => {
                let doomed = self.applying(seqno, keys);
                Action::Apply { write_set, doomed }
            }
            (Verdict::Conflict(Conflict::TooOld(_)), Some(local)) if local.has_snapshot => {
                Action::RollBack(Loser { id, key: None })
            }
            (Verdict::Conflict(Conflict::TooOld(_)), Some(_)) => Action::ProposeAgain(id),
            (Verdict::Conflict(Conflict::With(_, key)), Some(_)) => {
                let key = Some(key);
                Action::RollBack(Loser { id, key })
            }
            (Verdict::Conflict(_), None) => Action::Nothing,
        }
    }

    /// A write set with these keys is to be applied. Gives the transactions of this node that cannot
    /// pass certification any more.
    pub(super) fn applying(&mut self, seqno: Seqno, keys: &[Key]) -> Vec<Loser> {
        for Key { hash, mode } in keys {
            let (known, last) = self.applying.entry(*hash).or_insert((*mode, seqno));
            *known = (*known).max(*mode);
            *last = seqno;
        }
        self.doom(keys)
    }

    /// A transaction of this node is about to commit, and holds its locks until it has.
    pub(super) fn committing(&mut self, seqno: Seqno) {
        self.seen = seqno;
    }

    /// The write sets that were to be applied are committed, up to this one.
    pub(super) fn applied(&mut self, seqno: Seqno) {
        self.seen = seqno;
        self.applying.retain(|_, (_, last)| *last > seqno);
    }

    /// Whether anything may be committed here that was not when this was all.
    pub(super) fn is_past(&self, snapshot: Seqno) -> bool {
        self.seen > snapshot || self.is_applying()
    }

    /// Whether there are write sets that are to be applied and are not committed yet.
    pub(super) fn is_applying(&self) -> bool {
        !self.applying.is_empty()
    }

    fn doom(&mut self, keys: &[Key]) -> Vec<Loser> {
        let mode_of = |hash| {
            let at = keys.binary_search_by_key(&hash, |key| key.hash).ok()?;
            Some(keys[at].mode)
        };
        let doomed = self.local.iter().filter_map(|(id, local)| {
            let key = Some(conflict(&local.keys, mode_of)?);
            Some(Loser { id: *id, key })
        });
        let doomed: Vec<_> = doomed.collect();
        for Loser { id, .. } in &doomed {
            self.local.remove(id);
        }
        doomed
    }
}

/// A transaction stands in the way of a write set that committed before it and that it has not seen, by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InTheWay(pub(super) KeyHash);

/// The first of these keys that conflicts with another one of its hash.
fn conflict(keys: &[Key], other: impl Fn(KeyHash) -> Option<Mode>) -> Option<KeyHash> {
    let with = |key: &&Key| other(key.hash).is_some_and(|mode| mode.conflicts_with(key.mode));
    keys.iter().find(with).map(|key| key.hash)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn id(node: u64, number: u64) -> TransactionId {
        TransactionId {
            node: node.into(),
            incarnation: 1,
            number,
        }
    }

    fn keys(hashes: &[u8]) -> Vec<Key> {
        let key = |hash: &u8| Key {
            hash: KeyHash([*hash; 16]),
            mode: Mode::Exclusive,
        };
        hashes.iter().map(key).collect()
    }

    fn loser(id: TransactionId, hash: u8) -> Loser {
        Loser {
            id,
            key: Some(KeyHash([hash; 16])),
        }
    }

    fn write_set(id: TransactionId, last_seen: Seqno, hashes: &[u8]) -> WriteSet {
        WriteSet {
            id,
            last_seen,
            keys: keys(hashes),
            format: Bytes::new(),
            events: Vec::new(),
        }
    }

    fn deliver(
        order: &mut Order,
        seqno: u64,
        id: TransactionId,
        seen: u64,
        hashes: &[u8],
    ) -> Action {
        let write_set = write_set(id, Seqno(seen), hashes);
        order.deliver(Seqno(seqno), Entry::WriteSet(write_set))
    }

    #[test]
    fn transactions_commit_where_they_are_and_are_applied_elsewhere() {
        let mut order = Order::default();
        assert_eq!(order.prepared(id(1, 1), &keys(&[1]), None), Ok(Seqno(0)));
        let action = deliver(&mut order, 5, id(1, 1), 0, &[1]);
        assert_eq!(action, Action::Commit(write_set(id(1, 1), Seqno(0), &[1])));
        order.committing(Seqno(5));
        let action = deliver(&mut order, 6, id(2, 1), 5, &[1]);
        assert!(matches!(action, Action::Apply { ref doomed, .. } if doomed.is_empty()));
        order.applied(Seqno(6));
        assert_eq!(order.prepared(id(1, 2), &keys(&[1]), None), Ok(Seqno(6)));
        // What an earlier start of this node, or a session that has gone, has left.
        let action = deliver(&mut order, 7, id(1, 9), 6, &[2]);
        assert!(matches!(action, Action::Apply { .. }));
    }

    #[test]
    fn who_stands_in_the_way_is_doomed_and_never_commits() {
        let mut order = Order::default();
        order.prepared(id(1, 1), &keys(&[1, 2]), None).unwrap();
        order.prepared(id(1, 2), &keys(&[3]), None).unwrap();
        match deliver(&mut order, 5, id(2, 1), 0, &[2]) {
            Action::Apply { doomed, .. } => assert_eq!(doomed, [loser(id(1, 1), 2)]),
            other => panic!("{other:?}"),
        }
        // Prepared before the write set is applied, proposed after it was ordered.
        assert_eq!(
            order.prepared(id(1, 3), &keys(&[2]), None),
            Err(InTheWay(KeyHash([2; 16])))
        );
        let action = deliver(&mut order, 6, id(1, 1), 0, &[1, 2]);
        assert_eq!(action, Action::Nothing);
        let action = deliver(&mut order, 7, id(1, 2), 0, &[3]);
        assert_eq!(action, Action::Commit(write_set(id(1, 2), Seqno(0), &[3])));
        order.applied(Seqno(5));
        assert_eq!(order.prepared(id(1, 4), &keys(&[2]), None), Ok(Seqno(5)));
    }

    #[test]
    fn who_has_read_from_a_snapshot_loses_to_what_came_after_it() {
        for (snapshot, hash, expected) in
            [(5, 1, None), (4, 1, Some(loser(id(1, 1), 1))), (4, 2, None)]
        {
            let mut order = Order::default();
            deliver(&mut order, 5, id(2, 1), 0, &[1]);
            order.applied(Seqno(5));
            let last_seen = order.prepared(id(1, 1), &keys(&[hash]), Some(Seqno(snapshot)));
            assert_eq!(last_seen, Ok(Seqno(snapshot)));
            let action = deliver(&mut order, 6, id(1, 1), snapshot, &[hash]);
            let lost = match action {
                Action::RollBack(loser) => Some(loser),
                _ => None,
            };
            assert_eq!(lost, expected);
        }
    }

    #[test]
    fn a_snapshot_is_never_replaced_by_a_later_one() {
        for (snapshot, expected) in [
            (None, Action::ProposeAgain(id(1, 1))),
            (
                Some(Seqno(4)),
                Action::RollBack(Loser {
                    id: id(1, 1),
                    key: None,
                }),
            ),
        ] {
            let mut order = Order::default();
            order.prepared(id(1, 1), &keys(&[1]), snapshot).unwrap();
            order.deliver(Seqno(5), Entry::Claim(id(2, 1)));
            let action = deliver(&mut order, 6, id(1, 1), 4, &[1]);
            assert_eq!(action, expected);
        }
    }

    #[test]
    fn what_is_ordered_is_in_the_way_until_it_is_applied_itself() {
        let mut order = Order::default();
        deliver(&mut order, 5, id(2, 1), 0, &[1]);
        deliver(&mut order, 6, id(2, 2), 0, &[2]);
        order.applied(Seqno(5));
        assert_eq!(
            order.prepared(id(1, 1), &keys(&[2]), None),
            Err(InTheWay(KeyHash([2; 16])))
        );
        assert_eq!(order.prepared(id(1, 2), &keys(&[1]), None), Ok(Seqno(5)));
        order.applied(Seqno(6));
        assert_eq!(order.prepared(id(1, 1), &keys(&[2]), None), Ok(Seqno(6)));
    }

    #[test]
    fn who_has_given_up_its_locks_is_applied_in_its_place_or_loses_in_it() {
        let mut order = Order::default();
        order.prepared(id(1, 1), &keys(&[1]), None).unwrap();
        order.prepared(id(1, 2), &keys(&[2]), None).unwrap();
        // It has what the first one has given up.
        order.prepared(id(1, 3), &keys(&[1]), None).unwrap();
        let action = deliver(&mut order, 5, id(1, 1), 0, &[1]);
        assert_eq!(action, Action::Commit(write_set(id(1, 1), Seqno(0), &[1])));
        assert_eq!(order.applying(Seqno(5), &keys(&[1])), [loser(id(1, 3), 1)]);
        assert_eq!(
            order.prepared(id(1, 4), &keys(&[1]), None),
            Err(InTheWay(KeyHash([1; 16])))
        );
        match deliver(&mut order, 6, id(2, 1), 0, &[2]) {
            Action::Apply { doomed, .. } => assert_eq!(doomed, [loser(id(1, 2), 2)]),
            other => panic!("{other:?}"),
        }
        let action = deliver(&mut order, 7, id(1, 3), 0, &[1]);
        assert_eq!(action, Action::Nothing);
    }

    #[test]
    fn the_loser_is_rolled_back_where_it_is_and_nothing_elsewhere() {
        let mut order = Order::default();
        deliver(&mut order, 5, id(2, 1), 0, &[1]);
        order.applied(Seqno(5));
        order.prepared(id(1, 1), &keys(&[1]), None).unwrap();
        let action = deliver(&mut order, 6, id(1, 1), 0, &[1]);
        assert_eq!(action, Action::RollBack(loser(id(1, 1), 1)));
        assert_eq!(deliver(&mut order, 7, id(2, 2), 0, &[1]), Action::Nothing);
    }

    #[test]
    fn what_was_prepared_before_a_definition_is_proposed_again() {
        let mut order = Order::default();
        let entry = Entry::Claim(id(2, 1));
        order.prepared(id(1, 1), &keys(&[1]), None).unwrap();
        assert_eq!(order.deliver(Seqno(5), entry), Action::Define(id(2, 1)));
        order.applied(Seqno(5));
        let action = deliver(&mut order, 6, id(1, 1), 0, &[1]);
        assert_eq!(action, Action::ProposeAgain(id(1, 1)));
        assert_eq!(deliver(&mut order, 7, id(2, 2), 4, &[2]), Action::Nothing);
        assert_eq!(order.prepared(id(1, 1), &keys(&[1]), None), Ok(Seqno(5)));
        let action = deliver(&mut order, 8, id(1, 1), 5, &[1]);
        assert_eq!(action, Action::Commit(write_set(id(1, 1), Seqno(5), &[1])));
    }
}
