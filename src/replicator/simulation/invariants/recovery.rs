//! Whatever a crash leaves of a server, the node knows what that is, and the rest of the log leads to the
//! same rows.

use std::collections::BTreeMap;

use super::{Change, Effect};
use crate::{
    id::Seqno,
    replicator::{
        recovery::Found,
        simulation::server::{Data, Server},
    },
};

#[derive(Debug, Default)]
pub(in crate::replicator::simulation) struct Recovery {
    effects: BTreeMap<Seqno, Effect>,
}

impl Recovery {
    pub(super) fn committed(&mut self, seqno: Seqno, effect: Effect) {
        if effect != Effect::Fence {
            self.effects.insert(seqno, effect);
        }
    }

    /// A node concludes that its server has this.
    pub(in crate::replicator::simulation) fn found(&self, server: &Server, found: &Found) {
        let Data { has, note, .. } = &server.now;
        // Of another node's definition only the note tells, which the applier looks at.
        let is_noted = |seqno: &&Seqno| note.is_some_and(|note| note.seqno == **seqno);
        for seqno in self.effects.keys().chain(has).filter(|at| !is_noted(at)) {
            assert_eq!(
                found.has(*seqno),
                has.contains(seqno),
                "at {seqno}: {found:?}"
            );
        }
    }

    /// A node has delivered the whole log to its server.
    pub(in crate::replicator::simulation) fn same(&self, number: usize, server: &Server) {
        let mut rows: BTreeMap<_, _> = server.now.rows.keys().map(|key| (*key, 0)).collect();
        let mut versions = server.now.versions.map(|_| 0);
        for (seqno, effect) in &self.effects {
            match effect {
                Effect::Write { changes, .. } => {
                    for Change { key, value, .. } in changes {
                        let before = rows.insert(*key, *value);
                        let update = Some(value - 1);
                        assert_eq!(before, update, "an update of row {key} is lost at {seqno}");
                    }
                }
                Effect::Define { table, .. } => versions[*table] += 1,
                Effect::Fence => {}
            }
        }
        let Data {
            rows: own_rows,
            versions: own_versions,
            has,
            ..
        } = &server.now;
        assert!(
            has.iter().eq(self.effects.keys()),
            "node {number} lacks something"
        );
        assert_eq!(
            (own_rows, *own_versions),
            (&rows, versions),
            "node {number} has other rows"
        );
    }
}
