//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod answer;
mod channel;
mod proxied;
mod replicated;
mod session;
mod shared;
mod statement;
mod transaction;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, field, info_span};

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
        let (client, address) = accept(&listener, "a client's").await;
        let span = info_span!("session", client = %address, proxied_for = field::Empty);
        let session = session::serve(client, address, Arc::clone(&config), shared.clone());
        sessions.spawn(session.instrument(span));
    }
}
