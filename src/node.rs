//! The composition root: builds a node from its configuration and runs it until it is told to stop.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing::info;

use crate::{
    backend::{self, Captures, Schemas},
    config::{Cluster, Config, Server},
    consensus::Engine,
    frontend::{self, Shared},
    replicator::Replicator,
    status::{self, LastError},
};

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// An address cannot be bound, the process id cannot be written, or the log cannot be opened or
/// written.
pub async fn run(config: Config, last_error: LastError) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let config = Arc::new(config);
    let clients = listen(config.listen, "client.listen").await?;
    let http = listen(config.http_listen, "http.listen").await?;
    let _pid_file = config.pid_file.as_deref().map(PidFile::write).transpose()?;
    let member = match &config.cluster {
        Some(cluster) => Some(Member::start(cluster, &config.server).await?),
        None => None,
    };
    let source = status::Source {
        captures: member.as_ref().map(|member| member.captures.clone()),
        replicator: member.as_ref().map(|member| member.replicator.clone()),
        cluster: member.as_ref().map(|m| (m.name.clone(), m.log.clone())),
        last_error,
    };
    let shared = member.as_ref().map(|member| member.shared.clone());
    info!(listen = %config.listen, server = %config.server.address, "node started");
    let failure = tokio::select! {
        () = frontend::serve(clients, config.clone(), shared) => None,
        () = status::serve(http, source) => None,
        failure = failed(member.as_ref()) => Some(failure),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if let Some(member) = member {
        member.log.stop().await;
    }
    match failure {
        Some(reason) => bail!(reason),
        None => info!("node stopped"),
    }
    Ok(())
}

async fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| {
        format!("cannot listen on {address} ({key}); is a server or another node on that port?")
    })
}

/// Waits until a node of a cluster must stop, and says why.
async fn failed(member: Option<&Member>) -> String {
    match member {
        Some(member) => member.run().await,
        None => std::future::pending().await,
    }
}

/// What a node of a cluster has that one alone has not.
struct Member {
    name: String,
    server: Server,
    log: Arc<Engine>,
    captures: Arc<Captures>,
    replicator: Arc<Replicator>,
    shared: Arc<Shared>,
}

impl Member {
    async fn start(cluster: &Cluster, server: &Server) -> anyhow::Result<Self> {
        let engine = Engine::start(cluster.clone(), rand::random::<u64>().into()).await?;
        let log = Arc::new(engine);
        let captures = Arc::new(Captures::default());
        let schemas = Arc::new(Schemas::new(server.clone()));
        let replicator = Arc::new(Replicator::new(
            log.clone(),
            server.clone(),
            captures.clone(),
            schemas.clone(),
        ));
        let shared = Arc::new(Shared::new(
            log.identity(),
            server.clone(),
            cluster.reads_without_majority,
            captures.clone(),
            schemas,
            replicator.clone(),
        ));
        Ok(Self {
            name: cluster.name.clone(),
            server: server.clone(),
            log,
            captures,
            replicator,
            shared,
        })
    }

    /// Captures what this node's clients commit, and brings what the cluster commits to its server, until
    /// the node must stop; says why.
    async fn run(&self) -> String {
        let deliver = async {
            self.captures.followed().await;
            self.replicator.deliver().await
        };
        tokio::select! {
            reason = self.log.failed() => format!("the replicated log has failed: {reason}"),
            failure = backend::capture(&self.server, rand::random(), &self.captures) => {
                failure.to_string()
            }
            failure = deliver => failure.to_string(),
        }
    }
}

/// The file with this process's id; it goes with the node.
struct PidFile<'a>(&'a Path);

impl<'a> PidFile<'a> {
    fn write(path: &'a Path) -> anyhow::Result<Self> {
        let written = fs::write(path, format!("{}\n", std::process::id()));
        written.with_context(|| format!("cannot write {} (pid_file)", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        // Somebody else has removed it: it is gone all the same.
        let _ = fs::remove_file(self.0);
    }
}
