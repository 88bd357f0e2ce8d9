//! Definitions of this node's clients: changes of the schema and of accounts, which are no
//! transactions.
//!
//! A session claims the cluster, runs its statement when it is alone in it, and has its answer when
//! the others know what the server has logged. See [`claims`](super::claims).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    RETRY, ReplicationFailure, Replicator,
    entry::{Entry, MAX_ENTRY_BYTES, TooLarge},
};
use crate::{
    applier::Obstacles,
    backend::{Connection, Note, gone},
    binlog::{Event, Kind, Query},
    consensus::{ProposeError, ReplicatedLog},
    id::{Seqno, TransactionId},
    write_set::Definition,
};

/// How long a node that must stop tries to tell the others.
const PATIENCE: Duration = Duration::from_secs(3);

/// A session whose definition has not had its turn.
pub(super) struct Claiming {
    /// The session's connection on the server.
    connection: u32,
    pub(super) progress: Reporter,
}

pub(super) type Reporter = mpsc::UnboundedSender<Progress>;

/// What a session is told of its definition.
pub(super) enum Progress {
    /// It is to run its statement, and to say when it has.
    Turn(oneshot::Sender<()>),
    /// The others know.
    Over,
    /// Nobody can be told now.
    Refused(ProposeError),
}

/// A definition on its way. If its session drops this before its turn, nothing comes of it.
pub struct Claimed(mpsc::UnboundedReceiver<Progress>);

/// A definition's turn to run. If its session drops this, the node ends the session's connection and
/// looks at what the statement has done.
#[derive(Debug)]
pub struct DefinitionTurn(oneshot::Sender<()>);

impl Claimed {
    /// Waits until everything before the definition is done, and nothing else is.
    ///
    /// # Errors
    /// The cluster cannot be claimed; the definition must not run.
    pub async fn turn(&mut self) -> Result<DefinitionTurn, ProposeError> {
        match self.0.recv().await {
            Some(Progress::Turn(ran)) => Ok(DefinitionTurn(ran)),
            Some(Progress::Refused(error)) => Err(error),
            Some(Progress::Over) | None => Err(ProposeError::Stopped),
        }
    }

    /// Waits until the cluster will have what the definition has done.
    ///
    /// # Errors
    /// It has run, and the node tells the others as soon as it can; the session must end.
    pub async fn over(&mut self) -> Result<(), ProposeError> {
        match self.0.recv().await {
            Some(Progress::Over) => Ok(()),
            Some(Progress::Refused(error)) => Err(error),
            Some(Progress::Turn(_)) | None => Err(ProposeError::Stopped),
        }
    }
}

impl DefinitionTurn {
    /// The server has answered the statement.
    pub fn ran(self) {
        // Nobody listens when the node is stopping.
        let _ = self.0.send(());
    }
}

impl Replicator {
    /// Has a definition ordered that a session is about to run.
    pub fn define(self: &Arc<Self>, id: TransactionId, connection: u32) -> Claimed {
        let (progress, told) = mpsc::unbounded_channel();
        let claiming = Claiming {
            connection,
            progress,
        };
        self.lock().claims.insert(id, claiming);
        tokio::spawn(self.clone().claim(id));
        Claimed(told)
    }

    async fn claim(self: Arc<Self>, id: TransactionId) {
        let bodies = Entry::Claim(id).bodies(0);
        let body = bodies.expect("a small entry").remove(0);
        if let Err(error) = self.log.propose(body).await
            && let Some(claiming) = self.lock().claims.remove(&id)
        {
            // If it is delivered nevertheless, nobody is there to run anything.
            let _ = claiming.progress.send(Progress::Refused(error));
        }
    }

    /// Has the definition at `seqno` run by its session, and finds out what it has done.
    ///
    /// # Errors
    /// What it has done cannot be replicated.
    pub(super) async fn run(
        &self,
        seqno: Seqno,
        id: TransactionId,
        claiming: &Claiming,
    ) -> Result<Definition, ReplicationFailure> {
        let Claiming {
            connection,
            progress,
        } = claiming;
        let collecting = self.captures.collect(*connection);
        let mut own = self.note(seqno, id, *connection).await;
        let (ran, has_run) = oneshot::channel();
        if progress.send(Progress::Turn(ran)).is_err() {
            return Ok(Definition::default());
        }
        let watch = self.blockers.watch(*connection, own.is_mariadb());
        let mut obstacles = Obstacles::new(|obstacle| self.clear(obstacle));
        let answered = tokio::select! {
            answered = has_run => answered,
            never = obstacles.clear(&watch) => match never {},
        };
        if answered.is_err() {
            while let Err(error) = gone(&mut own, *connection).await {
                warn!(%error, "cannot see whether a definition still runs; trying again");
                own = self.connect().await;
            }
        }
        let format = loop {
            match self.captures.catch_up(&self.server, id).await {
                Ok(format) => break format,
                Err(error) => warn!(%error, "cannot see what a definition has done; trying again"),
            }
            sleep(RETRY).await;
        };
        let events = collecting.events().map_err(|error| error.to_string());
        let definition = events.and_then(|events| replicable(&format, &events));
        definition.map_err(|error| ReplicationFailure::Undefined { seqno, error })
    }

    async fn note(&self, seqno: Seqno, id: TransactionId, connection: u32) -> Connection {
        loop {
            let mut own = self.connect().await;
            match Note::write(&mut own, seqno, id, connection).await {
                Ok(_) => return own,
                Err(error) => warn!(%error, "a definition cannot be noted; trying again"),
            }
            sleep(RETRY).await;
        }
    }

    /// The definition at `seqno` is over on the server, with or without an effect.
    pub(super) async fn noted(&self, seqno: Seqno, id: TransactionId, has_run: bool) {
        let attempt = async || {
            let mut own = Connection::open(&self.server).await?;
            // A server that has crashed may have what it had rolled back.
            let _ = own.query(&format!("XA ROLLBACK '{id}'")).await;
            if has_run {
                Note::has_run(&mut own, seqno, &[]).await
            } else {
                Note::has_not_run(&mut own).await
            }
        };
        while let Err(error) = attempt().await {
            warn!(%error, "the end of a definition cannot be noted; trying again");
            sleep(RETRY).await;
        }
    }

    /// Tells the others what a definition has done, until they know.
    pub(super) async fn tell(
        self: Arc<Self>,
        id: TransactionId,
        definition: Definition,
        progress: Option<Reporter>,
    ) {
        let entry = Entry::Defined { id, definition };
        for attempt in 0.. {
            let bodies = entry
                .bodies(attempt)
                .expect("it is known not to be too large");
            let mut proposed = Ok(());
            for body in bodies {
                proposed = proposed.and(self.log.propose(body).await.map(|_| ()));
            }
            match proposed {
                Ok(()) | Err(ProposeError::Stopped) => return,
                Err(error) => {
                    debug!(definition = %id, %error, "cannot be told to the others; trying again");
                    if let Some(progress) = &progress {
                        let _ = progress.send(Progress::Refused(error));
                    }
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Tells the others, if it can, that a definition has done nothing, before the node stops since it
    /// has.
    pub(super) async fn forget(self: &Arc<Self>, id: TransactionId) {
        let told = self.clone().tell(id, Definition::default(), None);
        let _ = timeout(PATIENCE, told).await;
    }

    /// Reads anew what may have been defined otherwise.
    pub(super) async fn refresh(&self) {
        while let Err(error) = self.captures.functions.refresh(&self.server).await {
            warn!(%error, "what is defined cannot be read; trying again");
            sleep(RETRY).await;
        }
    }

    async fn connect(&self) -> Connection {
        loop {
            match Connection::open(&self.server).await {
                Ok(connection) => return connection,
                Err(error) => warn!(%error, "the server cannot be reached; trying again"),
            }
            sleep(RETRY).await;
        }
    }
}

/// What a connection has done, if every node can do it as well.
pub(super) fn replicable(format: &Event, events: &[Event]) -> Result<Definition, String> {
    for event in events.iter().filter(|event| event.kind() == Kind::QUERY) {
        let query = Query::decode(event.body()).ok_or("a statement is malformed")?;
        let known = query.settings(event.second(), true);
        known.map_err(|error| error.to_string())?;
    }
    let definition = Definition {
        format: format.bytes().clone(),
        events: events.iter().map(|event| event.bytes().clone()).collect(),
    };
    let bytes = definition.events.iter().map(Bytes::len).sum();
    if bytes > MAX_ENTRY_BYTES / 2 {
        return Err(TooLarge(bytes).to_string());
    }
    Ok(definition)
}
