//! What an `ALTER TABLE` makes of the rows that are there, as far as each server would make something else of them.

use super::{
    changed::{Named, first},
    lexer::{Dialect, Lexer, Token},
};

/// What gives each server another value. MySQL refuses the others itself (error 1674).
const FUNCTIONS: [&str; 2] = ["CONNECTION_ID", "CURRENT_ROLE"];
const FUNCTIONS_OF_MARIADB: [&str; 12] = [
    "RAND",
    "RANDOM_BYTES",
    "UUID",
    "UUID_SHORT",
    "UUID_V4",
    "UUID_V7",
    "SYS_GUID",
    "SYSDATE",
    "USER",
    "SESSION_USER",
    "SYSTEM_USER",
    "ENCRYPT",
];

/// What stands before a name that has parentheses after it and is no function.
const BEFORE_NAMES: [&str; 6] = [
    "REFERENCES",
    "INDEX",
    "KEY",
    "UNIQUE",
    "FULLTEXT",
    "SPATIAL",
];

/// The parts of an `ALTER TABLE`.
struct Alteration<'a> {
    table: Named,
    /// Rows that violate a new key go.
    ignores: bool,
    /// What it is to do, one thing each.
    items: Vec<Vec<Token<'a>>>,
}

impl<'a> Alteration<'a> {
    /// Reads one, which may stand behind a `SET STATEMENT … FOR`.
    fn of(mut lexer: Lexer<'a>) -> Option<Self> {
        let mut opening = lexer.next()?;
        if opening.is("SET") {
            lexer.find(|token| token.is("FOR"))?;
            opening = lexer.next()?;
        }
        if !opening.is("ALTER") {
            return None;
        }
        let mut ignores = false;
        loop {
            let token = lexer.next()?;
            if token.is("TABLE") {
                break;
            }
            ignores |= token.is("IGNORE");
            if !token.is("IGNORE") && !token.is("ONLINE") {
                return None;
            }
        }
        if lexer.clone().next()?.is("IF") {
            lexer.nth(1)?;
        }
        let table = first(lexer.clone())?;
        lexer.nth(if table.schema.is_some() { 2 } else { 0 })?;
        let mut items = vec![Vec::new()];
        let mut depth = 0;
        for token in lexer {
            depth += i32::from(token.is_symbol(b'(')) - i32::from(token.is_symbol(b')'));
            match items.last_mut() {
                Some(item) if depth > 0 || !token.is_symbol(b',') => item.push(token),
                _ => items.push(Vec::new()),
            }
        }
        Some(Self {
            table,
            ignores,
            items,
        })
    }
}

/// Whether an item begins with one of these, but for MariaDB's `WAIT n`.
fn does(item: &[Token], verbs: &[&str]) -> bool {
    let mut words = item.iter().take(3);
    words.any(|token| verbs.iter().any(|verb| token.is(verb)))
}

/// Whether each server would give the rows of a table other values in a column that it adds.
pub(super) fn adds_values_of_one_server(lexer: Lexer, dialect: Dialect) -> bool {
    let Some(alteration) = Alteration::of(lexer) else {
        return false;
    };
    let of_mariadb = dialect.mariadb.then_some(FUNCTIONS_OF_MARIADB);
    let is_one = |token: &Token| {
        let mut functions = FUNCTIONS.iter().chain(of_mariadb.iter().flatten());
        functions.any(|function| token.is(function))
    };
    let differs = |window: &[Token]| match window {
        [before, token, after] => {
            is_one(token)
                && after.is_symbol(b'(')
                && !before.is_symbol(b'.')
                && !BEFORE_NAMES.iter().any(|word| before.is(word))
        }
        _ => false,
    };
    let mut added = alteration.items.iter().filter(|item| does(item, &["ADD"]));
    added.any(|item| {
        let account = |token: &Token| token.is("CURRENT_USER") || token.is("CURRENT_ROLE");
        dialect.mariadb
            && item
                .iter()
                .any(|token| token.is_symbol(b'@') || account(token))
            || item.windows(3).any(differs)
    })
}

/// The table whose rows an `ALTER TABLE` numbers, or of which it keeps one and not another, in the order in which they are
/// on this server.
pub fn orders_rows_of(text: &[u8], dialect: Dialect) -> Option<Named> {
    let alteration = Alteration::of(Lexer::new(text, dialect))?;
    let numbers = |item: &Vec<Token>| {
        // Without these it is the table's own setting.
        does(item, &["ADD", "MODIFY", "CHANGE"])
            && item.iter().any(|token| token.is("AUTO_INCREMENT"))
    };
    (alteration.ignores || alteration.items.iter().any(numbers)).then_some(alteration.table)
}

#[cfg(test)]
mod tests {
    use super::{
        super::lexer::tests::{MARIADB, MYSQL},
        *,
    };

    #[test]
    fn values_of_one_server_are_found() {
        for (text, mariadb, mysql) in [
            ("ALTER TABLE t ADD u CHAR(36) DEFAULT (UUID())", true, false),
            (
                "ALTER TABLE s.t ADD a INT, ADD COLUMN r DOUBLE DEFAULT rand( )",
                true,
                false,
            ),
            (
                "alter online table if exists `t` wait 3 add (a int, b int default (1 + connection_id()))",
                true,
                true,
            ),
            (
                "SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE t ADD a INT DEFAULT @x",
                true,
                false,
            ),
            ("ALTER TABLE t ADD a TEXT DEFAULT CURRENT_USER", true, false),
            ("ALTER TABLE t ADD a DATETIME DEFAULT NOW()", false, false),
            (
                "ALTER TABLE t ALTER COLUMN u SET DEFAULT (UUID())",
                false,
                false,
            ),
            (
                "ALTER TABLE t ADD a INT, MODIFY u CHAR(36) DEFAULT (UUID())",
                false,
                false,
            ),
            (
                "ALTER TABLE t ADD INDEX uuid (uuid), ADD user INT REFERENCES user (id)",
                false,
                false,
            ),
            ("ALTER TABLE t ADD a INT COMMENT '@ RAND()'", false, false),
            ("CREATE TABLE t (u CHAR(36) DEFAULT (UUID()))", false, false),
            ("ALTER VIEW v AS SELECT RAND()", false, false),
            ("ALTER", false, false),
        ] {
            for (dialect, expected) in [(MARIADB, mariadb), (MYSQL, mysql)] {
                let lexer = Lexer::new(text.as_bytes(), dialect);
                let found = adds_values_of_one_server(lexer, dialect);
                assert_eq!(found, expected, "{text} {dialect:?}");
            }
        }
    }

    #[test]
    fn what_depends_on_the_order_of_rows_is_found() {
        for (text, expected) in [
            (
                "ALTER TABLE t ADD id INT AUTO_INCREMENT PRIMARY KEY",
                Some("t"),
            ),
            (
                "alter table `s` . `t` modify id int auto_increment, add key (id)",
                Some("s.t"),
            ),
            ("ALTER IGNORE TABLE t ADD UNIQUE (a)", Some("t")),
            ("ALTER TABLE t ADD a INT, AUTO_INCREMENT = 7", None),
            ("ALTER TABLE t AUTO_INCREMENT = 7", None),
            ("ALTER TABLE t ADD UNIQUE (a)", None),
            ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)", None),
            ("ALTER TABLE", None),
        ] {
            let found = orders_rows_of(text.as_bytes(), MARIADB).map(|table| {
                let schema = table.schema.map(|schema| schema + ".");
                schema.unwrap_or_default() + &table.name
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
