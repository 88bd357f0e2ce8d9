//! The log on disk: entries, vote, committed position and the node's identity, in raft-log.
//!
//! Every write of raft-log goes through one worker thread that writes what has queued up and makes
//! it durable with one `fdatasync` (group commit). Nothing is reported to the engine as stored
//! before that call has returned.

pub(crate) mod record;
mod tail;
#[cfg(test)]
mod tests;

use std::{
    fmt::Debug,
    fs::{self, File},
    io,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogStorage},
};
use prometheus_client::metrics::histogram::Histogram;
use raft_log::{RaftLog, api::raft_log_writer::RaftLogWriter};
use tokio::sync::oneshot;

use self::record::{
    Identity, Owner, StoredLogId, StoredPayload, StoredVote, load_log_id, load_vote, store_log_id,
    store_vote,
};
use super::{
    once::Once,
    types::{Entry, LogId, Payload, SnapshotMeta, TypeConfig, Vote},
};
use crate::{id::NodeId, metrics::Metrics};

/// Bodies of earlier chunks that stay in memory for followers that lag.
const CACHE_BYTES: usize = 64 << 20;
/// A worker that finds the disk idle waits this long for more to write: enough to gather what is
/// queued already, little beside an `fdatasync`.
const GROUP_WAIT: Duration = Duration::from_micros(50);
/// Reads that may be cut short end after this many bytes of bodies.
const READ_BYTES: usize = 2 << 20;

/// A handle to the log; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    log: Arc<Mutex<RaftLog<Records>>>,
    /// How long writes take, in seconds.
    append_seconds: Histogram,
}

/// What of the order a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The index of the first entry.
    pub first: u64,
    /// Of its files.
    pub bytes: u64,
}

/// What raft-log stores for us.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Records;

impl raft_log::Types for Records {
    type LogId = StoredLogId;
    type LogPayload = StoredPayload;
    type Vote = StoredVote;
    type UserData = Owner;
    type Callback = Durable;

    fn log_index(&(_, index): &StoredLogId) -> u64 {
        index
    }

    fn payload_size(payload: &StoredPayload) -> u64 {
        body_bytes(&payload.0) as u64
    }
}

/// Whom to tell that a write is durable. The worker drops what it has not reached when a disk
/// error ends it; that too is told, as an error.
struct Durable {
    waiting: Option<Waiting>,
    since: Instant,
    append_seconds: Histogram,
}

enum Waiting {
    Engine(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<io::Result<()>>),
}

impl Durable {
    fn report(&mut self, result: io::Result<()>) {
        if result.is_ok() {
            self.append_seconds
                .observe(self.since.elapsed().as_secs_f64());
        }
        match self.waiting.take() {
            Some(Waiting::Engine(flushed)) => flushed.io_completed(result),
            // A caller that has gone does not want to know.
            Some(Waiting::Caller(caller)) => drop(caller.send(result)),
            None => {}
        }
    }
}

impl raft_log::Callback for Durable {
    fn send(mut self, result: io::Result<()>) {
        self.report(result);
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.report(Err(io::Error::other("the log's writer has stopped")));
    }
}

impl LogStore {
    /// Opens the log in `directory`, or makes one there for the node `fresh`, and counts this
    /// start durably before it returns.
    ///
    /// The log's start is removed in chunks of `chunk_bytes`; raft-log keeps the bodies of the last one
    /// in memory.
    ///
    /// # Errors
    /// The directory cannot be used, another process uses it, or what it holds is damaged
    /// anywhere but in an unfinished last write.
    pub(crate) async fn open(
        directory: &Path,
        fresh: NodeId,
        chunk_bytes: usize,
        metrics: &Metrics,
    ) -> io::Result<(Self, Identity)> {
        make_directory(directory)?;
        let settings = Arc::new(settings(directory, chunk_bytes));
        let log = match RaftLog::<Records>::open(settings.clone()) {
            Err(damage) if !tail::cut_torn::<Records>(&settings.wal)? => return Err(damage),
            Err(_) => RaftLog::open(settings)?,
            Ok(log) => log,
        };
        let state = log.log_state();
        let owner = match state.user_data.clone() {
            Some(mut owner) => {
                owner.identity.incarnation += 1;
                owner
            }
            None if state.last().is_none() && state.vote().is_none() => Owner {
                identity: Identity {
                    node: fresh,
                    incarnation: 1,
                },
                snapshot: None,
            },
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the log has entries but does not say whose it is",
                ));
            }
        };
        let store = Self {
            log: Arc::new(Mutex::new(log)),
            append_seconds: metrics.log_append_seconds.clone(),
        };
        let identity = owner.identity;
        store
            .write(|log| log.save_user_data(Some(owner)).map(drop))
            .await?;
        Ok((store, identity))
    }

    /// What was kept of the entries before those that the log has to have.
    pub(crate) fn snapshot(&self) -> Option<(SnapshotMeta, Once)> {
        let log = self.lock();
        log.log_state().user_data.as_ref()?.snapshot.clone()
    }

    /// Keeps this of the entries up to the snapshot's last, durably: the log can do without them.
    pub(crate) async fn save_snapshot(&self, meta: &SnapshotMeta, once: &Once) -> io::Result<()> {
        self.write(|log| {
            let mut owner = log.log_state().user_data.clone();
            let owner_of_log = owner.as_mut().expect("opening has made it");
            owner_of_log.snapshot = Some((meta.clone(), once.clone()));
            log.save_user_data(owner).map(drop)
        })
        .await
    }

    /// What the log holds.
    pub(crate) fn extent(&self) -> Extent {
        let log = self.lock();
        let purged = log.log_state().purged();
        Extent {
            first: purged.map_or(0, |&(_, index)| index + 1),
            bytes: log.on_disk_size(),
        }
    }

    /// Makes a change and waits until it is durable.
    async fn write(
        &self,
        change: impl FnOnce(&mut RaftLog<Records>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (caller, durable) = oneshot::channel();
        self.submit(Waiting::Caller(caller), change)?;
        durable.await.map_err(io::Error::other)?
    }

    /// Makes a change, visible to readers at once, and has `waiting` told when it is durable.
    fn submit(
        &self,
        waiting: Waiting,
        change: impl FnOnce(&mut RaftLog<Records>) -> io::Result<()>,
    ) -> io::Result<()> {
        let durable = Durable {
            waiting: Some(waiting),
            since: Instant::now(),
            append_seconds: self.append_seconds.clone(),
        };
        let mut log = self.lock();
        change(&mut log)?;
        log.flush(true, Some(durable))
    }

    /// The entries of a range that the log holds, up to the one that passes `limit_bytes`. A read
    /// of what is not in memory blocks the thread for as long as the disk needs.
    fn read(&self, from: u64, to: u64, limit_bytes: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        if from < to {
            for record in self.lock().read(from, to) {
                let (id, StoredPayload(payload)) = record?;
                bytes += body_bytes(&payload);
                entries.push(Entry::new(load_log_id(&id), payload));
                if bytes >= limit_bytes {
                    break;
                }
            }
        }
        Ok(entries)
    }

    fn lock(&self) -> MutexGuard<'_, RaftLog<Records>> {
        self.log.lock().expect("nothing panics under this lock")
    }
}

/// Makes a directory and those above it that are missing, so that a power cut leaves them in place.
/// raft-log sees to what it makes in the directory.
fn make_directory(directory: &Path) -> io::Result<()> {
    let parent = match directory.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => return Ok(()),
    };
    if !directory.exists() {
        make_directory(parent)?;
        fs::create_dir(directory)?;
    }
    let durable = File::open(parent).and_then(|parent| parent.sync_all());
    durable.map_err(|error| {
        let reason = format!("cannot make {} durable: {error}", parent.display());
        io::Error::new(error.kind(), reason)
    })
}

fn settings(directory: &Path, chunk_bytes: usize) -> raft_log::Config {
    raft_log::Config {
        wal: raft_log::chunked_wal::Config {
            chunk_max_size: Some(chunk_bytes),
            read_buffer_size: Some(1 << 20),
            flush_batch_wait: Some(GROUP_WAIT),
            ..raft_log::chunked_wal::Config::new(directory.display())
        },
        log_cache_max_items: None,
        log_cache_capacity: Some(CACHE_BYTES),
    }
}

pub(super) fn body_bytes(payload: &Payload) -> usize {
    match payload {
        openraft::EntryPayload::Normal(proposal) => proposal.body.len(),
        _ => 0,
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = half_open(&range);
        self.read(from, to, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        self.read(from, to, READ_BYTES)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = half_open(&range);
        let parts = stream::try_unfold((self.clone(), from), move |(log, from)| async move {
            let part = log.read(from, to, READ_BYTES)?;
            let next = part.last().map(|entry| entry.index() + 1);
            Ok::<_, io::Error>(
                next.map(|next| (stream::iter(part.into_iter().map(Ok)), (log, next))),
            )
        });
        parts.try_flatten().boxed()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.lock().log_state().vote().map(load_vote))
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(after) => *after,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let log = self.lock();
        let state = log.log_state();
        Ok(LogState {
            last_purged_log_id: state.purged().map(load_log_id),
            last_log_id: state.last().map(load_log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.write(|log| log.save_vote(store_vote(vote)).map(drop))
            .await
    }

    /// Only spares a restart the wait for a leader to say what is committed; so it becomes durable
    /// with the next write that has to.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        match committed {
            Some(id) => self.lock().commit(store_log_id(&id)).map(drop),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.lock().log_state().committed().map(load_log_id))
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries
            .into_iter()
            .map(|entry| (store_log_id(&entry.log_id), StoredPayload(entry.payload)));
        self.submit(Waiting::Engine(flushed), |log| {
            log.append(records).map(drop)
        })
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first_removed = last.map_or(0, |id| id.index + 1);
        self.write(|log| match log.log_state().last() {
            Some(&(_, last)) if last >= first_removed => log.truncate(first_removed).map(drop),
            _ => Ok(()),
        })
        .await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.write(|log| log.purge(store_log_id(&upto)).map(drop))
            .await
    }
}
