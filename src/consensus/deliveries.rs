//! Reading the log in order, as far as it is committed.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use openraft::{EntryPayload, RaftLogReader};
use tokio::sync::watch;

use super::{
    state_machine::StateMachine,
    store::LogStore,
    types::{Entry, Proposal},
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
    applied: watch::Receiver<u64>,
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

    /// Waits for the next entry. Dropping the future loses none.
    ///
    /// # Errors
    /// The log cannot be read, has been cut off after this place, or the node is stopping.
    pub async fn next(&mut self) -> io::Result<Delivered> {
        loop {
            while let Some(entry) = self.read.pop_front() {
                let index = entry.log_id.index;
                if index != self.next {
                    let reason = format!("the log no longer has entry {}", self.next);
                    return Err(io::Error::new(io::ErrorKind::NotFound, reason));
                }
                self.next += 1;
                if let EntryPayload::Normal(Proposal { id, body, .. }) = entry.payload
                    && !self.state.is_duplicate(index)
                {
                    return Ok(Delivered { index, id, body });
                }
            }
            let applied = self.applied.wait_for(|applied| *applied > self.next).await;
            let applied = *applied.map_err(|_| io::Error::other("the node is stopping"))?;
            let entries = self.store.limited_get_log_entries(self.next, applied);
            self.read = entries.await?.into();
        }
    }
}
