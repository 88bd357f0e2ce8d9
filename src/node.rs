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
    config::Config,
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
    let log = match &config.cluster {
        Some(cluster) => {
            let engine = Engine::start(cluster.clone(), rand::random::<u64>().into()).await?;
            Some(Arc::new(engine))
        }
        None => None,
    };
    let captures = Arc::new(Captures::default());
    let schemas = Arc::new(Schemas::new(config.server.clone()));
    let replicator = log.as_ref().map(|log| {
        let (log, server) = (log.clone(), config.server.clone());
        Arc::new(Replicator::new(
            log,
            server,
            captures.clone(),
            schemas.clone(),
        ))
    });
    let source = status::Source {
        captures: log.is_some().then(|| captures.clone()),
        replicator: replicator.clone(),
        cluster: config
            .cluster
            .as_ref()
            .map(|c| c.name.clone())
            .zip(log.clone()),
        last_error,
    };
    let shared = log
        .as_ref()
        .zip(replicator.as_ref())
        .map(|(log, replicator)| {
            let server = config.server.clone();
            Arc::new(Shared::new(
                log.identity(),
                server,
                captures.clone(),
                schemas,
                replicator.clone(),
            ))
        });
    let in_cluster = shared.is_some();
    info!(listen = %config.listen, server = %config.server.address, "node started");
    let failure = tokio::select! {
        () = frontend::serve(clients, config.clone(), shared) => None,
        () = status::serve(http, source) => None,
        reason = failed(log.as_deref()) => Some(format!("the replicated log has failed: {reason}")),
        failure = backend::capture(&config.server, rand::random(), &captures), if in_cluster => {
            Some(failure.to_string())
        }
        failure = deliver(replicator.as_ref(), &captures) => Some(failure),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if let Some(log) = log {
        log.stop().await;
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

async fn failed(log: Option<&Engine>) -> String {
    match log {
        Some(log) => log.failed().await,
        None => std::future::pending().await,
    }
}

/// Brings what the cluster commits to this node's server, once that is prepared.
async fn deliver(replicator: Option<&Arc<Replicator>>, captures: &Captures) -> String {
    match replicator {
        Some(replicator) => {
            captures.followed().await;
            replicator.deliver().await.to_string()
        }
        None => std::future::pending().await,
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
