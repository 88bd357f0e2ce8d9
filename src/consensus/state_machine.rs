//! What the engine applies committed entries to: not the data, only how far the log is committed,
//! who its members are, and which entries are duplicates. The data is applied by whoever reads the
//! log up to there, at its own pace, so that the engine never waits for it.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use tokio::sync::{mpsc, watch};

use super::{
    once::Once,
    store::record::Identity,
    types::{Entry, LogId, Member, Proposal, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};
use crate::id::{NodeId, ProposalId};

/// A handle to the state; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct StateMachine {
    state: Arc<Mutex<State>>,
    /// Changes with the state, under its lock.
    applied: watch::Sender<Option<LogId>>,
    own: Own,
}

/// Where to report the delivery of what this start of this node has proposed.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) identity: Identity,
    /// Holds no more than the proposals that are under way.
    pub(crate) delivered: mpsc::UnboundedSender<OwnDelivered>,
}

/// A proposal of this node has its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnDelivered {
    pub(crate) sequence: u64,
    pub(crate) index: u64,
}

#[derive(Debug, Default)]
struct State {
    membership: StoredMembership,
    once: Once,
    /// Indexes of the entries that are not delivered because an earlier copy was.
    duplicates: BTreeSet<u64>,
    snapshot: Option<SnapshotMeta>,
}

impl StateMachine {
    pub(crate) fn new(own: Own) -> Self {
        Self {
            state: Arc::default(),
            applied: watch::Sender::new(None),
            own,
        }
    }

    /// Follows the last entry that is applied.
    pub(crate) fn applied(&self) -> watch::Receiver<Option<LogId>> {
        self.applied.subscribe()
    }

    /// The members, as the last applied change has left them.
    pub(crate) fn members(&self) -> Vec<(NodeId, Member)> {
        let state = self.lock();
        let nodes = state.membership.membership().nodes();
        nodes.map(|(id, member)| (*id, member.clone())).collect()
    }

    /// Whether the entry at `index` is a copy of an earlier one.
    pub(crate) fn is_duplicate(&self, index: u64) -> bool {
        self.lock().duplicates.contains(&index)
    }

    fn apply_entry(&self, entry: Entry) {
        let index = entry.log_id.index;
        let mut state = self.lock();
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(Proposal { id, settled, .. }) => {
                if !state.once.admit(id, settled) {
                    state.duplicates.insert(index);
                } else if self.own.is_of(id) {
                    let sequence = id.sequence;
                    // Nobody listens when the node is stopping.
                    let _ = self.own.delivered.send(OwnDelivered { sequence, index });
                }
            }
            EntryPayload::Membership(membership) => {
                state.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
        }
        self.applied.send_replace(Some(entry.log_id));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}

impl Own {
    fn is_of(&self, id: ProposalId) -> bool {
        (id.node, id.incarnation) == (self.identity.node, self.identity.incarnation)
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let state = self.lock();
        Ok((*self.applied.borrow(), state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            self.apply_entry(entry);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, (): ()) -> io::Result<()> {
        let mut state = self.lock();
        self.applied.send_replace(meta.last_log_id);
        state.membership = meta.last_membership.clone();
        state.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.lock().snapshot.clone().map(without_data))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let mut state = self.lock();
        let meta = SnapshotMeta {
            last_log_id: *self.applied.borrow(),
            last_membership: state.membership.clone(),
        };
        state.snapshot = Some(meta.clone());
        Ok(without_data(meta))
    }
}

fn without_data(meta: SnapshotMeta) -> Snapshot {
    Snapshot { meta, snapshot: () }
}
