//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod answer;
mod channel;
mod proxied;
mod replicated;
mod session;
mod shared;
mod statement;
mod transaction;

use std::{future, sync::Arc};

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, field, info_span};

pub use shared::Shared;

use crate::{config::Config, net::accept};

/// Serves clients for as long as it is polled; dropping the future stops accepting. The sessions of
/// a node in a cluster share what is in `shared`; all of them are among `sessions`. When the node is `leaving`,
/// nobody is let in any more, and each session ends when it is in no transaction.
pub async fn serve(
    listener: TcpListener,
    config: Arc<Config>,
    shared: Option<Arc<Shared>>,
    sessions: TaskTracker,
    leaving: CancellationToken,
) {
    loop {
        let (client, address) = tokio::select! {
            accepted = accept(&listener, "a client's") => accepted,
            () = leaving.cancelled() => break,
        };
        let span = info_span!("session", client = %address, proxied_for = field::Empty);
        let (config, shared, leaving) = (Arc::clone(&config), shared.clone(), leaving.clone());
        let session = session::serve(client, address, config, shared, leaving);
        sessions.spawn(session.instrument(span));
    }
    // The port has other owners in this process; this closes it for all. A balancer tries another node then.
    if let Err(error) = shutdown(&listener, Shutdown::Both) {
        debug!(%error, "cannot close the port for clients");
    }
    future::pending().await
}
