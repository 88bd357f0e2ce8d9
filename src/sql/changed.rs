//! The names of what a statement, or the body of a stored program, may change.

use super::lexer::{Dialect, Lexer, Token};

/// A table, a view, a sequence or a routine, as a text names it; in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    /// None if it is the default schema.
    pub schema: Option<String>,
    pub name: String,
}

impl Named {
    pub fn new(schema: Option<&str>, name: &str) -> Self {
        Self {
            schema: schema.map(str::to_lowercase),
            name: name.to_lowercase(),
        }
    }
}

/// What a text may change: the tables where `INSERT` and the like may have their targets, the routines that it
/// calls, the sequences that it advances. More may be among it, such as aliases.
pub fn changed(text: &[u8], dialect: Dialect) -> Vec<Named> {
    let tokens: Vec<_> = Lexer::new(text, dialect).collect();
    let mut found = Vec::new();
    let mut before = Token::Symbol(b';');
    let mut rest = &tokens[..];
    while let Some((token, after)) = rest.split_first() {
        let is_one_of = |words: &[&str]| words.iter().any(|word| token.is(word));
        if is_one_of(&["INSERT", "REPLACE"]) {
            found.extend(first(skip(after, &MODIFIERS)).filter(|_| !opens(after)));
        } else if token.is("UPDATE") && !before.is("KEY") && !before.is("FOR") {
            found.extend(names(until(after, &["SET"])));
        } else if token.is("DELETE") {
            found.extend(names(until(after, &AFTER_TABLES)));
        } else if token.is("TABLE") && before.is("INTO") || token.is("CALL") {
            found.extend(first(after));
        } else if is_one_of(&["NEXTVAL", "SETVAL"]) {
            found.extend(first(skip_symbol(after, b'(')));
        } else if token.is("FOR") && before.is("VALUE") {
            found.extend(first(after));
        }
        if let Some((name, length)) = chain(rest)
            && !before.is_symbol(b'.')
        {
            // A call, or a sequence in the words of Oracle.
            let calls = opens(&rest[length..]);
            let advances = length > 1 && rest[length - 1].is("NEXTVAL");
            found.extend((calls || advances).then_some(name));
        }
        before = *token;
        rest = after;
    }
    found
}

/// All that a text names with one word or two, and the first two words of what has more.
pub fn named(text: &[u8], dialect: Dialect) -> Vec<Named> {
    names(&Lexer::new(text, dialect).collect::<Vec<_>>()).collect()
}

/// What stands between `INSERT` and its table.
const MODIFIERS: [&str; 5] = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"];

/// What stands after the tables of a `DELETE`.
const AFTER_TABLES: [&str; 4] = ["WHERE", "ORDER", "LIMIT", "RETURNING"];

fn skip<'a, 't>(tokens: &'t [Token<'a>], words: &[&str]) -> &'t [Token<'a>] {
    let is_one_of = |token: &Token| words.iter().any(|word| token.is(word));
    let length = tokens.iter().take_while(|token| is_one_of(token)).count();
    &tokens[length..]
}

fn skip_symbol<'a, 't>(tokens: &'t [Token<'a>], symbol: u8) -> &'t [Token<'a>] {
    match tokens {
        [first, rest @ ..] if first.is_symbol(symbol) => rest,
        _ => tokens,
    }
}

fn opens(tokens: &[Token]) -> bool {
    tokens.first().is_some_and(|token| token.is_symbol(b'('))
}

/// The tokens before one of the words that stands outside parentheses, or before the statement's end.
fn until<'a, 't>(tokens: &'t [Token<'a>], words: &[&str]) -> &'t [Token<'a>] {
    let mut depth = 0;
    let length = tokens.iter().position(|token| {
        depth += i32::from(token.is_symbol(b'(')) - i32::from(token.is_symbol(b')'));
        token.is_symbol(b';') || depth == 0 && words.iter().any(|word| token.is(word))
    });
    &tokens[..length.unwrap_or(tokens.len())]
}

fn first(tokens: &[Token]) -> Option<Named> {
    chain(tokens).map(|(name, _)| name)
}

fn names<'t>(mut tokens: &'t [Token]) -> impl Iterator<Item = Named> + 't {
    std::iter::from_fn(move || {
        loop {
            if let Some((name, length)) = chain(tokens) {
                tokens = &tokens[length..];
                return Some(name);
            }
            tokens = tokens.get(1..)?;
        }
    })
}

/// The name that stands first, of words with points between them, and how many tokens it is.
fn chain(tokens: &[Token]) -> Option<(Named, usize)> {
    let mut words = vec![word(tokens.first()?)?];
    let mut length = 1;
    while let Some([point, next]) = tokens.get(length..length + 2)
        && point.is_symbol(b'.')
        && let Some(word) = word(next)
    {
        words.push(word);
        length += 2;
    }
    let is_sequence = words.len() > 1 && words.last().is_some_and(|last| last == "nextval");
    words.truncate(if is_sequence { words.len() - 1 } else { 2 });
    let mut words = words.into_iter();
    let (first, second) = (words.next()?, words.next());
    let (schema, name) = match second {
        Some(name) => (Some(first), name),
        None => (None, first),
    };
    Some((Named { schema, name }, length))
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) | Token::Quoted(word) => {
            Some(String::from_utf8_lossy(word).to_lowercase())
        }
        Token::Text(_) | Token::Symbol(_) => None,
    }
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
