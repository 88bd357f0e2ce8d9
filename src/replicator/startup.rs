//! How far a node has come that is starting.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::info;

use crate::id::Seqno;

/// Between two lines of the log that tell the progress.
const PERIOD: Duration = Duration::from_secs(5);

/// What a node does before it serves clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for a majority, and for its server.
    Starting,
    /// It reads the log, to find out what of it the server has.
    Reading,
    /// It gives the server what that lacks.
    CatchingUp,
    Level,
}

/// The progress of a node that is starting.
#[derive(Debug)]
pub(super) struct Startup(Mutex<State>);

#[derive(Debug)]
struct State {
    stage: Stage,
    at: Seqno,
    end: Seqno,
    told: Instant,
}

impl Startup {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            stage: Stage::Starting,
            at: Seqno(0),
            end: Seqno(0),
            told: Instant::now(),
        }))
    }

    /// A stage begins, which is over when it has come to `end` in the log.
    pub(super) fn begin(&self, stage: Stage, end: Seqno) {
        let mut state = self.lock();
        let told = state.told;
        *state = State {
            stage,
            at: Seqno(0),
            end,
            told,
        };
    }

    /// The stage has come to here; the node's log tells so now and then.
    pub(super) fn reach(&self, at: Seqno) {
        let mut state = self.lock();
        state.at = at;
        if state.told.elapsed() >= PERIOD {
            state.told = Instant::now();
            info!("{state}");
        }
    }

    /// What the node does before it serves clients, if it does not serve any yet.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.lock();
        (state.stage != Stage::Level).then(|| state.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, end, .. } = self;
        match self.stage {
            Stage::Starting => f.write_str("starting, if it reaches a majority of its cluster"),
            Stage::Reading => write!(f, "reading its log: {at} of {end}"),
            Stage::CatchingUp => write!(f, "catching up with its cluster: {at} of {end}"),
            Stage::Level => f.write_str("level with its cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_how_far_it_is_until_it_is_level() {
        let startup = Startup::new();
        let starting = "starting, if it reaches a majority of its cluster";
        assert_eq!(startup.problem().as_deref(), Some(starting));
        for (stage, expected) in [
            (Stage::Reading, "reading its log: 3 of 9"),
            (Stage::CatchingUp, "catching up with its cluster: 3 of 9"),
        ] {
            startup.begin(stage, Seqno(9));
            startup.reach(Seqno(3));
            assert_eq!(startup.problem().as_deref(), Some(expected));
        }
        startup.begin(Stage::Level, Seqno(9));
        assert_eq!(startup.problem(), None);
    }
}
