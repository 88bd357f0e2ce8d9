//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod answer;
mod channel;
mod replicated;
mod session;
mod shared;
mod statement;
mod transaction;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

pub use shared::Shared;

use crate::{config::Config, net::accept};

/// Serves clients for as long as it is polled; dropping the future stops accepting. The sessions of
/// a node in a cluster share what is in `shared`; all of them are among `sessions`.
pub async fn serve(
    listener: TcpListener,
    config: Arc<Config>,
    shared: Option<Arc<Shared>>,
    sessions: TaskTracker,
) {
    loop {
        let (client, _) = accept(&listener, "a client's").await;
        sessions.spawn(session::serve(client, Arc::clone(&config), shared.clone()));
    }
}
