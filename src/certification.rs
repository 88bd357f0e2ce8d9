//! Certification: whether a write set commits. Every node asks the same of the same write sets in
//! the same order, and so comes to the same verdicts.

use std::collections::{HashMap, VecDeque};

use crate::{
    id::Seqno,
    write_set::{Key, KeyHash, Mode},
};

/// Keys that are remembered, about 64 bytes each. A write set whose transaction had not seen what is
/// forgotten fails.
const MAX_KEYS: usize = 1 << 20;

/// What becomes of a write set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Commit,
    Conflict(Conflict),
}

/// Why a write set does not commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// This one committed first and had this key in common.
    With(Seqno, KeyHash),
    /// What was committed before this one is no longer known, and its transaction had not seen all
    /// of it.
    TooOld(Seqno),
}

/// The keys of the last write sets that have committed.
#[derive(Debug)]
pub struct Certification {
    max_keys: usize,
    index: HashMap<KeyHash, Last>,
    /// The write sets whose keys are in the index, in their order.
    history: VecDeque<(Seqno, Vec<KeyHash>)>,
    /// The number of keys in the history.
    keys: usize,
    /// The last write set whose keys were forgotten.
    forgotten: Seqno,
}

/// The last write sets that had a key, one for each mode.
#[derive(Debug, Default, Clone, Copy)]
struct Last([Seqno; 3]);

impl Last {
    const MODES: [Mode; 3] = [Mode::Reference, Mode::Update, Mode::Exclusive];

    /// The last of those that a write set conflicts with which has the key in `mode`.
    fn against(&self, mode: Mode) -> Seqno {
        let known = Self::MODES.iter().zip(self.0);
        let against = known.filter(|(known, _)| known.conflicts_with(mode));
        against.map(|(_, seqno)| seqno).max().unwrap_or_default()
    }

    fn note(&mut self, mode: Mode, seqno: Seqno) {
        self.0[mode as usize] = seqno;
    }

    fn latest(&self) -> Seqno {
        self.0.into_iter().max().unwrap_or_default()
    }
}

impl Default for Certification {
    fn default() -> Self {
        Self::with_room_for(MAX_KEYS)
    }
}

impl Certification {
    /// Remembers so many keys, and those of the last write set in any case. The same number on
    /// every node, or they come to different verdicts.
    fn with_room_for(max_keys: usize) -> Self {
        Self {
            max_keys,
            index: HashMap::new(),
            history: VecDeque::new(),
            keys: 0,
            forgotten: Seqno::default(),
        }
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        self.index.len()
    }

    /// Judges the write set at `seqno`, which comes after all that were judged before.
    ///
    /// `last_seen` is the seqno up to which its transaction has seen everything.
    pub fn certify(&mut self, seqno: Seqno, last_seen: Seqno, keys: &[Key]) -> Verdict {
        if last_seen < self.forgotten {
            return Verdict::Conflict(Conflict::TooOld(self.forgotten));
        }
        for Key { hash, mode } in keys {
            let with = self.index.get(hash).map(|last| last.against(*mode));
            if let Some(with) = with.filter(|with| *with > last_seen) {
                return Verdict::Conflict(Conflict::With(with, *hash));
            }
        }
        for Key { hash, mode } in keys {
            self.index.entry(*hash).or_default().note(*mode, seqno);
        }
        let hashes = keys.iter().map(|key| key.hash).collect();
        self.history.push_back((seqno, hashes));
        self.keys += keys.len();
        self.forget();
        Verdict::Commit
    }

    /// Forgets what was before `seqno`: a write set whose transaction had not seen all up to there
    /// fails.
    pub fn fence(&mut self, seqno: Seqno) {
        self.index.clear();
        self.history.clear();
        self.keys = 0;
        self.forgotten = seqno;
    }

    fn forget(&mut self) {
        while self.keys > self.max_keys && self.history.len() > 1 {
            let (seqno, hashes) = self.history.pop_front().expect("longer than one");
            self.keys -= hashes.len();
            self.forgotten = seqno;
            for hash in hashes {
                if self
                    .index
                    .get(&hash)
                    .is_some_and(|last| last.latest() == seqno)
                {
                    self.index.remove(&hash);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(hash: u8, mode: Mode) -> Key {
        Key {
            hash: KeyHash([hash; 16]),
            mode,
        }
    }

    #[test]
    fn the_first_committer_wins() {
        use Mode::*;
        let with =
            |seqno, hash| Verdict::Conflict(Conflict::With(Seqno(seqno), KeyHash([hash; 16])));
        let mut certification = Certification::default();
        for (seqno, last_seen, keys, expected) in [
            (
                10,
                0,
                vec![key(1, Exclusive), key(2, Update)],
                Verdict::Commit,
            ),
            (11, 9, vec![key(1, Exclusive)], with(10, 1)),
            (12, 10, vec![key(1, Exclusive)], Verdict::Commit), // it has seen 10
            (13, 10, vec![key(2, Reference)], Verdict::Commit),
            (14, 12, vec![key(2, Update)], Verdict::Commit), // 13 only refers to it
            (15, 12, vec![key(2, Exclusive)], with(14, 2)),
            (16, 0, vec![key(3, Exclusive), key(1, Update)], with(12, 1)),
            (17, 0, vec![key(3, Exclusive)], Verdict::Commit), // 16 has left no trace
            (18, 17, vec![], Verdict::Commit),
            (19, 12, vec![key(2, Reference)], Verdict::Commit),
            (20, 14, vec![key(2, Exclusive)], with(19, 2)),
        ] {
            let verdict = certification.certify(Seqno(seqno), Seqno(last_seen), &keys);
            assert_eq!(verdict, expected, "{seqno}");
        }
    }

    #[test]
    fn what_is_forgotten_must_have_been_seen() {
        let mut certification = Certification::with_room_for(2);
        let mut certify = |seqno, last_seen, hash| {
            let keys = [key(hash, Mode::Exclusive)];
            certification.certify(Seqno(seqno), Seqno(last_seen), &keys)
        };
        assert_eq!(certify(1, 0, 1), Verdict::Commit);
        assert_eq!(certify(2, 0, 2), Verdict::Commit);
        assert_eq!(certify(3, 0, 3), Verdict::Commit);
        let too_old = Verdict::Conflict(Conflict::TooOld(Seqno(1)));
        assert_eq!(certify(4, 0, 4), too_old);
        assert_eq!(certify(5, 1, 1), Verdict::Commit);
        assert_eq!(certification.index.len(), 2);
    }

    /// A write set as the property test makes them: how far its transaction had seen, counted
    /// back from its place, and its keys.
    type Made = (u64, Vec<(u8, u8)>);

    fn made() -> impl Strategy<Value = Vec<Made>> {
        let keys = prop::collection::vec((0..6_u8, 0..3_u8), 0..4);
        prop::collection::vec((0..12_u64, keys), 1..80)
    }

    proptest! {
        /// Against the definition, which looks at every pair: what commits has no conflict with
        /// what committed before it unseen; what fails has one, or is too old.
        #[test]
        fn verdicts_are_those_of_the_definition(made in made(), room in 1..30_usize) {
            let mut certification = Certification::with_room_for(room);
            let mut committed: Vec<(Seqno, Vec<Key>)> = Vec::new();
            for (at, (back, keys)) in made.into_iter().enumerate() {
                let seqno = Seqno(at as u64 + 1);
                let last_seen = Seqno((at as u64).saturating_sub(back));
                let keys: Vec<Key> =
                    keys.into_iter().map(|(hash, mode)| key(hash, Last::MODES[mode as usize])).collect();
                let unseen = committed.iter().filter(|(seqno, _)| *seqno > last_seen);
                let conflicts = unseen.flat_map(|(_, others)| others).any(|other| {
                    keys.iter().any(|key| key.hash == other.hash && key.mode.conflicts_with(other.mode))
                });
                match certification.certify(seqno, last_seen, &keys) {
                    Verdict::Commit => {
                        prop_assert!(!conflicts);
                        committed.push((seqno, keys));
                    }
                    Verdict::Conflict(Conflict::TooOld(floor)) => prop_assert!(last_seen < floor),
                    Verdict::Conflict(Conflict::With(with, _)) => {
                        prop_assert!(conflicts && with > last_seen);
                    }
                }
                prop_assert!(certification.keys <= room.max(4));
            }
        }
    }
}
