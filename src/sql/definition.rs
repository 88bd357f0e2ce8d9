//! What definitions define.

use super::lexer::{Dialect, Lexer, Token};

/// Whether a definition changes accounts, what they may do, or routines and the like: what a server keeps
/// in tables of its own.
pub fn defines_account_or_routine(text: &[u8], dialect: Dialect) -> bool {
    const HERE: [&str; 7] = [
        "USER",
        "ROLE",
        "PROCEDURE",
        "FUNCTION",
        "PACKAGE",
        "EVENT",
        "SERVER",
    ];
    const ELSEWHERE: [&str; 7] = [
        "TABLE", "VIEW", "TRIGGER", "INDEX", "DATABASE", "SCHEMA", "SEQUENCE",
    ];
    let mut tokens = Lexer::new(text, dialect);
    let Some(verb) = tokens.next() else {
        return false;
    };
    // Of accounts: their passwords and default roles.
    if ["GRANT", "REVOKE", "SET"].iter().any(|own| verb.is(own)) {
        return true;
    }
    let is_one_of = |token: Token, words: &[&str]| words.iter().any(|word| token.is(word));
    let kind = tokens.find(|token| is_one_of(*token, &HERE) || is_one_of(*token, &ELSEWHERE));
    kind.is_some_and(|kind| is_one_of(kind, &HERE))
}

/// What of a server may be otherwise after a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Accounts,
    /// Tables of one schema or several, but no view and no routine.
    Tables,
    Everything,
}

/// What a definition may change. For what is not known it is everything.
pub fn reach(text: &[u8], dialect: Dialect) -> Reach {
    const BEFORE_THE_KIND: [&str; 8] = [
        "OR",
        "REPLACE",
        "ONLINE",
        "IGNORE",
        "TEMPORARY",
        "UNIQUE",
        "FULLTEXT",
        "SPATIAL",
    ];
    let mut tokens = Lexer::new(text, dialect);
    let Some(verb) = tokens.next() else {
        return Reach::Everything;
    };
    let is_verb = |words: &[&str]| words.iter().any(|word| verb.is(word));
    if is_verb(&["GRANT", "REVOKE"]) {
        return Reach::Accounts;
    }
    if is_verb(&["TRUNCATE"]) {
        return Reach::Tables;
    }
    if !is_verb(&["CREATE", "ALTER", "DROP"]) {
        return Reach::Everything;
    }
    match tokens.find(|token| !BEFORE_THE_KIND.iter().any(|word| token.is(word))) {
        Some(kind) if kind.is("USER") || kind.is("ROLE") => Reach::Accounts,
        Some(kind) if kind.is("TABLE") || kind.is("INDEX") => Reach::Tables,
        _ => Reach::Everything,
    }
}

/// Whether a statement says in which directories of its server a table's files are to be.
pub fn names_directory(text: &[u8], dialect: Dialect) -> bool {
    let tokens = Lexer::new(text, dialect);
    let mut pairs = tokens.clone().zip(tokens.skip(1));
    pairs.any(|(first, second)| (first.is("DATA") || first.is("INDEX")) && second.is("DIRECTORY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_found() {
        let dialect = Dialect::of(b"9.7.1");
        for (text, expected) in [
            ("CREATE TABLE t (a INT) DATA DIRECTORY = '/a'", true),
            (
                "alter table t add partition (partition p index directory '/a')",
                true,
            ),
            (
                "CREATE TABLE t (data INT, directory INT, INDEX (directory))",
                false,
            ),
            ("CREATE TABLE t (a INT) COMMENT 'DATA DIRECTORY'", false),
        ] {
            let found = names_directory(text.as_bytes(), dialect);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn only_what_is_known_reaches_less_than_everything() {
        use Reach::{Accounts, Everything, Tables};
        for (text, expected) in [
            ("GRANT EXECUTE ON FUNCTION f TO u", Accounts),
            ("CREATE OR REPLACE ROLE r", Accounts),
            ("ALTER USER u ACCOUNT LOCK", Accounts),
            ("/* of mine */ create temporary table t (a int)", Tables),
            ("CREATE OR REPLACE TABLE `view` AS SELECT 1", Tables),
            ("ALTER ONLINE IGNORE TABLE t ADD a INT", Tables),
            ("DROP TABLE IF EXISTS t", Tables),
            ("CREATE UNIQUE INDEX i ON t (a)", Tables),
            ("TRUNCATE t", Tables),
            // Of a view, too.
            ("RENAME TABLE a TO b", Everything),
            ("DROP DATABASE d", Everything),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", Everything),
            (
                "CREATE DEFINER=table@`%` FUNCTION f() RETURNS INT RETURN 1",
                Everything,
            ),
            ("CREATE ALGORITHM=MERGE VIEW v AS TABLE t", Everything),
            (
                "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
                Everything,
            ),
            ("DROP FUNCTION f", Everything),
            ("CREATE", Everything),
            ("", Everything),
        ] {
            let dialect = Dialect::of(b"10.11.6-MariaDB");
            assert_eq!(reach(text.as_bytes(), dialect), expected, "{text}");
        }
    }

    #[test]
    fn accounts_and_routines_are_told_from_what_is_in_files() {
        for (text, expected) in [
            ("GRANT SELECT ON TABLE t TO u", true),
            ("SET PASSWORD FOR u = 'x'", true),
            ("create or replace user u", true),
            ("ALTER USER u IDENTIFIED BY 'x'", true),
            ("RENAME USER a TO b", true),
            ("DROP ROLE r", true),
            (
                "CREATE DEFINER=`table`@`%` PROCEDURE p() DROP TABLE t",
                true,
            ),
            ("CREATE AGGREGATE FUNCTION f RETURNS INT SONAME 'x'", true),
            ("DROP EVENT IF EXISTS e", true),
            ("CREATE TABLE user (a INT)", false),
            ("CREATE DEFINER=`user`@`%` VIEW v AS SELECT user()", false),
            ("CREATE UNIQUE INDEX user ON t (a)", false),
            ("DROP DATABASE event", false),
            ("TRUNCATE t", false),
            ("", false),
        ] {
            let dialect = Dialect::of(b"10.11.6-MariaDB");
            let found = defines_account_or_routine(text.as_bytes(), dialect);
            assert_eq!(found, expected, "{text}");
        }
    }
}
