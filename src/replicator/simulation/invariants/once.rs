//! What is proposed is delivered once at most, in the same place to every node, and takes effect once.

use std::collections::{BTreeMap, BTreeSet};

use super::Effect;
use crate::id::{ProposalId, TransactionId};

#[derive(Debug, Default)]
pub(in crate::replicator::simulation) struct DeliveredOnce {
    places: BTreeMap<u64, ProposalId>,
    ids: BTreeSet<ProposalId>,
    effects: BTreeSet<TransactionId>,
}

impl DeliveredOnce {
    pub(in crate::replicator::simulation) fn delivered(&mut self, index: u64, id: ProposalId) {
        match self.places.insert(index, id) {
            Some(known) => assert_eq!(known, id, "two nodes are delivered two things at {index}"),
            None => assert!(
                self.ids.insert(id),
                "{id} is delivered twice, at {index} too"
            ),
        }
    }

    /// What all have admitted: a node that admits less has lost it.
    pub(in crate::replicator::simulation) fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn took_effect(&mut self, effect: &Effect) {
        if let Some(id) = effect.id() {
            assert!(self.effects.insert(id), "{id} takes effect twice");
        }
    }
}
