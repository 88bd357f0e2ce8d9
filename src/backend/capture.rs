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
    Connection, ConnectionError, Dump, Functions, PrepareError,
    dump::{AtTheEnd, NO_SUCH_BINLOG},
    end_of_binlog, prepare,
    prepare::roll_back_forsaken,
};
use crate::{
    binlog::{self, CaptureError, Event, Group, Groups, Kind, Place, Refusal, TableMap},
    config::Server,
    id::TransactionId,
};

/// Between two attempts to reach the server's binlog.
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
        let reason = "the node cannot read its server's binlog; its log says why";
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

/// Why a node must stop: what its server commits can no longer be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFailure {
    #[error("the server's binlog cannot be followed {0}")]
    Binlog(#[from] CaptureError),
    #[error(
        "the server no longer has its binlog from {place} on ({message}); rows that it has committed \
        may be missing on the other nodes"
    )]
    Lost { place: Place, message: String },
    #[error(transparent)]
    Unprepared(#[from] PrepareError),
}

/// Follows the server's binlog, from its present end and through lost connections and restarts of
/// the server, and hands what is prepared to those who wait in `captures`. The server is prepared
/// for that first, each time it is connected to.
///
/// `reader` is a server id that no other reader of this server has.
///
/// # Errors
/// It ends only when nothing can be captured any more.
pub async fn capture(server: &Server, reader: u32, captures: &Captures) -> CaptureFailure {
    let mut groups = None;
    loop {
        let followed = follow(server, reader, &mut groups, captures).await;
        captures.follows.send_replace(false);
        match followed {
            Ok(never) => match never {},
            Err(Interruption::Failure(failure)) => return failure,
            Err(Interruption::Connection(error)) => {
                warn!(%error, "the server's binlog cannot be read now; trying again");
            }
        }
        if let Some(groups) = &mut groups {
            groups.restart();
        }
        sleep(RETRY).await;
    }
}

async fn follow(
    server: &Server,
    reader: u32,
    groups: &mut Option<Groups>,
    captures: &Captures,
) -> Result<Infallible, Interruption> {
    let mut connection = Connection::open(server).await?;
    prepare(&mut connection).await?;
    captures.functions.read(&mut connection).await?;
    let groups = match groups {
        Some(groups) => groups,
        None => {
            roll_back_forsaken(&mut connection).await?;
            groups.insert(Groups::from(end_of_binlog(&mut connection).await?))
        }
    };
    let mut dump = Dump::start(connection, groups.place(), reader, AtTheEnd::Wait).await?;
    info!(place = %groups.place(), "reading the server's binlog");
    captures.follows.send_replace(true);
    loop {
        let event = dump.event().await.map_err(|error| match error {
            ConnectionError::Server {
                number: NO_SUCH_BINLOG,
                message,
            } => Interruption::Failure(CaptureFailure::Lost {
                place: groups.place().clone(),
                message,
            }),
            error => error.into(),
        })?;
        let group = groups.take(event).map_err(CaptureFailure::from)?;
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

enum Interruption {
    Connection(ConnectionError),
    Failure(CaptureFailure),
}

impl From<ConnectionError> for Interruption {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<CaptureFailure> for Interruption {
    fn from(failure: CaptureFailure) -> Self {
        Self::Failure(failure)
    }
}

impl From<PrepareError> for Interruption {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Connection(error) => Self::Connection(error),
            error => Self::Failure(error.into()),
        }
    }
}
