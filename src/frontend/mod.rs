//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod channel;
mod session;

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::{config::Config, net::accept};

/// Serves clients for as long as it is polled; dropping the future stops accepting.
pub async fn serve(listener: TcpListener, config: Arc<Config>) {
    loop {
        let (client, _) = accept(&listener, "a client's").await;
        tokio::spawn(session::serve(client, Arc::clone(&config)));
    }
}
