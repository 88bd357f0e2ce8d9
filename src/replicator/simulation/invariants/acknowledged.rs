//! What a client is told is true for ever: committed is on the disks of a majority, and rolled back never
//! commits.

use std::collections::BTreeMap;

use super::{Effect, Log};
use crate::id::{Seqno, TransactionId};

/// What a client has been told of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replicator::simulation) enum Told {
    Committed,
    RolledBack,
    Unknown,
}

#[derive(Debug, Default)]
pub(in crate::replicator::simulation) struct Acknowledged {
    told: BTreeMap<TransactionId, Told>,
    committed: BTreeMap<TransactionId, Seqno>,
    unchecked: Vec<TransactionId>,
}

impl Acknowledged {
    pub(in crate::replicator::simulation) fn tell(&mut self, id: TransactionId, told: Told) {
        let before = self.told.insert(id, told);
        assert_eq!(before, None, "{id} is told {told:?} now");
        match told {
            Told::Committed => self.unchecked.push(id),
            Told::RolledBack => {
                let committed = self.committed.get(&id);
                assert_eq!(committed, None, "{id} is told that it is rolled back");
            }
            Told::Unknown => {}
        }
    }

    pub(super) fn committed(&mut self, seqno: Seqno, effect: &Effect) {
        if let Some(id) = effect.id() {
            self.committed.insert(id, seqno);
            let told = self.told.get(&id);
            assert_ne!(told, Some(&Told::RolledBack), "{id} commits at {seqno}");
        }
    }

    pub(super) fn hold(&mut self, log: &Log) {
        for id in self.unchecked.drain(..) {
            let seqno = self.committed.get(&id);
            let Seqno(index) = seqno.unwrap_or_else(|| panic!("{id} is told that it is committed"));
            assert!(
                log.is_durable(*index),
                "{id} is told, and only few disks have it"
            );
        }
    }

    /// How many transactions were told to be committed.
    pub(in crate::replicator::simulation) fn count(&self) -> usize {
        let told = self.told.values();
        told.filter(|told| **told == Told::Committed).count()
    }
}
