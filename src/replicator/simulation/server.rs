//! A server: rows, locks, prepared transactions, marks, the saved position and the note of a definition;
//! and what a crash leaves of them.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, rngs::StdRng};

use super::{KEYS_OF_A_TABLE, TABLES};
use crate::{
    backend::position::Marks,
    id::{Seqno, TransactionId},
};

/// A row as a transaction leaves it: it counts its changes. What is written for a table is void once
/// the table is defined otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: u8,
    pub(super) value: u64,
    pub(super) version: u8,
}

/// A transaction of a client: the rows that it has locked, and those of them that it has changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) changes: Vec<Change>,
    /// It relies on these being there.
    pub(super) references: Vec<u8>,
}

impl Branch {
    /// Whether another transaction has to wait for this one's locks.
    fn blocks(&self, key: u8, is_shared: bool) -> bool {
        self.changes.iter().any(|change| change.key == key)
            || !is_shared && self.references.contains(&key)
    }
}

/// What a transaction writes into its slot: its id, and the last one of the slot that was ordered.
type Mark = (TransactionId, Option<TransactionId>);

/// A definition that is under way, as a crash must not forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) seqno: Seqno,
    pub(super) id: TransactionId,
    /// The table that it has defined, if it has run.
    pub(super) table: Option<usize>,
}

/// What a server has on its disk, or will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) rows: BTreeMap<u8, u64>,
    /// How often each table was defined.
    pub(super) versions: [u8; TABLES],
    pub(super) saved: Seqno,
    pub(super) fence: Seqno,
    pub(super) note: Option<Note>,
    marks: BTreeMap<usize, Mark>,
    prepared: BTreeMap<TransactionId, (usize, Mark, Branch)>,
    /// Nothing that a node could read: whose changes these are.
    pub(super) has: BTreeSet<Seqno>,
}

/// A server, which has this slot for each of its clients.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) now: Data,
    /// What a crash leaves at least.
    durable: Data,
    /// What was committed since and is more than that: a crash may leave it if it was prepared.
    since: BTreeMap<TransactionId, Seqno>,
    pub(super) active: BTreeMap<usize, Branch>,
}

impl Server {
    pub(super) fn new() -> Self {
        let keys = 0..(TABLES as u8 * KEYS_OF_A_TABLE);
        let now = Data {
            rows: keys.map(|key| (key, 0)).collect(),
            versions: [0; TABLES],
            saved: Seqno(0),
            fence: Seqno(0),
            note: None,
            marks: BTreeMap::new(),
            prepared: BTreeMap::new(),
            has: BTreeSet::new(),
        };
        Self {
            durable: now.clone(),
            now,
            since: BTreeMap::new(),
            active: BTreeMap::new(),
        }
    }

    /// All that has been done comes to the disk.
    pub(super) fn harden(&mut self) {
        self.durable = self.now.clone();
        self.since.clear();
    }

    /// The server goes and comes again, with the beginning of what it has done, and whatever of that was
    /// prepared and its binlog says was committed after.
    pub(super) fn crash(&mut self, random: &mut StdRng) {
        self.active.clear();
        self.now = self.durable.clone();
        for (id, seqno) in std::mem::take(&mut self.since) {
            if self.now.prepared.contains_key(&id) && random.random() {
                self.commit(id, seqno);
            }
        }
        self.harden();
    }

    /// A client runs its statements; not if it would have to wait for another.
    pub(super) fn run(&mut self, client: usize, writes: &[u8], references: &[u8]) -> bool {
        let must_wait = writes
            .iter()
            .any(|key| !self.in_the_way(*key, false).is_empty())
            || references
                .iter()
                .any(|key| !self.in_the_way(*key, true).is_empty());
        if must_wait {
            return false;
        }
        let changes = writes.iter().map(|key| Change {
            key: *key,
            value: self.now.rows[key] + 1,
            version: self.now.versions[usize::from(key / KEYS_OF_A_TABLE)],
        });
        let branch = Branch {
            changes: changes.collect(),
            references: references.to_vec(),
        };
        self.active.insert(client, branch);
        true
    }

    /// Who holds a lock on a row: a client with what it has not prepared, or what is prepared.
    pub(super) fn in_the_way(&self, key: u8, is_shared: bool) -> Vec<Holder> {
        let active = self.active.iter();
        let active = active.filter(|(_, branch)| branch.blocks(key, is_shared));
        let prepared = self.now.prepared.iter();
        let prepared = prepared.filter(|(_, (_, _, branch))| branch.blocks(key, is_shared));
        let active = active.map(|(client, _)| Holder::Client(*client));
        active
            .chain(prepared.map(|(id, _)| Holder::Prepared(*id)))
            .collect()
    }

    /// A client prepares what it has done.
    pub(super) fn prepare(&mut self, client: usize, mark: Mark) {
        let branch = self.active.remove(&client).expect("it has done something");
        self.now.prepared.insert(mark.0, (client, mark, branch));
    }

    pub(super) fn prepared(&self) -> Vec<TransactionId> {
        self.now.prepared.keys().copied().collect()
    }

    pub(super) fn branch(&self, id: TransactionId) -> &Branch {
        &self.now.prepared[&id].2
    }

    pub(super) fn roll_back(&mut self, id: TransactionId) {
        self.now.prepared.remove(&id);
    }

    /// Commits what is prepared; not if it is not there.
    pub(super) fn commit(&mut self, id: TransactionId, seqno: Seqno) -> bool {
        let Some((slot, mark, branch)) = self.now.prepared.remove(&id) else {
            return false;
        };
        for Change { key, value, .. } in branch.changes {
            self.now.rows.insert(key, value);
        }
        self.now.marks.insert(slot, mark);
        self.now.has.insert(seqno);
        self.since.insert(id, seqno);
        true
    }

    /// Commits what others have done, at once.
    pub(super) fn apply(&mut self, batch: &[(Seqno, Vec<Change>)]) {
        for (seqno, changes) in batch {
            for Change { key, value, .. } in changes {
                self.now.rows.insert(*key, *value);
            }
            self.now.has.insert(*seqno);
            self.now.saved = *seqno;
        }
    }

    /// What is noted of a definition is on the disk before the definition can run.
    pub(super) fn note(&mut self, seqno: Seqno, id: TransactionId) {
        let table = None;
        self.now.note = Some(Note { seqno, id, table });
        self.harden();
    }

    /// The definition that is noted runs; so it, too, is on the disk when it is over.
    pub(super) fn define(&mut self, table: usize) {
        let note = self.now.note.as_mut().expect("it was noted before");
        note.table = Some(table);
        self.now.versions[table] += 1;
        self.now.has.insert(note.seqno);
        self.harden();
    }

    /// A definition is over, and everybody knows what it has done.
    pub(super) fn defined(&mut self) {
        let note = self.now.note.take();
        if let Some(note) = note.filter(|note| note.table.is_some()) {
            self.now.saved = note.seqno;
        }
    }

    pub(super) fn marks(&self) -> Marks {
        let marks = self.now.marks.values();
        Marks {
            last: marks.clone().map(|(last, _)| *last).collect(),
            previous: marks.filter_map(|(_, previous)| *previous).collect(),
        }
    }
}

/// Who has a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Client(usize),
    Prepared(TransactionId),
}
