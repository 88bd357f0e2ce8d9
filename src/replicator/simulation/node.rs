//! A node: what it proposes and learns, and its clients. What comes of the order of the log is in
//! [`delivery`](super::delivery).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand::{RngExt, rngs::StdRng};

use super::{
    CLIENTS,
    delivery::{Own, Turn},
    invariants::Invariants,
    log::{Log, Proposal},
    server::{Note, Server},
};
use crate::{
    consensus::once::Once,
    id::{Family, NodeId, ProposalId, Seqno, TransactionId},
    replicator::{
        ReplicationFailure,
        claims::Claims,
        entry::{Assembly, Entry},
        order::Order,
        recovery::{Found, Noted, Ran, Reading, Search},
    },
    write_set::{Definition, WriteSet},
};

/// A node with its server. Its machine keeps what is here when the node's process goes.
pub(super) struct Node {
    pub(super) number: usize,
    pub(super) incarnation: u64,
    pub(super) server: Server,
    pub(super) process: Option<Process>,
    /// The cluster has gone on without what it had defined; it needs a copy of the others' data.
    pub(super) is_void: bool,
}

/// What goes with the process.
#[derive(Default)]
pub(super) struct Process {
    once: Once,
    /// How far of what is chosen it has looked at.
    learnt: u64,
    /// What the log has delivered, with the places.
    pub(super) delivered: Vec<(u64, Bytes)>,
    last_sequence: u64,
    under_way: BTreeMap<u64, Bytes>,
    /// The first of them that was not sent to any leader.
    unsent: u64,
    /// Where its own proposals were delivered.
    answers: BTreeMap<u64, u64>,
    pub(super) last_number: u64,
    pub(super) stage: Stage,
    pub(super) read: usize,
    pub(super) assembly: Assembly,
    pub(super) claims: Claims,
    pub(super) order: Order,
    pub(super) queue: VecDeque<(Seqno, Entry)>,
    pub(super) batch: Vec<(Seqno, WriteSet)>,
    pub(super) turn: Option<Turn>,
    /// A definition of this node that the others do not know yet, and whether it has had an effect.
    pub(super) own: Option<Own>,
    pub(super) waiting: BTreeMap<TransactionId, Waiting>,
    pub(super) claiming: BTreeMap<TransactionId, usize>,
    pub(super) clients: [Client; CLIENTS],
}

/// How far a node has come.
#[derive(Default)]
pub(super) enum Stage {
    /// It looks at what its server holds.
    #[default]
    Starting,
    /// It tells, with this proposal, what a definition has done that it finds noted.
    Telling(u64, Note),
    /// It says, with this proposal, that it has started.
    Announcing(u64, Option<Note>),
    Delivering {
        found: Found,
        end: Seqno,
        is_level: bool,
    },
}

/// A client with its slot.
#[derive(Default)]
pub(super) struct Client {
    pub(super) doing: Doing,
    /// The last transaction of the slot that was ordered.
    pub(super) ordered: Option<TransactionId>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    #[default]
    Nothing,
    /// A transaction, which is not prepared.
    Working,
    /// It is prepared and not proposed yet; somebody may be waiting for it to go.
    Prepared(TransactionId),
    /// It waits for what becomes of its transaction or its definition.
    Waiting(TransactionId),
}

/// A transaction that is proposed, and not decided here yet.
pub(super) struct Waiting {
    /// Not there any more if it has gone.
    pub(super) client: Option<usize>,
    pub(super) slot: usize,
    /// It still has its locks.
    pub(super) is_held: bool,
}

impl Node {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            incarnation: 0,
            server: Server::new(),
            process: None,
            is_void: false,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        (self.number as u64 + 1).into()
    }

    pub(super) fn start(&mut self) {
        self.incarnation += 1;
        self.process = Some(Process::default());
    }

    pub(super) fn is_level(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|p| matches!(p.stage, Stage::Delivering { is_level: true, .. }))
    }

    pub(super) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    pub(super) fn has_under_way(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| !process.under_way.is_empty())
    }

    /// Proposes an entry; gives the number of the proposal.
    pub(super) fn propose(&mut self, entry: &Entry) -> u64 {
        let process = self.process();
        let bodies = entry.bodies(0).expect("not too large");
        let [body] = <[Bytes; 1]>::try_from(bodies).expect("small");
        process.last_sequence += 1;
        process.under_way.insert(process.last_sequence, body);
        process.last_sequence
    }

    /// A proposal to be sent to a leader: the next one, or, now and then, another that it does not know to
    /// be delivered, again.
    pub(super) fn send(&mut self, random: &mut StdRng) -> Option<Proposal> {
        let (node, incarnation) = (self.id(), self.incarnation);
        let Process {
            under_way, unsent, ..
        } = self.process();
        let (settled, _) = under_way.first_key_value()?;
        let (sequence, body) = if random.random_ratio(1, 10) {
            let at = random.random_range(0..under_way.len());
            under_way.iter().nth(at)?
        } else {
            under_way.range(*unsent..).next()?
        };
        *unsent = (*unsent).max(sequence + 1);
        let id = ProposalId {
            node,
            incarnation,
            sequence: *sequence,
        };
        Some(Proposal {
            id,
            settled: *settled,
            body: body.clone(),
        })
    }

    /// Looks at the next entry that is chosen; not if it knows of none.
    pub(super) fn learn(&mut self, log: &Log, invariants: &mut Invariants) -> bool {
        let (node, incarnation, number) = (self.id(), self.incarnation, self.number);
        let process = self.process();
        let index = process.learnt + 1;
        let Some(proposal) = log.read(number, index) else {
            return false;
        };
        process.learnt = index;
        if let Some(Proposal { id, settled, body }) = proposal
            && process.once.admit(*id, *settled)
        {
            invariants.once.delivered(index, *id);
            process.delivered.push((index, body.clone()));
            if (id.node, id.incarnation) == (node, incarnation) {
                process.under_way.remove(&id.sequence);
                process.answers.insert(id.sequence, index);
            }
        }
        true
    }

    /// Goes a step on its way to delivering, as `recovery` does; not if it has to wait for the log.
    pub(super) fn start_up(&mut self, invariants: &mut Invariants) -> bool {
        let node = self.id();
        match self.process().stage {
            Stage::Starting => {
                for id in self.server.prepared() {
                    self.server.roll_back(id);
                }
                let note = self.server.now.note.filter(|note| note.id.node == node);
                let ran = note.and_then(|note| Some((note, note.table?)));
                let stage = match ran {
                    Some((note, table)) => {
                        Stage::Telling(self.propose(&defined(note.id, table)), note)
                    }
                    None => Stage::Announcing(self.announce(), note),
                };
                self.process().stage = stage;
            }
            Stage::Telling(sequence, note) => {
                if !self.process().answers.contains_key(&sequence) {
                    return false;
                }
                let sequence = self.announce();
                self.process().stage = Stage::Announcing(sequence, Some(note));
            }
            Stage::Announcing(sequence, note) => {
                let Some(end) = self.process().answers.get(&sequence).copied() else {
                    return false;
                };
                self.recover(Seqno(end), note, invariants);
            }
            Stage::Delivering { .. } => return false,
        }
        true
    }

    fn announce(&mut self) -> u64 {
        let started = Entry::Started {
            node: self.id(),
            incarnation: self.incarnation,
            family: Family::MariaDb,
        };
        self.propose(&started)
    }

    fn recover(&mut self, end: Seqno, note: Option<Note>, invariants: &mut Invariants) {
        let noted = note.map(|Note { seqno, id, table }| {
            let ran = table.map_or(Ran::No, |_| Ran::Yes);
            Noted { seqno, id, ran }
        });
        let saved = self.server.now.saved;
        let mut search = Search::new(Family::MariaDb, saved, self.server.marks(), noted);
        let mut reading = Reading::default();
        let fence = self.server.now.fence;
        let process = self.process();
        process.read = process
            .delivered
            .partition_point(|(index, _)| *index < fence.0);
        let read = process.delivered[process.read..].iter();
        for (index, body) in read.take_while(|(index, _)| *index <= end.0) {
            for (seqno, entry) in reading.take(*index, body).expect("well formed") {
                search.meet(seqno, &entry).expect("one kind of server");
            }
        }
        let found = match search.end(end) {
            Ok(found) => found,
            Err(ReplicationFailure::Void { .. }) => {
                self.is_void = true;
                return;
            }
            Err(error) => panic!("node {} cannot go on: {error}", self.number),
        };
        if noted.is_some() {
            self.server.defined();
        }
        invariants.recovery.found(&self.server, &found);
        self.process().stage = Stage::Delivering {
            found,
            end,
            is_level: false,
        };
    }
}

/// The entry that tells what a definition has done.
pub(super) fn defined(id: TransactionId, table: usize) -> Entry {
    let definition = Definition {
        format: Bytes::new(),
        events: vec![vec![table as u8].into()],
    };
    Entry::Defined { id, definition }
}
