//! When the log is to have its next fence.
//!
//! A node that starts reads the log from the last fence that its server has passed, so they stand close
//! enough for a start to be quick, and the log needs nothing before them. But whatever is under way at a
//! fence is proposed again, and a write set that is larger than what lies between two of them would never
//! come through: so one is not proposed among the parts of write sets, unless that has been so for long.

use super::entry::MAX_ENTRY_BYTES;

/// A fence is proposed among parts when the last one is so far behind: several times what a write set can be.
const PATIENCE_BYTES: u64 = 4 * MAX_ENTRY_BYTES as u64;

/// How far the last fence is behind.
#[derive(Debug)]
pub(super) struct Fences {
    /// Bytes from one fence to the next.
    step: u64,
    /// Bytes that were delivered since the last one.
    since: u64,
    /// How many it were when the next one was proposed; that may come to nothing.
    asked: Option<u64>,
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

    /// Whether to propose a fence now, among the parts of write sets or not.
    pub(super) fn is_due(&self, among_parts: bool) -> bool {
        let at = match self.asked {
            None => self.step,
            Some(asked) => asked + self.step / 8,
        };
        self.since >= at && (!among_parts || self.since >= PATIENCE_BYTES)
    }

    /// One is proposed.
    pub(super) fn propose(&mut self) {
        self.asked = Some(self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_stand_a_step_apart_and_not_among_parts() {
        let mut fences = Fences::new(800);
        for (bytes, among_parts, is_due) in [
            (799, false, false),
            (1, true, false),
            (0, false, true),
            (99, false, false), // the one that is proposed
            (1, false, true),   // has come to nothing
            (1 << 29, true, false),
            (1 << 29, true, true),
        ] {
            fences.passed(bytes);
            assert_eq!(fences.is_due(among_parts), is_due, "{fences:?}");
            if is_due {
                fences.propose();
            }
        }
        fences.stands();
        assert!(!fences.is_due(false));
    }
}
