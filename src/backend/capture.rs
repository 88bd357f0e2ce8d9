//! Capture: hands the row events of each prepared transaction to the session that prepared it.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};
use tracing::{info, warn};

use super::{
    Connection, ConnectionError, Dump, Functions, PrepareError, dump::AtTheEnd, end_of_binlog,
    prepare, prepare::roll_back_forsaken,
};
use crate::{
    binlog::{self, CaptureError, Event, Group, Groups, Kind, Refusal, TableMap},
    config::Server,
    id::TransactionId,
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
#[derive(Debug, Default)]
pub struct Captures {
    waiting: Mutex<Waiting>,
    follows: watch::Sender<bool>,
    /// What may write although it looks like reading.
    pub functions: Functions,
}

type Waiting = HashMap<TransactionId, oneshot::Sender<Captured>>;

impl Captures {
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
    pub fn problem(&self) -> Option<&'static str> {
        let reason =
            "the node waits for its server, or cannot use it; start it, or see the node's log";
        (!*self.follows.borrow()).then_some(reason)
    }

    /// Waits until the server is prepared and its binlog is followed.
    pub async fn followed(&self) {
        let mut follows = self.follows.subscribe();
        let followed = follows.wait_for(|follows| *follows).await;
        let _ = followed.expect("the sender is in self");
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
    let mut last_warning = None;
    loop {
        let followed = follow(server, captures).await;
        let Err(failure) = followed;
        let was_followed = captures.follows.send_replace(false);
        match failure {
            CaptureFailure::ServerLost(error) if !was_followed => {
                let warning = error.to_string();
                if last_warning.as_ref() != Some(&warning) {
                    warn!(%error, "the server cannot be used yet; trying until it can");
                }
                last_warning = Some(warning);
            }
            failure => return failure,
        }
        sleep(RETRY).await;
    }
}

async fn follow(server: &Server, captures: &Captures) -> Result<Infallible, CaptureFailure> {
    let mut connection = Connection::open(server).await?;
    prepare(&mut connection).await?;
    captures.functions.read(&mut connection).await?;
    roll_back_forsaken(&mut connection).await?;
    let mut groups = Groups::from(end_of_binlog(&mut connection).await?);
    // No other reader of this server has this id.
    let reader = rand::random();
    let mut dump = Dump::start(connection, groups.place(), reader, AtTheEnd::Wait).await?;
    loop {
        let event = dump.event().await?;
        if !captures.follows.send_replace(true) {
            info!(place = %groups.place(), "reading the server's binlog");
        }
        let group = groups.take(event)?;
        if let Some(Group::Prepared { xid, rows }) = group {
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
