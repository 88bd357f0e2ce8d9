//! Locks with names (`GET_LOCK`) that hold across the cluster.
//!
//! A lock that a client has is a row in a table that is replicated, and the row's primary key is certified: so two nodes
//! never give the same lock. The node writes these rows as a client of its own ([`keeper`]), before the statement
//! runs that takes the lock on the client's server as well; and deletes them once the server says that the session has
//! the lock no more. What a server knows of its own clients' locks thus stays as it is, and what it cannot know, the
//! locks of other nodes' clients, is put into the statements that ask ([`super::calls`]).

mod asked;
mod keeper;
mod tables;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout_at},
};
use tracing::debug;

pub(super) use tables::TableLocks;

use crate::{
    backend::{ConnectionError, NamedLock, NamedLocks},
    config::Server,
    consensus::ProposeError,
    id::{NodeId, TransactionId},
    protocol::errno,
    replicator::{Replicator, Stale},
};

/// What is said where somebody has the lock, or has been faster: `ER_DUP_ENTRY` and those that clients know.
const TAKEN: [u16; 3] = [
    1062,
    errno::DEADLOCK.number,
    errno::LOCK_WAIT_TIMEOUT.number,
];

/// A node that has given up a lock leaves it to the others for so long: they need a moment to notice.
const REST: Duration = Duration::from_millis(20);

/// A statement for the keeper, and where to say what came of it.
type Request = (String, oneshot::Sender<Result<(), ConnectionError>>);

/// The locks that a node's clients have or take.
#[derive(Debug)]
pub(super) struct Locks {
    table: NamedLocks,
    keeper: mpsc::Sender<Request>,
    /// Until the keeper begins.
    requests: Mutex<Option<mpsc::Receiver<Request>>>,
    own: Mutex<HashMap<TransactionId, Own>>,
    /// When this node has given up what it has given up of late.
    given_up: Mutex<HashMap<String, Instant>>,
    /// What was in the table when the keeper has last looked.
    seen: watch::Sender<Vec<NamedLock>>,
    /// The keeper is to look at once.
    look: Notify,
}

/// A lock of a client of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    lock: NamedLock,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its row is being written.
    Taking,
    Held,
    /// Its session has gone, and the server may not have noticed.
    Left,
}

impl Locks {
    pub(super) fn new(server: Server) -> Self {
        let (keeper, requests) = mpsc::channel(1);
        Self {
            table: NamedLocks::new(server),
            keeper,
            requests: Mutex::new(Some(requests)),
            own: Mutex::default(),
            given_up: Mutex::default(),
            seen: watch::Sender::default(),
            look: Notify::new(),
        }
    }

    /// Takes a lock for a session, unless somebody has it.
    async fn take(self: &Arc<Self>, lock: NamedLock) -> Result<Option<Held>, ConnectionError> {
        let held = Held {
            name: lock.name.clone(),
            holder: lock.holder,
            locks: self.clone(),
        };
        let statement = lock.take();
        let state = State::Taking;
        self.own().insert(lock.holder, Own { lock, state });
        let error = match self.run(statement).await {
            Ok(()) => {
                held.set(State::Held);
                return Ok(Some(held));
            }
            Err(error) => error,
        };
        self.own().remove(&held.holder);
        match error {
            ConnectionError::Server { number, .. } if TAKEN.contains(&number) => Ok(None),
            error => Err(error),
        }
    }

    /// Waits until the server has all that was committed anywhere before this call, however long that takes while there is
    /// a majority.
    async fn level(&self, replicator: &Replicator) -> Result<(), ProposeError> {
        loop {
            match replicator.level().await {
                Ok(()) => return Ok(()),
                Err(Stale::Behind) => {}
                Err(Stale::NoMajority(_)) => replicator.majority()?,
            }
        }
    }

    /// Takes a lock for a session as soon as nobody has it, unless that takes too long.
    async fn acquire(
        self: &Arc<Self>,
        lock: NamedLock,
        deadline: Instant,
    ) -> Result<Option<Held>, ConnectionError> {
        self.rest(&lock.name).await;
        if let Some(held) = self.take(lock.clone()).await? {
            return Ok(Some(held));
        }
        let mut seen = self.seen.subscribe();
        self.look.notify_one();
        let is_free = |table: &Vec<NamedLock>| table.iter().all(|other| other.name != lock.name);
        loop {
            if timeout_at(deadline, seen.changed()).await.is_err() {
                return Ok(None);
            }
            if !is_free(&seen.borrow_and_update()) {
                continue;
            }
            self.rest(&lock.name).await;
            if let Some(held) = self.take(lock.clone()).await? {
                return Ok(Some(held));
            }
        }
    }

    /// Waits until others have had time to take a lock that this node has given up.
    async fn rest(&self, name: &str) {
        let end = {
            let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            given_up.retain(|_, at| now < *at + REST);
            given_up.get(name).map(|at| *at + REST)
        };
        if let Some(end) = end {
            sleep_until(end).await;
        }
    }

    /// Whether somebody waits for the table to change.
    fn is_waited_for(&self) -> bool {
        let is_left = |own: &Own| own.state == State::Left;
        self.seen.receiver_count() > 0 || self.own().values().any(is_left)
    }

    /// The session of another node that has a lock, as its server calls it.
    async fn elsewhere(&self, name: &str, node: NodeId) -> Result<Option<u32>, ConnectionError> {
        let all = self.table.all().await?;
        let mut others = all.iter().filter(|lock| lock.holder.node != node);
        let holder = others.find(|lock| lock.name == name);
        Ok(holder.map(|lock| lock.connection))
    }

    /// For each of these locks, whether a session of the server still has it.
    async fn are_held(&self, held: &[Held], connection: u32) -> Result<Vec<bool>, ConnectionError> {
        let names: Vec<_> = held.iter().map(|held| &held.name[..]).collect();
        self.table.are_held(&names, connection).await
    }

    /// Has the others know that a session does not have a lock any more. What fails is done again in the background.
    async fn give_up(&self, holder: TransactionId) {
        let Some(Own { lock, .. }) = self.own().remove(&holder) else {
            return;
        };
        if let Err(error) = self.run(lock.give_up()).await {
            debug!(%error, name = lock.name, "a lock is not given up yet");
        }
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.insert(lock.name, Instant::now());
    }

    /// Has the keeper run a statement.
    async fn run(&self, statement: String) -> Result<(), ConnectionError> {
        let (answer, answered) = oneshot::channel();
        let stopping = || std::io::Error::other("the node is stopping");
        let sent = self.keeper.send((statement, answer)).await;
        sent.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }

    fn requests(&self) -> Option<mpsc::Receiver<Request>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.take()
    }

    fn own(&self) -> MutexGuard<'_, HashMap<TransactionId, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock that a session has. When this is dropped, the session has gone: the lock is given up as soon as the server
/// has noticed.
#[derive(Debug)]
pub(super) struct Held {
    name: String,
    holder: TransactionId,
    locks: Arc<Locks>,
}

impl Held {
    fn set(&self, state: State) {
        if let Some(own) = self.locks.own().get_mut(&self.holder) {
            own.state = state;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(State::Left);
        self.locks.look.notify_one();
    }
}
