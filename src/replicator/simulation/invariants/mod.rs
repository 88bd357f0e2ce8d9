//! What must be true whatever happens, one promise a file.

mod acknowledged;
mod first_committer;
mod once;
mod recovery;
mod verdicts;

use super::{clients::changes, log::Log, server::Change};
use crate::{
    id::{Seqno, TransactionId},
    replicator::entry::Entry,
    write_set::Key,
};

pub(super) use acknowledged::Told;

/// All promises, with what has been seen of each.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    pub(super) acknowledged: acknowledged::Acknowledged,
    pub(super) first_committer: first_committer::FirstCommitter,
    pub(super) once: once::DeliveredOnce,
    pub(super) recovery: recovery::Recovery,
    pub(super) verdicts: verdicts::Verdicts,
}

impl Invariants {
    /// A node has come to where an entry takes effect, and to its verdict.
    pub(super) fn reached(&mut self, seqno: Seqno, effect: Effect, commits: bool) {
        if !self.verdicts.reached(seqno, &effect, commits) {
            return;
        }
        self.first_committer.judged(seqno, &effect, commits);
        if commits {
            self.once.took_effect(&effect);
            self.acknowledged.committed(seqno, &effect);
            self.recovery.committed(seqno, effect);
        }
    }

    pub(super) fn hold(&mut self, log: &Log) {
        self.acknowledged.hold(log);
    }
}

/// What an entry does, if it is not void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Write {
        id: TransactionId,
        last_seen: Seqno,
        keys: Vec<Key>,
        changes: Vec<Change>,
    },
    /// The place of a definition is reached, or a fence: what was before it fails after it.
    Fence,
    Define {
        id: TransactionId,
        table: usize,
    },
}

impl Effect {
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::WriteSet(write_set) => Some(Self::Write {
                id: write_set.id,
                last_seen: write_set.last_seen,
                keys: write_set.keys.clone(),
                changes: changes(write_set),
            }),
            Entry::Claim(_) | Entry::Fence { .. } => Some(Self::Fence),
            Entry::Defined { id, definition } => {
                let table = usize::from(definition.events.first()?[0]);
                Some(Self::Define { id: *id, table })
            }
            _ => None,
        }
    }

    fn id(&self) -> Option<TransactionId> {
        match self {
            Self::Write { id, .. } | Self::Define { id, .. } => Some(*id),
            Self::Fence => None,
        }
    }
}
