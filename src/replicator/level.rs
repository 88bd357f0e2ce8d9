//! Reads that see all that was committed before them, on whatever node.
//!
//! A majority says up to where the log was committed (its read index), and this node's server is waited for until it has
//! all of that. Source: "Processing read-only queries more efficiently" in Ongaro's "Consensus: Bridging Theory and
//! Practice"; the waiting is Galera's `wsrep_sync_wait`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use super::Replicator;
use crate::consensus::{ProposeError, ReplicatedLog};

/// A server that is not level after this long is too far behind: Galera's `repl.causal_read_timeout`.
const LIMIT: Duration = Duration::from_secs(30);

/// Why a read would see what may be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    #[error(transparent)]
    NoMajority(#[from] ProposeError),
    #[error(
        "this node's server does not have within {} s what was committed before the statement; see what keeps it from \
         working, or use another node",
        LIMIT.as_secs()
    )]
    Behind,
}

/// How far this node's server is.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// It has all of the log up to here.
    reached: watch::Sender<u64>,
    rounds: Rounds<Option<u64>>,
}

impl Level {
    /// The server has all of the log up to the place that is here.
    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.reached.subscribe()
    }

    /// The server has all of the log up to here.
    pub(super) fn reached(&self) -> u64 {
        *self.reached.borrow()
    }

    /// The server has all of the log up to here.
    pub(super) fn reach(&self, index: u64) {
        self.reached.send_if_modified(|reached| {
            let is_ahead = index > *reached;
            *reached = index.max(*reached);
            is_ahead
        });
    }
}

impl Replicator {
    /// Follows how far in the log this node's server is.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.level.follow()
    }

    /// Waits until this node's server has all that was committed anywhere before this call.
    ///
    /// # Errors
    /// There is no majority that says how much that is, or the server is too far behind.
    pub async fn level(&self) -> Result<(), Stale> {
        let index = self.level.rounds.join(|| self.log.read_index()).await;
        let index = index.ok_or(ProposeError::NoQuorum)?;
        let mut reached = self.level.follow();
        let has_reached = reached.wait_for(|reached| *reached >= index);
        match timeout(LIMIT, has_reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Stale::Behind),
        }
    }
}

/// A question that many ask at once and that is asked once for all who wait: the answer that each gets was asked for after
/// he came.
#[derive(Debug, Default)]
struct Rounds<T> {
    begun: AtomicU64,
    /// The last answer, and which round it is of.
    last: Mutex<Option<(u64, T)>>,
}

impl<T: Clone> Rounds<T> {
    async fn join<F: Future<Output = T>>(&self, ask: impl FnOnce() -> F) -> T {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some((round, answer)) = &*last
            && *round > before
        {
            return answer.clone();
        }
        let round = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = ask().await;
        *last = Some((round, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::{sync::Semaphore, task::yield_now};

    use super::*;

    #[tokio::test]
    async fn who_comes_while_it_is_asked_waits_for_the_next_answer() {
        let rounds = Rounds::default();
        let asked = AtomicU64::new(0);
        let gate = Semaphore::new(0);
        let ask = || async {
            let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
            gate.acquire().await.unwrap().forget();
            number
        };
        let first = rounds.join(ask);
        let others = async {
            // The first one asks.
            while asked.load(Ordering::SeqCst) == 0 {
                yield_now().await;
            }
            let others = join_all((0..9).map(|_| rounds.join(ask)));
            let opened = async {
                yield_now().await;
                gate.add_permits(2);
            };
            tokio::join!(others, opened).0
        };
        let (first, others) = tokio::join!(first, others);
        assert_eq!((first, others), (1, vec![2; 9]));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_any_more_is_asked_for_again() {
        let rounds = Rounds::default();
        let dropped = rounds.join(std::future::pending::<u8>);
        assert!(timeout(Duration::from_millis(1), dropped).await.is_err());
        assert_eq!(rounds.join(async || 7).await, 7);
    }
}
