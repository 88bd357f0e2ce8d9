//! The applier: brings the write sets of other nodes into this node's server.

mod definition;
mod statements;

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::{
    backend::{Backdoor, Blockers, Connection, ConnectionError, ServerRun, Watch, position},
    binlog::{Event, EventError},
    id::Seqno,
    write_set::WriteSet,
};

use statements::{format_statement, statements};

/// Row events of one `BINLOG` statement, in bytes.
const STATEMENT_BYTES: usize = 4 << 20;

/// Between two attempts to reach the server.
const RETRY: Duration = Duration::from_millis(100);

/// Who has been in the way for as long as this, and again for as long, is in it for good.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who has not been in the way for as long as this has gone out of it.
const OUT_OF_SIGHT: Duration = Duration::from_secs(1);

/// Errors that a statement gets because others are in its way or have ended it, and not because of what it
/// does: `ER_LOCK_WAIT_TIMEOUT`, `ER_LOCK_DEADLOCK`, `ER_QUERY_INTERRUPTED`, MariaDB's `ER_STATEMENT_TIMEOUT`.
const BY_OTHERS: [u16; 4] = [1205, 1213, 1317, 1969];

/// What makes a connection an applier's. Its rows are not captured again, and it takes no locks on
/// gaps, so that it stands in the way of fewer transactions.
///
/// Without autocommit, what comes after a statement that was rolled back is not committed by itself.
///
/// It waits for as long as it takes until who is in its way has gone: MySQL 9.7 goes on after a wait that has ended
/// as if there were no more rows to look at, and may say in the end that one is not there.
const SETTINGS: [&str; 4] = [
    "SET SESSION autocommit = 0",
    "SET SESSION sql_log_bin = 0",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 100000000",
];

/// Why a node must stop: its server does not take what others have committed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(
        "what was committed from {first} to {last} cannot be applied ({error}): this server's data \
        are not those of the other nodes; give it a copy of theirs"
    )]
    Diverged {
        first: Seqno,
        last: Seqno,
        error: String,
    },
    #[error("write set {seqno} cannot be applied: an event in it is damaged: {error}")]
    Damaged { seqno: Seqno, error: EventError },
}

/// Write sets that are committed together, in their order.
#[derive(Debug)]
pub struct Batch {
    first: Seqno,
    last: Seqno,
    count: usize,
    bytes: usize,
    format: Bytes,
    events: Vec<Event>,
}

impl Batch {
    const MAX_COUNT: usize = 64;
    const MAX_BYTES: usize = 1 << 20;

    /// A batch of one write set.
    ///
    /// # Errors
    /// Its events are damaged.
    pub fn of(seqno: Seqno, write_set: WriteSet) -> Result<Self, ApplyError> {
        let mut batch = Self {
            first: seqno,
            last: seqno,
            count: 0,
            bytes: 0,
            format: write_set.format.clone(),
            events: Vec::new(),
        };
        batch.push(seqno, write_set)?;
        Ok(batch)
    }

    /// Adds a write set that the batch [`accepts`](Self::accepts).
    ///
    /// # Errors
    /// Its events are damaged.
    pub fn push(&mut self, seqno: Seqno, write_set: WriteSet) -> Result<(), ApplyError> {
        for bytes in write_set.events {
            self.bytes += bytes.len();
            let event = Event::new(bytes);
            let event = event.map_err(|error| ApplyError::Damaged { seqno, error })?;
            self.events.push(event);
        }
        self.count += 1;
        self.last = seqno;
        Ok(())
    }

    /// Whether a write set may be committed together with these.
    pub fn accepts(&self, write_set: &WriteSet) -> bool {
        self.count < Self::MAX_COUNT
            && self.bytes < Self::MAX_BYTES
            && self.format == write_set.format
    }

    /// How many write sets it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The seqno of the last write set.
    pub fn last(&self) -> Seqno {
        self.last
    }
}

/// A connection that holds a lock which the applier, or a definition, waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obstacle {
    pub connection: u32,
    /// Asking it to go has not helped.
    pub stays: bool,
}

/// What has become of an attempt to apply a batch.
#[derive(Debug)]
enum Attempt {
    Committed,
    /// Somebody was in the way.
    RolledBack,
    /// The server does not take the rows.
    Refused {
        number: u16,
        message: String,
    },
}

/// Applies batches over a connection of its own.
#[derive(Debug)]
pub struct Applier {
    run: Arc<ServerRun>,
    blockers: Arc<Blockers>,
    backdoor: Arc<Backdoor>,
    session: Option<Session>,
}

/// A connection that has been made an applier's.
#[derive(Debug)]
struct Session {
    connection: Connection,
    /// The format that its events were said to have.
    format: Bytes,
}

impl Applier {
    pub fn new(run: Arc<ServerRun>, blockers: Arc<Blockers>, backdoor: Arc<Backdoor>) -> Self {
        Self {
            run,
            blockers,
            backdoor,
            session: None,
        }
    }

    /// Applies and commits a batch, with the position that it leads to, through lost connections.
    /// What is in its way is to `clear` it, and is named again until it has.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply(
        &mut self,
        batch: Batch,
        clear: impl Fn(Obstacle),
    ) -> Result<(), ApplyError> {
        let Batch {
            first,
            last,
            format,
            events,
            ..
        } = batch;
        // The position comes first: who reads it waits for all of the batch, and if it is not there at the end the
        // server has rolled back.
        let mut run = vec![position::update(last)];
        run.extend(statements(events, STATEMENT_BYTES));
        let mut obstacles = Obstacles::new(clear);
        loop {
            let attempt = self.attempt(&run, &format, last, &mut obstacles);
            match attempt.await {
                Ok(Attempt::Committed) => return Ok(()),
                Ok(Attempt::RolledBack) => {
                    debug!(%first, %last, "somebody is in the applier's way");
                }
                Ok(Attempt::Refused { number, message }) => {
                    let error = format!("error {number}: {message}");
                    return Err(ApplyError::Diverged { first, last, error });
                }
                Err(error) => {
                    warn!(%error, "the applier's connection is of no use; trying another one");
                    self.session = None;
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Applies and commits a batch, unless it has to be attempted again.
    ///
    /// # Errors
    /// The connection fails, or is in a state that nobody knows.
    async fn attempt(
        &mut self,
        statements: &[String],
        format: &Bytes,
        last: Seqno,
        obstacles: &mut Obstacles<impl Fn(Obstacle)>,
    ) -> Result<Attempt, ConnectionError> {
        if self.session.is_none() {
            let opened = Session::open(&self.run, &self.blockers, obstacles);
            let (session, position) = opened.await?;
            self.session = Some(session);
            // The connection that was lost may have committed.
            if position >= last {
                return Ok(Attempt::Committed);
            }
        }
        let session = self.session.as_mut().expect("opened above");
        let watch = self
            .blockers
            .watch(session.connection.id(), session.connection.is_mariadb());
        match session.expect(format).await {
            Err(ConnectionError::Server { number, message }) => {
                return Ok(Attempt::Refused { number, message });
            }
            expected => expected?,
        }
        let connection = &mut session.connection;
        let run = obstacles.clear_for(&watch, connection.run(statements));
        let run = run.await;
        let refused = match run {
            Ok(()) => None,
            Err(ConnectionError::Server { number, message }) => Some((number, message)),
            Err(error) => return Err(error),
        };
        // MySQL 9.7 takes a deadlock for the end of what a row event looks for in an index. What was done before is
        // rolled back, the rest may be done, and if there is an error it is another one.
        let is_whole = position::read(connection).await?.position == last;
        if is_whole && refused.is_none() {
            connection.query("COMMIT").await?;
            return Ok(Attempt::Committed);
        }
        connection.query("ROLLBACK").await?;
        Ok(match refused {
            Some((number, message)) if is_whole && !BY_OTHERS.contains(&number) => {
                Attempt::Refused { number, message }
            }
            _ => Attempt::RolledBack,
        })
    }
}

/// Who was in the way of something.
pub struct Obstacles<F> {
    known: Known,
    clear: F,
}

/// Connections that were in the way, and since when they have been asked to go.
#[derive(Debug, Default)]
struct Known(HashMap<u32, Asked>);

#[derive(Debug)]
struct Asked {
    since: Instant,
    last: Instant,
}

impl<F: Fn(Obstacle)> Obstacles<F> {
    pub fn new(clear: F) -> Self {
        Self {
            known: Known::default(),
            clear,
        }
    }

    /// Does what a connection may have to wait for others with, and has them go.
    pub async fn clear_for<T>(&mut self, watch: &Watch<'_>, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            never = self.clear(watch) => match never {},
        }
    }

    /// Names everybody in the way of a connection, and again until they have gone.
    async fn clear(&mut self, watch: &Watch<'_>) -> Infallible {
        loop {
            let connections = watch.next().await.unwrap_or_else(|error| {
                warn!(%error, "cannot see what is in the applier's way");
                Vec::new()
            });
            let obstacles = self.known.seen(connections, Instant::now());
            obstacles.into_iter().for_each(&self.clear);
        }
    }
}

impl Known {
    /// These connections are in the way. One that is not seen now and then, as between two attempts, is
    /// still the same obstacle.
    fn seen(&mut self, connections: Vec<u32>, now: Instant) -> Vec<Obstacle> {
        self.0.retain(|_, asked| now - asked.last < OUT_OF_SIGHT);
        let obstacles = connections.into_iter().map(|connection| {
            let new = Asked {
                since: now,
                last: now,
            };
            let asked = self.0.entry(connection).or_insert(new);
            asked.last = now;
            let stays = now - asked.since >= PATIENCE;
            if stays {
                asked.since = now;
            }
            Obstacle { connection, stays }
        });
        obstacles.collect()
    }
}

impl Session {
    /// Opens a session; gives the saved position as well.
    async fn open(
        run: &ServerRun,
        blockers: &Blockers,
        obstacles: &mut Obstacles<impl Fn(Obstacle)>,
    ) -> Result<(Self, Seqno), ConnectionError> {
        let mut session = Self::plain(run, Connection::LARGEST_STATEMENT).await?;
        let Self { connection, .. } = &mut session;
        let watch = blockers.watch(connection.id(), connection.is_mariadb());
        // Without autocommit it would leave a transaction open.
        let saved = obstacles.clear_for(&watch, position::read(connection));
        let position = saved.await?.position;
        for setting in SETTINGS {
            connection.query(setting).await?;
        }
        Ok((session, position))
    }

    /// Opens a session with the settings of every other one, for statements of so many bytes.
    async fn plain(run: &ServerRun, bytes: usize) -> Result<Self, ConnectionError> {
        Ok(Self {
            connection: run.open_for(bytes).await?,
            format: Bytes::new(),
        })
    }

    /// Tells the server how the next events are to be read.
    async fn expect(&mut self, format: &Bytes) -> Result<(), ConnectionError> {
        if self.format == *format {
            return Ok(());
        }
        self.connection.query(&format_statement(format)).await?;
        if !self.connection.is_mariadb() {
            // The event has set it to what an applier of binlogs needs (error 1782).
            self.connection
                .query("SET SESSION gtid_next = 'AUTOMATIC'")
                .await?;
        }
        self.format = format.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stays_in_the_way_is_known_though_it_is_not_always_seen() {
        let start = Instant::now();
        let mut known = Known::default();
        let mut stays = |ms, connections: &[u32]| {
            let now = start + Duration::from_millis(ms);
            let obstacles = known.seen(connections.to_vec(), now);
            let stays = |obstacle: Obstacle| obstacle.stays.then_some(obstacle.connection);
            obstacles.into_iter().filter_map(stays).collect::<Vec<_>>()
        };
        assert!(stays(0, &[1]).is_empty());
        assert!(stays(500, &[]).is_empty());
        assert!(stays(900, &[1, 2]).is_empty());
        assert!(stays(1800, &[1]).is_empty());
        // 2 has gone meanwhile.
        assert_eq!(stays(2000, &[1, 2]), [1]);
        assert!(stays(2900, &[1, 2]).is_empty());
        assert!(stays(3800, &[1, 2]).is_empty());
        assert_eq!(stays(4000, &[1, 2]), [1, 2]);
    }
}
