//! What every listening socket of a node does alike.

use std::{net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// How long to wait after the system refused an accept (out of descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The next connection, however long that takes. `whose` is for the log: "a client's".
/// Nothing is lost when the future is dropped.
pub async fn accept(listener: &TcpListener, whose: &str) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                warn!(%error, "cannot accept {whose} connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
