//! Definitions of this node's clients: changes of the schema and of accounts, which are no
//! transactions.
//!
//! A session claims the cluster, runs its statement when it is alone in it, and has its answer when
//! the others know what the server has logged. See [`claims`](super::claims).

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    RETRY, ReplicationFailure, Replicator, Turn,
    claims::nothing_defined,
    entry::{Entry, small_body},
    retry,
};
use crate::{
    applier::Obstacles,
    backend::{Effect, Note, NoteError},
    binlog::{Kind, Query, preparation},
    consensus::{ProposeError, ReplicatedLog},
    id::{Seqno, TransactionId},
    write_set::Definition,
};

/// How long a node that must stop tries to tell the others.
const PATIENCE: Duration = Duration::from_secs(3);

/// A session that has something to define.
pub(super) struct Claiming {
    /// The session's connection on the server.
    connection: u32,
    pub(super) progress: Reporter,
}

pub(super) type Reporter = mpsc::UnboundedSender<Progress>;

/// What a session is told of its definition.
pub(super) enum Progress {
    /// It is to run its statement, and to say when it has.
    Turn(Turn),
    /// The others know.
    Over,
    /// Nobody can be told now.
    Refused(ProposeError),
}

/// A definition on its way. If its session drops this before its turn, nothing comes of it.
pub struct Claimed(mpsc::UnboundedReceiver<Progress>);

impl Claimed {
    /// Waits until everything before the definition is done, and nothing else is.
    ///
    /// # Errors
    /// The cluster cannot be claimed; the definition must not run.
    pub async fn turn(&mut self) -> Result<Turn, ProposeError> {
        match self.0.recv().await {
            Some(Progress::Turn(turn)) => Ok(turn),
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
        let body = small_body(&Entry::Claim(id));
        if let Err(error) = self.log.propose(body).await
            && let Some(claiming) = self.lock().claims.remove(&id)
        {
            // If it is delivered nevertheless, nobody is there to run anything.
            let _ = claiming.progress.send(Progress::Refused(error));
        }
    }

    /// Has the definition at `seqno` run by its session, and finds out what it has done; gives what the
    /// others are to be told.
    ///
    /// # Errors
    /// What it has done cannot be replicated.
    pub(super) async fn run(
        self: &Arc<Self>,
        seqno: Seqno,
        id: TransactionId,
        claiming: &Claiming,
    ) -> Result<Entry, ReplicationFailure> {
        let Claiming {
            connection,
            progress,
        } = claiming;
        let (note, is_mariadb) = retry("a definition cannot be noted", async || {
            let mut own = self.captures.run.kept().await?;
            let backdoor = &self.captures.backdoor;
            let note = Note::write(&mut own, backdoor, (seqno, Some(id)), *connection).await?;
            let is_mariadb = own.is_mariadb();
            self.captures.run.keep(own);
            Ok((note, is_mariadb))
        })
        .await;
        let (done, is_done) = oneshot::channel();
        if progress.send(Progress::Turn(Turn { seqno, done })).is_err() {
            return Ok(nothing_defined(id));
        }
        let watch = self.blockers.watch(*connection, is_mariadb);
        let mut obstacles = Obstacles::new(|obstacle| self.clear(obstacle));
        if obstacles.clear_for(&watch, is_done).await.is_err() {
            self.end_connection(&note).await;
        }
        let (defined, _) = self.effect(id, &note).await?;
        Ok(defined)
    }

    pub(super) async fn end_connection(&self, note: &Note) {
        let failure = "cannot see whether a definition still runs";
        retry(failure, async || {
            note.end_connection(&self.captures.run).await
        })
        .await;
    }

    /// What a definition that is over has done, as the others are to be told, and as it was logged.
    ///
    /// # Errors
    /// It cannot be replicated. The others have been told, if they could be, that it has done nothing.
    pub(super) async fn effect(
        self: &Arc<Self>,
        id: TransactionId,
        note: &Note,
    ) -> Result<(Entry, Effect), ReplicationFailure> {
        let seqno = note.seqno;
        let effect = loop {
            match note.effect(&self.captures.run).await {
                Ok(effect) => {
                    let backdoor = &self.captures.backdoor;
                    backdoor.has_defined(note.connection, &effect.end);
                    break replicable(id, &effect).map(|defined| (defined, effect));
                }
                Err(NoteError::Connection(error)) => {
                    warn!(%error, "cannot see what a definition has done; trying again");
                }
                Err(error) => break Err(error.to_string()),
            }
            sleep(RETRY).await;
        };
        match effect {
            Ok(effect) => Ok(effect),
            Err(error) => {
                let told = self.clone().tell(nothing_defined(id), None);
                // Without a majority the next start tries it again.
                let _ = timeout(PATIENCE, told).await;
                Err(ReplicationFailure::Undefined { seqno, error })
            }
        }
    }

    /// The definition at `seqno` is over on the server, with an effect or without one, which `undo` sees to.
    pub(super) async fn noted(&self, seqno: Seqno, has_run: bool, undo: &[String]) {
        retry("the end of a definition cannot be noted", async || {
            let mut own = self.captures.run.kept().await?;
            let backdoor = &self.captures.backdoor;
            if has_run {
                Note::has_run(&mut own, backdoor, seqno, &[]).await?;
            } else {
                Note::has_not_run(&mut own, backdoor, undo).await?;
            }
            self.captures.run.keep(own);
            Ok(())
        })
        .await;
    }

    /// Tells the others what a definition has done, until they know.
    pub(super) async fn tell(self: Arc<Self>, defined: Entry, progress: Option<Reporter>) {
        for attempt in 0.. {
            let bodies = defined.bodies(attempt);
            let mut proposed = Ok(());
            for body in bodies.expect("it is known not to be too large") {
                proposed = proposed.and(self.log.propose(body).await.map(|_| ()));
            }
            match proposed {
                Ok(()) | Err(ProposeError::Stopped) => return,
                Err(error) => {
                    debug!(%error, "a definition cannot be told to the others; trying again");
                    if let Some(progress) = &progress {
                        let _ = progress.send(Progress::Refused(error));
                    }
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Reads anew what this may have defined otherwise.
    pub(super) async fn refresh(&self, definition: &Definition) {
        let failure = "what is defined cannot be read";
        retry(failure, async || self.captures.refresh(definition).await).await;
    }
}

/// What a definition has done, if every node can do it as well.
fn replicable(id: TransactionId, effect: &Effect) -> Result<Entry, String> {
    let Effect { format, events, .. } = effect;
    if events.is_empty() {
        return Ok(nothing_defined(id));
    }
    for event in events
        .iter()
        .filter(|event| event.kind().is_statement_context())
    {
        preparation(event).ok_or("what a statement needs is malformed, or of an unknown type")?;
    }
    for event in events.iter().filter(|event| event.kind() == Kind::QUERY) {
        let query = Query::decode(event.body()).ok_or("a statement is malformed")?;
        let known = query.settings(event.second(), true);
        known.map_err(|error| error.to_string())?;
    }
    let definition = Definition {
        format: format.bytes().clone(),
        events: events.iter().map(|event| event.bytes().clone()).collect(),
    };
    let defined = Entry::Defined { id, definition };
    defined.bodies(0).map_err(|error| error.to_string())?;
    Ok(defined)
}
