//! Which statements wait for what others have committed.
//!
//! Source: "wsrep_sync_wait" in MariaDB's documentation of Galera's system variables.

use crate::sql::lexer::{Dialect, Lexer};

/// A set of kinds of statements, as `wsrep_sync_wait` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncWait(pub u8);

impl SyncWait {
    /// `SELECT`, `BEGIN` and their like.
    pub const READ: Self = Self(1);
    /// `UPDATE` and `DELETE`.
    const UPDATE: Self = Self(2);
    /// `INSERT`, `REPLACE`, `LOAD`.
    const INSERT: Self = Self(4);
    /// `SHOW`.
    const SHOW: Self = Self(8);
    /// All of them, and those of which the text does not tell.
    pub const ALL: Self = Self(15);

    /// The kinds that a statement may be of.
    pub fn of(text: &[u8], dialect: Dialect) -> Self {
        let mut lexer = Lexer::new(text, dialect);
        let Some(first) = lexer.next() else {
            return Self(0);
        };
        let begins = |words: &[&str]| words.iter().any(|word| first.is(word));
        if first.is_symbol(b'(')
            || begins(&[
                "SELECT", "TABLE", "VALUES", "BEGIN", "START", "HANDLER", "DO",
            ])
        {
            Self::READ
        } else if begins(&["UPDATE", "DELETE"]) {
            Self::UPDATE
        } else if begins(&["INSERT", "REPLACE", "LOAD"]) {
            Self::INSERT
        } else if begins(&["SHOW", "DESCRIBE", "DESC"]) {
            Self::SHOW
        } else if begins(&["WITH", "CALL", "EXECUTE", "EXPLAIN", "ANALYZE"]) {
            Self::ALL
        } else if first.is("SET") && lexer.next().is_some_and(|token| token.is("STATEMENT")) {
            // MariaDB's `SET STATEMENT … FOR` another one.
            Self::ALL
        } else {
            Self(0)
        }
    }

    /// Whether one of these kinds is among the others.
    pub fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn kinds() {
        for (text, expected) in [
            ("SELECT 1", SyncWait::READ),
            ("/* a */ (select 1)", SyncWait::READ),
            ("START TRANSACTION", SyncWait::READ),
            ("UPDATE t SET a = 1", SyncWait::UPDATE),
            ("delete from t", SyncWait::UPDATE),
            ("INSERT INTO t SELECT * FROM u", SyncWait::INSERT),
            ("SHOW TABLES", SyncWait::SHOW),
            ("WITH c AS (SELECT 1) SELECT * FROM c", SyncWait::ALL),
            ("CALL p()", SyncWait::ALL),
            ("SET a = 1", SyncWait(0)),
            ("SET STATEMENT a = 1 FOR SELECT 1", SyncWait::ALL),
            ("COMMIT", SyncWait(0)),
            ("", SyncWait(0)),
        ] {
            assert_eq!(SyncWait::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }
}
