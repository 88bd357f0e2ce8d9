//! Statements that are refused.

use super::lexer::{Lexer, Token};

/// What a node of a cluster does not let through, because nobody could replicate it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("XA transactions of clients are not replicated; use BEGIN and COMMIT")]
    Xa,
    #[error(
        "LOCK TABLES locks nothing on the other nodes; use transactions and SELECT … FOR UPDATE \
        (mysqldump: --single-transaction, --skip-add-locks)"
    )]
    LockTables,
    #[error(
        "{0} decides what is captured for the other nodes and cannot be changed here (mysqldump: \
        --set-gtid-purged=OFF)"
    )]
    Setting(&'static str),
    #[error(
        "what events write commits on every node by itself and is not replicated; run it from a client"
    )]
    Events,
    #[error(
        "CREATE, ALTER and DROP SERVER are not in the server's binlog and so not replicated; run them on every server itself"
    )]
    Servers,
    #[error(
        "IMPORT TABLE and DISCARD and IMPORT TABLESPACE work on files of this server alone, which the others do not have; \
        load a dump instead"
    )]
    Files,
    #[error(
        "RESET MASTER and RESET BINARY LOGS take the binlog away that the node reads; use PURGE BINARY LOGS"
    )]
    ResetOfBinlog,
    #[error(
        "what the server applies as a replica, or clones, comes to it behind its node's back and is not replicated; \
        load a dump, or write through a node"
    )]
    Replica,
}

impl Unsupported {
    /// Why a statement that defines or administers something is, if it is.
    pub(super) fn of(mut rest: Lexer) -> Option<Self> {
        let is = |token: Token, words: &[&str]| words.iter().any(|word| token.is(word));
        let first = rest.next()?;
        if is(first, &["CREATE", "ALTER", "DROP"]) {
            if first.is("ALTER") && takes_files(rest.clone()) {
                return Some(Self::Files);
            }
            let kind = rest.find(|token| !is(*token, &["OR", "REPLACE"]))?;
            return kind.is("SERVER").then_some(Self::Servers);
        }
        let second = rest.next();
        let then = |words: &[&str]| second.is_some_and(|token| is(token, words));
        if first.is("IMPORT") {
            Some(Self::Files)
        } else if first.is("RESET") && then(&["MASTER", "BINARY"]) {
            Some(Self::ResetOfBinlog)
        } else if first.is("START") && then(&["SLAVE", "REPLICA", "ALL", "GROUP_REPLICATION"])
            || first.is("CLONE") && then(&["INSTANCE"])
        {
            Some(Self::Replica)
        } else {
            None
        }
    }
}

/// Whether an `ALTER TABLE` puts a table's file away, or another one in its place.
fn takes_files(lexer: Lexer) -> bool {
    let is = |token: Token, words: [&str; 2]| words.iter().any(|word| token.is(word));
    let mut pairs = lexer.clone().zip(lexer.skip(1));
    pairs.any(|(one, next)| is(one, ["DISCARD", "IMPORT"]) && is(next, ["TABLESPACE", "PARTITION"]))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Class, lexer::tests::MYSQL},
        Unsupported::{Files, Replica, ResetOfBinlog, Servers},
    };

    #[test]
    fn what_concerns_one_server_is_refused() {
        for (text, expected) in [
            ("CREATE OR REPLACE SERVER s OPTIONS (HOST 'h')", Servers),
            ("ALTER SERVER s OPTIONS (HOST 'h')", Servers),
            ("DROP SERVER s", Servers),
            ("IMPORT TABLE FROM 't.sdi'", Files),
            ("ALTER TABLE t DISCARD TABLESPACE", Files),
            ("ALTER TABLE t IMPORT PARTITION p TABLESPACE", Files),
            ("RESET MASTER", ResetOfBinlog),
            ("RESET BINARY LOGS AND GTIDS TO 5", ResetOfBinlog),
            ("START SLAVE 'c' SQL_THREAD", Replica),
            ("START ALL SLAVES", Replica),
            ("CLONE INSTANCE FROM u@h:1 IDENTIFIED BY 'p'", Replica),
        ] {
            let found = Class::of(text.as_bytes(), MYSQL);
            assert_eq!(found, Class::Unsupported(expected), "{text:?}");
        }
    }
}
