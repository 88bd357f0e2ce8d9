//! The composition root: builds a node from its configuration and runs it until it is told to stop.

use std::sync::Arc;

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing::info;

use crate::{config::Config, frontend};

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// The address for clients cannot be bound.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (client.listen); is a server or another node on that port?",
            config.listen
        )
    })?;
    info!(listen = %config.listen, server = %config.server_address, "node started");
    tokio::select! {
        () = frontend::serve(listener, Arc::new(config)) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("node stopped");
    Ok(())
}
