//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod channel;
mod session;

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tracing::warn;

use crate::config::Config;

/// How long to wait after the system refused an accept (out of descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients for as long as it is polled; dropping the future stops accepting.
pub async fn serve(listener: TcpListener, config: Arc<Config>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(session::serve(client, Arc::clone(&config)));
            }
            Err(error) => {
                warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
