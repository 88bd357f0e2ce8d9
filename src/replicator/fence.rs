//! When the log is to have its next fence.
//!
//! A node that starts reads the log from the last fence that its server has passed, so they stand close
//! enough for a start to be quick, and the log needs nothing before them. But whatever is under way at a
//! fence is proposed again, and a write set that is larger than what lies between two of them would never
//! come through: so one is not proposed among the parts of write sets, unless that has been so for long.

use std::time::Duration;

use tokio::time::Instant;

use super::entry::MAX_ENTRY_BYTES;

/// A fence is proposed among parts when the last one is so far behind: several times what a write set can be.
const PATIENCE_BYTES: u64 = 4 * MAX_ENTRY_BYTES as u64;

/// What was proposed and has not come by then may have come to nothing, since somebody was defining something.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far the last fence is behind.
#[derive(Debug)]
pub(super) struct Fences {
    /// Bytes from one fence to the next.
    step: u64,
    /// Bytes that were delivered since the last one.
    since: u64,
    /// When the next one was proposed.
    asked: Option<Instant>,
}

impl Fences {
    pub(super) fn new(step: u64) -> Self {
        Self {
            step,
            since: 0,
            asked: None,
        }
    }

    /// So many bytes were delivered.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.since += bytes as u64;
    }

    /// A fence was delivered, and stands.
    pub(super) fn stands(&mut self) {
        *self = Self::new(self.step);
    }

    /// Whether the next one is to stand as soon as it can.
    pub(super) fn is_wanted(&self) -> bool {
        self.since >= self.step
    }

    /// Whether to propose one now, among the parts of write sets or not.
    pub(super) fn is_due(&self, now: Instant, among_parts: bool) -> bool {
        self.is_wanted()
            && self.asked.is_none_or(|asked| now - asked >= PATIENCE)
            && (!among_parts || self.since >= PATIENCE_BYTES)
    }

    /// One is proposed.
    pub(super) fn propose(&mut self, now: Instant) {
        self.asked = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_stand_a_step_apart_and_not_among_parts() {
        let start = Instant::now();
        let mut fences = Fences::new(800);
        for (bytes, milliseconds, among_parts, is_due) in [
            (799, 0, false, false),
            (1, 0, true, false),
            (0, 0, false, true),
            (9, 999, false, false), // the one that is proposed
            (0, 1000, false, true), // has come to nothing
            (1 << 29, 2000, true, false),
            (1 << 29, 2000, true, true),
        ] {
            let now = start + Duration::from_millis(milliseconds);
            fences.passed(bytes);
            assert_eq!(fences.is_due(now, among_parts), is_due, "{fences:?}");
            if is_due {
                fences.propose(now);
            }
        }
        fences.stands();
        assert!(!fences.is_due(start + PATIENCE * 9, false));
    }
}
