//! Replication: puts the write sets of this node's transactions into the log, and does what the
//! order of the log says, one entry after the other.

mod delivery;
mod entry;
mod order;
mod prepared;
mod recovery;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

use crate::{
    applier::ApplyError,
    backend::Changes,
    config::Server,
    consensus::{Engine, ProposeError, ReplicatedLog},
    id::{Seqno, TransactionId},
    write_set::{Key, WriteSet},
};

use entry::Entry;
pub use entry::{Malformed, TooLarge};
use order::Order;
pub use prepared::{Held, Prepared};

/// Parts of a write set that are proposed at once.
const PARTS_UNDER_WAY: usize = 8;

/// Between two attempts at what needs a majority or the server.
const RETRY: Duration = Duration::from_millis(200);

/// Joins the sessions of a node with the order of the log.
pub struct Replicator {
    log: Arc<Engine>,
    server: Server,
    state: Mutex<State>,
    is_synced: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    order: Order,
    waiting: HashMap<TransactionId, Waiting>,
}

/// A session that waits for what becomes of its transaction.
struct Waiting {
    held: Held,
    answer: oneshot::Sender<Outcome>,
}

/// What a session is to do about its prepared transaction.
#[derive(Debug)]
pub enum Outcome {
    Commit(Turn),
    RollBack(Refusal, Prepared),
    /// Nothing: it may still commit, and only the node can decide it. The session must end.
    Open(Refusal),
}

/// A transaction's turn to commit: those before it have, those after it wait.
#[derive(Debug)]
pub struct Turn {
    committed: oneshot::Sender<()>,
}

impl Turn {
    /// The transaction is committed. A turn that is dropped instead leaves that to the node.
    pub fn committed(self) {
        // Nobody listens when the node is stopping.
        let _ = self.committed.send(());
    }
}

/// Why a prepared transaction does not commit.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("another transaction has committed first")]
    Conflict,
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Why a node must stop.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationFailure {
    #[error("the log cannot be read: {0}")]
    Log(#[from] io::Error),
    #[error("entry {index} of the log cannot be used: {error}")]
    Entry { index: u64, error: Malformed },
    #[error(
        "this server has what was committed up to {position}, but the cluster's log ends at {end}: it \
        belongs to another cluster; give the node the server and the log that belong together"
    )]
    Foreign { position: Seqno, end: Seqno },
    /// Its locks are gone: others may have read, and be about to commit, what it has changed.
    #[error(
        "the server no longer has transaction {id}, which was prepared and has committed in the \
        cluster as {seqno}; start the node again, and it gives the server what it lacks"
    )]
    PreparedLost { id: TransactionId, seqno: Seqno },
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Replicator {
    pub fn new(log: Arc<Engine>, server: Server) -> Self {
        Self {
            log,
            server,
            state: Mutex::default(),
            is_synced: watch::Sender::new(false),
        }
    }

    /// Why no client can be served now, if so.
    pub fn problem(&self) -> Option<&'static str> {
        let reason = "the node is catching up with its cluster, or has no majority to do it with";
        (!*self.is_synced.borrow()).then_some(reason)
    }

    /// Takes in a transaction that its session is about to prepare.
    pub fn prepare(&self, held: Held) -> Prepared {
        Prepared::new(held, self.server.clone())
    }

    /// Has a prepared transaction ordered, and waits for what becomes of it.
    pub async fn replicate(&self, prepared: Prepared, changes: Changes, keys: Vec<Key>) -> Outcome {
        let id = prepared.id();
        let (answer, answered) = oneshot::channel();
        let last_seen = {
            let mut state = self.lock();
            let Ok(last_seen) = state.order.prepared(id, &keys) else {
                return Outcome::RollBack(Refusal::Conflict, prepared);
            };
            let held = prepared.over();
            state.waiting.insert(id, Waiting { held, answer });
            last_seen
        };
        let events = changes.rows.iter();
        let write_set = WriteSet {
            id,
            last_seen,
            keys,
            format: changes.format.bytes().clone(),
            events: events.map(|event| event.bytes().clone()).collect(),
        };
        let bodies = match Entry::WriteSet(write_set).bodies() {
            Ok(bodies) => bodies,
            Err(error) => return self.refuse(id, error.into(), answered).await,
        };
        let is_in_parts = bodies.len() > 1;
        let mut answered = answered;
        let outcome = tokio::select! {
            outcome = &mut answered => told(outcome),
            error = self.refused(bodies) => self.refuse(id, error.into(), answered).await,
        };
        if is_in_parts && !matches!(outcome, Outcome::Commit(_)) {
            self.abandon(id);
        }
        outcome
    }

    /// Proposes the bodies of an entry. Waits for ever once all are in the log: what comes of them is
    /// told when they are delivered.
    async fn refused(&self, bodies: Vec<Bytes>) -> ProposeError {
        let proposals = bodies.into_iter().map(|body| self.log.propose(body));
        let mut proposals = stream::iter(proposals).buffer_unordered(PARTS_UNDER_WAY);
        while let Some(proposed) = proposals.next().await {
            if let Err(error) = proposed {
                return error;
            }
        }
        std::future::pending().await
    }

    /// What becomes of a transaction whose proposal failed.
    async fn refuse(
        &self,
        id: TransactionId,
        refusal: Refusal,
        answered: oneshot::Receiver<Outcome>,
    ) -> Outcome {
        if let Refusal::Propose(ProposeError::Unknown | ProposeError::Stopped) = refusal {
            return Outcome::Open(refusal);
        }
        match self.forget(id) {
            Some(held) => Outcome::RollBack(refusal, self.prepare(held)),
            None => told(answered.await),
        }
    }

    /// Has everybody drop the parts of a write set, as soon as there is a majority to tell them.
    fn abandon(&self, id: TransactionId) {
        let log = self.log.clone();
        tokio::spawn(async move {
            let bodies = Entry::Abandoned(id).bodies();
            let body = bodies.expect("a small entry").remove(0);
            while let Err(ProposeError::NoQuorum) = log.propose(body.clone()).await {
                sleep(RETRY).await;
            }
        });
    }

    /// Forgets a transaction, unless its outcome has been told already.
    fn forget(&self, id: TransactionId) -> Option<Held> {
        let mut state = self.lock();
        state.order.withdraw(id);
        state.waiting.remove(&id).map(|waiting| waiting.held)
    }

    /// Tells a session to roll its transaction back. If it has gone the node does.
    fn roll_back(&self, id: TransactionId) {
        let waiting = self.lock().waiting.remove(&id);
        if let Some(Waiting { held, answer }) = waiting {
            // What is not taken is dropped, and with it goes the transaction.
            let _ = answer.send(Outcome::RollBack(Refusal::Conflict, self.prepare(held)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(outcome: Result<Outcome, oneshot::error::RecvError>) -> Outcome {
    outcome.unwrap_or(Outcome::Open(ProposeError::Stopped.into()))
}
