//! Statements that are refused.

use super::{
    alteration::adds_values_of_one_server,
    lexer::{Dialect, Lexer, Token},
};

/// What a node of a cluster does not let through, because nobody could replicate it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("XA transactions of clients are not replicated; use BEGIN and COMMIT")]
    Xa,
    #[error(
        "this is not LOCK TABLES as a node knows it; send it as text: LOCK TABLES name [AS alias] READ|WRITE, …"
    )]
    LockTables,
    #[error(
        "{0} decides what is captured for the other nodes and cannot be changed here (mysqldump: \
        --set-gtid-purged=OFF)"
    )]
    Setting(&'static str),
    #[error(
        "the server's own scheduler would run events on every node by itself; they run anyway, on one node, unless \
        cluster.run_events is false"
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
    #[error(
        "the rows would get other values on each server; add the column without this DEFAULT, set it with an UPDATE, \
        and give it the DEFAULT with ALTER TABLE … ALTER COLUMN … SET DEFAULT"
    )]
    ValuesOfOneServer,
    #[error(
        "what changes tables with a history by numbers of transactions is logged as statements and cannot be replicated; \
        declare ROW START and ROW END as TIMESTAMP(6)"
    )]
    NumberedHistory,
}

impl Unsupported {
    /// Why a statement that defines or administers something is, if it is.
    pub(super) fn of(mut rest: Lexer, dialect: Dialect) -> Option<Self> {
        let statement = rest.clone();
        let is = |token: Token, words: &[&str]| words.iter().any(|word| token.is(word));
        let first = rest.next()?;
        if is(first, &["CREATE", "ALTER", "DROP"]) {
            if first.is("ALTER") && takes_files(rest.clone()) {
                return Some(Self::Files);
            }
            if dialect.mariadb && has_numbered_history(statement.clone()) {
                return Some(Self::NumberedHistory);
            }
            if adds_values_of_one_server(statement, dialect) {
                return Some(Self::ValuesOfOneServer);
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

/// Whether a column of a table is the number of the transaction that has made a row.
fn has_numbered_history(lexer: Lexer) -> bool {
    let mut is_number = false;
    let mut pairs = lexer.clone().zip(lexer.skip(1));
    pairs.any(|(one, next)| {
        is_number = !one.is_symbol(b',') && (is_number || one.is("BIGINT"));
        is_number && one.is("ROW") && next.is("START")
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Class,
            lexer::tests::{MARIADB, MYSQL},
        },
        Unsupported::{Files, NumberedHistory, Replica, ResetOfBinlog, Servers, ValuesOfOneServer},
    };

    #[test]
    fn what_differs_between_servers_is_refused() {
        let table = "CREATE TABLE t (x BIGINT, a TYPE GENERATED ALWAYS AS ROW START, \
            b TYPE AS ROW END, PERIOD FOR SYSTEM_TIME (a, b)) WITH SYSTEM VERSIONING";
        let number = table.replace("TYPE", "BIGINT UNSIGNED");
        let time = table.replace("TYPE", "TIMESTAMP(6)");
        for (text, expected) in [
            (&number[..], Class::Unsupported(NumberedHistory)),
            (&time, Class::Definition),
            (
                "ALTER TABLE t ADD r INT DEFAULT (RAND())",
                Class::Unsupported(ValuesOfOneServer),
            ),
        ] {
            assert_eq!(Class::of(text.as_bytes(), MARIADB), expected, "{text:?}");
        }
    }

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
