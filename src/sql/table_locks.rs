//! `LOCK TABLES`.
//!
//! Sources: "LOCK TABLES and UNLOCK TABLES Statements" in the MySQL manual, "LOCK TABLES" and "WAIT and NOWAIT" in MariaDB's
//! documentation.

use super::{
    lexer::{Dialect, Token},
    spanned::{Spanned, spanned},
};

/// What a `LOCK TABLES` asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct TableLocks<'a> {
    pub tables: Vec<TableLock<'a>>,
    /// How many seconds it waits, if it says so.
    pub patience: Option<u64>,
}

/// A table that is to be locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLock<'a> {
    /// Its name, as it is written.
    pub written: &'a [u8],
    pub schema: Option<&'a [u8]>,
    pub table: &'a [u8],
    /// Whether who has the lock may write to it, and nobody else.
    pub writes: bool,
}

impl<'a> TableLocks<'a> {
    /// Reads a statement; none if it is not quite one.
    pub fn of(statement: &'a [u8], dialect: Dialect) -> Option<Self> {
        let tokens = spanned(statement, dialect);
        let (lock, rest) = tokens.split_first()?;
        let (tables, mut rest) = rest.split_first()?;
        let begins =
            lock.token.is("LOCK") && (tables.token.is("TABLES") || tables.token.is("TABLE"));
        if !begins {
            return None;
        }
        let mut tables = Vec::new();
        loop {
            let (table, after) = TableLock::read(statement, rest)?;
            tables.push(table);
            match after {
                [Spanned { token, .. }, more @ ..] if token.is_symbol(b',') => rest = more,
                end => {
                    let patience = patience(end)?;
                    return Some(Self { tables, patience });
                }
            }
        }
    }
}

impl<'a> TableLock<'a> {
    /// Reads one, and gives what stands after it.
    fn read<'t>(text: &'a [u8], tokens: &'t [Spanned<'a>]) -> Option<(Self, &'t [Spanned<'a>])> {
        let (first, mut rest) = tokens.split_first()?;
        let (mut schema, mut last) = (None, first);
        if let [dot, second, after @ ..] = rest
            && dot.token.is_symbol(b'.')
        {
            schema = Some(name(first)?);
            (last, rest) = (second, after);
        }
        let table = name(last)?;
        let written = &text[first.start..last.end];
        let mut words = rest.iter();
        // Before it there may be the name that the table goes by.
        let at = words.position(|word| ends_names(word.token))?;
        if at > 2 {
            return None;
        }
        let (kind, rest) = rest[at..].split_first()?;
        let next = rest.first().map(|next| next.token);
        let is_next = |word: &str| next.is_some_and(|next| next.is(word));
        let (writes, taken) = if kind.token.is("READ") {
            (false, usize::from(is_next("LOCAL")))
        } else if kind.token.is("LOW_PRIORITY") {
            if !is_next("WRITE") {
                return None;
            }
            (true, 1)
        } else {
            (true, usize::from(is_next("CONCURRENT")))
        };
        let lock = Self {
            written,
            schema,
            table,
            writes,
        };
        Some((lock, &rest[taken..]))
    }
}

fn ends_names(token: Token) -> bool {
    ["READ", "WRITE", "LOW_PRIORITY"]
        .iter()
        .any(|word| token.is(word))
}

fn name<'a>(token: &Spanned<'a>) -> Option<&'a [u8]> {
    match token.token {
        Token::Word(name) | Token::Quoted(name) => Some(name),
        Token::Text(_) | Token::Symbol(_) => None,
    }
}

/// What stands at the end: nothing, or how long to wait.
fn patience(end: &[Spanned]) -> Option<Option<u64>> {
    let end: Vec<_> = end.iter().map(|word| word.token).collect();
    match &end[..] {
        [] => Some(None),
        [Token::Symbol(b';')] => Some(None),
        [word] if word.is("NOWAIT") => Some(Some(0)),
        [word, Token::Word(seconds)] if word.is("WAIT") => {
            let seconds = str::from_utf8(seconds).ok()?.parse().ok()?;
            Some(Some(seconds))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lexer::tests::MARIADB, *};

    fn shown(locks: &TableLocks) -> String {
        let text = String::from_utf8_lossy;
        let table = |lock: &TableLock| {
            let schema = lock
                .schema
                .map_or(String::new(), |schema| format!("{}:", text(schema)));
            let kind = if lock.writes { "w" } else { "r" };
            format!(
                "{schema}{} {kind} as {}",
                text(lock.table),
                text(lock.written)
            )
        };
        let tables: Vec<_> = locks.tables.iter().map(table).collect();
        let patience = locks
            .patience
            .map_or(String::new(), |seconds| format!(" {seconds} s"));
        tables.join(", ") + &patience
    }

    #[test]
    fn what_is_locked_is_read() {
        for (text, expected) in [
            ("LOCK TABLES `t` WRITE", Some("t w as `t`")),
            ("lock table a.b read;", Some("a:b r as a.b")),
            (
                "LOCK TABLES `a` READ /*!32311 LOCAL */,`b c` READ /*!32311 LOCAL */",
                Some("a r as `a`, b c r as `b c`"),
            ),
            (
                "LOCK TABLES s . t AS x LOW_PRIORITY WRITE, t y WRITE CONCURRENT, u READ WAIT 5",
                Some("s:t w as s . t, t w as t, u r as u 5 s"),
            ),
            ("LOCK TABLES t WRITE NOWAIT", Some("t w as t 0 s")),
            ("LOCK TABLES t READ LOCAL WRITE", None),
            ("LOCK TABLES t", None),
            ("LOCK TABLES t AS x y READ", None),
            ("LOCK TABLES 't' READ", None),
            ("LOCK TABLES t LOW_PRIORITY READ", None),
            ("LOCK TABLES t READ,", None),
            ("LOCK TABLES t READ WAIT -1", None),
            ("LOCK TABLES", None),
            ("LOCK", None),
            ("LOCK INSTANCE FOR BACKUP", None),
        ] {
            let read = TableLocks::of(text.as_bytes(), MARIADB);
            assert_eq!(read.as_ref().map(shown).as_deref(), expected, "{text}");
        }
    }
}
