//! The sessions of this node's clients, as the applier meets them.
//!
//! The applier has priority: it brings in what the cluster has committed. A session whose transaction
//! holds a lock that it waits for loses the transaction, unless that may have been committed
//! itself: then it [yields](super::Outcome::Yield).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedMutexGuard},
    time::timeout,
};
use tracing::{debug, warn};

use super::Replicator;
use crate::{
    applier::Obstacle,
    backend::Kill,
    id::{Seqno, TransactionId},
};

/// A session that has lost its transaction to the applier waits no longer for it than this.
const COURTESY: Duration = Duration::from_secs(1);

/// What a session does with its transaction, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The server runs a statement of the client.
    Running,
    /// It commits or rolls back its transaction.
    Ending(Option<TransactionId>),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    is_doomed: bool,
    /// What was applied when the session lost its last transaction to the applier.
    lost_at: Option<Seqno>,
}

/// What both the session and the applier know of a session.
#[derive(Debug)]
pub(super) struct Seated {
    state: Mutex<State>,
    doomed: Notify,
    /// Held while a statement is being killed.
    killing: Arc<tokio::sync::Mutex<()>>,
}

/// A session's place among those that the applier may meet; it is left when this is dropped.
pub struct Seat {
    replicator: Arc<Replicator>,
    /// The session's connection on the server.
    connection: u32,
    seated: Arc<Seated>,
}

impl Seat {
    /// Whether the session must roll its transaction back.
    pub fn is_doomed(&self) -> bool {
        self.seated.is_doomed()
    }

    /// The session is about to run a statement of its client. One that has lost a transaction to the applier
    /// lets that go on first: two that come again at once could keep it from a lock for ever.
    pub async fn run(&self) {
        let lost_at = {
            let mut state = self.seated.state();
            // Who is to lose the transaction that is open now must not wait with its locks.
            if state.is_doomed {
                None
            } else {
                state.lost_at.take()
            }
        };
        if let Some(lost_at) = lost_at {
            let mut reached = self.replicator.level.follow();
            let has_gone_on = reached.wait_for(|reached| *reached > lost_at.0);
            let _ = timeout(COURTESY, has_gone_on).await;
        }
        self.seated.state().phase = Phase::Running;
    }

    /// The server has rolled the session's transaction back because of a deadlock. If anything is being
    /// applied, that may have been the other side.
    pub fn lost(&self) {
        let order = &self.replicator.lock().order;
        if order.is_applying() {
            self.seated.state().lost_at = Some(order.seen());
        }
    }

    /// The statement is over. If this is false the transaction must be rolled back, whatever has
    /// become of the statement.
    #[must_use]
    pub async fn ran(&self) -> bool {
        self.change(Phase::Idle).await
    }

    /// The session is about to commit its transaction or to roll it back. If this is false it must
    /// not commit.
    #[must_use]
    pub async fn end(&self, id: Option<TransactionId>) -> bool {
        self.change(Phase::Ending(id)).await
    }

    /// The transaction is over.
    pub fn ended(&self) {
        let mut state = self.seated.state();
        state.phase = Phase::Idle;
        state.is_doomed = false;
    }

    /// Waits until the session, which does nothing, must roll its transaction back.
    pub async fn doomed(&self) {
        while !self.is_doomed() {
            self.seated.doomed.notified().await;
        }
    }

    /// Does what the session needs to commit, unless a definition waits for what it holds: its server may not answer as long as
    /// that waits, since the definition has other locks already. MariaDB locks all tables to tell which foreign keys there are.
    pub async fn unless_in_the_way<T>(&self, action: impl Future<Output = T>) -> Option<T> {
        let is_in_the_way = async {
            while !(self.is_doomed() && self.replicator.schemas.are_changing()) {
                self.seated.doomed.notified().await;
            }
        };
        tokio::select! {
            done = action => Some(done),
            () = is_in_the_way => None,
        }
    }

    /// What kills a statement must not meet what comes after it.
    async fn change(&self, phase: Phase) -> bool {
        let is_doomed = {
            let mut state = self.seated.state();
            state.phase = phase;
            state.is_doomed
        };
        drop(self.seated.killing.lock().await);
        !is_doomed
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let seats = &mut self.replicator.lock().seats;
        // A server that has started again counts its connections from the start.
        let is_own = |seated: &Arc<Seated>| Arc::ptr_eq(seated, &self.seated);
        if seats.get(&self.connection).is_some_and(is_own) {
            seats.remove(&self.connection);
        }
    }
}

impl Seated {
    fn is_doomed(&self) -> bool {
        self.state().is_doomed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replicator {
    /// Gives a session its seat.
    pub fn seat(self: &Arc<Self>, connection: u32) -> Seat {
        let state = State {
            phase: Phase::Idle,
            is_doomed: false,
            lost_at: None,
        };
        let seated = Arc::new(Seated {
            state: Mutex::new(state),
            doomed: Notify::new(),
            killing: Arc::default(),
        });
        self.lock().seats.insert(connection, seated.clone());
        Seat {
            replicator: self.clone(),
            connection,
            seated,
        }
    }

    /// Has somebody go who is in the applier's way.
    pub(super) fn clear(&self, Obstacle { connection, stays }: Obstacle) {
        let mut state = self.lock();
        let Some(seated) = state.seats.get(&connection).cloned() else {
            if stays {
                warn!(
                    connection,
                    "ending a connection that did not come through the node: it holds a lock that \
                    the applier needs"
                );
                self.kill(Kill::Connection, connection, None);
            }
            return;
        };
        let mut session = seated.state();
        if let Phase::Ending(id) = session.phase {
            match id.filter(|id| state.waiting.contains_key(id)) {
                Some(id) => self.give_up_locks(&mut state, id),
                // It yields when it is proposed; or it is over, or about to be.
                None => {
                    session.is_doomed = true;
                    seated.doomed.notify_one();
                }
            }
            return;
        }
        let was_doomed = std::mem::replace(&mut session.is_doomed, true);
        if !was_doomed {
            debug!(connection, "a session loses its transaction to the applier");
            self.metrics.overtaken.inc();
            session.lost_at = Some(state.order.seen());
            seated.doomed.notify_one();
        }
        if stays && was_doomed {
            warn!(
                connection,
                "ending a client's connection that keeps the applier from a lock"
            );
            self.kill(Kill::Connection, connection, None);
        } else if session.phase == Phase::Running
            && let Ok(killing) = seated.killing.clone().try_lock_owned()
        {
            self.kill(Kill::Statement, connection, Some(killing));
        }
    }

    /// Ends what a connection does; `killing` is held until then.
    fn kill(&self, what: Kill, connection: u32, killing: Option<OwnedMutexGuard<()>>) {
        let blockers = self.blockers.clone();
        tokio::spawn(async move {
            if let Err(error) = blockers.kill(what, connection).await {
                debug!(connection, ?what, %error, "cannot be killed");
            }
            drop(killing);
        });
    }
}
