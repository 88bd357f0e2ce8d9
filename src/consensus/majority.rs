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
/// At most so much of the time for which the machine stands still counts as silence, so that several such times in a row are no
/// sign either.
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
    use std::{
        sync::atomic::{AtomicU32, Ordering::Relaxed},
        thread,
    };

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Waits until it is told that there is no majority.
    async fn told<A: Future<Output = bool>>(ask: impl Fn(Duration) -> A) {
        let (told, mut has_majority) = watch::channel(true);
        tokio::select! {
            () = watch(ask, told) => unreachable!("it goes on for ever"),
            without = has_majority.wait_for(|has| !has) => drop(without.expect("the watch goes on")),
        }
    }

    #[tokio::test]
    async fn who_hears_nothing_is_told() {
        told(|limit| async move {
            sleep(limit).await;
            false
        })
        .await;
    }

    #[tokio::test]
    async fn who_stood_still_three_times_is_told_nothing() {
        let asked = AtomicU32::new(0);
        let ask = |_| async {
            sleep(10 * MS).await;
            if asked.fetch_add(1, Relaxed) >= 3 {
                return true;
            }
            // So does everything that this runtime runs.
            thread::sleep(600 * MS);
            false
        };
        let answered = async {
            while asked.load(Relaxed) < 5 {
                sleep(10 * MS).await;
            }
        };
        tokio::select! {
            () = told(ask) => panic!("it was told"),
            () = answered => {}
        }
    }
}
