//! The node as a client of its own, which keeps the table of locks.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{Locks, NamedLock, Own, Request, State};
use crate::{
    backend::{Kill, Pool},
    config::Server,
    consensus::ReplicatedLog,
    frontend::Frontend,
    id::{NodeId, TransactionId},
    replicator::Replicator,
};

/// Between two looks at the table, while somebody waits for a change of it: if nothing is committed, and at least.
const SHORT: Duration = Duration::from_millis(50);
const SHORTEST: Duration = Duration::from_millis(5);

/// Between two looks otherwise.
const LONG: Duration = Duration::from_secs(1);

/// A node that was without a majority, or stood still, for so long ends the sessions that have locks: the others will give these to others.
const ALONE: Duration = Duration::from_secs(5);

/// The locks of a node that was not heard of for so long are given up. By then it has ended their sessions.
const SILENT: Duration = Duration::from_secs(10);

impl Frontend {
    /// Keeps the locks of a node in a cluster, for as long as this is polled.
    pub(in crate::frontend) async fn keep_locks(self: &Arc<Self>) -> Infallible {
        let Some(shared) = &self.shared else {
            return pending().await;
        };
        let requests = shared.locks.requests();
        let Some(requests) = requests else {
            return pending().await;
        };
        tokio::select! {
            never = self.write_locks(requests, &shared.server) => never,
            never = look_at_locks(&shared.locks, &shared.replicator) => never,
        }
    }

    /// Runs what changes the table, one statement after the other.
    async fn write_locks(
        self: &Arc<Self>,
        mut requests: mpsc::Receiver<Request>,
        server: &Server,
    ) -> Infallible {
        let connections = Pool::new(server.clone());
        while let Some((statement, answer)) = requests.recv().await {
            let open = || self.client_of_its_own(server);
            let done = connections.query_by(&statement, open).await;
            // Who does not wait any more leaves what has come of it to the next look.
            let _ = answer.send(done.map(|_| ()));
        }
        pending().await
    }
}

/// Looks at the table, and sees to what is wrong with it.
async fn look_at_locks(locks: &Locks, replicator: &Replicator) -> Infallible {
    let mut watch = Watch::new(replicator.log.identity());
    let mut progress = replicator.progress();
    loop {
        let paused = Instant::now();
        if locks.is_waited_for() {
            sleep(SHORTEST).await;
            // It does not end before the node does.
            let _ = timeout(SHORT, progress.changed()).await;
        } else {
            let _ = timeout(LONG, locks.look.notified()).await;
        }
        let stood_still = paused.elapsed() >= ALONE;
        let known = locks.own().clone();
        let table = match locks.table.all().await {
            Ok(table) => table,
            Err(error) => {
                debug!(%error, "cannot look at the locks");
                continue;
            }
        };
        locks.seen.send_replace(table.clone());
        let view = replicator.log.view();
        let now = Instant::now();
        watch.heard(view.reports.into_keys(), replicator.log.has_majority(), now);
        let own = locks.own().keys().copied().collect();
        for cure in watch.look(&known, &own, &table, stood_still, now) {
            cure.run(locks, replicator).await;
        }
        end_left(locks).await;
    }
}

/// Gives up the locks whose sessions have gone, of those that the server has let go as well.
async fn end_left(locks: &Locks) {
    let mut left = Vec::new();
    for own in locks.own().values() {
        if own.state == State::Left {
            left.push(own.lock.clone());
        }
    }
    for lock in left {
        let are_held = locks.table.are_held(&[&lock.name], lock.connection).await;
        if are_held.is_ok_and(|are_held| are_held == [false]) {
            locks.give_up(lock.holder).await;
        }
    }
}

/// What is to be done about a lock.
#[derive(Debug, PartialEq, Eq)]
enum Cure {
    /// Nobody has what the row says.
    Delete(NamedLock),
    /// A session of this node has lost its lock: it must not go on.
    End(NamedLock),
}

impl Cure {
    async fn run(self, locks: &Locks, replicator: &Replicator) {
        match self {
            Self::Delete(lock) => {
                if let Err(error) = locks.run(lock.give_up()).await {
                    debug!(%error, name = lock.name, "a lock is not given up yet");
                }
            }
            Self::End(lock) => {
                let NamedLock {
                    name,
                    holder,
                    connection,
                } = lock;
                warn!(
                    name,
                    connection,
                    "the session has lost its lock, since the node was away from its cluster: it ends"
                );
                if let Err(error) = replicator.blockers.kill(Kill::Connection, connection).await {
                    info!(%error, "the session has ended before");
                }
                locks.own().remove(&holder);
            }
        }
    }
}

/// Who was heard of, and what the rows of the table mean then.
///
/// Pure: it is told the time.
#[derive(Debug)]
struct Watch {
    node: NodeId,
    /// When the others were last heard of, or first missed.
    others: HashMap<NodeId, Instant>,
    /// Since when there is no majority.
    alone_since: Option<Instant>,
}

impl Watch {
    fn new((node, _): (NodeId, u64)) -> Self {
        Self {
            node,
            others: HashMap::new(),
            alone_since: None,
        }
    }

    fn heard(&mut self, others: impl Iterator<Item = NodeId>, has_majority: bool, now: Instant) {
        self.others.extend(others.map(|node| (node, now)));
        if has_majority {
            self.alone_since = None;
        } else {
            self.alone_since.get_or_insert(now);
            // Nobody can be heard.
            self.others.clear();
        }
    }

    /// What is to be done about a `table` that was read after the locks of this node's sessions were `known`, and before
    /// those of `own` were there, by a process that had perhaps not run for long.
    fn look(
        &mut self,
        known: &HashMap<TransactionId, Own>,
        own: &HashSet<TransactionId>,
        table: &[NamedLock],
        stood_still: bool,
        now: Instant,
    ) -> Vec<Cure> {
        let mut cures = Vec::new();
        let is_alone = stood_still || self.alone_since.is_some_and(|since| now - since >= ALONE);
        let rows: HashSet<_> = table.iter().map(|lock| lock.holder).collect();
        for (holder, Own { lock, state }) in known {
            let is_held = *state == State::Held && own.contains(holder);
            if is_held && (is_alone || !rows.contains(holder)) {
                cures.push(Cure::End(lock.clone()));
            }
        }
        if self.alone_since.is_some() {
            return cures;
        }
        for lock in table {
            let node = lock.holder.node;
            let is_forsaken = if node == self.node {
                !own.contains(&lock.holder) && !known.contains_key(&lock.holder)
            } else {
                now - *self.others.entry(node).or_insert(now) >= SILENT
            };
            if is_forsaken {
                cures.push(Cure::Delete(lock.clone()));
            }
        }
        cures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(node: u64, number: u64) -> NamedLock {
        NamedLock {
            name: format!("lock {number}"),
            holder: TransactionId {
                node: node.into(),
                incarnation: 1,
                number,
            },
            connection: number as u32,
        }
    }

    fn known(locks: &[(u64, State)]) -> HashMap<TransactionId, Own> {
        let own = locks.iter().map(|(number, state)| {
            let lock = lock(1, *number);
            let state = *state;
            (lock.holder, Own { lock, state })
        });
        own.collect()
    }

    #[test]
    fn rows_of_nobody_are_deleted_and_sessions_without_theirs_end() {
        let mut watch = Watch::new((1.into(), 1));
        let now = Instant::now();
        let known = known(&[
            (1, State::Held),
            (2, State::Held),
            (3, State::Taking),
            (4, State::Held),
            (6, State::Left),
        ]);
        // The fourth was given up meanwhile, and the fifth taken.
        let own = [1, 2, 3, 5, 6].map(|number| lock(1, number).holder).into();
        let table = [1, 4, 5, 6, 7].map(|number| lock(1, number));
        watch.heard([].into_iter(), true, now);
        let cures = watch.look(&known, &own, &table, false, now);
        assert_eq!(cures, [Cure::End(lock(1, 2)), Cure::Delete(lock(1, 7))]);
        let mut cures = watch.look(&known, &own, &table, true, now);
        cures.sort_by_key(|cure| format!("{cure:?}"));
        let ends = [Cure::End(lock(1, 1)), Cure::End(lock(1, 2))];
        assert_eq!(cures[1..], ends);
    }

    #[test]
    fn locks_of_a_silent_node_are_given_up_and_those_of_one_that_is_alone_end() {
        let nobody = HashMap::new();
        let mut watch = Watch::new((1.into(), 1));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let table = [lock(2, 1), lock(3, 2)];
        let mut look = |heard: &[u64], has_majority, known: &HashMap<_, _>, seconds| {
            let heard = heard.iter().map(|node| NodeId::from(*node));
            watch.heard(heard, has_majority, at(seconds));
            let own = known.keys().copied().collect();
            watch.look(known, &own, &table, false, at(seconds))
        };
        assert_eq!(look(&[2], true, &nobody, 0), []);
        assert_eq!(look(&[3], true, &nobody, 9), []);
        assert_eq!(look(&[3], true, &nobody, 10), [Cure::Delete(lock(2, 1))]);
        let mine = known(&[(1, State::Held)]);
        assert_eq!(
            look(&[], true, &mine, 11),
            [Cure::End(lock(1, 1)), Cure::Delete(lock(2, 1))]
        );
        let nobody_lost = [Cure::End(lock(1, 1))];
        assert_eq!(look(&[], false, &mine, 12), nobody_lost);
        assert_eq!(look(&[], false, &nobody, 60), []);
        // Back among the others it counts anew.
        assert_eq!(look(&[], true, &nobody, 61), []);
        assert_eq!(look(&[2], true, &nobody, 70), []);
        assert_eq!(look(&[2], true, &nobody, 71), [Cure::Delete(lock(3, 2))]);
    }
}
