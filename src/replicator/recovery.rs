//! Recovery: finds out what of the log this node's server has, after whatever has ended the node
//! or the server before.

use std::{collections::HashSet, io, sync::Arc};

use bytes::Bytes;
use tokio::time::sleep;
use tracing::info;

use super::{
    RETRY, ReplicationFailure, Replicator,
    claims::{Claims, nothing_defined},
    entry::{Assembly, Entry, Malformed, small_body},
    retry,
    startup::Stage,
};
use crate::{
    applier::Obstacles,
    backend::{
        ConnectionError, Note, ServerRun,
        position::{self, Marks, Saved},
    },
    consensus::{Deliveries, Engine, ProposeError, ReplicatedLog},
    id::{Family, Seqno, TransactionId},
};

const UNSAVED: &str = "the position cannot be saved";

/// Where a node stands when it starts.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) found: Found,
    /// The log goes at least to here, and nothing of an earlier start of this node comes after.
    pub(super) end: Seqno,
    /// The log is to be read from here on.
    pub(super) fence: Seqno,
    /// What the cluster's servers are.
    pub(super) family: Family,
}

/// What of the log a server has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// All up to here is committed.
    pub(super) position: Seqno,
    /// Of what comes after, this is.
    committed: HashSet<Seqno>,
}

impl Found {
    fn up_to(position: Seqno) -> Self {
        Self {
            position,
            committed: HashSet::new(),
        }
    }

    /// The server has all up to here.
    fn reach(&mut self, seqno: Seqno) {
        self.position = self.position.max(seqno);
        self.committed.retain(|later| *later > self.position);
    }

    /// The log has a transaction at this place, which is after those before.
    fn meet(&mut self, seqno: Seqno, id: TransactionId, marks: &Marks) {
        if marks.previous.contains(&id) {
            self.reach(seqno);
        } else if marks.last.contains(&id) && seqno > self.position {
            self.committed.insert(seqno);
        }
    }

    /// Whether the server has what is at a place.
    pub(super) fn has(&self, seqno: Seqno) -> bool {
        seqno <= self.position || self.committed.contains(&seqno)
    }
}

/// Finds a node's place. Its server has nothing that an earlier start has prepared and not decided.
///
/// Transactions commit in the order of the log. A batch of write sets from other nodes moves the
/// saved position, a client's transaction leaves its mark. Whatever a crash has taken from the server,
/// what is left is the beginning of what it has done, so each transaction that was over when one that is
/// left began is left, too.
///
/// But a server that starts after a crash commits what is prepared, if its binlog says that it was
/// committed; and that may be ahead of its storage. So of the last transaction of each session it is not
/// known whether those before it in the log are there. That it was prepared before they were committed,
/// and committed after, is the proof that it does not touch what they do: they can be applied after it.
///
/// A definition that ran meanwhile commits by itself; a note tells of it.
///
/// # Errors
/// The log cannot be read, or is not that of this server.
pub(super) async fn recover(replicator: &Arc<Replicator>) -> Result<Recovered, ReplicationFailure> {
    let Replicator { log, captures, .. } = &**replicator;
    let noted = noted(replicator).await?;
    let family = retry("the server cannot be reached", async || {
        Ok(captures.run.open().await?.family())
    })
    .await;
    let end = announce(log, family).await;
    replicator.startup.begin(Stage::Reading, end);
    let (saved, marks) = retry("the saved position cannot be read", async || {
        read(replicator).await
    })
    .await;
    let Saved { position, fence } = saved;
    let mut search = Search::new(
        family,
        position,
        marks,
        noted.as_ref().map(|(noted, _)| *noted),
    );
    let mut deliveries = read_from(log, fence);
    let mut reading = Reading::default();
    loop {
        let delivered = deliveries.next().await;
        let delivered = delivered.map_err(|error| unreadable(error, position))?;
        let index = delivered.index;
        replicator.startup.reach(Seqno(index));
        let entries = reading.take(index, &delivered.body);
        let entries = entries.map_err(|error| ReplicationFailure::Entry { index, error })?;
        for (seqno, entry) in entries {
            search.meet(seqno, &entry)?;
        }
        if index >= end.0 {
            break;
        }
    }
    let found = search.end(end)?;
    if let Some((Noted { seqno, ran, .. }, undo)) = noted {
        replicator.noted(seqno, ran == Ran::Yes, &undo).await;
    }
    let Found {
        position,
        committed,
    } = &found;
    let beyond = committed.len();
    info!(%position, beyond, %end, "found the place of this server's data in the log");
    Ok(Recovered {
        found,
        end,
        fence,
        family,
    })
}

/// Reads the log from a fence on, which comes first.
pub(super) fn read_from(log: &Engine, fence: Seqno) -> Deliveries {
    log.deliveries(fence.0.saturating_sub(1))
}

/// The log cannot be read any further by a node that has seen all up to `seen`.
pub(super) fn unreadable(error: io::Error, seen: Seqno) -> ReplicationFailure {
    match error.kind() {
        io::ErrorKind::NotFound => ReplicationFailure::Behind { seen },
        _ => error.into(),
    }
}

/// The log, as it took effect when it was delivered.
#[derive(Debug, Default)]
pub(super) struct Reading {
    assembly: Assembly,
    claims: Claims,
}

impl Reading {
    /// Takes the next body of the log; gives the entries that take effect now, each with its place.
    ///
    /// # Errors
    /// The body is none that a node of this version makes.
    pub(super) fn take(
        &mut self,
        index: u64,
        body: &Bytes,
    ) -> Result<Vec<(Seqno, Entry)>, Malformed> {
        let Some(entry) = self.assembly.take(body)? else {
            return Ok(Vec::new());
        };
        let ready = self.claims.take(Seqno(index), entry);
        if ready
            .iter()
            .any(|(_, entry)| matches!(entry, Entry::Fence { .. }))
        {
            self.assembly.fence();
        }
        Ok(ready)
    }
}

/// The search for what a server has, through all that has taken effect.
#[derive(Debug)]
pub(super) struct Search {
    found: Found,
    marks: Marks,
    noted: Option<Noted>,
    has_defined: bool,
    family: Family,
    /// What the first node of the cluster has, or a fence says.
    expected: Option<Family>,
}

impl Search {
    pub(super) fn new(family: Family, saved: Seqno, marks: Marks, noted: Option<Noted>) -> Self {
        Self {
            found: Found::up_to(saved),
            marks,
            noted,
            has_defined: false,
            family,
            expected: None,
        }
    }

    /// The next entry of the log that has taken effect.
    ///
    /// # Errors
    /// The server is of another kind than its cluster's.
    pub(super) fn meet(&mut self, seqno: Seqno, entry: &Entry) -> Result<(), ReplicationFailure> {
        match entry {
            Entry::Started { family, .. } | Entry::Fence { family } => {
                let own = self.family;
                let expected = *self.expected.get_or_insert(*family);
                if expected != own {
                    return Err(ReplicationFailure::Mixed { own, expected });
                }
            }
            Entry::WriteSet(write_set) => self.found.meet(seqno, write_set.id, &self.marks),
            Entry::Defined { id, definition }
                if self.noted.is_some_and(|noted| noted.id == *id) =>
            {
                self.has_defined = !definition.events.is_empty();
            }
            _ => {}
        }
        Ok(())
    }

    /// The log was read up to `end`.
    ///
    /// # Errors
    /// The server has what is not in the log, or lacks what it alone can have.
    pub(super) fn end(self, end: Seqno) -> Result<Found, ReplicationFailure> {
        let mut found = self.found;
        if let Some(Noted { seqno, ran, .. }) = self.noted {
            match (ran, self.has_defined) {
                (Ran::Yes, true) => found.reach(seqno),
                (Ran::Yes, false) => return Err(ReplicationFailure::Void { seqno }),
                (Ran::No, true) => {
                    let error = "the others have it, and this server has lost it".to_owned();
                    return Err(ReplicationFailure::Undefined { seqno, error });
                }
                // What is in doubt is undone, and comes again as another node's would.
                (Ran::No, false) | (Ran::InDoubt, _) => {}
            }
        }
        let position = found.position;
        if position > end {
            return Err(ReplicationFailure::Foreign { position, end });
        }
        Ok(found)
    }
}

/// A definition of this node that the server was in the midst of when the node ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    pub(super) seqno: Seqno,
    pub(super) id: TransactionId,
    pub(super) ran: Ran,
}

/// Whether a definition has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Yes,
    No,
    /// The binlog says so, but a crash may have taken it.
    InDoubt,
}

/// Tells the others what a definition of this node has done, if it was in the midst of one. It must
/// be told before the node announces its start, since that ends every claim. Gives as well what undoes it, if it is in doubt.
async fn noted(
    replicator: &Arc<Replicator>,
) -> Result<Option<(Noted, Vec<String>)>, ReplicationFailure> {
    let Replicator { log, captures, .. } = &**replicator;
    let (node, _) = log.identity();
    let note = retry("the note of a definition cannot be read", async || {
        Note::read(&mut captures.run.open().await?).await
    })
    .await;
    let issued = note.and_then(|note| Some((note.issued?, note)));
    let Some((id, note)) = issued.filter(|(id, _)| id.node == node) else {
        return Ok(None);
    };
    replicator.end_connection(&note).await;
    let (defined, effect) = replicator.effect(id, &note).await?;
    let ran = if defined == nothing_defined(id) {
        Ran::No
    } else if effect.is_in_doubt {
        Ran::InDoubt
    } else {
        Ran::Yes
    };
    let seqno = note.seqno;
    info!(%seqno, ?ran, "found what a definition has done");
    if ran != Ran::No {
        replicator.clone().tell(defined, None).await;
    }
    let undo = effect.undo;
    Ok(Some((Noted { seqno, id, ran }, undo)))
}

/// Says in the log that this node has started; gives the place of that.
async fn announce(log: &Engine, family: Family) -> Seqno {
    let (node, incarnation) = log.identity();
    let body = small_body(&Entry::Started {
        node,
        incarnation,
        family,
    });
    loop {
        match log.propose(body.clone()).await {
            Ok(index) => return Seqno(index),
            Err(ProposeError::NoQuorum | ProposeError::Unknown) => sleep(RETRY).await,
            Err(ProposeError::Stopped | ProposeError::TooLarge(_)) => std::future::pending().await,
        }
    }
}

/// Reads the server's place. What an earlier start has left there, waiting for a lock, is ended.
async fn read(replicator: &Replicator) -> Result<(Saved, Marks), ConnectionError> {
    let Replicator {
        captures, blockers, ..
    } = replicator;
    let mut connection = captures.run.open().await?;
    let watch = blockers.watch(connection.id(), connection.is_mariadb());
    let mut obstacles = Obstacles::new(|obstacle| replicator.clear(obstacle));
    let saved = obstacles.clear_for(&watch, position::read(&mut connection));
    let saved = saved.await?;
    Ok((saved, position::marks(&mut connection).await?))
}

/// All up to here is on the server. From here on the marks that are there are not needed to know that.
pub(super) async fn save(run: &ServerRun, position: Seqno) {
    retry(UNSAVED, async || {
        let mut connection = run.open().await?;
        let update = position::update(position);
        connection.run_unlogged(&[update]).await
    })
    .await;
}

/// All up to this fence is on the server, and no crash takes it.
pub(super) async fn save_fence(run: &ServerRun, fence: Seqno) {
    retry(UNSAVED, async || {
        let mut connection = run.open().await?;
        position::pass(&mut connection, fence).await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{consensus::MAX_BODY_BYTES, write_set::WriteSet};

    #[test]
    fn what_a_fence_cuts_is_read_as_it_was_delivered() {
        let id = TransactionId {
            node: 1.into(),
            incarnation: 1,
            number: 1,
        };
        let write_set = WriteSet {
            id,
            last_seen: Seqno(0),
            keys: Vec::new(),
            format: Bytes::new(),
            events: vec![vec![1; MAX_BODY_BYTES].into()],
        };
        let entry = Entry::WriteSet(write_set);
        let [first, second] = [0, 1].map(|attempt| entry.bodies(attempt).unwrap());
        let family = Family::MariaDb;
        let fence = small_body(&Entry::Fence { family });
        let mut reading = Reading::default();
        let bodies = [&first[0], &fence, &second[0], &first[1], &second[1]];
        let places = bodies.iter().zip(1..).flat_map(|(body, index)| {
            let entries = reading.take(index, body).unwrap();
            entries.into_iter().map(|(seqno, _)| seqno.0)
        });
        assert_eq!(places.collect::<Vec<_>>(), [2, 5]);
    }

    #[derive(Debug, Clone)]
    enum Event {
        /// A session, which has this slot, prepares a transaction, or has it committed if it has one.
        Session(u32),
        /// A session rolls back what it has prepared.
        RollBack(u32),
        /// Write sets of other nodes are committed.
        Batch(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => (0..4_u32).prop_map(Event::Session),
            1 => (0..4_u32).prop_map(Event::RollBack),
            2 => (1..4_u64).prop_map(Event::Batch),
        ]
    }

    /// A server with the transactions that it holds prepared.
    #[derive(Debug, Default, Clone)]
    struct Server {
        saved: Seqno,
        /// By their slots: the last transaction, and the one that was ordered before it.
        marks: HashMap<u32, (TransactionId, Option<TransactionId>)>,
        prepared: HashMap<u32, (TransactionId, Option<TransactionId>)>,
        committed: HashSet<Seqno>,
    }

    proptest! {
        /// A crash takes what a server has done from any moment on, except that any of what was
        /// prepared by then, and was committed later, can be there.
        #[test]
        fn what_a_crash_has_left_is_known(
            events in prop::collection::vec(event(), 1..80),
            moment in any::<prop::sample::Index>(),
            survives in prop::collection::vec(any::<bool>(), 4),
        ) {
            let mut server = Server::default();
            let mut log = Vec::new();
            let mut ordered = HashMap::new();
            let mut number = 0;
            let moment = moment.index(events.len());
            let mut left = server.clone();
            for (at, event) in events.into_iter().enumerate() {
                if at == moment {
                    left = server.clone();
                }
                match event {
                    Event::Session(slot) => match server.prepared.remove(&slot) {
                        None => {
                            number += 1;
                            let id = TransactionId { node: 1.into(), incarnation: 1, number };
                            server.prepared.insert(slot, (id, ordered.get(&slot).copied()));
                        }
                        Some(mark @ (id, _)) => {
                            log.push(Some(id));
                            let seqno = Seqno(log.len() as u64);
                            ordered.insert(slot, id);
                            server.marks.insert(slot, mark);
                            server.committed.insert(seqno);
                            let was_prepared = left.prepared.get(&slot) == Some(&mark);
                            if at >= moment && was_prepared && survives[slot as usize] {
                                left.marks.insert(slot, mark);
                                left.committed.insert(seqno);
                            }
                        }
                    },
                    Event::RollBack(slot) => {
                        server.prepared.remove(&slot);
                    }
                    Event::Batch(count) => {
                        for _ in 0..count {
                            log.push(None);
                            server.committed.insert(Seqno(log.len() as u64));
                        }
                        server.saved = Seqno(log.len() as u64);
                    }
                }
            }
            let marks = Marks {
                last: left.marks.values().map(|(last, _)| *last).collect(),
                previous: left.marks.values().filter_map(|(_, previous)| *previous).collect(),
            };
            let mut found = Found::up_to(left.saved);
            let places = (1..).map(Seqno).zip(log);
            for (seqno, id) in places.clone() {
                if let Some(id) = id {
                    found.meet(seqno, id, &marks);
                }
            }
            for (seqno, _) in places {
                prop_assert_eq!(found.has(seqno), left.committed.contains(&seqno), "{:?} {:?}", seqno, found);
            }
        }
    }
}
