//! The composition root: builds a node from its configuration and runs it until it is told to stop.

use std::{
    convert::Infallible,
    fs,
    future::pending,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::{
    runtime::{self, Runtime},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{
    backend::{self, CaptureFailure, Captures, Schemas},
    certificates,
    config::{Cluster, Config, Tls},
    consensus::Engine,
    duty::{Duty, Orders},
    frontend::{Encryption, Frontend, Shared},
    metrics::Metrics,
    net::LocalSocket,
    replicator::{ReplicationFailure, Replicator},
    signals::Signals,
    status::{self, LastError},
};

/// How long sessions may take to pass on what a server has said before it went. Then they end as the
/// server has: a connection that closes is what every client and pool takes for a server that is lost.
const FAREWELL: Duration = Duration::from_secs(1);

/// Between two looks at how old the node's certificates are.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a node ends what it has started.
enum End {
    Told,
    /// Its server may have forgotten what it had committed, as a crash allows: what the node knows of
    /// it is void, and has to be found out anew.
    StartOver(String),
    Failed(String),
}

/// Runs a node until SIGTERM or SIGINT. Sessions may then end what they have begun, until a second signal or
/// for as long as the configuration lets them. `path` is where the configuration is read again upon SIGHUP.
///
/// # Errors
/// An address cannot be bound, the process id cannot be written, the log cannot be opened or
/// written, or the node must stop for the sake of the cluster's data.
pub fn run(path: &Path, config: Config, last_error: &LastError) -> anyhow::Result<()> {
    allow_open_files();
    let clients = listen(config.listen, "client.listen")?;
    let http = listen(config.http_listen, "http.listen")?;
    let local = config.socket.clone().map(LocalSocket::bind).transpose();
    let local = local.with_context(|| {
        format!(
            "cannot make the socket {:?} (client.socket); is a server or another node there?",
            config.socket
        )
    })?;
    let pid_file = config.pid_file.clone();
    let lasting = Lasting {
        signals: Signals::listen(path.to_owned(), config)?,
        orders: Orders::default(),
        metrics: Arc::default(),
        last_error: last_error.clone(),
    };
    let _pid_file = pid_file.as_deref().map(PidFile::write).transpose()?;
    loop {
        let (clients, http) = (clients.try_clone()?, http.try_clone()?);
        let local = local.as_ref().map(|local| local.listener.try_clone());
        let local = local.transpose()?;
        // All that has been spawned ends with its runtime, whatever it waits for.
        let runtime = new_runtime()?;
        let end = runtime.block_on(start(lasting.clone(), clients, local, http))?;
        drop(runtime);
        match end {
            End::Told => {
                info!("node stopped");
                return Ok(());
            }
            End::StartOver(reason) => {
                warn!(reason, "the node starts over, with all that is durable")
            }
            End::Failed(reason) => bail!(reason),
        }
    }
}

/// Lets this process have as many open files as it may: each client takes two, and many systems give 1024.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, ..limit }) {
        warn!(%error, "cannot have as many open files as it may");
    }
}

/// A runtime for all that a command does.
///
/// # Errors
/// The system refuses it.
pub fn new_runtime() -> anyhow::Result<Runtime> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address} ({key}); is a server or another node on that port?")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What a node keeps when it starts over.
#[derive(Clone)]
struct Lasting {
    signals: Signals,
    orders: Orders,
    metrics: Arc<Metrics>,
    last_error: LastError,
}

/// Runs a node until it must end or start over.
async fn start(
    lasting: Lasting,
    clients: TcpListener,
    local: Option<UnixListener>,
    http: TcpListener,
) -> anyhow::Result<End> {
    let config = lasting.signals.config.borrow().clone();
    let clients = tokio::net::TcpListener::from_std(clients)?;
    let local = local.map(tokio::net::UnixListener::from_std).transpose()?;
    let http = tokio::net::TcpListener::from_std(http)?;
    let sessions = TaskTracker::new();
    let member = match &config.cluster {
        Some(cluster) => Some(Member::start(&config, cluster, &sessions, &lasting).await?),
        None => None,
    };
    let source = Arc::new(status::Source {
        replicator: member.as_ref().map(|member| member.replicator.clone()),
        cluster: member.as_ref().map(Member::log),
        config: lasting.signals.config.clone(),
        last_error: lasting.last_error.clone(),
        orders: lasting.orders.clone(),
        metrics: lasting.metrics.clone(),
        sessions: sessions.clone(),
    });
    let encryption = Arc::new(Encryption::new(&config)?);
    let frontend = Frontend {
        config: lasting.signals.config.clone(),
        shared: member.as_ref().map(|member| member.shared.clone()),
        sessions: sessions.clone(),
        orders: lasting.orders.clone(),
        encryption: encryption.clone(),
    };
    tell_service_manager(NotifyState::Ready);
    info!(listen = %config.listen, server = %config.server.address, "node started");
    let end = tokio::select! {
        never = frontend.serve(clients, local) => match never {},
        () = status::serve(http, source.clone()) => End::Told,
        never = source.publish() => match never {},
        never = renew_certificates(&encryption, member.as_ref(), lasting.signals.config.clone()) => match never {},
        end = ended(member.as_ref()) => end,
        () = leave(lasting, &sessions) => End::Told,
    };
    if let End::StartOver(_) = end {
        sessions.close();
        // Those that are left end with their runtime.
        let _ = timeout(FAREWELL, sessions.wait()).await;
    }
    if let Some(member) = member {
        member.replicator.log.stop().await;
    }
    Ok(end)
}

/// Tells systemd, if it has started the node as one that tells (`Type=notify`).
fn tell_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager cannot be told");
    }
}

/// Waits until the node is told to stop, and then for its sessions to end, until it is told again or for as long as
/// `client.drain_timeout_ms`.
async fn leave(lasting: Lasting, sessions: &TaskTracker) {
    let Signals { mut stop, config } = lasting.signals;
    // The thread that counts outlives this.
    let _ = stop.wait_for(|told| *told > 0).await;
    tell_service_manager(NotifyState::Stopping);
    lasting.orders.give(Duty::Leaving);
    sessions.close();
    info!(
        sessions = sessions.len(),
        "leaving: sessions end with their transactions"
    );
    let drain_timeout = config.borrow().drain_timeout;
    tokio::select! {
        () = sessions.wait() => {}
        _ = stop.wait_for(|told| *told > 1) => {}
        () = sleep(drain_timeout) => {
            warn!(sessions = sessions.len(), "transactions were not ended within client.drain_timeout_ms");
        }
    }
}

/// Waits until a node of a cluster must end.
async fn ended(member: Option<&Member>) -> End {
    match member {
        Some(member) => member.run().await,
        None => pending().await,
    }
}

/// Reads the certificates again whenever the configuration was, and says when it is time for others.
async fn renew_certificates(
    encryption: &Encryption,
    member: Option<&Member>,
    mut config: watch::Receiver<Arc<Config>>,
) -> Infallible {
    let cluster = config.borrow().cluster.clone();
    let between_nodes = cluster.and_then(|cluster| cluster.tls);
    let between_nodes = between_nodes.iter().flat_map(Tls::certificates);
    let files: Vec<_> = between_nodes.chain(encryption.certificate()).collect();
    loop {
        match certificates::ageing(&files) {
            Ok(Some(reason)) => warn!(reason, "the node needs other certificates"),
            Ok(None) => {}
            Err(error) => warn!(
                error = format!("{error:#}"),
                "the node's certificates are not there any more"
            ),
        }
        // The thread that sends outlives this.
        if timeout(DAY, config.changed()).await.is_err() {
            continue;
        }
        let between_nodes = member.map(|member| member.replicator.log.security.reload());
        for reloaded in [Some(encryption.reload()), between_nodes]
            .into_iter()
            .flatten()
        {
            if let Err(error) = reloaded {
                warn!(
                    error = format!("{error:#}"),
                    "the node's certificates were not read again: those that it has count"
                );
            }
        }
    }
}

/// What a node of a cluster has that one alone has not.
struct Member {
    name: String,
    replicator: Arc<Replicator>,
    shared: Arc<Shared>,
}

impl Member {
    async fn start(
        config: &Config,
        cluster: &Cluster,
        sessions: &TaskTracker,
        Lasting {
            metrics, orders, ..
        }: &Lasting,
    ) -> anyhow::Result<Self> {
        let server = &config.server;
        let fresh = rand::random::<u64>().into();
        let log = Engine::start(cluster.clone(), fresh, metrics).await?;
        let captures = Captures::new(server.clone(), cluster, log.identity().0);
        let replicator = Arc::new(Replicator::new(
            log.into(),
            captures.into(),
            Schemas::new(server.clone()).into(),
            metrics.clone(),
        ));
        let shared = Arc::new(Shared::new(
            replicator.clone(),
            server.clone(),
            cluster.clone(),
            orders.clone(),
            sessions.clone(),
            config.listen.port(),
        ));
        Ok(Self {
            name: cluster.name.clone(),
            replicator,
            shared,
        })
    }

    /// The cluster's name and its log.
    fn log(&self) -> (String, Arc<Engine>) {
        (self.name.clone(), self.replicator.log.clone())
    }

    /// Captures what this node's clients commit, and brings what the cluster commits to its server, until
    /// the node must end.
    async fn run(&self) -> End {
        let Replicator { log, captures, .. } = &*self.replicator;
        let deliver = async {
            captures.followed().await;
            self.replicator.deliver().await
        };
        tokio::select! {
            reason = log.failed() => {
                End::Failed(format!("the replicated log has failed: {reason}"))
            }
            failure = backend::capture(captures) => match failure {
                CaptureFailure::ServerLost(_) => End::StartOver(failure.to_string()),
                _ => End::Failed(failure.to_string()),
            },
            failure = deliver => match failure {
                ReplicationFailure::PreparedLost { .. } => End::StartOver(failure.to_string()),
                _ => End::Failed(failure.to_string()),
            },
        }
    }
}

/// The file with this process's id; it goes with the node.
struct PidFile<'a>(&'a Path);

impl<'a> PidFile<'a> {
    fn write(path: &'a Path) -> anyhow::Result<Self> {
        let written = fs::write(path, format!("{}\n", std::process::id()));
        written.with_context(|| format!("cannot write {} (pid_file)", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        // Somebody else has removed it: it is gone all the same.
        let _ = fs::remove_file(self.0);
    }
}
