//! The composition root: builds a node from its configuration and runs it until it is told to stop.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing::info;

use crate::{config::Config, consensus::Engine, frontend};

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// An address cannot be bound, or the log cannot be opened or written.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (client.listen); is a server or another node on that port?",
            config.listen
        )
    })?;
    let log = match &config.cluster {
        Some(cluster) => Some(Engine::start(cluster.clone(), rand::random::<u64>().into()).await?),
        None => None,
    };
    info!(listen = %config.listen, server = %config.server_address, "node started");
    let failure = tokio::select! {
        () = frontend::serve(listener, Arc::new(config)) => None,
        reason = failed(log.as_ref()) => Some(reason),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if let Some(log) = log {
        log.stop().await;
    }
    match failure {
        Some(reason) => bail!("the replicated log has failed: {reason}"),
        None => info!("node stopped"),
    }
    Ok(())
}

async fn failed(log: Option<&Engine>) -> String {
    match log {
        Some(log) => log.failed().await,
        None => std::future::pending().await,
    }
}
