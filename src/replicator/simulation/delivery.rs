//! What a node does about the order of the log, as [`delivery`](crate::replicator::delivery) does it.

use rand::{RngExt, rngs::StdRng};

use super::{
    KEYS_OF_A_TABLE, TABLES,
    clients::changes,
    invariants::{Effect, Invariants, Told},
    node::{Doing, Node, Stage, defined},
    server::{Change, Holder},
};
use crate::{
    id::{Seqno, TransactionId},
    replicator::{
        claims::nothing_defined,
        entry::Entry,
        order::{Action, Loser},
    },
    write_set::{Definition, WriteSet},
};

/// The most write sets of a batch.
const BATCH: usize = 3;

/// What all that is delivered later waits for.
pub(super) enum Turn {
    /// A transaction of this node commits.
    Commit {
        seqno: Seqno,
        id: TransactionId,
        client: Option<usize>,
    },
    /// A definition of this node runs; it is noted.
    Define {
        id: TransactionId,
        client: Option<usize>,
    },
    /// Another's is to have its effect here.
    Adopt {
        seqno: Seqno,
        id: TransactionId,
        table: usize,
    },
}

impl Turn {
    /// Its client goes, if it is that of this transaction.
    pub(super) fn leave(&mut self, of: TransactionId) -> bool {
        match self {
            Self::Commit { id, client, .. } | Self::Define { id, client } if *id == of => {
                client.take().is_some()
            }
            _ => false,
        }
    }
}

impl Node {
    /// Goes a step on; not if it has to wait for the log.
    pub(super) fn deliver_or_start(
        &mut self,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) -> bool {
        match self.process().stage {
            Stage::Delivering { .. } => self.deliver(random, invariants),
            _ => self.start_up(invariants),
        }
    }

    fn deliver(&mut self, random: &mut StdRng, invariants: &mut Invariants) -> bool {
        if self.process().turn.is_some() {
            self.go_on_with_turn(random, invariants);
            return true;
        }
        let process = self.process();
        if let Some((seqno, entry)) = process.queue.pop_front() {
            self.effect(seqno, entry, random, invariants);
            return true;
        }
        if let Some((index, body)) = process.delivered.get(process.read) {
            process.read += 1;
            let entry = process.assembly.take(body).expect("well formed");
            let ready = entry.map(|entry| process.claims.take(Seqno(*index), entry));
            process.queue.extend(ready.into_iter().flatten());
            return true;
        }
        let has_batch = !process.batch.is_empty();
        self.apply(random, invariants);
        has_batch
    }

    fn effect(
        &mut self,
        seqno: Seqno,
        entry: Entry,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) {
        let effect = Effect::of(&entry);
        let action = self.process().order.deliver(seqno, entry);
        if let Some(effect) = effect {
            let commits = matches!(
                action,
                Action::Commit(_) | Action::Apply { .. } | Action::Define(_) | Action::Defined(..)
            );
            invariants.reached(seqno, effect, commits);
        }
        let Stage::Delivering { found, end, .. } = &self.process().stage else {
            panic!("nothing is delivered before the node has recovered");
        };
        let (has, is_end) = (found.has(seqno), seqno == *end);
        if has {
            self.apply(random, invariants);
            self.process().order.applied(seqno);
        } else {
            self.act(seqno, action, random, invariants);
        }
        if is_end {
            self.apply(random, invariants);
            self.server.now.saved = seqno;
            if let Stage::Delivering { is_level, .. } = &mut self.process().stage {
                *is_level = true;
            }
        }
    }

    fn act(
        &mut self,
        seqno: Seqno,
        action: Action,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) {
        match action {
            Action::Nothing => {}
            Action::Commit(write_set) => {
                self.apply(random, invariants);
                let id = write_set.id;
                let process = self.process();
                match process.waiting.get(&id) {
                    Some(waiting) if waiting.is_held => {
                        let (client, slot) = (waiting.client, waiting.slot);
                        process.waiting.remove(&id);
                        process.order.committing(seqno);
                        process.clients[slot].ordered = Some(id);
                        process.turn = Some(Turn::Commit { seqno, id, client });
                    }
                    _ => {
                        let doomed = process.order.applying(seqno, &write_set.keys);
                        self.add(seqno, write_set, doomed, random, invariants);
                    }
                }
            }
            Action::Apply { write_set, doomed } => {
                self.add(seqno, write_set, doomed, random, invariants);
            }
            Action::RollBack(loser) => self.roll_back(loser.id, invariants),
            Action::ProposeAgain(id) => self.propose_again(id, invariants),
            Action::Define(id) => {
                self.apply(random, invariants);
                self.define(seqno, id);
            }
            Action::Defined(id, definition) => self.defined(seqno, id, &definition, invariants),
            Action::Fence => {
                self.apply(random, invariants);
                self.server.now.saved = seqno;
                self.server.now.fence = seqno;
                self.process().order.applied(seqno);
            }
        }
    }

    fn add(
        &mut self,
        seqno: Seqno,
        write_set: WriteSet,
        mut doomed: Vec<Loser>,
        random: &mut StdRng,
        invariants: &mut Invariants,
    ) {
        // A hash map has given them.
        doomed.sort_unstable_by_key(|loser| loser.id);
        for loser in doomed {
            self.roll_back(loser.id, invariants);
        }
        if self.process().batch.len() == BATCH {
            self.apply(random, invariants);
        }
        self.process().batch.push((seqno, write_set));
    }

    fn apply(&mut self, random: &mut StdRng, invariants: &mut Invariants) {
        let batch = std::mem::take(&mut self.process().batch);
        let Some((last, _)) = batch.last() else {
            return;
        };
        let last = *last;
        let all: Vec<_> = batch
            .iter()
            .map(|(seqno, write_set)| (*seqno, changes(write_set)))
            .collect();
        for Change { key, version, .. } in all.iter().flat_map(|(_, changes)| changes) {
            self.clear(*key, random, invariants);
            let known = self.server.now.versions[usize::from(key / KEYS_OF_A_TABLE)];
            assert_eq!(
                *version, known,
                "a write set meets another table than its own"
            );
        }
        self.server.apply(&all);
        self.process().order.applied(last);
        for (_, WriteSet { id, .. }) in batch {
            if let Some(waiting) = self.process().waiting.remove(&id) {
                self.tell(waiting.client, id, Told::Committed, invariants);
            }
        }
    }

    /// Has those go who hold a lock on a row.
    fn clear(&mut self, key: u8, random: &mut StdRng, invariants: &mut Invariants) {
        for holder in self.server.in_the_way(key, false) {
            match holder {
                Holder::Client(client) => {
                    self.server.active.remove(&client);
                    self.process().clients[client].doing = Doing::Nothing;
                }
                Holder::Prepared(id) => {
                    // It is asked to go, and does when it is proposed.
                    let is_it = |doing| doing == Doing::Prepared(id);
                    let clients = self.process().clients.iter();
                    let client = clients.map(|client| client.doing).position(is_it);
                    if let Some(client) = client {
                        self.replicate(client, random, invariants);
                    }
                    self.yields(id);
                }
            }
        }
        let left = self.server.in_the_way(key, false);
        assert!(left.is_empty(), "in the applier's way for ever: {left:?}");
    }

    fn propose_again(&mut self, id: TransactionId, invariants: &mut Invariants) {
        let process = self.process();
        let waiting = process.waiting.get(&id).expect("it was proposed");
        match waiting.client.filter(|_| waiting.is_held) {
            Some(client) => {
                process.waiting.remove(&id);
                process.clients[client].doing = Doing::Prepared(id);
            }
            None => self.roll_back(id, invariants),
        }
    }

    fn define(&mut self, seqno: Seqno, id: TransactionId) {
        if (id.node, id.incarnation) != (self.id(), self.incarnation) {
            return;
        }
        if let Some(client) = self.process().claiming.remove(&id) {
            self.server.note(seqno, id);
            let client = Some(client);
            self.process().turn = Some(Turn::Define { id, client });
        } else {
            self.propose(&nothing_defined(id));
        }
    }

    fn defined(
        &mut self,
        seqno: Seqno,
        id: TransactionId,
        definition: &Definition,
        invariants: &mut Invariants,
    ) {
        let table = definition.events.first().map(|event| usize::from(event[0]));
        let own = self.process().own.take_if(|own| own.id == id);
        match (own, table) {
            (Some(own), table) if own.had_effect != table.is_some() => {
                self.is_void = true;
                return;
            }
            (Some(own), table) => {
                self.server.defined();
                let told = table.map_or(Told::RolledBack, |_| Told::Committed);
                self.process().order.applied(seqno);
                self.tell(own.client, id, told, invariants);
            }
            (None, Some(table)) => {
                self.process().turn = Some(Turn::Adopt { seqno, id, table });
                return;
            }
            (None, None) => self.process().order.applied(seqno),
        }
        self.forget_claim(id, invariants);
    }

    /// Nothing comes of a claim of this node that was declared void before its turn.
    fn forget_claim(&mut self, id: TransactionId, invariants: &mut Invariants) {
        let client = self.process().claiming.remove(&id);
        self.tell(client, id, Told::RolledBack, invariants);
    }

    pub(super) fn go_on_with_turn(&mut self, random: &mut StdRng, invariants: &mut Invariants) {
        let turn = self.process().turn.take();
        match turn.expect("somebody has it") {
            Turn::Commit { seqno, id, client } => {
                assert!(self.server.commit(id, seqno), "what was prepared is gone");
                self.tell(client, id, Told::Committed, invariants);
            }
            Turn::Define { id, client } => {
                let is_refused = random.random_ratio(1, 4);
                let table = Some(random.random_range(0..TABLES)).filter(|_| !is_refused);
                if let Some(table) = table {
                    self.clear_table(table, random, invariants);
                    self.server.define(table);
                }
                let entry = table.map_or(nothing_defined(id), |table| defined(id, table));
                self.process().own = Some(Own {
                    id,
                    had_effect: table.is_some(),
                    client,
                });
                self.propose(&entry);
            }
            Turn::Adopt { seqno, id, table } => {
                let note = self.server.now.note;
                match note.filter(|note| note.id == id) {
                    None => {
                        self.server.note(seqno, id);
                        self.process().turn = Some(Turn::Adopt { seqno, id, table });
                    }
                    Some(note) if note.table.is_none() => {
                        self.clear_table(table, random, invariants);
                        self.server.define(table);
                        self.process().turn = Some(Turn::Adopt { seqno, id, table });
                    }
                    Some(_) => {
                        self.server.defined();
                        self.process().order.applied(seqno);
                    }
                }
            }
        }
    }

    fn clear_table(&mut self, table: usize, random: &mut StdRng, invariants: &mut Invariants) {
        let first = table as u8 * KEYS_OF_A_TABLE;
        for key in first..first + KEYS_OF_A_TABLE {
            self.clear(key, random, invariants);
        }
    }
}

/// A definition of this node that the others do not know yet.
pub(super) struct Own {
    id: TransactionId,
    had_effect: bool,
    client: Option<usize>,
}

impl Own {
    /// Its client goes, if it is that of this definition.
    pub(super) fn leave(&mut self, of: TransactionId) -> bool {
        self.id == of && self.client.take().is_some()
    }
}
