//! Whether this node reaches a majority of its cluster, for those who must know at once.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use super::{awake::Awake, route::Route};

/// Without a sign of a majority for this long there is none. Longer than any election takes, so that
/// nobody hears of one; with the last look, less than the two seconds that are promised.
const PATIENCE: Duration = Duration::from_millis(1500);
const ATTEMPT: Duration = Duration::from_millis(500);
/// Between two looks while there is a majority.
const PERIOD: Duration = Duration::from_millis(500);
/// Between two looks while there may be none.
const RETRY: Duration = Duration::from_millis(100);

/// Says whether there is a majority, whenever that changes.
pub(crate) async fn watch(route: Route, told: watch::Sender<bool>) {
    let mut clock = Awake::new(ATTEMPT);
    let mut last_sign = clock.now();
    loop {
        clock.look(Instant::now());
        let has_answered = route.clone().read_index(ATTEMPT).await.is_some();
        let now = clock.look(Instant::now());
        if has_answered {
            last_sign = now;
        }
        let there_is = now - last_sign < PATIENCE;
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
