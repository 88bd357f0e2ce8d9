//! A cluster of log nodes in this process.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ipnet::IpNet;
use tempfile::TempDir;
use tokio::time::timeout;
use trireme::{
    config::{self, Tls},
    consensus::{Delivered, Engine, ReplicatedLog},
    metrics::Metrics,
};

/// What a test waits for comes well within this time, or not at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Of each node's log, in bytes.
pub(crate) const RETENTION: u64 = 1 << 20;

pub(crate) struct Cluster {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) nodes: Vec<Option<Arc<Engine>>>,
    scratch: TempDir,
    pub(crate) tls: Option<Tls>,
    pub(crate) allow_from: Vec<IpNet>,
}

impl Cluster {
    /// A cluster none of whose nodes has started.
    pub(crate) fn new(size: usize) -> Self {
        // Held together until all are known, so that each is another one.
        let ports: Vec<_> = (0..size)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        Self {
            addresses: ports.iter().map(|p| p.local_addr().unwrap()).collect(),
            nodes: (0..size).map(|_| None).collect(),
            scratch: tempfile::tempdir().unwrap(),
            tls: None,
            allow_from: Vec::new(),
        }
    }

    pub(crate) async fn started(size: usize) -> Self {
        Self::new(size).and_start().await
    }

    /// Starts all of its nodes, and waits until they are level.
    pub(crate) async fn and_start(mut self) -> Self {
        let size = self.nodes.len();
        for node in 0..size {
            self.start(node).await;
        }
        self.node(0).propose(Bytes::new()).await.ok();
        for node in 0..size {
            self.wait_for_majority(node).await;
        }
        self
    }

    pub(crate) fn settings(&self, node: usize) -> config::Cluster {
        config::Cluster {
            isolation: config::Isolation::Server,
            retry_transactions: 0,
            backdoor_commits: config::BackdoorPolicy::Fatal,
            auto_increment_by_node: true,
            run_events: true,
            name: "test".to_owned(),
            listen: self.addresses[node],
            address: self.addresses[node].to_string(),
            members: self.addresses.iter().map(ToString::to_string).collect(),
            directory: self.scratch.path().join(node.to_string()),
            log_retention: RETENTION,
            reads_without_majority: false,
            allow_from: self.allow_from.clone(),
            tls: self.tls.clone(),
        }
    }

    pub(crate) async fn start(&mut self, node: usize) {
        let fresh = (100 + node as u64).into();
        let started = Engine::start(self.settings(node), fresh, &Metrics::default()).await;
        self.nodes[node] = Some(Arc::new(started.unwrap()));
    }

    pub(crate) async fn stop(&mut self, node: usize) {
        self.nodes[node].take().unwrap().stop().await;
        // The engine's tasks end a moment after it, and the log with the last of them.
        let lock = File::open(self.settings(node).directory.join("LOCK")).unwrap();
        let unlocked = async {
            while lock.try_lock().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, unlocked)
            .await
            .expect("the log to be closed");
    }

    pub(crate) fn node(&self, node: usize) -> &Arc<Engine> {
        self.nodes[node].as_ref().unwrap()
    }

    pub(crate) async fn wait_for_majority(&self, node: usize) {
        let waiting = async {
            while self.node(node).read_index().await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, waiting).await.expect("a majority");
    }

    /// The first `count` entries that a node delivers.
    pub(crate) async fn delivered(&self, node: usize, count: usize) -> Vec<Delivered> {
        let mut deliveries = self.node(node).deliveries(0);
        let mut all = Vec::new();
        while all.len() < count {
            let next = timeout(LIMIT, deliveries.next()).await;
            all.push(
                next.unwrap_or_else(|_| panic!("only {} entries", all.len()))
                    .unwrap(),
            );
        }
        all
    }
}
