//! The replicated log, as Raft keeps it: what a node has in memory and on its disk, who leads, and what
//! a majority has. Messages are lost, late, and come to nodes that have followed another leader since.

use bytes::Bytes;

use super::NODES;
use crate::id::ProposalId;

/// What a node asks to have in the log; leaders may take the same in more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) id: ProposalId,
    pub(super) settled: u64,
    pub(super) body: Bytes,
}

/// An entry; that with which a leader begins has no proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    term: u64,
    proposal: Option<Proposal>,
}

/// One node's share.
#[derive(Debug, Default)]
struct Share {
    is_up: bool,
    term: u64,
    is_leader: bool,
    records: Vec<Record>,
    /// So many of them are on the disk.
    durable: usize,
    /// So many of them are those of the leader of the term.
    verified: usize,
    /// So many of them are known to be chosen.
    committed: usize,
    /// What a leader knows of the disks of all.
    matched: [usize; NODES],
}

impl Share {
    /// Raft's measure of how much of the log a node has.
    fn extent(&self) -> (u64, usize) {
        let last = self.records.last().map_or(0, |record| record.term);
        (last, self.records.len())
    }

    fn follow(&mut self, term: u64) {
        if term > self.term {
            self.verified = 0;
        }
        self.term = term;
        self.is_leader = false;
    }
}

/// The logs of all nodes.
#[derive(Debug, Default)]
pub(super) struct Log {
    shares: [Share; NODES],
    /// What was ever chosen, by index; nothing can change it.
    chosen: Vec<Record>,
}

impl Log {
    pub(super) fn start(&mut self, node: usize) {
        self.shares[node].is_up = true;
    }

    /// A node goes. What has not come to its disk goes with it, if its machine does, too.
    pub(super) fn stop(&mut self, node: usize, loses_power: bool) {
        let share = &mut self.shares[node];
        if loses_power {
            share.records.truncate(share.durable);
        }
        share.durable = share.records.len();
        share.verified = 0;
        share.committed = 0;
        share.is_leader = false;
        share.is_up = false;
    }

    /// A node would lead, and asks those that it reaches.
    pub(super) fn elect(&mut self, node: usize, reached: &[usize]) {
        let term = 1 + self.shares[node].term;
        let extent = self.shares[node].extent();
        let mut votes = 1;
        for voter in reached.iter().copied().filter(|voter| *voter != node) {
            let share = &mut self.shares[voter];
            if share.is_up && share.term < term {
                share.follow(term);
                votes += usize::from(share.extent() <= extent);
            }
        }
        let share = &mut self.shares[node];
        share.follow(term);
        if votes > NODES / 2 {
            share.is_leader = true;
            share.matched = [0; NODES];
            let proposal = None;
            share.records.push(Record { term, proposal });
        }
    }

    pub(super) fn leads(&self, node: usize) -> bool {
        self.shares[node].is_leader
    }

    /// A leader takes a proposal in.
    pub(super) fn append(&mut self, leader: usize, proposal: Proposal) {
        let share = &mut self.shares[leader];
        let term = share.term;
        let proposal = Some(proposal);
        share.records.push(Record { term, proposal });
    }

    /// A follower hears from who takes itself for the leader.
    pub(super) fn replicate(&mut self, leader: usize, follower: usize) {
        let [from, to] = self
            .shares
            .get_disjoint_mut([leader, follower])
            .expect("two nodes");
        if to.term > from.term {
            from.follow(to.term);
            return;
        }
        to.follow(from.term);
        let pairs = to.records.iter().zip(&from.records);
        let common = pairs.take_while(|(a, b)| a.term == b.term).count();
        // A late message, of what the follower has by now, changes nothing.
        if common < from.records.len() {
            to.records.truncate(common);
            to.durable = to.durable.min(common);
            to.records.extend_from_slice(&from.records[common..]);
        }
        to.verified = from.records.len();
        to.committed = to.committed.max(from.committed.min(to.verified));
    }

    /// A part of what a node has comes to its disk.
    pub(super) fn flush(&mut self, node: usize, records: usize) {
        let share = &mut self.shares[node];
        share.durable = share.records.len().min(share.durable + records);
    }

    /// A leader hears what a node has on its disk, which may be itself.
    pub(super) fn acknowledge(&mut self, node: usize, leader: usize) {
        let Share {
            term,
            durable,
            verified,
            ..
        } = self.shares[node];
        let share = &mut self.shares[leader];
        if !share.is_leader || share.term != term {
            return;
        }
        share.matched[node] = if node == leader {
            durable
        } else {
            durable.min(verified)
        };
        let mut matched = share.matched;
        matched.sort_unstable();
        let by_majority = matched[NODES - 1 - NODES / 2];
        if by_majority > share.committed && share.records[by_majority - 1].term == term {
            share.committed = by_majority;
            let new = share.records.iter().take(by_majority);
            let new: Vec<_> = new.skip(self.chosen.len()).cloned().collect();
            self.chosen.extend(new);
        }
    }

    /// What is at an index, from 1 on, as far as a node knows it to be chosen.
    pub(super) fn read(&self, node: usize, index: u64) -> Option<Option<&Proposal>> {
        let share = &self.shares[node];
        let at = index as usize - 1;
        let record = share.records.get(at).filter(|_| at < share.committed)?;
        Some(record.proposal.as_ref())
    }

    /// Whether more than half of the disks have what was chosen at an index.
    pub(super) fn is_durable(&self, index: u64) -> bool {
        let at = index as usize - 1;
        let has = |share: &&Share| share.durable > at && share.records[at] == self.chosen[at];
        self.shares.iter().filter(has).count() > NODES / 2
    }
}
