//! What the engine applies committed entries to: not the data, only how far the log is committed,
//! who its members are, and which entries are duplicates. The data is applied by whoever reads the
//! log up to there, at its own pace, so that the engine never waits for it.

use std::{
    collections::{BTreeSet, VecDeque},
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
    store::{LogStore, body_bytes, record::Identity},
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
    /// Keeps the snapshot.
    store: LogStore,
    retention: Retention,
}

/// How much of the log is kept, in bytes of its entries' bodies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// So much, and what this node needs.
    pub(crate) bytes: u64,
    /// The log's start moves by so much at a time.
    pub(crate) step: u64,
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
    /// Bytes of bodies that were applied by this start.
    bytes: u64,
    /// Where the log may start one day.
    places: VecDeque<Place>,
    /// The snapshot that is to be built: of a place.
    wanted: Option<Snapshot>,
    snapshot: Option<Snapshot>,
}

/// A place in the log.
#[derive(Debug)]
struct Place {
    /// Of all up to here.
    snapshot: Snapshot,
    /// What [`State::bytes`] was here.
    bytes: u64,
}

impl StateMachine {
    /// The state as the log's snapshot has it.
    pub(crate) fn new(own: Own, store: LogStore, retention: Retention) -> Self {
        let snapshot = store.snapshot();
        let state = State {
            snapshot: snapshot.map(|(meta, snapshot)| Snapshot { meta, snapshot }),
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            applied: watch::Sender::new(None),
            own,
            store,
            retention,
        }
    }

    /// Nobody here needs the entries before `index` any more. Says whether the log is long enough to do
    /// without some of them; the next snapshot is of those then.
    pub(crate) fn release(&self, index: u64) -> bool {
        let mut state = self.lock();
        let bytes = state.bytes;
        let is_over = |place: &Place| {
            let last = place.snapshot.meta.last_log_id.map_or(0, |id| id.index);
            last < index && bytes - place.bytes >= self.retention.bytes
        };
        let count = state.places.partition_point(is_over);
        let Some(place) = state.places.drain(..count).next_back() else {
            return false;
        };
        state.wanted = Some(place.snapshot);
        true
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
        let bytes = body_bytes(&entry.payload) as u64;
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
        state.bytes += bytes;
        let last = state.places.back().map_or(0, |place| place.bytes);
        if state.bytes - last >= self.retention.step {
            let snapshot = self.now(&state);
            let bytes = state.bytes;
            state.places.push_back(Place { snapshot, bytes });
        }
    }

    /// A snapshot of all that is applied.
    fn now(&self, state: &State) -> Snapshot {
        let meta = SnapshotMeta {
            last_log_id: *self.applied.borrow(),
            last_membership: state.membership.clone(),
        };
        let snapshot = state.once.clone();
        Snapshot { meta, snapshot }
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
    type SnapshotData = Once;
    type SnapshotBuilder = Builder;

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

    /// Of what [`release`](StateMachine::release) has found; if it must be one, of all that is applied.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        let snapshot = {
            let mut state = self.lock();
            let wanted = state.wanted.take();
            wanted.or_else(|| force.then(|| self.now(&state)))?
        };
        let machine = self.clone();
        Some(Builder { machine, snapshot })
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let builder = self.try_create_snapshot_builder(true).await;
        builder.expect("it was forced")
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, once: Once) -> io::Result<()> {
        self.store.save_snapshot(meta, &once).await?;
        let mut state = self.lock();
        self.applied.send_replace(meta.last_log_id);
        *state = State {
            membership: meta.last_membership.clone(),
            once: once.clone(),
            snapshot: Some(Snapshot {
                meta: meta.clone(),
                snapshot: once,
            }),
            ..State::default()
        };
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.lock().snapshot.clone())
    }
}

/// Has a snapshot kept.
pub(crate) struct Builder {
    machine: StateMachine,
    snapshot: Snapshot,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Once;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let Self { machine, snapshot } = self;
        let Snapshot {
            meta,
            snapshot: once,
        } = &snapshot;
        machine.store.save_snapshot(meta, once).await?;
        let mut state = machine.lock();
        let first = meta.last_log_id.map_or(0, |id| id.index + 1);
        state.duplicates = state.duplicates.split_off(&first);
        state.snapshot = Some(snapshot.clone());
        Ok(snapshot.clone())
    }
}
