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
