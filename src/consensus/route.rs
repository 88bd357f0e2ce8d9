//! The way to the leader.

use std::time::Duration;

use futures::{FutureExt, StreamExt, future, stream::FuturesUnordered};
use openraft::{
    alias::WatchReceiverOf, async_runtime::watch::WatchReceiver, metrics::RaftServerMetrics,
};
use tokio::time::sleep;

use super::{
    Raft,
    transport::{
        link::ANSWER_TIMEOUT,
        message::{Reply, Request},
        network::{Peer, Peers},
        server,
    },
    types::{Proposal, TypeConfig},
};
use crate::id::NodeId;

/// A leader that has not had its leadership confirmed for this long may be one whose majority stands still.
const CONFIRMATION: Duration = Duration::from_millis(100);

/// One node's leadership. What it has taken in is in the log, or on its way there, for as long as
/// the leadership lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leadership {
    term: u64,
    pub(crate) leader: NodeId,
}

/// Finds the leader, which may be this node, and asks it.
#[derive(Clone)]
pub(crate) struct Route {
    raft: Raft,
    peers: Peers,
    metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
}

impl Route {
    pub(crate) fn new(raft: Raft, peers: Peers) -> Self {
        let metrics = raft.server_metrics();
        Self {
            raft,
            peers,
            metrics,
        }
    }

    /// The leadership that this node knows of.
    pub(crate) fn leadership(&self) -> Option<Leadership> {
        let metrics = self.metrics.borrow_watched();
        let leader = metrics.current_leader?;
        let term = metrics.vote.leader_id.term;
        Some(Leadership { term, leader })
    }

    /// Waits until the engine reports something new.
    pub(crate) async fn changed(&mut self) {
        if self.metrics.changed().await.is_err() {
            // The engine has stopped: there will be nothing new.
            std::future::pending().await
        }
    }

    /// Hands proposals to the leader; says whether it has taken them in. If not, they may still
    /// have reached it.
    pub(crate) async fn propose(self, batch: Vec<Proposal>) -> bool {
        match self.leader() {
            Some(Leader::Here) => server::take_in(&self.raft, batch).await,
            Some(Leader::Peer(peer)) => {
                let reply = peer.proposals.call(Request::Propose(batch), ANSWER_TIMEOUT);
                matches!(reply.await, Ok(Reply::Propose(true)))
            }
            None => false,
        }
    }

    /// The index up to which the log is committed at some moment after the call, confirmed by a
    /// majority; none if none confirmed it within `limit`.
    pub(crate) async fn read_index(self, limit: Duration) -> Option<u64> {
        match self.leader()? {
            Leader::Here => server::read_index(&self.raft, limit).await,
            Leader::Peer(peer) => match peer.control.call(Request::ReadIndex, limit).await {
                Ok(Reply::ReadIndex(index)) => index,
                _ => None,
            },
        }
    }

    /// Whether there is a majority: it confirms to the leader that it leads, or, as when its disks stand still or it is about
    /// to elect another leader, at least answers.
    pub(crate) async fn has_majority(self, limit: Duration) -> bool {
        let members = self.clone();
        let confirmed = self.read_index(limit).map(|index| index.is_some());
        let answered = async {
            sleep(CONFIRMATION).await;
            let left = limit.saturating_sub(CONFIRMATION);
            members.majority_answers(left).await
        };
        let answers = FuturesUnordered::from_iter([confirmed.boxed(), answered.boxed()]);
        answers.any(future::ready).await
    }

    /// Whether enough members answer to be a majority with this one.
    async fn majority_answers(self, limit: Duration) -> bool {
        let others = self.others();
        let needed = others.len().div_ceil(2);
        let calls = others.into_iter().map(|(_, peer)| async move {
            let reply = peer.reports.call(Request::Report, limit).await;
            reply.is_ok()
        });
        let answering =
            FuturesUnordered::from_iter(calls).filter(|answers| future::ready(*answers));
        // A cluster of one asks its leader; who has no cluster yet has no majority.
        needed > 0 && answering.take(needed).count().await == needed
    }

    /// The other members.
    pub(crate) fn others(&self) -> Vec<(NodeId, Peer)> {
        let metrics = self.metrics.borrow_watched();
        let members = metrics.membership_config.membership().nodes();
        let others = members.filter(|(node, _)| **node != metrics.id);
        let peers = others.map(|(node, member)| (*node, self.peers.get(*node, member)));
        peers.collect()
    }

    fn leader(&self) -> Option<Leader> {
        let metrics = self.metrics.borrow_watched();
        let leader = metrics.current_leader?;
        if leader == metrics.id {
            return Some(Leader::Here);
        }
        let member = metrics.membership_config.membership().get_node(&leader)?;
        Some(Leader::Peer(self.peers.get(leader, member)))
    }
}

enum Leader {
    Here,
    Peer(Peer),
}
