//! What a node does for clients, which its operator decides.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What a node does for clients. In each case it goes on as a member of its cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// It serves them, if nothing is wrong.
    #[default]
    Active,
    /// Balancers are told to send nobody; who is there, or comes all the same, is served.
    Desynced,
    /// Nobody is let in, and sessions end when they are in no transaction.
    Drained,
    /// As drained, and then the node ends.
    Leaving,
}

impl Duty {
    /// Whether clients are let in.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Desynced)
    }

    /// Why balancers should send nobody, if so.
    pub fn problem(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            Self::Desynced => {
                Some("desynced: an operator has asked for it, and `trireme resume` ends it")
            }
            Self::Drained => {
                Some("drained: an operator has asked for it, and `trireme resume` ends it")
            }
            Self::Leaving => {
                Some("leaving: it has been told to stop, and waits for transactions to end")
            }
        }
    }
}

/// The node's duty, as it is now; clones share it.
#[derive(Debug, Clone)]
pub struct Orders(Arc<watch::Sender<Duty>>);

impl Default for Orders {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Orders {
    pub fn duty(&self) -> Duty {
        *self.0.borrow()
    }

    /// Gives the node another duty; tells whether it takes it, since one that is leaving does not.
    pub fn give(&self, duty: Duty) -> bool {
        let mut is_taken = false;
        self.0.send_if_modified(|present| {
            is_taken = *present != Duty::Leaving;
            let is_other = is_taken && *present != duty;
            if is_other {
                *present = duty;
            }
            is_other
        });
        is_taken
    }

    /// Waits until clients are let in, or until they are not.
    pub async fn until_open(&self, is_open: bool) {
        let mut duty = self.0.subscribe();
        // The sender outlives this.
        let _ = duty.wait_for(|duty| duty.is_open() == is_open).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_leaving_takes_no_other_duty() {
        let orders = Orders::default();
        for (duty, is_taken, then) in [
            (Duty::Drained, true, Duty::Drained),
            (Duty::Active, true, Duty::Active),
            (Duty::Desynced, true, Duty::Desynced),
            (Duty::Desynced, true, Duty::Desynced),
            (Duty::Leaving, true, Duty::Leaving),
            (Duty::Active, false, Duty::Leaving),
        ] {
            assert_eq!((orders.give(duty), orders.duty()), (is_taken, then));
        }
    }

    #[tokio::test]
    async fn a_session_hears_of_a_duty_that_it_was_given_before() {
        let orders = Orders::default();
        orders.until_open(true).await;
        orders.give(Duty::Drained);
        orders.until_open(false).await;
    }
}
