//! The replicated log on openraft.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{Instant, SnapshotPolicy, async_runtime::watch::WatchReceiver};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    Deliveries, ProposeError, Raft, ReplicatedLog, View, formation, majority,
    proposer::Proposer,
    reports::{self, Reports},
    route::Route,
    state_machine::{Own, Retention, StateMachine},
    store::{LogStore, record::Identity},
    transport::{
        network::Peers,
        security::Security,
        server::{READ_LIMIT, Server},
    },
};
use crate::{config::Cluster, id::NodeId, metrics::Metrics};

/// How long a node that stops waits for another to lead, and how long ago it must have heard of that: more than an
/// election takes.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(1);

/// Between two attempts to have the end of the log confirmed.
const READ_RETRY: Duration = Duration::from_millis(50);

/// Why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the log in {directory}: {source}")]
    Log {
        directory: PathBuf,
        source: io::Error,
    },
    #[error("cannot listen to peers on {listen} (cluster.listen): {source}")]
    Listen {
        listen: SocketAddr,
        source: io::Error,
    },
    #[error("cannot use this node's certificates: {0:#}")]
    Certificates(anyhow::Error),
    #[error("the engine does not start: {0}")]
    Engine(String),
}

/// A running node of the replicated log; it stops when this is dropped.
pub struct Engine {
    node: NodeId,
    incarnation: u64,
    step: u64,
    raft: Raft,
    store: LogStore,
    state: StateMachine,
    route: Route,
    proposer: Proposer,
    reports: Reports,
    has_majority: watch::Receiver<bool>,
    /// Of its connections to other members.
    pub security: Security,
    tasks: Mutex<JoinSet<()>>,
}

impl Engine {
    /// Opens the log, listens to peers, and finds or forms the cluster in the background.
    /// `fresh` is the id that the node takes if it has no log yet: drawn at random.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        cluster: Cluster,
        fresh: NodeId,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let step = cluster.log_step();
        let Cluster {
            name,
            listen,
            address,
            mut members,
            directory,
            log_retention,
            tls,
            allow_from,
            ..
        } = cluster;
        members.sort();
        let security = Security::new(tls.as_ref(), &address, &members);
        let security = security.map_err(StartError::Certificates)?;
        let opened = LogStore::open(&directory, fresh, step as usize, metrics).await;
        let (store, identity) = opened.map_err(|source| StartError::Log { directory, source })?;
        let Identity { node, incarnation } = identity;
        info!(%node, incarnation, "opened the log");
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| StartError::Listen { listen, source })?;

        let name: Arc<str> = name.into();
        let peers = Peers::new(name.clone(), node, security.clone());
        let (delivered, deliveries) = mpsc::unbounded_channel();
        let own = Own {
            identity,
            delivered,
        };
        let retention = Retention {
            bytes: log_retention,
            step,
        };
        let state = StateMachine::new(own, store.clone(), retention);
        let engine = (store.clone(), state.clone());
        let raft = start_raft(node, &name, peers.clone(), engine).await?;
        let route = Route::new(raft.clone(), peers.clone());
        let proposer = Proposer::start(identity, route.clone(), deliveries);

        let reports = Reports::default();
        let server = Server {
            cluster: name,
            node,
            members: members.clone(),
            allowed: allow_from,
            security: security.clone(),
            raft: raft.clone(),
            reports: reports.clone(),
        };
        let (mut tasks, has_majority) = watch_cluster(&route, &reports);
        tasks.spawn(Arc::new(server).serve(listener));
        let joining = raft.clone();
        tasks.spawn(async move {
            formation::join(&joining, &peers, node, &address, &members).await;
        });
        Ok(Self {
            node,
            incarnation,
            step,
            raft,
            store,
            state,
            route,
            proposer,
            reports,
            has_majority,
            security,
            tasks: Mutex::new(tasks),
        })
    }

    /// This node's id, and the number of its starts.
    pub fn identity(&self) -> (NodeId, u64) {
        (self.node, self.incarnation)
    }

    /// Whether this node leads, as far as it knows.
    pub fn leads(&self) -> bool {
        let leadership = self.route.leadership();
        leadership.is_some_and(|leadership| leadership.leader == self.node)
    }

    /// The log's start moves by so many bytes at a time.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Waits until the engine can go no further, as when its disk fails, and says why.
    pub async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        loop {
            if let Err(fatal) = &metrics.borrow_and_update().running_state {
                return fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                return "the engine has stopped".to_owned();
            }
        }
    }

    /// Has another node lead, if this one does: without that the others would have to miss it first.
    async fn hand_over(&self) {
        let heir = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let others = metrics.heartbeat.iter().flatten();
            let others = others.filter(|(node, _)| **node != self.node);
            let heard = others.filter_map(|(node, heard)| heard.map(|heard| (*node, *heard)));
            let there = heard.filter(|(_, heard)| heard.elapsed() < HAND_OVER_LIMIT);
            there.max_by_key(|(_, heard)| *heard).map(|(node, _)| node)
        };
        let Some(heir) = heir else {
            return;
        };
        if self.raft.trigger().transfer_leader(heir).await.is_err() {
            return;
        }
        let mut route = self.route.clone();
        let handed_over = async {
            while route
                .leadership()
                .is_none_or(|leadership| leadership.leader == self.node)
            {
                route.changed().await;
            }
        };
        if timeout(HAND_OVER_LIMIT, handed_over).await.is_err() {
            warn!(%heir, "the node to which the lead was handed over has not taken it");
        }
    }

    /// Stops the engine after what it is writing, and frees its port.
    pub async fn stop(&self) {
        self.hand_over().await;
        self.tasks.lock().await.shutdown().await;
        // An engine that has failed before was reported by `failed`.
        let _ = self.raft.shutdown().await;
    }
}

/// Sees in the background who leads, what the members say of themselves, and whether there is a majority.
fn watch_cluster(route: &Route, reports: &Reports) -> (JoinSet<()>, watch::Receiver<bool>) {
    let (told, has_majority) = watch::channel(true);
    let mut tasks = JoinSet::new();
    tasks.spawn(report_leaders(route.clone()));
    tasks.spawn(reports::watch(route.clone(), reports.clone()));
    let route = route.clone();
    let ask = move |limit| route.clone().has_majority(limit);
    tasks.spawn(majority::watch(ask, told));
    (tasks, has_majority)
}

/// Logs who leads, when that changes.
async fn report_leaders(mut route: Route) {
    let mut reported = None;
    loop {
        let leader = route.leadership().map(|leadership| leadership.leader);
        if leader != reported {
            match leader {
                Some(leader) => info!(%leader, "the cluster has a leader"),
                None => info!("the cluster has no leader"),
            }
            reported = leader;
        }
        route.changed().await;
    }
}

async fn start_raft(
    node: NodeId,
    name: &str,
    peers: Peers,
    (store, state): (LogStore, StateMachine),
) -> Result<Raft, StartError> {
    let raft = Raft::new(node, engine_config(name)?, peers, store, state);
    let raft = raft.await;
    raft.map_err(|error| StartError::Engine(error.to_string()))
}

fn engine_config(cluster: &str) -> Result<Arc<openraft::Config>, StartError> {
    let config = openraft::Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: 50,
        election_timeout_min: 200,
        election_timeout_max: 300,
        max_payload_entries: 4096,
        // A snapshot is built when there is something to remove from the log, which follows at once.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        replication_lag_threshold: u64::MAX,
        quorum_loss_probe_interval: Some(1000),
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    };
    let config = config.validate();
    Ok(Arc::new(
        config.map_err(|error| StartError::Engine(error.to_string()))?,
    ))
}

impl ReplicatedLog for Engine {
    async fn propose(&self, body: Bytes) -> Result<u64, ProposeError> {
        self.proposer.propose(body).await
    }

    async fn read_index(&self) -> Option<u64> {
        let confirmed = async {
            loop {
                if let Some(index) = self.route.clone().read_index(READ_LIMIT).await {
                    return index;
                }
                // The leader may just have gone.
                sleep(READ_RETRY).await;
            }
        };
        timeout(READ_LIMIT, confirmed).await.ok()
    }

    fn deliveries(&self, index: u64) -> Deliveries {
        Deliveries::new(self.store.clone(), self.state.clone(), index)
    }

    async fn committed(&self, index: u64) {
        let mut applied = self.state.applied();
        let reached = applied.wait_for(|id| id.is_some_and(|id| id.index >= index));
        let _ = reached.await.expect("the state outlives this call");
    }

    async fn release(&self, index: u64) {
        if self.state.release(index) {
            // An engine that has failed is reported by `failed`.
            let _ = self.raft.trigger().snapshot().await;
        }
    }

    fn has_majority(&self) -> bool {
        *self.has_majority.borrow()
    }

    fn view(&self) -> View {
        let members = self.state.members();
        View {
            node: self.node,
            leader: self.route.leadership().map(|leadership| leadership.leader),
            members,
            committed: self.state.applied().borrow().map_or(0, |id| id.index),
            extent: self.store.extent(),
            reports: self.reports.of_others(),
        }
    }

    fn publish(&self, report: Bytes) {
        self.reports.publish(report);
    }
}
