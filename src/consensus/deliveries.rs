//! Reading the log in order, as far as it is committed.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use openraft::{EntryPayload, RaftLogReader};
use tokio::sync::watch;

use super::{
    state_machine::StateMachine,
    store::LogStore,
    types::{Entry, LogId, Proposal},
};
use crate::id::ProposalId;

/// An entry with its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Larger than that of every earlier entry. The log also keeps books for itself, so indexes
    /// have gaps, the same on every node.
    pub index: u64,
    pub id: ProposalId,
    pub body: Bytes,
}

/// A reader at its place in the log. It holds nobody up: who reads slowly falls behind alone.
pub struct Deliveries {
    store: LogStore,
    state: StateMachine,
    applied: watch::Receiver<Option<LogId>>,
    next: u64,
    read: VecDeque<Entry>,
}

impl Deliveries {
    pub(crate) fn new(store: LogStore, state: StateMachine, after: u64) -> Self {
        let applied = state.applied();
        Self {
            store,
            state,
            applied,
            next: after + 1,
            read: VecDeque::new(),
        }
    }

    /// All up to here has been given, as far as it is not the log's own.
    pub fn reached(&self) -> u64 {
        self.next - 1
    }

    /// Waits for the next entry. Dropping the future loses none.
    ///
    /// # Errors
    /// The log cannot be read, has been cut off after this place, or the node is stopping.
    pub async fn next(&mut self) -> io::Result<Delivered> {
        loop {
            while let Some(entry) = self.read.pop_front() {
                let index = entry.log_id.index;
                self.next = index + 1;
                if let EntryPayload::Normal(Proposal { id, body, .. }) = entry.payload
                    && !self.state.is_duplicate(index)
                {
                    return Ok(Delivered { index, id, body });
                }
            }
            let reached = |applied: &Option<LogId>| applied.is_some_and(|id| id.index >= self.next);
            let applied = self.applied.wait_for(reached).await;
            let applied = *applied.map_err(|_| io::Error::other("the node is stopping"))?;
            let end = applied.map_or(0, |id| id.index + 1);
            let entries = self.store.limited_get_log_entries(self.next, end).await?;
            if entries.first().map(|entry| entry.log_id.index) != Some(self.next) {
                let reason = format!("the log no longer has entry {}", self.next);
                return Err(io::Error::new(io::ErrorKind::NotFound, reason));
            }
            self.read = entries.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::{
        entry::RaftEntry,
        storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
        testing::common::log_id,
    };
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        consensus::{
            state_machine::{Own, Retention},
            types::TypeConfig,
        },
        metrics::Metrics,
    };

    #[tokio::test]
    async fn a_reader_is_told_when_its_place_was_removed_from_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, identity) =
            LogStore::open(directory.path(), 7.into(), 1 << 20, &Metrics::default())
                .await
                .unwrap();
        let (delivered, _) = mpsc::unbounded_channel();
        let own = Own {
            identity,
            delivered,
        };
        let retention = Retention { bytes: 0, step: 1 };
        let mut state = StateMachine::new(own, store.clone(), retention);
        let id = |index| log_id::<TypeConfig>(1, 7.into(), index);
        let entries: Vec<Entry> = (0..3).map(|index| Entry::new_blank(id(index))).collect();
        store.blocking_append(entries.clone()).await.unwrap();
        let applied = entries.into_iter().map(|entry| Ok((entry, None)));
        state.apply(futures::stream::iter(applied)).await.unwrap();
        store.purge(id(2)).await.unwrap();
        let mut deliveries = Deliveries::new(store, state, 0);
        let error = deliveries.next().await.unwrap_err();
        assert_eq!(error.to_string(), "the log no longer has entry 1");
    }
}
