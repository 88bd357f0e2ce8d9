//! The first committer wins: nothing commits that conflicts with what has committed before it and that
//! it has not seen; and nothing fails for another reason.

use super::Effect;
use crate::{id::Seqno, write_set::Key};

#[derive(Debug, Default)]
pub(in crate::replicator::simulation) struct FirstCommitter {
    committed: Vec<(Seqno, Vec<Key>)>,
    /// Nobody who has not seen all up to here can commit.
    fence: Seqno,
}

impl FirstCommitter {
    pub(super) fn judged(&mut self, seqno: Seqno, effect: &Effect, commits: bool) {
        let (last_seen, keys) = match effect {
            Effect::Write {
                last_seen, keys, ..
            } => (*last_seen, keys),
            Effect::Fence => {
                self.fence = seqno;
                return;
            }
            Effect::Define { .. } => return,
        };
        let unseen = self.committed.iter().filter(|(at, _)| *at > last_seen);
        let conflict = |(_, others): &&(Seqno, Vec<Key>)| {
            let pairs = others.iter().flat_map(|a| keys.iter().map(move |b| (a, b)));
            let mut same = pairs.filter(|(a, b)| a.hash == b.hash);
            same.any(|(a, b)| a.mode.conflicts_with(b.mode))
        };
        let winner = unseen.clone().find(conflict).map(|(at, _)| *at);
        let loses = last_seen < self.fence || winner.is_some();
        assert_eq!(
            commits, !loses,
            "{effect:?} at {seqno}, after {winner:?} and {}",
            self.fence
        );
        if commits {
            self.committed.push((seqno, keys.clone()));
        }
    }
}
