//! Time as a task lives through it: who was stopped, or whose machine stood still, has not waited for anybody.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

/// A clock that goes on only while it is looked at.
#[derive(Debug)]
pub(crate) struct Awake {
    longest: Duration,
    looked: Instant,
    now: Duration,
}

impl Awake {
    /// A clock for somebody who looks at it more often than each `longest`.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            looked: Instant::now(),
            now: Duration::ZERO,
        }
    }

    /// The time at the last look, since the start.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Goes on while something is awaited.
    pub(crate) async fn during<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        loop {
            let done = timeout(self.longest / 2, &mut awaited).await;
            self.look(Instant::now());
            if let Ok(done) = done {
                return done;
            }
        }
    }

    /// Takes in what has passed since the last look: no more than `longest`. Gives the time.
    pub(crate) fn look(&mut self, at: Instant) -> Duration {
        self.now += at.duration_since(self.looked).min(self.longest);
        self.looked = at;
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_slept_through_does_not_count() {
        let ms = Duration::from_millis;
        let mut clock = Awake::new(ms(100));
        let start = clock.looked;
        for (at, now) in [(40, 40), (90, 90), (5090, 190), (5140, 240)] {
            assert_eq!(clock.look(start + ms(at)), ms(now), "{at}");
            assert_eq!(clock.now(), ms(now), "{at}");
        }
    }
}
