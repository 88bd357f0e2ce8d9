//! Signs of life of nodes that define something, and what comes of it when they cease.
//!
//! All others wait for a node that has claimed the cluster. It may work for hours, so they cannot
//! tell from the wait whether it is still there: it says so in the log each second. A node that is
//! without its server, or without a majority, does not.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::{
    Replicator,
    entry::{Entry, small_body},
};
use crate::{backend::ConnectionError, consensus::ReplicatedLog, id::TransactionId};

/// Between two signs of a node's life, and between two looks for one.
const PERIOD: Duration = Duration::from_secs(1);

/// So many looks in a row without a new sign, and the claims of the node are declared void. Longer than
/// elections and short partitions take.
const LOOKS: u32 = 10;

impl Replicator {
    /// Shows that this node is alive while it has definitions under way.
    pub(super) async fn show_life(&self) -> Infallible {
        let (node, incarnation) = self.log.identity();
        loop {
            sleep(PERIOD).await;
            let is_defining = {
                let state = self.lock();
                state.is_defining || !state.claims.is_empty()
            };
            if is_defining && self.server_answers().await {
                let body = small_body(&Entry::Alive { node, incarnation });
                // Who cannot be heard is taken for silent.
                let _ = self.log.propose(body).await;
            }
        }
    }

    async fn server_answers(&self) -> bool {
        // A refusal is an answer: too many clients may be connected.
        matches!(
            self.captures.run.open().await,
            Ok(_) | Err(ConnectionError::Server { .. })
        )
    }

    /// Tells all that a node which has the claim has shown these signs of life and no more.
    pub(super) fn declare_lapsed(self: &Arc<Self>, id: TransactionId, signs: u64) {
        warn!(
            node = %id.node,
            "a node has claimed the cluster for a definition and has shown no sign of life for {} s; going \
            on without it",
            PERIOD.as_secs() * u64::from(LOOKS),
        );
        let replicator = self.clone();
        tokio::spawn(async move {
            let body = small_body(&Entry::Lapsed { id, signs });
            // If it cannot be said now, a later look leads to it again.
            let _ = replicator.log.propose(body).await;
        });
    }
}

/// Looks for signs of life.
pub(super) fn looks() -> tokio::time::Interval {
    let mut looks = interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// How long the node that all wait for has been silent.
#[derive(Debug, Default)]
pub(super) struct Silence {
    since: Option<(TransactionId, u64)>,
    looks: u32,
}

impl Silence {
    /// Takes a look at which claim all wait for and the signs that its node has shown, a period after
    /// the one before, and whether a majority has just confirmed how far the log is: without that nobody
    /// can show any. Gives both if the node has been silent for too long.
    pub(super) fn look(
        &mut self,
        holder: Option<(TransactionId, u64)>,
        may_show: bool,
    ) -> Option<(TransactionId, u64)> {
        if holder != self.since || !may_show {
            *self = Self {
                since: holder,
                looks: 0,
            };
        }
        self.looks += 1;
        if self.looks <= LOOKS {
            return None;
        }
        self.looks = 0;
        holder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(number: u64, signs: u64) -> Option<(TransactionId, u64)> {
        let id = TransactionId {
            node: 1.into(),
            incarnation: 1,
            number,
        };
        Some((id, signs))
    }

    /// How many looks it takes, with these at first.
    fn looks_after(first: &[(Option<(TransactionId, u64)>, bool)]) -> usize {
        let mut silence = Silence::default();
        for (holder, may_show) in first {
            assert_eq!(silence.look(*holder, *may_show), None);
        }
        let looks = (1..100).find(|_| silence.look(holder(1, 1), true).is_some());
        looks.expect("it is silent")
    }

    #[test]
    fn a_node_is_silent_when_no_sign_was_seen_for_as_long_as_there_could_have_been() {
        assert_eq!(looks_after(&[]), 11);
        let same = (holder(1, 1), true);
        assert_eq!(looks_after(&[same; 4]), 7);
        for other in [holder(2, 1), holder(1, 0), None] {
            assert_eq!(looks_after(&[same, same, (other, true)]), 11);
        }
        let unconfirmed = (holder(1, 1), false);
        assert_eq!(looks_after(&[same, same, unconfirmed]), 10);
    }

    #[test]
    fn it_is_told_again_when_that_has_led_to_nothing() {
        let mut silence = Silence::default();
        let told = (0..44).filter(|_| silence.look(holder(1, 1), true).is_some());
        assert_eq!(told.count(), 4);
    }
}
