//! Statements that begin and end a transaction.
//!
//! What is not quite one of them is the server's to refuse, which it does inside an XA transaction in any case.
//!
//! Source: "START TRANSACTION, COMMIT, and ROLLBACK Statements" in the MySQL manual.

use super::{
    class::Class,
    lexer::{Dialect, Lexer, Token},
};

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// What `COMMIT` and `ROLLBACK` do after they have ended the transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Completion {
    /// Start another one with the same characteristics; not said means `@@completion_type` decides.
    pub chain: Option<bool>,
    /// End the connection.
    pub release: Option<bool>,
}

/// Whether a statement may set what `COMMIT` and `ROLLBACK` do when they do not say it.
pub fn sets_completion(statement: &[u8], dialect: Dialect) -> bool {
    sets_one_of(statement, dialect, &["completion_type"])
}

/// Whether a statement may say how the next transaction is to begin, or those after it.
pub fn sets_next_transaction(statement: &[u8], dialect: Dialect) -> bool {
    const SETTINGS: [&str; 5] = [
        "transaction",
        "transaction_isolation",
        "transaction_read_only",
        "tx_isolation",
        "tx_read_only",
    ];
    sets_one_of(statement, dialect, &SETTINGS)
}

fn sets_one_of(statement: &[u8], dialect: Dialect, settings: &[&str]) -> bool {
    let mut lexer = Lexer::new(statement, dialect);
    let is_set = lexer.next().is_some_and(|token| token.is("SET"));
    is_set && lexer.any(|token| settings.iter().any(|setting| token.is_name(setting)))
}

/// What follows `BEGIN`: nothing, or a compound statement.
pub(super) fn begin(lexer: Lexer) -> Class {
    match &words(lexer)[..] {
        [] => Class::BEGIN,
        [work] if work.is("WORK") => Class::BEGIN,
        _ => Class::Program,
    }
}

/// What follows `START`: a transaction, a replica or a plugin.
pub(super) fn start(lexer: Lexer) -> Class {
    let words = words(lexer);
    let [first, characteristics @ ..] = &words[..] else {
        return Class::Session;
    };
    if !first.is("TRANSACTION") {
        return Class::Administration;
    }
    let (mut access, mut snapshot) = (None, false);
    let listed = characteristics.split(|token| token.is_symbol(b','));
    for characteristic in listed.filter(|_| !characteristics.is_empty()) {
        match characteristic {
            [with, consistent, word]
                if with.is("WITH") && consistent.is("CONSISTENT") && word.is("SNAPSHOT") =>
            {
                snapshot = true;
            }
            [read, only] if read.is("READ") && only.is("ONLY") => access = Some(Access::ReadOnly),
            [read, write] if read.is("READ") && write.is("WRITE") => {
                access = Some(Access::ReadWrite);
            }
            _ => return Class::Session,
        }
    }
    Class::Begin { access, snapshot }
}

/// What follows `COMMIT`.
pub(super) fn commit(lexer: Lexer) -> Class {
    Completion::read(lexer).map_or(Class::Session, Class::Commit)
}

/// What follows `ROLLBACK`, which goes back to a savepoint or ends the transaction.
pub(super) fn rollback(mut lexer: Lexer) -> Class {
    if let Some(completion) = Completion::read(lexer.clone()) {
        return Class::Rollback(completion);
    }
    if lexer.any(|token| token.is("TO")) {
        Class::Savepoint
    } else {
        Class::Session
    }
}

impl Completion {
    /// Reads `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`, if there is nothing else.
    fn read(lexer: Lexer) -> Option<Self> {
        let words = words(lexer);
        let mut rest = &words[..];
        let mut skip = |expected: &[&str]| {
            let is_there = rest.len() >= expected.len()
                && rest
                    .iter()
                    .zip(expected)
                    .all(|(token, word)| token.is(word));
            if is_there {
                rest = &rest[expected.len()..];
            }
            is_there
        };
        skip(&["WORK"]);
        let chain = if skip(&["AND", "CHAIN"]) {
            Some(true)
        } else {
            skip(&["AND", "NO", "CHAIN"]).then_some(false)
        };
        let release = if skip(&["RELEASE"]) {
            Some(true)
        } else {
            skip(&["NO", "RELEASE"]).then_some(false)
        };
        let goes_on_and_ends = chain == Some(true) && release == Some(true);
        (rest.is_empty() && !goes_on_and_ends).then_some(Self { chain, release })
    }
}

fn words(lexer: Lexer) -> Vec<Token> {
    let mut words: Vec<_> = lexer.collect();
    words.pop_if(|last| last.is_symbol(b';'));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn what_says_how_the_next_transaction_begins() {
        for (text, expected) in [
            ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", true),
            ("SET @a = 1, @@transaction_isolation = 'SERIALIZABLE'", true),
            ("SET SESSION tx_read_only = 1", true),
            ("SET NAMES utf8mb4", false),
            ("SHOW VARIABLES LIKE 'transaction_isolation'", false),
            ("SHOW TRANSACTION", false),
        ] {
            let found = sets_next_transaction(text.as_bytes(), MYSQL);
            assert_eq!(found, expected, "{text}");
        }
    }
}
