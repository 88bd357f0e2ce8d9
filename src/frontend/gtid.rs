//! Positions in the order of the log, as Galera's functions give and take them: a client that has written on one node can
//! wait on another one until that has it, too.
//!
//! Source: "Galera Functions" in MariaDB's documentation; the form is that of Galera's state, `UUID:seqno`.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{answer::Answer, rollback::refusal, shared::Shared};
use crate::{consensus::ReplicatedLog, id::Seqno, protocol::errno};

/// The position of who has seen nothing.
pub(super) const NOWHERE: &str = "00000000-0000-0000-0000-000000000000:-1";

/// How often a client that waits is told that there is no majority.
const LOOK: Duration = Duration::from_secs(1);

impl Shared {
    /// A place in the log as a client knows it.
    pub(super) fn gtid(&self, place: Option<Seqno>) -> String {
        match place {
            Some(place) => format!("{}:{place}", self.cluster_uuid(&self.replicator.log.view())),
            None => NOWHERE.to_owned(),
        }
    }

    /// Waits until this node's server has all up to a position, but no longer than so many seconds.
    ///
    /// # Errors
    /// There is no such position in this cluster, the time is over, or there is no majority.
    pub(super) async fn wait_up_to(
        &self,
        gtid: Option<&str>,
        timeout: Option<f64>,
    ) -> Result<(), Answer> {
        let uuid = self.cluster_uuid(&self.replicator.log.view());
        let position = gtid.and_then(|gtid| gtid.rsplit_once(':'));
        let place = match position {
            _ if gtid == Some(NOWHERE) => return Ok(()),
            Some((cluster, place)) if cluster.eq_ignore_ascii_case(&uuid) => place.parse().ok(),
            _ => None,
        };
        let Some(place) = place else {
            let reason = format!(
                "Incorrect arguments to WSREP_SYNC_WAIT_UPTO_GTID: {} is no position of this cluster, {uuid}, as \
                 WSREP_LAST_SEEN_GTID() gives it",
                gtid.unwrap_or("NULL")
            );
            return Err(Answer::refusal(errno::WRONG_ARGUMENTS, reason));
        };
        let timeout = timeout.filter(|timeout| *timeout >= 0.0);
        let timeout = timeout.and_then(|timeout| Duration::try_from_secs_f64(timeout).ok());
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut reached = self.replicator.progress();
        loop {
            let look = Instant::now() + LOOK;
            let end = deadline.map_or(look, |deadline| deadline.min(look));
            let is_there = reached.wait_for(|reached: &u64| *reached >= place);
            if timeout_at(end, is_there).await.is_ok() {
                return Ok(());
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                let reason =
                    format!("this node's server has not come up to {uuid}:{place} in time");
                return Err(Answer::refusal(errno::LOCK_WAIT_TIMEOUT, reason));
            }
            self.replicator
                .majority()
                .map_err(|error| refusal(&error.into()))?;
        }
    }
}
