//! What every listening socket of a node does alike, and every connection to its server.

use std::{
    fs, io,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tracing::warn;

/// How long to wait after the system refused an accept (out of descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server's machine that says nothing for as long as this is asked whether it is there,
const IDLE: Duration = Duration::from_secs(5);
/// this often,
const PROBES: u32 = 5;
/// at these intervals.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Connects to a server. If its machine is gone, with nobody left to say so, the connection fails some 15 s later.
///
/// # Errors
/// Nobody listens there, or nobody answers.
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, PROBES)?;
    Ok(stream)
}

/// A socket in the file system, to which everybody on the machine may connect, as to a server's. Its file goes with it.
pub struct LocalSocket {
    path: PathBuf,
    pub listener: UnixListener,
}

impl LocalSocket {
    /// Makes the file; one that somebody has left behind is replaced.
    ///
    /// # Errors
    /// Somebody listens there, or the system refuses it.
    pub fn bind(path: PathBuf) -> io::Result<Self> {
        if let Err(error) = UnixStream::connect(&path)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        Ok(Self { path, listener })
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Somebody else has removed it: it is gone all the same.
        let _ = fs::remove_file(&self.path);
    }
}

/// The next connection, however long that takes. `whose` is for the log: "a client's".
/// Nothing is lost when the future is dropped.
pub async fn accept<C, F: Future<Output = io::Result<C>>>(
    mut next: impl FnMut() -> F,
    whose: &str,
) -> C {
    loop {
        match next().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                warn!(%error, "cannot accept {whose} connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
