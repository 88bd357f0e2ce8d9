//! How long ago the log was committed up to where this node's server is.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::Replicator;
use crate::consensus::ReplicatedLog;

/// Between two samples.
const PERIOD: Duration = Duration::from_secs(1);

/// A node whose server is as far behind as this should get no more clients,
const BOUND: Duration = Duration::from_secs(10);

/// until it is no farther behind than this.
const CLOSE: Duration = Duration::from_secs(2);

/// How far a server is behind the log.
#[derive(Debug, Default)]
pub(super) struct Lag(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Up to which index the log was committed when: only what the server lacks, the oldest first.
    samples: VecDeque<(Instant, u64)>,
    is_suspended: bool,
    is_beyond: bool,
}

impl Replicator {
    /// How many entries of a log that is committed up to here this node's server does not have yet.
    pub fn lacking(&self, committed: u64) -> u64 {
        committed.saturating_sub(self.level.reached())
    }

    /// Watches how far this node's server is behind.
    pub(super) async fn watch_lag(&self) -> Infallible {
        loop {
            sleep(PERIOD).await;
            let committed = self.log.view().committed;
            let done = self.level.reached();
            self.lag.sample(Instant::now(), committed, done);
            self.metrics.applying.sample(self.lacking(committed));
            let proposed = self.load().proposed;
            self.metrics.ordering.sample(proposed as u64);
        }
    }
}

impl Lag {
    /// While something is being defined all nodes wait alike, and none is behind for that.
    pub(super) fn suspend(&self, is_suspended: bool) {
        self.lock().is_suspended = is_suspended;
    }

    /// The log is committed up to one index, and the server has all of it up to another.
    fn sample(&self, now: Instant, committed: u64, done: u64) {
        let mut state = self.lock();
        if state.is_suspended {
            state.samples.clear();
        }
        state.samples.retain(|(_, index)| *index > done);
        if committed > done {
            state.samples.push_back((now, committed));
        }
        let lag = state.lag(now, done);
        state.is_beyond = lag >= if state.is_beyond { CLOSE } else { BOUND };
    }

    /// That the server, which has all up to here, is too far behind, if so.
    pub(super) fn problem(&self, done: u64) -> Option<String> {
        let state = self.lock();
        let seconds = state.lag(Instant::now(), done).as_secs();
        state.is_beyond.then(|| {
            format!("its server is {seconds} s behind its cluster; see what keeps it from working")
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lag(&self, now: Instant, done: u64) -> Duration {
        let mut lacking = self.samples.iter().filter(|(_, index)| *index > done);
        lacking.next().map_or(Duration::ZERO, |(at, _)| now - *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples at these seconds, with what the log and the server have, and whether the node is too far behind.
    fn check(lag: &Lag, samples: &[(u64, u64, u64, bool)]) {
        let start = Instant::now();
        for &(second, committed, done, expected) in samples {
            lag.sample(start + Duration::from_secs(second), committed, done);
            assert_eq!(lag.problem(done).is_some(), expected, "second {second}");
        }
    }

    #[test]
    fn a_server_is_behind_from_one_bound_on_until_it_is_close() {
        check(
            &Lag::default(),
            &[
                (0, 5, 5, false),
                (1, 50, 5, false),
                (5, 90, 40, false),
                (10, 99, 49, false),
                // It still lacks what there was in second 1.
                (11, 99, 49, true),
                // What it lacks is from second 10.
                (13, 99, 95, true),
                (14, 120, 99, false),
            ],
        );
    }

    #[test]
    fn a_server_that_stands_still_is_behind_though_nothing_comes_after() {
        check(
            &Lag::default(),
            &[(0, 5, 4, false), (10, 5, 4, true), (11, 5, 5, false)],
        );
    }

    #[test]
    fn a_server_that_always_has_something_to_do_is_not_behind() {
        let busy = (0..60).map(|second| (second, second * 9 + 5, second * 9, false));
        check(&Lag::default(), &busy.collect::<Vec<_>>());
    }

    #[test]
    fn nobody_is_behind_for_a_definition() {
        let lag = Lag::default();
        lag.suspend(true);
        check(&lag, &[(0, 5, 4, false), (30, 6, 4, false)]);
        lag.suspend(false);
        check(&lag, &[(31, 6, 4, false), (35, 6, 6, false)]);
    }
}
