//! The same log leads every node to the same verdicts.

use std::collections::BTreeMap;

use super::Effect;
use crate::id::Seqno;

#[derive(Debug, Default)]
pub(in crate::replicator::simulation) struct Verdicts(BTreeMap<(Seqno, bool), (Effect, bool)>);

impl Verdicts {
    /// Whether this is the first node that has come there.
    pub(super) fn reached(&mut self, seqno: Seqno, effect: &Effect, commits: bool) -> bool {
        // A definition takes effect in the place of its claim.
        let is_end = matches!(effect, Effect::Define { .. });
        let verdict = (effect.clone(), commits);
        match self.0.get(&(seqno, is_end)) {
            Some(known) => {
                assert_eq!(*known, verdict, "two verdicts at {seqno}");
                false
            }
            None => {
                self.0.insert((seqno, is_end), verdict);
                true
            }
        }
    }
}
