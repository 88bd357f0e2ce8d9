//! Whether this node reaches a majority of its cluster, for those who must know at once.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use super::awake::Awake;

/// Without a sign of a majority for this long there is none. Longer than any election takes, so that
/// nobody hears of one; with the last look, less than the two seconds that are promised.
const PATIENCE: Duration = Duration::from_millis(1500);
const ATTEMPT: Duration = Duration::from_millis(500);
/// Between two looks while there is a majority.
const PERIOD: Duration = Duration::from_millis(500);
/// Between two looks while there may be none.
const RETRY: Duration = Duration::from_millis(100);
/// What counts of the time for which the machine stands still: several such times in a row are no sign either.
const STANDSTILL: Duration = Duration::from_millis(100);

/// Says whether there is a majority, whenever that changes. `ask` asks it, and waits no longer than it is told.
pub(crate) async fn watch<A: Future<Output = bool>>(
    ask: impl Fn(Duration) -> A,
    told: watch::Sender<bool>,
) {
    let mut clock = Awake::new(STANDSTILL);
    let mut last_sign = clock.now();
    loop {
        let has_answered = clock.during(ask(ATTEMPT)).await;
        if has_answered {
            last_sign = clock.now();
        }
        let there_is = clock.now() - last_sign < PATIENCE;
        if told.send_replace(there_is) != there_is {
            if there_is {
                info!("this node reaches a majority of its cluster");
            } else {
                warn!("this node does not reach a majority of its cluster: clients cannot write");
            }
        }
        let pause = sleep(if has_answered { PERIOD } else { RETRY });
        clock.during(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use tokio::time::{Instant, advance, timeout};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Whether somebody was told that there is no majority within ten seconds, and when.
    async fn told_after<A: Future<Output = bool>>(ask: impl Fn(Duration) -> A) -> Option<Duration> {
        let (told, mut has_majority) = watch::channel(true);
        let start = Instant::now();
        tokio::select! {
            () = watch(ask, told) => unreachable!("it goes on for ever"),
            without = timeout(10_000 * MS, has_majority.wait_for(|has| !has)) => {
                without.ok().map(|_| start.elapsed())
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_told_within_two_seconds() {
        let silent = told_after(|limit| async move {
            sleep(limit).await;
            false
        });
        let after = silent.await.expect("told");
        assert!(after >= PATIENCE && after < 2000 * MS, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stood_still_three_times_is_told_nothing() {
        let asked = AtomicU32::new(0);
        let after = told_after(|_| async {
            sleep(200 * MS).await;
            if asked.fetch_add(1, Relaxed) >= 3 {
                return true;
            }
            advance(2500 * MS).await;
            false
        });
        assert_eq!(after.await, None);
        assert!(asked.load(Relaxed) > 3);
    }
}
