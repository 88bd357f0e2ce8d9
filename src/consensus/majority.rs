//! Whether this node reaches a majority of its cluster, for those who must know at once.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use super::route::Route;

/// When looks have found none for this long there is no majority. Longer than any election takes, so that
/// nobody hears of one; within the two seconds that are promised.
const PATIENCE: Duration = Duration::from_millis(1200);
const ATTEMPT: Duration = Duration::from_millis(500);
/// Between two looks while there is a majority.
const PERIOD: Duration = Duration::from_millis(500);
/// Between two looks while there may be none.
const RETRY: Duration = Duration::from_millis(100);

/// Says whether there is a majority, whenever that changes.
pub(crate) async fn watch(route: Route, told: watch::Sender<bool>) {
    let mut silent = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let has_answered = route.clone().read_index(ATTEMPT).await.is_some();
        silent = if has_answered {
            Duration::ZERO
        } else {
            // What takes longer does so because this process stands still.
            silent + asked.elapsed().min(ATTEMPT) + RETRY
        };
        let there_is = silent < PATIENCE;
        if told.send_replace(there_is) != there_is {
            if there_is {
                info!("this node reaches a majority of its cluster");
            } else {
                warn!("this node does not reach a majority of its cluster: clients cannot write");
            }
        }
        sleep(if has_answered { PERIOD } else { RETRY }).await;
    }
}
