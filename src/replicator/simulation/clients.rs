//! What the clients of a node do.

use bytes::Bytes;
use rand::{RngExt, rngs::StdRng};

use super::{
    CLIENTS, KEYS_OF_A_TABLE, TABLES,
    invariants::{Invariants, Told},
    node::{Doing, Node, Waiting},
    server::{Branch, Change},
};
use crate::{
    id::{Seqno, TransactionId},
    replicator::entry::Entry,
    write_set::{Key, KeyHash, Mode, WriteSet},
};

impl Node {
    /// A client goes on with what it does.
    pub(super) fn client(
        &mut self,
        client: usize,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) {
        match self.process().clients[client].doing {
            Doing::Nothing if random.random_ratio(1, 30) => self.claim(client),
            Doing::Nothing => self.work(client, random),
            Doing::Working if random.random_ratio(1, 8) => {
                self.server.active.remove(&client);
                self.process().clients[client].doing = Doing::Nothing;
            }
            Doing::Working => self.prepare(client),
            Doing::Prepared(id) if random.random_ratio(1, 12) => {
                self.server.roll_back(id);
                invariants.acknowledged.tell(id, Told::RolledBack);
                self.process().clients[client].doing = Doing::Nothing;
            }
            Doing::Prepared(_) => self.replicate(client, random, invariants),
            Doing::Waiting(id) if random.random_ratio(1, 20) => {
                self.leave(client, id, random, invariants);
            }
            Doing::Waiting(_) => {}
        }
    }

    /// What clients have prepared goes on to its end, and the rest is rolled back; not if nobody has any.
    pub(super) fn finish_clients(
        &mut self,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) -> bool {
        let mut has_done = false;
        for client in 0..CLIENTS {
            let Some(process) = &mut self.process else {
                return has_done;
            };
            match process.clients[client].doing {
                Doing::Nothing => continue,
                Doing::Working => {
                    self.server.active.remove(&client);
                    process.clients[client].doing = Doing::Nothing;
                }
                Doing::Prepared(_) => self.replicate(client, random, invariants),
                Doing::Waiting(_) => {}
            }
            has_done = true;
        }
        has_done
    }

    fn new_id(&mut self) -> TransactionId {
        let (node, incarnation) = (self.id(), self.incarnation);
        let process = self.process();
        process.last_number += 1;
        TransactionId {
            node,
            incarnation,
            number: process.last_number,
        }
    }

    fn work(&mut self, client: usize, random: &mut StdRng) {
        let mut key = || random.random_range(0..TABLES as u8 * KEYS_OF_A_TABLE);
        let (first, second, reference) = (key(), key(), key());
        let mut writes = vec![first];
        if second != first {
            writes.push(second);
        }
        let reference = Some(reference).filter(|key| !writes.contains(key));
        let references: Vec<_> = reference.into_iter().collect();
        if self.server.run(client, &writes, &references) {
            self.process().clients[client].doing = Doing::Working;
        }
    }

    fn prepare(&mut self, client: usize) {
        let id = self.new_id();
        let slot = &mut self.process().clients[client];
        slot.doing = Doing::Prepared(id);
        let ordered = slot.ordered;
        self.server.prepare(client, (id, ordered));
    }

    /// A client has its transaction, which is prepared, ordered.
    pub(super) fn replicate(
        &mut self,
        client: usize,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) {
        let Doing::Prepared(id) = self.process().clients[client].doing else {
            panic!("nothing is prepared");
        };
        let branch = self.server.branch(id).clone();
        let keys = keys(&branch, random);
        self.process().clients[client].doing = Doing::Waiting(id);
        let waiting = Waiting {
            client: Some(client),
            slot: client,
            is_held: true,
        };
        let Ok(last_seen) = self.process().order.prepared(id, &keys, None) else {
            self.process().waiting.insert(id, waiting);
            self.roll_back(id, invariants);
            return;
        };
        self.process().waiting.insert(id, waiting);
        if random.random_ratio(1, 20) {
            // There is no majority.
            self.process().order.withdraw(id);
            self.roll_back(id, invariants);
            return;
        }
        self.propose(&Entry::WriteSet(write_set(id, last_seen, keys, &branch)));
    }

    /// A transaction that waits for its turn gives up its locks.
    pub(super) fn yields(&mut self, id: TransactionId) {
        if let Some(waiting) = self.process().waiting.get_mut(&id)
            && std::mem::take(&mut waiting.is_held)
        {
            self.server.roll_back(id);
        }
    }

    /// A transaction that waits has lost.
    pub(super) fn roll_back(&mut self, id: TransactionId, invariants: &mut Invariants) {
        self.yields(id);
        if let Some(Waiting { client, .. }) = self.process().waiting.remove(&id) {
            self.tell(client, id, Told::RolledBack, invariants);
        }
    }

    /// A client, if it is still there, is told what has become of its transaction.
    pub(super) fn tell(
        &mut self,
        client: Option<usize>,
        id: TransactionId,
        told: Told,
        invariants: &mut Invariants,
    ) {
        if let Some(client) = client {
            invariants.acknowledged.tell(id, told);
            self.process().clients[client].doing = Doing::Nothing;
        }
    }

    /// A client goes before it knows what becomes of its transaction or its definition.
    fn leave(
        &mut self,
        client: usize,
        id: TransactionId,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) {
        self.tell(Some(client), id, Told::Unknown, invariants);
        let process = self.process();
        process.claiming.remove(&id);
        if let Some(own) = &mut process.own {
            own.leave(id);
        }
        if let Some(waiting) = process.waiting.get_mut(&id) {
            waiting.client = None;
            self.yields(id);
        } else if process.turn.as_mut().is_some_and(|turn| turn.leave(id)) {
            // The node does itself what is left to be done.
            self.go_on_with_turn(random, invariants);
        }
    }

    fn claim(&mut self, client: usize) {
        let id = self.new_id();
        let process = self.process();
        process.clients[client].doing = Doing::Waiting(id);
        process.claiming.insert(id, client);
        self.propose(&Entry::Claim(id));
    }
}

fn keys(branch: &Branch, random: &mut StdRng) -> Vec<Key> {
    let changes = branch.changes.iter().map(|change| change.key);
    let mut keys: Vec<_> = changes
        .map(|key| {
            let is_exclusive = random.random_ratio(1, 3);
            (
                key,
                if is_exclusive {
                    Mode::Exclusive
                } else {
                    Mode::Update
                },
            )
        })
        .chain(branch.references.iter().map(|key| (*key, Mode::Reference)))
        .map(|(key, mode)| {
            let hash = KeyHash([key; 16]);
            Key { hash, mode }
        })
        .collect();
    keys.sort_unstable_by_key(|key| key.hash);
    keys
}

fn write_set(id: TransactionId, last_seen: Seqno, keys: Vec<Key>, branch: &Branch) -> WriteSet {
    let events = branch.changes.iter().map(|change| {
        let Change {
            key,
            value,
            version,
        } = change;
        Bytes::from([&[*key, *version], &value.to_le_bytes()[..]].concat())
    });
    WriteSet {
        id,
        last_seen,
        keys,
        format: Bytes::new(),
        events: events.collect(),
    }
}

/// The changes of a write set.
pub(super) fn changes(write_set: &WriteSet) -> Vec<Change> {
    let events = write_set.events.iter();
    events
        .map(|event| Change {
            key: event[0],
            version: event[1],
            value: u64::from_le_bytes(event[2..].try_into().expect("eight bytes")),
        })
        .collect()
}
