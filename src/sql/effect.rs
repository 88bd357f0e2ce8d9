//! What a statement does to the rows that it is about.

use super::lexer::{Dialect, Lexer};

/// Whether a statement may leave rows as they are that it was to change. The binlog has nothing of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes whatever it is about.
    Changes,
    /// It counts what it has changed, and what already was as it should become.
    Updates,
    /// It changes rows or adds them, and counts both.
    Upserts,
    /// It changes rows by replacing them or adds them, and counts both.
    Replaces,
    /// It may do anything, and also read before.
    Unknown,
}

impl Effect {
    /// The effect of a statement that may change rows.
    pub fn of(text: &[u8], dialect: Dialect) -> Self {
        let mut lexer = Lexer::new(text, dialect);
        let Some(first) = lexer.next() else {
            return Self::Unknown;
        };
        let mut has = |word| lexer.any(|token| token.is(word));
        if first.is("UPDATE") {
            Self::Updates
        } else if first.is("REPLACE") {
            Self::Replaces
        } else if first.is("INSERT") && has("DUPLICATE") {
            Self::Upserts
        } else if first.is("LOAD") && has("REPLACE") {
            Self::Unknown
        } else if ["INSERT", "DELETE", "LOAD"]
            .iter()
            .any(|word| first.is(word))
        {
            Self::Changes
        } else {
            Self::Unknown
        }
    }

    /// Whether a statement with this effect has left no row as it was, by how many rows were `affected` and by the numbers
    /// in the server's message. A client that counts `found` rows is told of changed ones and of others alike.
    pub fn is_total(self, affected: u64, message: &[u64], found: bool) -> bool {
        let (records, duplicates) = match *message {
            [records, duplicates, ..] => (records, duplicates),
            // One row: changed is two, by the manual of either server.
            _ => (1, affected.saturating_sub(1)),
        };
        match self {
            Self::Changes => true,
            Self::Updates => matches!(*message, [matched, changed, ..] if matched == changed),
            Self::Upserts if !found => affected.checked_sub(duplicates) == Some(records),
            Self::Upserts | Self::Replaces => Some(affected) == records.checked_mul(2),
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn effects() {
        for (text, expected) in [
            ("UPDATE t SET a = 1", Effect::Updates),
            ("/* a */ insert into t values (1)", Effect::Changes),
            (
                "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
                Effect::Upserts,
            ),
            ("INSERT INTO t VALUES ('DUPLICATE')", Effect::Changes),
            ("DELETE FROM t", Effect::Changes),
            ("REPLACE t VALUES (1)", Effect::Replaces),
            ("LOAD DATA INFILE 'a' INTO TABLE t", Effect::Changes),
            ("LOAD DATA INFILE 'a' REPLACE INTO TABLE t", Effect::Unknown),
            ("WITH c AS (SELECT 1) UPDATE t SET a = 1", Effect::Unknown),
            ("CALL p()", Effect::Unknown),
            ("", Effect::Unknown),
        ] {
            assert_eq!(Effect::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }

    /// As MariaDB 10.11 and MySQL 9.7 answer.
    #[test]
    fn what_has_been_left_as_it_was() {
        use Effect::{Changes, Replaces, Unknown, Updates, Upserts};
        for (effect, affected, message, found, expected) in [
            (Changes, 0, &[][..], false, true),
            (Updates, 1, &[1, 1, 0], false, true),
            (Updates, 0, &[0, 0, 0], false, true),
            (Updates, 1, &[2, 1, 0], false, false),
            (Updates, 2, &[2, 1, 0], true, false),
            (Updates, 0, &[], false, false),
            // One row: left, changed, added.
            (Upserts, 0, &[], false, false),
            (Upserts, 2, &[], false, true),
            (Upserts, 1, &[], false, true),
            (Upserts, 1, &[], true, false),
            (Upserts, 2, &[], true, true),
            // One of each, and then none that is left.
            (Upserts, 3, &[3, 1, 0], false, false),
            (Upserts, 5, &[3, 2, 0], false, true),
            (Upserts, 4, &[3, 2, 0], true, false),
            // With SELECT.
            (Upserts, 0, &[1, 0, 0], false, false),
            (Upserts, 1, &[1, 0, 0], true, false),
            (Upserts, 2, &[1, 1, 0], true, true),
            (Replaces, 2, &[], false, true),
            // Added, or left.
            (Replaces, 1, &[], false, false),
            (Replaces, u64::MAX, &[u64::MAX, 0], false, false),
            (Unknown, 1, &[1, 1, 0], false, false),
        ] {
            let is_total = effect.is_total(affected, message, found);
            assert_eq!(
                is_total, expected,
                "{effect:?} {affected} {message:?} {found}"
            );
        }
    }
}
