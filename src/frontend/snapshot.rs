//! Snapshot isolation: a transaction commits only if nobody has changed meanwhile what it changes.
//!
//! A write set says up to where in the order of the log its transaction has seen everything, and certification has it lose
//! to whatever came after that. Without more a transaction has seen what is committed when it is prepared: it holds
//! the locks of what it has changed. A snapshot is from the transaction's first statement, though. Source: Berenson et al., "A Critique
//! of ANSI SQL Isolation Levels", 4.2.

use super::{
    answer::Answer,
    session::{Session, SessionError},
    shared::Shared,
    transaction::Transactions,
};
use crate::{config::Isolation, protocol::capability::Capabilities, sql::Effect};

/// Begins the snapshot that a transaction reads from, and leaves `FOUND_ROWS()` as it is.
const SNAPSHOT: &[u8] = b"CHECKSUM TABLE trireme.nothing";

/// Leaves `ROW_COUNT()` as `BEGIN` does, and `FOUND_ROWS()` as it is.
pub(super) const NO_ROWS: &str = "SET lc_time_names = @@lc_time_names";

impl Transactions {
    /// Begins the snapshot that the open transaction reads from, before its first read would; gives the error if there is one.
    pub(super) async fn begin_snapshot(
        &mut self,
        session: &mut Session,
    ) -> Result<Option<Answer>, SessionError> {
        self.see();
        let read = session.record(SNAPSHOT, 0).await?;
        if let [_error] = &read[..] {
            return Ok(Some(session.replay(read)));
        }
        let [_] = session.run_own([NO_ROWS.to_owned()]).await?;
        Ok(None)
    }

    /// Notes what the open transaction can see at its first statement, if it is to overwrite nothing else.
    pub(super) fn see(&mut self) {
        let Shared {
            cluster,
            replicator,
            ..
        } = &*self.shared;
        if let Some(open) = &mut self.open
            && cluster.isolation == Isolation::Snapshot
        {
            open.snapshot.get_or_insert_with(|| replicator.reached());
        }
    }

    /// Whether a statement may have found rows as they should become because others have made them so since the open
    /// transaction began to read. Nothing else says whether any of the commits since then was of those rows.
    pub(super) fn may_have_missed(
        &self,
        session: &Session,
        effect: Effect,
        answer: &Answer,
    ) -> bool {
        let open = self.open.as_ref();
        let Some(snapshot) = open.and_then(|open| open.snapshot) else {
            return false;
        };
        let found = session.capabilities.has(Capabilities::FOUND_ROWS);
        let counts = answer.counts(session.capabilities);
        let is_total =
            counts.is_some_and(|(affected, numbers)| effect.is_total(affected, &numbers, found));
        !is_total && self.shared.replicator.is_past(snapshot)
    }
}
