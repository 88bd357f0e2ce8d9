//! Capture: hands the row events of each prepared transaction to the session that prepared it.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use super::{
    AtTheEnd, Backdoor, BackdoorCommit, Connection, ConnectionError, Defined, Dump, Note,
    PrepareError, Sent, ServerRun, backdoor, bookmark, end_of_binlog, prepare,
    prepare::roll_back_forsaken,
};
use crate::{
    binlog::{self, CaptureError, Event, Group, Groups, Kind, Place, Refusal, TableMap, Xid},
    config::{AutoIncrement, BackdoorPolicy, Cluster, Server},
    id::{NodeId, TransactionId},
    write_set::Definition,
};

/// Between two attempts to use the server.
const RETRY: Duration = Duration::from_millis(200);

/// How long a server may say nothing, and is not taken for one that hangs.
const PATIENCE: Duration = Duration::from_secs(6);

/// How old a bookmark may get while there is something to read.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(10);

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

impl Changes {
    /// Has foreign keys do nothing where these rows are applied: what they have done is among them. Nor does it follow from
    /// all of them: MySQL 9.7 logs a `REPLACE` as a deletion, too, though what refers to the row stays.
    pub fn forbid_cascades(&mut self) {
        let rows = self.rows.iter_mut();
        for event in rows.filter(|event| event.kind().is_rows()) {
            *event = event.without_foreign_keys();
        }
    }
}

/// What a prepared transaction has changed, or why that cannot be replicated.
pub type Captured = Result<Changes, Refusal>;

/// The prepared transactions whose changes somebody waits for.
#[derive(Debug)]
pub struct Captures {
    waiting: Mutex<Waiting>,
    problem: watch::Sender<Option<String>>,
    /// When the server said something last, after it was followed.
    heard: Mutex<Option<Instant>>,
    /// Everybody who connects to the server for more than a look does so with this.
    pub run: Arc<ServerRun>,
    policy: BackdoorPolicy,
    auto_increment: Option<AutoIncrement>,
    /// What the server commits that did not come through the node.
    pub backdoor: Arc<Backdoor>,
    defined: RwLock<Arc<Defined>>,
}

type Waiting = HashMap<TransactionId, oneshot::Sender<Captured>>;

impl Captures {
    /// Nothing is handed over yet.
    pub fn new(server: Server, cluster: &Cluster, node: NodeId) -> Self {
        Self {
            run: Arc::new(ServerRun::new(server)),
            waiting: Mutex::default(),
            problem: watch::Sender::new(Some("connecting to its server".to_owned())),
            heard: Mutex::default(),
            policy: cluster.backdoor_commits,
            auto_increment: cluster.auto_increment(),
            backdoor: Arc::new(Backdoor::new(node)),
            defined: RwLock::default(),
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

    /// That the server has been silent for long, if so: it hangs, or cannot be reached.
    pub fn silence(&self) -> Option<String> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = heard?.elapsed();
        (silence > PATIENCE).then(|| {
            let seconds = silence.as_secs();
            format!("its server has said nothing for {seconds} s; see what keeps it from working")
        })
    }

    /// Waits until the server is prepared and its binlog is followed.
    pub async fn followed(&self) {
        let mut problem = self.problem.subscribe();
        let followed = problem.wait_for(Option::is_none).await;
        let _ = followed.expect("the sender is in self");
    }

    /// Reads anew what statements are judged by, after this was defined.
    ///
    /// # Errors
    /// The server cannot be reached with the node's account.
    pub async fn refresh(&self, definition: &Definition) -> Result<(), ConnectionError> {
        let mut own = self.run.kept().await?;
        if let Some(defined) = self.defined().read_after(definition, &mut own).await? {
            self.set_defined(defined);
        }
        self.run.keep(own);
        Ok(())
    }

    fn set_defined(&self, defined: Defined) {
        *self.defined.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(defined);
    }

    /// What statements are judged by.
    pub fn defined(&self) -> Arc<Defined> {
        let defined = self.defined.read();
        defined.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of a backdoor commit that is met in the binlog, which is read up to `read`.
    ///
    /// # Errors
    /// The node must not go on.
    async fn meet(
        &self,
        own: &mut Connection,
        commit: &BackdoorCommit,
        read: &Place,
    ) -> Result<(), CaptureFailure> {
        if self.policy == BackdoorPolicy::Fatal {
            backdoor::record(own, commit).await?;
        } else {
            bookmark::save(own, self.backdoor.node, read).await?;
        }
        self.report(commit)
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

    /// The server has said something.
    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The binlog, read up to `place`, has no more to read. A server says so, too, whose binlog was emptied.
    ///
    /// # Errors
    /// That is so, or the connection fails.
    async fn expect_end(&self, place: &Place, own: &mut Connection) -> Result<(), CaptureFailure> {
        let end = end_of_binlog(own).await?;
        if !place.is_after(&end) {
            return Ok(());
        }
        self.meet(own, &bookmark::unreadable(place.clone()), &end)
            .await?;
        Err(ConnectionError::Emptied.into())
    }

    /// All up to here is read; from `end` on the node can serve clients.
    fn read(&self, place: &Place, end: &Place) {
        self.backdoor.has_read(place);
        if !end.is_after(place) && self.problem.send_replace(None).is_some() {
            info!(%place, "reading the server's binlog");
        }
    }

    fn hand_over(&self, id: TransactionId, changes: Captured) {
        let sender = self.lock().remove(&id);
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
pub async fn capture(captures: &Captures) -> CaptureFailure {
    let server = captures.run.server();
    loop {
        let Err(failure) = follow(captures).await;
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

async fn follow(captures: &Captures) -> Result<Infallible, CaptureFailure> {
    let server = captures.run.server();
    let mut connection = Connection::open(server).await?;
    prepare(&mut connection, captures.auto_increment).await?;
    captures.set_defined(captures.defined().read(&mut connection).await?);
    roll_back_forsaken(&mut connection).await?;
    let dialect = connection.dialect();
    for commit in backdoor::recorded(&mut connection).await? {
        captures.report(&commit)?;
    }
    if let Some(note) = Note::read(&mut connection).await? {
        captures.backdoor.defines(note.connection, note.place);
    }
    let end = end_of_binlog(&mut connection).await?;
    let (from, lost) = bookmark::find(&mut connection, captures.backdoor.node, end.clone()).await?;
    if let Some(lost) = lost {
        captures.meet(&mut connection, &lost, &from).await?;
    }
    bookmark::save(&mut connection, captures.backdoor.node, &from).await?;
    let mut saved = (Instant::now(), from.clone());
    let mut groups = Groups::from(from);
    // No other reader of this server has this id.
    let reader = rand::random();
    captures.run.follow(&mut connection).await?;
    let mut dump = Dump::start(connection, groups.place(), reader, AtTheEnd::Wait).await?;
    // Later there may be too many connections for another one.
    let mut own = Connection::open(server).await?;
    loop {
        let sent = dump.next().await?;
        captures.hear();
        let group = match sent {
            Sent::Event(event) => groups.take(event)?,
            Sent::Heartbeat => {
                captures.expect_end(groups.place(), &mut own).await?;
                None
            }
        };
        let place = groups.place();
        let commit = match group {
            None | Some(Group::Decided) => None,
            Some(Group::Direct(direct)) => captures.backdoor.judge(&direct, place, dialect),
            Some(Group::Prepared { xid, rows }) => match own_name(&xid) {
                Some(id) => {
                    let format = groups.format().expect("no group comes before it");
                    let changes = rows.map(|rows| Changes {
                        format: format.clone(),
                        rows: without_marks(rows),
                    });
                    captures.hand_over(id, changes);
                    None
                }
                None => Some(BackdoorCommit::prepared(&xid, place)),
            },
        };
        if let Some(commit) = commit {
            captures.meet(&mut own, &commit, place).await?;
        }
        let Some(place) = groups.boundary() else {
            continue;
        };
        captures.read(place, &end);
        if saved.0.elapsed() > BOOKMARK_PERIOD && saved.1 != *place {
            bookmark::save(&mut own, captures.backdoor.node, place).await?;
            saved = (Instant::now(), place.clone());
        }
    }
}

/// The transaction that a node has prepared under this name, if one has.
fn own_name(xid: &Xid) -> Option<TransactionId> {
    str::from_utf8(&xid.global).ok()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::Place;

    #[test]
    fn what_others_have_prepared_is_no_transaction_of_a_node() {
        let xid = |name: &[u8]| Xid {
            format: 1,
            global: name.to_vec(),
            branch: Vec::new(),
        };
        let own = xid(b"trireme-00000000000000ab-1-2f");
        assert_eq!(own_name(&own).map(|id| id.number), Some(0x2f));
        for name in [&b"mine"[..], b"trireme-ab-1-2f", b"\xff"] {
            assert_eq!(own_name(&xid(name)), None, "{name:?}");
        }
        let place = Place {
            file: "log.000001".to_owned(),
            position: 9,
        };
        let commit = BackdoorCommit::prepared(&xid(b"mine"), &place);
        let expected = "the XA transaction \"mine\" (before log.000001:9 in the binlog)";
        assert_eq!(commit.to_string(), expected);
    }
}
