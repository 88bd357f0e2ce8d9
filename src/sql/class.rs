//! What a statement does to the session's transaction.
//!
//! Sources: "Statements That Cause an Implicit Commit" in the MySQL manual and "SQL Statements That
//! Cause an Implicit Commit" in MariaDB's documentation.

use super::{
    bounds::{self, Access, Completion},
    lexer::{Dialect, Lexer, Token, is_compound},
    unsupported::Unsupported,
};

/// What a statement does to the session's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Starts a transaction, after committing the one that is open.
    Begin {
        /// If that is not the session's default.
        access: Option<Access>,
        snapshot: bool,
    },
    Commit(Completion),
    Rollback(Completion),
    /// Sets a savepoint, goes back to one or forgets it.
    Savepoint,
    /// Sets `autocommit`, which commits what is open if it turns it on.
    Autocommit,
    /// Nothing: it neither starts a transaction nor ends one.
    Session,
    /// Reads no tables: it does not start a transaction either.
    Expressions {
        /// Whether it may call something that does.
        calls: bool,
    },
    /// Reads tables: it starts a transaction if autocommit is off.
    Read,
    /// May change rows.
    Write,
    /// Runs statements that may change rows, each of which commits by itself if autocommit is on.
    Program,
    /// `LOCK TABLES`: it commits what is open.
    LockTables,
    UnlockTables,
    /// Changes the schema, or accounts: it commits what is open and is a transaction of its own.
    Definition,
    /// Commits what is open and concerns this server alone.
    Administration,
    Unsupported(Unsupported),
}

/// What neither commits nor reads tables in a transaction.
const SESSION: [&str; 13] = [
    "SHOW",
    "USE",
    "HELP",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "PREPARE",
    "DEALLOCATE",
    "KILL",
    "SIGNAL",
    "RESIGNAL",
    "GET",
    "CHECKSUM",
];

const READ: [&str; 5] = ["SELECT", "TABLE", "VALUES", "HANDLER", "DO"];

const DEFINITION: [&str; 5] = ["ALTER", "RENAME", "TRUNCATE", "GRANT", "REVOKE"];

const ADMINISTRATION: [&str; 14] = [
    "FLUSH",
    "RESET",
    "PURGE",
    "CHANGE",
    "STOP",
    "CACHE",
    "CHECK",
    "INSTALL",
    "UNINSTALL",
    "SHUTDOWN",
    "RESTART",
    "CLONE",
    "BACKUP",
    "IMPORT",
];

/// What has a form that works on one table's files and one that is logged as a statement.
const MAINTENANCE: [&str; 3] = ["OPTIMIZE", "REPAIR", "ANALYZE"];

impl Class {
    /// Whether a statement evaluates the expressions in its text, rather than define something by them.
    pub fn evaluates(self) -> bool {
        matches!(
            self,
            Self::Read | Self::Write | Self::Program | Self::Expressions { .. } | Self::Session
        )
    }

    /// Whether a statement commits the open transaction before it does what it is for.
    pub fn commits_implicitly(self) -> bool {
        matches!(
            self,
            Self::Begin { .. } | Self::LockTables | Self::Definition | Self::Administration
        )
    }

    pub(super) const BEGIN: Self = Self::Begin {
        access: None,
        snapshot: false,
    };

    /// Reads one statement.
    pub fn of(statement: &[u8], dialect: Dialect) -> Self {
        Self::read(Lexer::new(statement, dialect), dialect)
    }

    fn read(lexer: Lexer, dialect: Dialect) -> Self {
        match Self::kind(lexer.clone(), dialect) {
            class @ (Self::Definition | Self::Administration) => {
                Unsupported::of(lexer, dialect).map_or(class, Self::Unsupported)
            }
            class => class,
        }
    }

    /// What a statement is, if it is not refused for what it defines or administers.
    fn kind(mut lexer: Lexer, dialect: Dialect) -> Self {
        let first = loop {
            match lexer.next() {
                // Before a query in parentheses.
                Some(Token::Symbol(b'(')) => {}
                Some(token) => break token,
                // The server says that it is empty.
                None => return Self::Session,
            }
        };
        let is_one_of = |words: &[&str]| words.iter().any(|word| first.is(word));
        let second = lexer.clone().next();
        let then = |word: &str| second.is_some_and(|token| token.is(word));
        if first.is("BEGIN") {
            bounds::begin(lexer)
        } else if is_one_of(&["CALL", "EXECUTE"]) || dialect.mariadb && is_compound(&first) {
            Self::Program
        } else if first.is("START") {
            bounds::start(lexer)
        } else if first.is("COMMIT") {
            bounds::commit(lexer)
        } else if first.is("ROLLBACK") {
            bounds::rollback(lexer)
        } else if is_one_of(&["SAVEPOINT", "RELEASE"]) {
            Self::Savepoint
        } else if first.is("SET") {
            set(lexer, dialect)
        } else if first.is("WITH") {
            with(lexer)
        } else if is_one_of(&MAINTENANCE) {
            maintenance(lexer, dialect)
        } else if first.is("CREATE") || first.is("DROP") {
            create_or_drop(lexer)
        } else if first.is("LOAD") {
            let index = then("INDEX");
            if index {
                Self::Administration
            } else {
                Self::Write
            }
        } else if first.is("XA") {
            Self::Unsupported(Unsupported::Xa)
        } else if is_one_of(&["LOCK", "UNLOCK"]) && then("INSTANCE") {
            Self::Session
        } else if first.is("LOCK") {
            Self::LockTables
        } else if first.is("UNLOCK") {
            Self::UnlockTables
        } else if is_one_of(&SESSION) {
            Self::Session
        } else if is_one_of(&READ) {
            query(first, lexer)
        } else if is_one_of(&DEFINITION) {
            Self::Definition
        } else if is_one_of(&ADMINISTRATION) {
            Self::Administration
        } else {
            Self::Write
        }
    }
}

/// A query, which reads tables if it names where it reads from.
fn query(first: Token, mut lexer: Lexer) -> Class {
    let is = |token: &Token, words: &[&str]| words.iter().any(|word| token.is(word));
    if is(&first, &["TABLE", "HANDLER"]) {
        return Class::Read;
    }
    let mut calls = false;
    let reads = lexer.any(|token| {
        calls = calls || token.is_symbol(b'(');
        is(&token, &["FROM", "TABLE"])
    });
    if reads {
        Class::Read
    } else {
        Class::Expressions { calls }
    }
}

/// `SET`: of variables, `autocommit` among them, or of passwords and roles; in MariaDB also
/// `SET STATEMENT … FOR` another one.
fn set(lexer: Lexer, dialect: Dialect) -> Class {
    let mut ahead = lexer.clone();
    let first = ahead.next();
    let is = |word| first.is_some_and(|token: Token| token.is(word));
    if is("PASSWORD") {
        return Class::Definition;
    }
    if is("DEFAULT") && ahead.next().is_some_and(|token| token.is("ROLE")) {
        return Class::Definition;
    }
    if is("STATEMENT") {
        let mut rest = lexer;
        return if rest.any(|token| token.is("FOR")) {
            Class::read(rest, dialect)
        } else {
            Class::Session
        };
    }
    let mut names = lexer.clone().filter_map(|token| {
        let known = |setting: &&&str| token.is_name(setting);
        CAPTURE.iter().find(known)
    });
    if let Some(name) = names.next() {
        return Class::Unsupported(Unsupported::Setting(name));
    }
    if lexer.clone().any(|token| token.is_name("event_scheduler")) {
        return Class::Unsupported(Unsupported::Events);
    }
    if sets_autocommit(lexer) {
        Class::Autocommit
    } else {
        Class::Session
    }
}

/// The variables on which capture depends.
const CAPTURE: [&str; 6] = [
    "sql_log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_value_options",
    "xa_detach_on_prepare",
    "binlog_checksum",
];

/// Whether the session's `autocommit` is set.
fn sets_autocommit(lexer: Lexer) -> bool {
    let mut global = false;
    let mut tokens = lexer.peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Symbol(b',') => global = false,
            _ if token.is("GLOBAL") || token.is("PERSIST") || token.is("PERSIST_ONLY") => {
                global = true;
            }
            _ if token.is_name("autocommit") && !global => {
                tokens.next_if(|token| token.is_symbol(b':'));
                if tokens.next_if(|token| token.is_symbol(b'=')).is_some() {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// The verb after common table expressions, which stand in parentheses.
fn with(lexer: Lexer) -> Class {
    let mut depth = 0;
    for token in lexer {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth -= 1,
            _ if depth > 0 => {}
            _ if READ.iter().any(|verb| token.is(verb)) => return Class::Read,
            _ if token.is("UPDATE") || token.is("DELETE") => return Class::Write,
            _ => {}
        }
    }
    Class::Read
}

/// `OPTIMIZE`, `REPAIR` and `ANALYZE` of tables, or MariaDB's `ANALYZE` of a statement that it runs.
fn maintenance(mut lexer: Lexer, dialect: Dialect) -> Class {
    let mut local = false;
    loop {
        let here = lexer.clone();
        let Some(token) = lexer.next() else {
            return Class::Session;
        };
        if token.is("LOCAL") || token.is("NO_WRITE_TO_BINLOG") {
            local = true;
        } else if token.is("TABLE") || token.is("TABLES") || token.is("VIEW") {
            return if local {
                Class::Administration
            } else {
                Class::Definition
            };
        } else if token.is("FORMAT") {
            // `= JSON`
            lexer.nth(1);
        } else {
            return Class::read(here, dialect);
        }
    }
}

/// Temporary tables are the session's own and commit nothing.
fn create_or_drop(lexer: Lexer) -> Class {
    for token in lexer {
        if token.is("TEMPORARY") || token.is("PREPARE") {
            return Class::Session;
        }
        if !(token.is("OR") || token.is("REPLACE")) {
            break;
        }
    }
    Class::Definition
}

#[cfg(test)]
mod tests {
    use super::{
        super::lexer::tests::{MARIADB, MYSQL},
        *,
    };

    const fn commit(chain: Option<bool>, release: Option<bool>) -> Class {
        Class::Commit(Completion { chain, release })
    }

    use Class::*;

    const BEGIN: Class = Class::BEGIN;

    const PLAIN: Completion = Completion {
        chain: None,
        release: None,
    };
    const READ_ONLY: Class = Begin {
        access: Some(Access::ReadOnly),
        snapshot: false,
    };
    const READ_WRITE: Class = Begin {
        access: Some(Access::ReadWrite),
        snapshot: false,
    };

    const BOTH: &[(&str, Class)] = &[
        ("BEGIN", BEGIN),
        ("begin work", BEGIN),
        ("BEGIN NOT ATOMIC INSERT INTO t VALUES (1); END", Program),
        ("START TRANSACTION", BEGIN),
        ("START TRANSACTION READ WRITE", READ_WRITE),
        ("START TRANSACTION READ ONLY", READ_ONLY),
        (
            "/* app */ START TRANSACTION WITH CONSISTENT SNAPSHOT",
            Begin {
                access: None,
                snapshot: true,
            },
        ),
        (
            "START TRANSACTION READ WRITE, WITH CONSISTENT SNAPSHOT;",
            Begin {
                access: Some(Access::ReadWrite),
                snapshot: true,
            },
        ),
        ("BEGIN INSERT INTO t VALUES (1); END", Program),
        ("START TRANSACTION READ", Session),
        ("START TRANSACTION READ ONLY WITH", Session),
        ("COMMIT NOW", Session),
        ("COMMIT; SELECT 1", Session),
        ("COMMIT AND CHAIN RELEASE", Session),
        ("ROLLBACK WORK AND", Session),
        ("STOP REPLICA", Administration),
        ("COMMIT", commit(None, None)),
        ("COMMIT WORK AND CHAIN", commit(Some(true), None)),
        (
            "COMMIT AND NO CHAIN RELEASE",
            commit(Some(false), Some(true)),
        ),
        ("COMMIT NO RELEASE", commit(None, Some(false))),
        ("ROLLBACK", Rollback(PLAIN)),
        ("ROLLBACK TO s", Savepoint),
        ("ROLLBACK WORK TO SAVEPOINT s", Savepoint),
        ("SAVEPOINT s", Savepoint),
        ("RELEASE SAVEPOINT s", Savepoint),
        ("SET autocommit=0", Autocommit),
        ("SET @@session.autocommit := ON", Autocommit),
        ("SET SESSION autocommit = 'off'", Autocommit),
        ("SET NAMES utf8, @@autocommit = 1", Autocommit),
        ("SET GLOBAL autocommit = 0", Session),
        (
            "SET GLOBAL autocommit = 0, SESSION `autocommit` = false",
            Autocommit,
        ),
        ("SET @autocommit_was = @@autocommit", Session),
        ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", Session),
        ("SET PASSWORD = 'x'", Definition),
        ("SET DEFAULT ROLE r TO u", Definition),
        (
            "SET STATEMENT max_statement_time=1 FOR DELETE FROM t",
            Write,
        ),
        ("SELECT 1, @@port", Expressions { calls: false }),
        ("SELECT 'FROM', f()", Expressions { calls: true }),
        ("SELECT a FROM t", Read),
        ("(SELECT 1) UNION (SELECT 2)", Expressions { calls: true }),
        ("(SELECT 1) UNION (TABLE t)", Read),
        ("DO (SELECT a FROM t)", Read),
        ("SELECT * FROM t FOR UPDATE", Read),
        ("WITH a AS (DELETE) SELECT 1", Read),
        (
            "WITH RECURSIVE a (n) AS (SELECT 1), b AS (TABLE t) UPDATE t SET n = 1",
            Write,
        ),
        ("INSERT INTO t VALUES (1)", Write),
        ("/*!40000 DELETE FROM t */", Write),
        ("REPLACE t SELECT 1", Write),
        ("CALL p()", Program),
        ("EXECUTE s", Program),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", Write),
        ("LOAD INDEX INTO CACHE t", Administration),
        ("FROBNICATE", Write),
        ("", Session),
        ("-- nothing", Session),
        ("CREATE TABLE t (a INT)", Definition),
        ("CREATE OR REPLACE TEMPORARY TABLE t (a INT)", Session),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", Definition),
        ("CREATE USER u", Definition),
        ("DROP TEMPORARY TABLE t", Session),
        ("DROP TABLE temporary", Definition),
        ("DROP PREPARE s", Session),
        ("TRUNCATE t", Definition),
        ("REPAIR VIEW v", Definition),
        ("ALTER TABLE t ADD `import` INT", Definition),
        ("OPTIMIZE TABLE t", Definition),
        ("ANALYZE LOCAL TABLE t", Administration),
        ("EXPLAIN DELETE FROM t", Session),
        ("LOCK TABLES t WRITE", LockTables),
        ("UNLOCK TABLES", UnlockTables),
        ("UNLOCK INSTANCE", Session),
        ("SHOW TABLES", Session),
        ("SHOW WARNINGS LIMIT 1", Session),
        ("XA START 'a'", Unsupported(super::Unsupported::Xa)),
        (
            "SET SESSION sql_log_bin = 0",
            Unsupported(super::Unsupported::Setting("sql_log_bin")),
        ),
        (
            "SET @a = 1, `Binlog_Format` = 'ROW'",
            Unsupported(super::Unsupported::Setting("binlog_format")),
        ),
        (
            "SET GLOBAL event_scheduler = ON",
            Unsupported(super::Unsupported::Events),
        ),
        ("FLUSH TABLES", Administration),
        ("CHECK TABLE t", Administration),
    ];

    #[test]
    fn statements_are_what_they_do() {
        for (text, expected) in BOTH {
            for dialect in [MARIADB, MYSQL] {
                assert_eq!(Class::of(text.as_bytes(), dialect), *expected, "{text:?}");
            }
        }
        for (text, expected) in [
            ("ANALYZE UPDATE t SET a = 1", Write),
            ("ANALYZE FORMAT=JSON SELECT 1", Expressions { calls: false }),
            ("/*M!100100 DELETE FROM t */", Write),
            ("IF 1 THEN DELETE FROM t; END IF", Program),
        ] {
            assert_eq!(Class::of(text.as_bytes(), MARIADB), expected, "{text:?}");
        }
    }
}
