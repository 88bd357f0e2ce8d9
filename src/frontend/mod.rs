//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod answer;
mod channel;
mod galera;
mod login;
mod proxied;
mod replicated;
mod rollback;
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

/// What serves a node's clients.
pub struct Frontend {
    pub config: Arc<Config>,
    /// What the sessions of a node in a cluster share.
    pub shared: Option<Arc<Shared>>,
    /// All sessions are among these.
    pub sessions: TaskTracker,
    /// When the node is leaving nobody is let in any more, and each session ends when it is in no transaction.
    pub leaving: CancellationToken,
}

impl Frontend {
    /// Serves clients for as long as it is polled; dropping the future stops accepting.
    pub async fn serve(self, listener: TcpListener) {
        let frontend = Arc::new(self);
        loop {
            let (client, address) = tokio::select! {
                accepted = accept(&listener, "a client's") => accepted,
                () = frontend.leaving.cancelled() => break,
            };
            let span = info_span!("session", client = %address, proxied_for = field::Empty);
            let session = session::serve(client, address, frontend.clone());
            frontend.sessions.spawn(session.instrument(span));
        }
        // The port has other owners in this process; this closes it for all. A balancer tries another node then.
        if let Err(error) = shutdown(&listener, Shutdown::Both) {
            debug!(%error, "cannot close the port for clients");
        }
        future::pending().await
    }
}
