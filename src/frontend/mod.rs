//! Clients: accepts their connections and pairs each with a connection of its own to the server.

mod aftermath;
mod answer;
mod calls;
mod channel;
mod dynamic;
mod encryption;
mod ending;
mod galera;
mod gtid;
mod history;
mod interruption;
mod known;
mod locks;
mod login;
mod origin;
mod prepared;
mod proxied;
mod replicated;
mod rollback;
mod rows;
mod savepoints;
mod scheduler;
mod session;
mod settings;
mod shared;
mod snapshot;
mod statement;
mod transaction;

use std::{convert::Infallible, future::pending, io, sync::Arc};

use rustix::{
    io::Errno,
    net::{Shutdown, listen, shutdown},
};
use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, field, info_span, warn};

pub use encryption::Encryption;
pub use shared::Shared;

use crate::{
    backend::{Connection, ConnectionError},
    config::{Config, Server},
    duty::Orders,
    net::accept,
};
use channel::Socket;
use origin::Origin;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What serves a node's clients.
pub struct Frontend {
    pub config: watch::Receiver<Arc<Config>>,
    /// What the sessions of a node in a cluster share.
    pub shared: Option<Arc<Shared>>,
    /// All sessions are among these.
    pub sessions: TaskTracker,
    pub encryption: Arc<Encryption>,
    /// While they let nobody in, each session ends when it is in no transaction.
    pub orders: Orders,
}

impl Frontend {
    /// Serves clients, those through a socket in the file system as well if there is one, for as long as it is polled;
    /// dropping the future stops accepting.
    pub async fn serve(self, remote: TcpListener, local: Option<UnixListener>) -> Infallible {
        let frontend = Arc::new(self);
        tokio::select! {
            never = frontend.serve_remote(remote) => never,
            never = frontend.serve_local(local) => never,
            never = frontend.keep_locks() => never,
            never = frontend.run_events() => never,
        }
    }

    async fn serve_remote(self: &Arc<Self>, mut listener: TcpListener) -> Infallible {
        loop {
            tokio::select! {
                biased;
                () = self.orders.until_open(false) => {}
                never = self.accept(&listener) => match never {},
            }
            // The port has other owners in this process; this closes it for all. A balancer tries another node then.
            if let Err(error) = shutdown(&listener, Shutdown::Both)
                // It has been before the node started over.
                && error != Errno::NOTCONN
            {
                warn!(%error, "cannot close the port for clients");
            }
            self.orders.until_open(true).await;
            listener = match reopen(listener) {
                Ok(listener) => listener,
                Err(error) => {
                    error!(%error, "cannot open the port for clients again; start the node again");
                    return pending().await;
                }
            };
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) -> Infallible {
        loop {
            let (client, address) = accept(|| listener.accept(), "a client's").await;
            if let Err(error) = client.set_nodelay(true) {
                debug!(%error, "client left before its session");
                continue;
            }
            self.begin(client, Origin::Remote(address));
        }
    }

    /// While the node lets nobody in, these sessions end as they begin.
    async fn serve_local(self: &Arc<Self>, listener: Option<UnixListener>) -> Infallible {
        let Some(listener) = listener else {
            return pending().await;
        };
        loop {
            let (client, _) = accept(|| listener.accept(), "a client's").await;
            self.begin(client, Origin::Local);
        }
    }

    fn begin(self: &Arc<Self>, client: impl Socket + 'static, origin: Origin) {
        let span = info_span!("session", client = %origin, proxied_for = field::Empty);
        let session = session::serve(client, origin, self.clone());
        self.sessions.spawn(session.instrument(span));
    }

    /// Begins a session of the node with itself, which is none of the clients' and does not end with theirs.
    async fn client_of_its_own(
        self: &Arc<Self>,
        server: &Server,
    ) -> Result<Connection, ConnectionError> {
        let (near, far) = UnixStream::pair()?;
        let session = session::serve(far, Origin::Node, self.clone());
        let span = info_span!("session", client = %Origin::Node);
        tokio::spawn(session.instrument(span));
        Connection::over(near, server).await
    }
}

/// Listens again on a port that was closed. The runtime takes it for closed still, and has to forget it first.
fn reopen(listener: TcpListener) -> io::Result<TcpListener> {
    let listener = listener.into_std()?;
    listen(&listener, BACKLOG)?;
    TcpListener::from_std(listener)
}
