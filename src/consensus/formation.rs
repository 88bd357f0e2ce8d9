//! The first start of a cluster: made once, by its nodes together, without anybody telling them.
//!
//! A cluster is formed when every configured member answers and none of them has a log yet; the
//! one whose address comes first then writes the members into the log. So a node whose log is lost
//! can never take part in forming a second cluster beside the first.

use std::{collections::BTreeMap, io, time::Duration};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Raft,
    transport::{
        link::call_once,
        message::{Lane, Reply, Request},
        network::Peers,
    },
    types::Member,
};
use crate::id::NodeId;

const RETRY: Duration = Duration::from_millis(200);
const REPORT: Duration = Duration::from_secs(10);

/// Returns when this node is a member of a cluster.
pub(crate) async fn join(
    raft: &Raft,
    peers: &Peers,
    node: NodeId,
    address: &str,
    members: &[String],
) {
    let mut report = Instant::now();
    while !raft.is_initialized().await.unwrap_or(true) {
        match ask_all(peers, node, address, members).await {
            Ok(found) if members.first().is_some_and(|first| first == address) => {
                info!(members = found.len(), "forming the cluster");
                if let Err(error) = raft.initialize(found).await {
                    warn!(%error, "cannot form the cluster");
                }
            }
            Ok(_) => {}
            Err(reason) if report <= Instant::now() => {
                info!(reason, "waiting for the cluster");
                report = Instant::now() + REPORT;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The members, if each has answered and none is in a cluster; otherwise what stands in the way.
async fn ask_all(
    peers: &Peers,
    node: NodeId,
    address: &str,
    members: &[String],
) -> Result<BTreeMap<NodeId, Member>, String> {
    let mut found = BTreeMap::new();
    for member in members {
        let id = if member == address {
            node
        } else {
            ask(peers, member, members).await?
        };
        let address = member.clone();
        if let Some(other) = found.insert(id, Member { address }) {
            return Err(format!(
                "{member} and {other} are the same node (cluster.members)"
            ));
        }
    }
    Ok(found)
}

async fn ask(peers: &Peers, member: &str, members: &[String]) -> Result<NodeId, String> {
    let unreachable = |error: io::Error| format!("{member} does not answer: {error}");
    let (id, mut frames) = peers
        .dial(member, None, Lane::Control)
        .open()
        .await
        .map_err(unreachable)?;
    match call_once(&mut frames, Request::Probe)
        .await
        .map_err(unreachable)?
    {
        Reply::Probe {
            members: theirs, ..
        } if theirs != members => Err(format!(
            "{member} is configured with other members: {} (cluster.members)",
            theirs.join(", ")
        )),
        Reply::Probe {
            is_member: true, ..
        } => Err(format!(
            "{member} is in a cluster that does not know this node yet; if this node's log \
             (cluster.directory) was lost or replaced, bring it back"
        )),
        Reply::Probe { .. } => Ok(id),
        _ => Err(format!("{member} does not understand the question")),
    }
}
