//! One client's session: a connection to the server for each client, bytes passed both ways.

use std::{io, sync::Arc};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tracing::{debug, warn};

use crate::{
    config::Config,
    protocol::{errno, error::ErrorPacket},
};

/// Why the server cannot be reached.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer within server.connect_timeout_ms")]
    Timeout(#[from] Elapsed),
}

/// Serves one client until either side closes.
pub(super) async fn serve(mut client: TcpStream, config: Arc<Config>) {
    let server = match connect(&config).await {
        Ok(server) => server,
        Err(error) => {
            warn!(server = %config.server_address, %error, "server unreachable");
            refuse(&mut client, &config.server_address, &error).await;
            return;
        }
    };
    if let Err(error) = relay(client, server).await {
        debug!(%error, "session ended by an error");
    }
}

async fn connect(config: &Config) -> Result<TcpStream, ConnectError> {
    let server = timeout(
        config.server_connect_timeout,
        TcpStream::connect(&config.server_address),
    )
    .await??;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Tells a client that waits for the server's greeting why there is none.
async fn refuse(client: &mut TcpStream, address: &str, cause: &ConnectError) {
    let packet = ErrorPacket {
        code: errno::UNKNOWN_COMMAND,
        message: format!(
            "Trireme cannot reach its server at {address}: {cause}; start the server or correct server.address"
        ),
    };
    if let Err(error) = client.write_all(&packet.encode_as_greeting()).await {
        debug!(%error, "client left before its error");
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
