//! Capture: hands the row events of each prepared transaction to the session that prepared it.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};
use tracing::{error, info, warn};

use super::{
    Backdoor, BackdoorCommit, Connection, ConnectionError, Dump, Functions, Note, PrepareError,
    Unreplicated, backdoor, dump::AtTheEnd, end_of_binlog, prepare, prepare::roll_back_forsaken,
};
use crate::{
    binlog::{self, CaptureError, Event, Group, Groups, Kind, Refusal, TableMap},
    config::{BackdoorPolicy, Server},
    id::TransactionId,
    sql::Dialect,
};

/// Between two attempts to use the server.
const RETRY: Duration = Duration::from_millis(200);

/// The schema that each node has for itself.
const SCHEMA: &str = "trireme";

/// What a prepared transaction has changed.
#[derive(Debug, Clone)]
pub struct Changes {
    /// How the events are to be read; the same for all servers that write them alike.
    pub format: Event,
    /// Its row events, each after the table map that it belongs to, without its mark.
    pub rows: Vec<Event>,
}

/// What a prepared transaction has changed, or why that cannot be replicated.
pub type Captured = Result<Changes, Refusal>;

/// The prepared transactions whose changes somebody waits for.
#[derive(Debug)]
pub struct Captures {
    waiting: Mutex<Waiting>,
    problem: watch::Sender<Option<String>>,
    policy: BackdoorPolicy,
    /// What the server commits that did not come through the node.
    pub backdoor: Arc<Backdoor>,
    /// What may write although it looks like reading.
    pub functions: Functions,
    /// What must not be written to.
    pub unreplicated: Unreplicated,
}

type Waiting = HashMap<TransactionId, oneshot::Sender<Captured>>;

impl Captures {
    /// Nothing is handed over yet.
    pub fn new(policy: BackdoorPolicy) -> Self {
        Self {
            waiting: Mutex::default(),
            problem: watch::Sender::new(Some("connecting to its server".to_owned())),
            policy,
            backdoor: Arc::default(),
            functions: Functions::default(),
            unreplicated: Unreplicated::default(),
        }
    }

    /// Starts to wait for what a transaction has changed, before it is prepared.
    pub fn expect(&self, id: TransactionId) -> Expected<'_> {
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(id, sender);
        Expected {
            captures: self,
            id,
            receiver,
        }
    }

    /// Why nothing is handed over now, if so.
    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Waits until the server is prepared and its binlog is followed.
    pub async fn followed(&self) {
        let mut problem = self.problem.subscribe();
        let followed = problem.wait_for(Option::is_none).await;
        let _ = followed.expect("the sender is in self");
    }

    /// Reads anew what statements are judged by, after something was defined.
    ///
    /// # Errors
    /// The server cannot be reached with the node's account.
    pub async fn refresh(&self, server: &Server) -> Result<(), ConnectionError> {
        self.read_defined(&mut Connection::open(server).await?)
            .await
    }

    async fn read_defined(&self, connection: &mut Connection) -> Result<(), ConnectionError> {
        self.functions.read(connection).await?;
        self.unreplicated.read(connection).await
    }

    /// Tells of a backdoor commit.
    ///
    /// # Errors
    /// The node must not go on.
    fn report(&self, commit: &BackdoorCommit) -> Result<(), CaptureFailure> {
        match self.policy {
            BackdoorPolicy::Fatal => Err(CaptureFailure::Backdoor(commit.clone())),
            BackdoorPolicy::Reported => {
                error!("committed on the server, and on no other: {commit}");
                self.backdoor.count(commit.clone());
                Ok(())
            }
        }
    }

    fn hand_over(&self, name: &[u8], changes: Captured) {
        let id = str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        let sender = id.and_then(|id| self.lock().remove(&id));
        // Nobody waits for what a session left behind: it is rolled back.
        if let Some(sender) = sender {
            let _ = sender.send(changes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction whose changes somebody waits for, until this is dropped.
#[derive(Debug)]
pub struct Expected<'a> {
    captures: &'a Captures,
    id: TransactionId,
    receiver: oneshot::Receiver<Captured>,
}

impl Expected<'_> {
    /// What the transaction has changed, once it is prepared; never if it has changed nothing.
    pub async fn changes(&mut self) -> Captured {
        match (&mut self.receiver).await {
            Ok(captured) => captured,
            // The sender stays in `captures` until it has sent.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.captures.lock().remove(&self.id);
    }
}

/// Why what the server commits is not captured any more.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFailure {
    /// The node must start over: a server that has crashed may have forgotten what it had committed.
    #[error("the node has lost its server: {0}")]
    ServerLost(ConnectionError),
    #[error("the server's binlog cannot be followed {0}")]
    Binlog(#[from] CaptureError),
    #[error(transparent)]
    Unprepared(PrepareError),
    /// See [`BackdoorPolicy::Fatal`].
    #[error(
        "the server has committed what did not come through this node, so that the others do not have it: \
        {0}; compare its data with another server's, and when they are equal run DELETE FROM \
        trireme_private.backdoor_commit on it and start the node again (cluster.backdoor_commits = \
        \"reported\" goes on in spite of it)"
    )]
    Backdoor(BackdoorCommit),
}

impl From<ConnectionError> for CaptureFailure {
    fn from(error: ConnectionError) -> Self {
        Self::ServerLost(error)
    }
}

impl From<PrepareError> for CaptureFailure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Connection(error) => error.into(),
            error => Self::Unprepared(error),
        }
    }
}

/// Waits for the server, prepares it, then follows its binlog from its present end, and hands what is
/// prepared to those who wait in `captures`.
///
/// # Errors
/// It ends only when the server is lost, or nothing can be captured any more.
pub async fn capture(server: &Server, captures: &Captures) -> CaptureFailure {
    loop {
        let Err(failure) = follow(server, captures).await;
        let error = match failure {
            CaptureFailure::ServerLost(error) if captures.problem().is_some() => error,
            failure => return failure,
        };
        let problem = problem(server, &error);
        if captures.problem().as_ref() != Some(&problem) {
            warn!("{problem}");
            captures.problem.send_replace(Some(problem));
        }
        sleep(RETRY).await;
    }
}

/// Why a node serves nobody yet.
fn problem(server: &Server, error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(_) | ConnectionError::Timeout(_) => unreachable(server, error),
        _ => format!("cannot use its server at {}: {error}", server.address),
    }
}

/// Why a node that does not reach its server serves nobody.
pub fn unreachable(server: &Server, error: &impl fmt::Display) -> String {
    let address = &server.address;
    format!(
        "cannot reach its server at {address}: {error}; start the server or correct server.address"
    )
}

async fn follow(server: &Server, captures: &Captures) -> Result<Infallible, CaptureFailure> {
    let mut connection = Connection::open(server).await?;
    prepare(&mut connection).await?;
    captures.read_defined(&mut connection).await?;
    roll_back_forsaken(&mut connection).await?;
    let dialect = Dialect::of(connection.version().as_bytes());
    for commit in backdoor::recorded(&mut connection).await? {
        captures.report(&commit)?;
    }
    if let Some(note) = Note::read(&mut connection).await? {
        captures.backdoor.defines(note.connection, note.place);
    }
    let mut groups = Groups::from(end_of_binlog(&mut connection).await?);
    // No other reader of this server has this id.
    let reader = rand::random();
    let mut dump = Dump::start(connection, groups.place(), reader, AtTheEnd::Wait).await?;
    loop {
        let event = dump.event().await?;
        if captures.problem.send_replace(None).is_some() {
            info!(place = %groups.place(), "reading the server's binlog");
        }
        let Some(group) = groups.take(event)? else {
            continue;
        };
        if let Some(commit) = captures.backdoor.judge(&group, groups.place(), dialect) {
            if captures.policy == BackdoorPolicy::Fatal {
                backdoor::record(server, &commit).await?;
            }
            captures.report(&commit)?;
        }
        if let Group::Prepared { xid, rows } = group {
            let format = groups.format().expect("no group comes before it");
            let changes = rows.map(|rows| Changes {
                format: format.clone(),
                rows: without_marks(rows),
            });
            captures.hand_over(&xid.global, changes);
        }
    }
}

/// Row events without those of the schema `trireme`, which is each node's own.
fn without_marks(mut rows: Vec<Event>) -> Vec<Event> {
    let mut own = HashSet::new();
    rows.retain(|event| {
        if event.kind() != Kind::TABLE_MAP {
            return binlog::table_of(event).is_none_or(|id| !own.contains(&id));
        }
        match TableMap::decode(event.body()) {
            Some(map) if map.schema == SCHEMA => {
                own.insert(map.id);
                false
            }
            Some(map) => {
                own.remove(&map.id);
                true
            }
            None => true,
        }
    });
    rows
}
