//! The names of what a statement, or the body of a stored program, may change.

use super::lexer::{Dialect, Lexer, Token};

/// A table, a view, a sequence or a routine, as a text names it; in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    /// None if it is the default schema.
    pub schema: Option<String>,
    pub name: String,
}

/// What a text may change: the tables where `INSERT` and the like may have their targets, the routines that it
/// calls, the sequences that it advances. More may be among it, such as aliases.
pub fn changed(text: &[u8], dialect: Dialect) -> Vec<Named> {
    let mut found = Vec::new();
    let mut lexer = Lexer::new(text, dialect);
    let mut before = Token::Symbol(b';');
    let mut chain = None;
    while let Some(token) = lexer.next() {
        let after = lexer.clone();
        if token.is("INSERT") || token.is("REPLACE") {
            let into = |token: &Token| MODIFIERS.iter().any(|word| token.is(word));
            found.extend(first(after.skip_while(into)));
        } else if token.is("UPDATE") && !before.is("KEY") && !before.is("FOR") {
            found.extend(names(until(after, &["SET"])));
        } else if token.is("DELETE") {
            found.extend(names(until(after, &AFTER_TABLES)));
        } else if token.is("CALL")
            || token.is("TABLE") && before.is("INTO")
            || token.is("FOR") && before.is("VALUE")
        {
            found.extend(first(after));
        } else if token.is("NEXTVAL") || token.is("SETVAL") {
            // In the words of Oracle the sequence comes first.
            found.extend(chain.map(Chain::named));
            found.extend(first(after.skip_while(|token| token.is_symbol(b'('))));
        } else if token.is_symbol(b'(') {
            found.extend(chain.map(Chain::named));
        }
        chain = Chain::with(chain, before, token);
        before = token;
    }
    found
}

/// All that a text names with one word or two, and the first two words of what has more.
pub fn named(text: &[u8], dialect: Dialect) -> Vec<Named> {
    names(Lexer::new(text, dialect)).collect()
}

/// What stands between `INSERT` and its table.
const MODIFIERS: [&str; 5] = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"];

/// What stands after the tables of a `DELETE`.
const AFTER_TABLES: [&str; 4] = ["WHERE", "ORDER", "LIMIT", "RETURNING"];

/// A name that is being read: up to two words with a point between them.
#[derive(Debug, Clone, Copy)]
struct Chain<'a> {
    first: &'a [u8],
    second: Option<&'a [u8]>,
}

impl<'a> Chain<'a> {
    /// What the chain is after the next token.
    fn with(chain: Option<Self>, before: Token, token: Token<'a>) -> Option<Self> {
        match token {
            Token::Word(word) | Token::Quoted(word) => Some(match chain {
                Some(Self { first, second }) if before.is_symbol(b'.') => Self {
                    first,
                    second: second.or(Some(word)),
                },
                _ => Self {
                    first: word,
                    second: None,
                },
            }),
            Token::Symbol(b'.') => chain,
            Token::Text(_) | Token::Symbol(_) => None,
        }
    }

    fn named(self) -> Named {
        let lower = |word| String::from_utf8_lossy(word).to_lowercase();
        let (schema, name) = match self.second {
            Some(second) => (Some(self.first), second),
            None => (None, self.first),
        };
        Named {
            schema: schema.map(lower),
            name: lower(name),
        }
    }
}

/// The tokens before one of the words that stands outside parentheses, or before the statement's end.
fn until<'a>(lexer: Lexer<'a>, words: &[&str]) -> impl Iterator<Item = Token<'a>> {
    let mut depth = 0;
    lexer.take_while(move |token| {
        depth += i32::from(token.is_symbol(b'(')) - i32::from(token.is_symbol(b')'));
        !token.is_symbol(b';') && (depth > 0 || !words.iter().any(|word| token.is(word)))
    })
}

/// The name that stands first, if a name does.
pub(super) fn first<'a>(mut tokens: impl Iterator<Item = Token<'a>>) -> Option<Named> {
    let token = tokens.next()?;
    Chain::with(None, token, token)?;
    names(std::iter::once(token).chain(tokens)).next()
}

fn names<'a>(tokens: impl Iterator<Item = Token<'a>>) -> impl Iterator<Item = Named> {
    let mut chain = None;
    let mut before = Token::Symbol(b';');
    // The end shows that the last name is complete.
    tokens
        .chain([Token::Symbol(b';')])
        .filter_map(move |token| {
            let (was, is_one) = (chain, Chain::with(chain, before, token));
            let goes_on = token.is_symbol(b'.') || before.is_symbol(b'.') && is_one.is_some();
            (chain, before) = (is_one, token);
            was.filter(|_| !goes_on).map(Chain::named)
        })
}

#[cfg(test)]
mod tests {
    use super::{
        super::lexer::tests::{MARIADB, MYSQL},
        *,
    };

    fn shown(Named { schema, name }: Named) -> String {
        match schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name,
        }
    }

    #[test]
    fn what_a_statement_may_change_is_found_and_what_it_reads_is_not() {
        for (text, changes, reads) in [
            ("INSERT INTO t SELECT a FROM u, d.v", "t", "u d.v a"),
            (
                "insert low_priority ignore `D`.`T` (a) VALUES (1)",
                "d.t",
                "a",
            ),
            ("REPLACE t SET a = REPLACE(b, 'c', 'd')", "t", "a b"),
            ("SELECT INSERT(a, 1, 1, 'b') FROM t", "", "a t"),
            (
                "INSERT t VALUES (1) ON DUPLICATE KEY UPDATE u = 2",
                "t",
                "u",
            ),
            ("UPDATE t SET u = 1 WHERE v = 2", "t", "u v"),
            ("UPDATE t, d.u AS v SET t.a = v.b", "t d.u", "a b t.a v.b"),
            ("SELECT a FROM t FOR UPDATE", "", "a t"),
            ("DELETE FROM t WHERE u = 1", "t", "u"),
            (
                "DELETE t FROM a JOIN (SELECT b FROM c WHERE d) e LIMIT f",
                "t a e",
                "f",
            ),
            ("WITH a AS (SELECT b) DELETE FROM t", "t", "a b"),
            (
                "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE d.t (a)",
                "d.t",
                "a",
            ),
            ("CALL d.p(a, f(2))", "d.p f", "a"),
            ("CALL p", "p", ""),
            ("SELECT NEXTVAL(s), LASTVAL(t)", "s", "t"),
            ("DO SETVAL(d.s, 1)", "d.s", "d"),
            ("INSERT INTO t VALUES (NEXT VALUE FOR d.s)", "t d.s", "d"),
            ("SELECT d.s.nextval, t.nextval, u.v", "d.s t", "u.v"),
            (
                "BEGIN INSERT INTO t SELECT 1; UPDATE u SET a = 1; END",
                "t u",
                "a",
            ),
            ("SELECT a FROM t", "", "a t"),
            ("", "", ""),
        ] {
            for dialect in [MARIADB, MYSQL] {
                let found = changed(text.as_bytes(), dialect).into_iter().map(shown);
                let found: Vec<_> = found.collect();
                let is_found = |name: &&str| found.iter().any(|found| found == name);
                let missing: Vec<_> = changes
                    .split_whitespace()
                    .filter(|n| !is_found(n))
                    .collect();
                let wrong: Vec<_> = reads.split_whitespace().filter(is_found).collect();
                assert!(missing.is_empty() && wrong.is_empty(), "{text}: {found:?}");
            }
        }
    }

    #[test]
    fn what_a_view_names_is_found() {
        let view = b"select `d`.`t`.`a` AS `b` from (`d`.`t` join u)";
        let found: Vec<_> = named(view, MYSQL).into_iter().map(shown).collect();
        assert_eq!(
            found,
            ["select", "d.t", "as", "b", "from", "d.t", "join", "u"]
        );
    }
}
