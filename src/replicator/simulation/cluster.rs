//! The scheduler: what happens next, to whom.

use std::ops::AddAssign;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};

use super::{
    CLIENTS, NODES,
    invariants::Invariants,
    log::{Log, Proposal},
    node::Node,
};
use crate::{id::Family, replicator::entry::Entry};

/// What chance decides before all that fails is mended.
const STEPS: usize = 10_000;

/// When all is mended it must be over after this many rounds.
const ROUNDS_TO_REST: usize = 20_000;

pub(super) struct Cluster {
    random: StdRng,
    log: Log,
    nodes: [Node; NODES],
    /// Copies of proposals that come to a leader later.
    late: Vec<Proposal>,
    /// Who does not reach whom.
    cut: [[bool; NODES]; NODES],
    /// A node has been declared silent; it may need a copy of the others' data.
    has_lapsed: bool,
    invariants: Invariants,
    summary: Summary,
}

/// What has happened.
#[derive(Debug, Default)]
pub(super) struct Summary {
    entries: usize,
    committed: usize,
    crashes: usize,
    /// How often all nodes went at once.
    of_all: usize,
    /// Proposals of fences.
    fences: usize,
    /// Nodes that would need a copy of the others' data.
    void: usize,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.committed += other.committed;
        self.crashes += other.crashes;
        self.of_all += other.of_all;
        self.fences += other.fences;
        self.void += other.void;
    }
}

impl Cluster {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            log: Log::default(),
            nodes: std::array::from_fn(Node::new),
            late: Vec::new(),
            cut: Default::default(),
            has_lapsed: false,
            invariants: Invariants::default(),
            summary: Summary::default(),
        }
    }

    pub(super) fn run(mut self) -> Summary {
        for node in 0..NODES {
            self.start(node);
        }
        for _ in 0..STEPS {
            self.step();
            self.invariants.hold(&self.log);
        }
        self.come_to_rest();
        let complete = self.nodes.iter().filter(|node| !node.is_void);
        for node in complete.clone() {
            self.invariants.recovery.same(node.number, &node.server);
        }
        let void = NODES - complete.count();
        assert!(
            void <= usize::from(self.has_lapsed),
            "more than one node is lost"
        );
        Summary {
            entries: self.invariants.once.count(),
            committed: self.invariants.acknowledged.count(),
            void,
            ..self.summary
        }
    }

    fn step(&mut self) {
        let node = self.random.random_range(0..NODES);
        let leads = (0..NODES).any(|other| self.reaches(node, other) && self.log.leads(other));
        match self.random.random_range(0..10_000) {
            0..3 => self.crash(node),
            3..4 => {
                self.summary.of_all += 1;
                (0..NODES).for_each(|node| self.crash(node));
            }
            4..41 => {
                let other = self.random.random_range(0..NODES);
                self.cut[node][other] = node != other && self.random.random_ratio(1, 4);
            }
            41..50 => self.elect(node),
            50..150 => self.nodes[node].server.harden(),
            150..170 if self.log.leads(node) => {
                if let Some(proposal) = self.late.pop() {
                    self.log.append(node, proposal);
                }
            }
            170..200 => self.look_for_signs(node),
            200..206 => {
                let node = &mut self.nodes[node];
                if node.is_level() {
                    let family = Family::MariaDb;
                    node.propose(&Entry::Fence { family });
                    self.summary.fences += 1;
                }
            }
            206..506 if !leads => self.elect(node),
            _ => self.go_on(node),
        }
    }

    fn start(&mut self, node: usize) {
        self.nodes[node].start();
        self.log.start(node);
    }

    /// A node goes, or its server, or both.
    fn crash(&mut self, node: usize) {
        if self.nodes[node].process.take().is_none() {
            return;
        }
        self.summary.crashes += 1;
        let server = &mut self.nodes[node].server;
        let takes_node: bool = self.random.random();
        if !takes_node || self.random.random() {
            server.crash(&mut self.random);
        }
        server.active.clear();
        self.log.stop(node, takes_node);
    }

    fn elect(&mut self, node: usize) {
        if self.nodes[node].process.is_some() {
            let reached: Vec<_> = (0..NODES).filter(|to| self.reaches(node, *to)).collect();
            self.log.elect(node, &reached);
        }
    }

    /// An answer needs both ways.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let runs = self.nodes[to].process.is_some();
        runs && !self.cut[from][to] && !self.cut[to][from]
    }

    /// A node says that it is alive, or that another, which all wait for, is not.
    fn look_for_signs(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if !node.is_level() {
            return;
        }
        let (id, incarnation) = (node.id(), node.incarnation);
        if let Some((holder, signs)) = node.process().claims.holder() {
            if holder.node == id {
                node.propose(&Entry::Alive {
                    node: id,
                    incarnation,
                });
            } else if !self.has_lapsed && self.random.random_ratio(1, 4) {
                self.has_lapsed = true;
                node.propose(&Entry::Lapsed { id: holder, signs });
            }
        }
    }

    fn go_on(&mut self, number: usize) {
        let other = self.other(number);
        let client = self.random.random_range(0..CLIENTS);
        let node = &mut self.nodes[number];
        if node.process.is_none() {
            if !node.is_void && self.random.random_ratio(1, 10) {
                self.start(number);
            }
            return;
        }
        match self.random.random_range(0..7) {
            0 if node.is_level() => node.client(client, &mut self.random, &mut self.invariants),
            0 | 1 => {
                if !node.deliver_or_start(&mut self.random, &mut self.invariants) {
                    node.learn(&self.log, &mut self.invariants);
                }
            }
            2 => {
                node.learn(&self.log, &mut self.invariants);
            }
            3 => {
                let to = if self.log.leads(number) {
                    number
                } else {
                    other
                };
                self.send(number, to);
            }
            4 => self.replicate(other, number),
            5 => {
                self.acknowledge(number, number);
                self.acknowledge(number, other);
            }
            _ => {
                let records = self.random.random_range(0..4);
                self.log.flush(number, records);
            }
        }
        self.stop_if_void(number);
    }

    /// Who leads, as some node thinks, or any other node.
    fn other(&mut self, number: usize) -> usize {
        let others = (0..NODES).filter(|other| *other != number);
        let leaders = others.clone().filter(|other| self.log.leads(*other));
        leaders.choose(&mut self.random).unwrap_or_else(|| {
            let any = others.choose(&mut self.random);
            any.expect("there are others")
        })
    }

    /// A node that is void ends.
    fn stop_if_void(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.is_void && node.process.take().is_some() {
            self.log.stop(number, false);
        }
    }

    fn send(&mut self, from: usize, to: usize) {
        if self.reaches(from, to)
            && self.log.leads(to)
            && let Some(proposal) = self.nodes[from].send(&mut self.random)
        {
            if self.random.random_ratio(1, 20) {
                self.late.push(proposal.clone());
            }
            self.log.append(to, proposal);
        }
    }

    fn replicate(&mut self, from: usize, to: usize) {
        if self.log.leads(from) && self.reaches(from, to) {
            self.log.replicate(from, to);
        }
    }

    fn acknowledge(&mut self, from: usize, to: usize) {
        if self.reaches(from, to) {
            self.log.acknowledge(from, to);
        }
    }

    /// All that has failed is mended, clients do no more, and everything that is under way ends.
    fn come_to_rest(&mut self) {
        self.cut = Default::default();
        for number in 0..NODES {
            if self.nodes[number].process.is_none() && !self.nodes[number].is_void {
                self.start(number);
            }
        }
        for round in 0..ROUNDS_TO_REST {
            let runs = |number: &usize| self.nodes[*number].process.is_some();
            let running: Vec<_> = (0..NODES).filter(runs).collect();
            if !running.iter().any(|node| self.log.leads(*node)) {
                self.elect(running[round % running.len()]);
            }
            let mut is_over = true;
            for from in running.iter().copied() {
                for to in running.iter().copied().filter(|to| *to != from) {
                    self.replicate(from, to);
                    self.log.flush(from, usize::MAX / 2);
                    self.acknowledge(from, to);
                }
                self.acknowledge(from, from);
                is_over &= !self.finish(from);
            }
            self.invariants.hold(&self.log);
            if is_over && self.is_still() {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// A node does what it can; not if nothing is left.
    fn finish(&mut self, number: usize) -> bool {
        let leader = (0..NODES).find(|node| self.log.leads(*node));
        if let Some(leader) = leader {
            self.send(number, leader);
        }
        let holder = self.nodes[number].process().claims.holder();
        let is_void = |of| {
            self.nodes
                .iter()
                .any(|node| node.id() == of && node.is_void)
        };
        let gone = holder.filter(|(id, _)| is_void(id.node));
        let node = &mut self.nodes[number];
        if let Some((id, signs)) = gone.filter(|_| !node.has_under_way()) {
            node.propose(&Entry::Lapsed { id, signs });
        }
        let mut has_done = node.learn(&self.log, &mut self.invariants);
        has_done |= node.deliver_or_start(&mut self.random, &mut self.invariants);
        has_done |= node.finish_clients(&mut self.random, &mut self.invariants);
        self.stop_if_void(number);
        has_done
    }

    /// Whether every node has all and wants nothing.
    fn is_still(&self) -> bool {
        let mut running = self.nodes.iter().filter(|node| node.process.is_some());
        running.all(|node| node.is_level() && !node.has_under_way())
    }
}
