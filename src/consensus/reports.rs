//! What the members say of themselves to each other, once a second and outside the log: nothing depends
//! on it but what people and monitors are shown. The log does not know what it means.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::sleep;

use super::{
    route::Route,
    transport::message::{Reply, Request},
};
use crate::id::NodeId;

/// Between two rounds.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a member may take to answer.
const LIMIT: Duration = Duration::from_secs(1);
/// A report that is older does not count: its node is gone, or cannot be reached.
const FRESH: Duration = Duration::from_millis(3500);

/// This node's report and the last one of each other member; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    own: Bytes,
    others: HashMap<NodeId, (Instant, Bytes)>,
}

impl Reports {
    /// What others are told from now on.
    pub(crate) fn publish(&self, report: Bytes) {
        self.lock().own = report;
    }

    pub(crate) fn own(&self) -> Bytes {
        self.lock().own.clone()
    }

    /// What others have said lately.
    pub(crate) fn of_others(&self) -> BTreeMap<NodeId, Bytes> {
        let mut state = self.lock();
        state.others.retain(|_, (at, _)| at.elapsed() < FRESH);
        let others = state.others.iter();
        others
            .map(|(node, (_, report))| (*node, report.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks all members again and again.
pub(crate) async fn watch(route: Route, reports: Reports) {
    loop {
        let calls = route.others().into_iter().map(|(node, peer)| async move {
            (node, peer.reports.call(Request::Report, LIMIT).await)
        });
        for (node, reply) in join_all(calls).await {
            if let Ok(Reply::Report(report)) = reply {
                let heard = (Instant::now(), report);
                reports.lock().others.insert(node, heard);
            }
        }
        sleep(PERIOD).await;
    }
}
