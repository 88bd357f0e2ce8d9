//! `SET`: what it assigns to a node's variables, and what is left for the server.

use super::{is_own, is_scope};
use crate::sql::lexer::{Dialect, Lexer, Token};

/// An assignment to a variable of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// In lower case.
    pub name: String,
    /// An expression as it is written, or a word such as `ON`.
    pub value: Vec<u8>,
    pub is_global: bool,
}

impl Assignment {
    /// The value in lower case, if it is no expression.
    pub fn word(&self, dialect: Dialect) -> Option<String> {
        let mut lexer = Lexer::new(&self.value, dialect);
        let (Token::Word(word) | Token::Quoted(word) | Token::Text(word)) = lexer.next()? else {
            return None;
        };
        let is_alone = lexer.next().is_none();
        is_alone.then(|| String::from_utf8_lossy(word).to_lowercase())
    }
}

/// What a `SET` assigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignments {
    pub own: Vec<Assignment>,
    /// The statement without them, if anything is left of it.
    pub rest: Option<Vec<u8>>,
}

impl Assignments {
    /// Those of a statement that begins with `SET`; none if it has none to a variable of the node.
    pub(super) fn of(text: &[u8], dialect: Dialect) -> Option<Self> {
        let mut own = Vec::new();
        let mut others: Vec<&[u8]> = Vec::new();
        for part in parts(text, dialect) {
            match assignment(part, dialect) {
                Some(assignment) => own.push(assignment),
                None => others.push(part),
            }
        }
        if own.is_empty() {
            return None;
        }
        let rest = (!others.is_empty()).then(|| [b"SET", &others.join(&b',')[..]].concat());
        Some(Self { own, rest })
    }
}

/// What stands between the commas, after `SET`.
fn parts(text: &[u8], dialect: Dialect) -> Vec<&[u8]> {
    let mut lexer = Lexer::new(text, dialect);
    lexer.next();
    let mut parts = Vec::new();
    let (mut start, mut depth) = (lexer.at(), 0);
    while let Some((at, token)) = lexer.next_at() {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth -= 1,
            Token::Symbol(b',') if depth == 0 => {
                parts.push(&text[start..at]);
                start = lexer.at();
            }
            Token::Symbol(b';') => {
                parts.push(&text[start..at]);
                return parts;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// An assignment to a variable of the node, if it is one.
fn assignment(part: &[u8], dialect: Dialect) -> Option<Assignment> {
    let mut lexer = Lexer::new(part, dialect);
    let mut token = lexer.next()?;
    let (mut is_global, mut ats) = (false, 0);
    while is_scope(&token) || token.is_symbol(b'@') || token.is_symbol(b'.') {
        is_global |= token.is("GLOBAL");
        ats += usize::from(token.is_symbol(b'@'));
        token = lexer.next()?;
    }
    // One is before a variable of the user's own.
    if ats == 1 {
        return None;
    }
    let (Token::Word(name) | Token::Quoted(name)) = token else {
        return None;
    };
    if !is_own(name) {
        return None;
    }
    let mut token = lexer.next()?;
    if token.is_symbol(b':') {
        token = lexer.next()?;
    }
    if !token.is_symbol(b'=') {
        return None;
    }
    let value = part[lexer.at()..].trim_ascii();
    (!value.is_empty()).then(|| Assignment {
        name: String::from_utf8_lossy(name).to_lowercase(),
        value: value.to_vec(),
        is_global,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn own_and_others() {
        type Own<'a> = (&'a str, &'a str, bool);
        let cases: [(&str, &[Own], Option<&str>); 9] = [
            (
                "SET SESSION wsrep_sync_wait=0",
                &[("wsrep_sync_wait", "0", false)],
                None,
            ),
            (
                "set @@session.WSREP_on := 'ON';",
                &[("wsrep_on", "'ON'", false)],
                None,
            ),
            (
                "SET @@GLOBAL.wsrep_desync = ON",
                &[("wsrep_desync", "ON", true)],
                None,
            ),
            (
                "SET autocommit=1, wsrep_sync_wait = 7 , a = f(1, 2), GLOBAL wsrep_on=1",
                &[("wsrep_sync_wait", "7", false), ("wsrep_on", "1", true)],
                Some("SET autocommit=1, a = f(1, 2)"),
            ),
            (
                "SET wsrep_sync_wait = IF(@a, 1, 2)",
                &[("wsrep_sync_wait", "IF(@a, 1, 2)", false)],
                None,
            ),
            ("SET a = 'wsrep_on'", &[], None),
            ("SET @wsrep_on = 1", &[], None),
            ("SET wsrep_on", &[], None),
            ("SET wsrep_on =", &[], None),
        ];
        for (text, own, rest) in cases {
            let expected = (!own.is_empty()).then(|| Assignments {
                own: own
                    .iter()
                    .map(|(name, value, is_global)| Assignment {
                        name: (*name).to_owned(),
                        value: value.as_bytes().to_vec(),
                        is_global: *is_global,
                    })
                    .collect(),
                rest: rest.map(|rest| rest.as_bytes().to_vec()),
            });
            assert_eq!(Assignments::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "SET ?[-@.,;=:()'\"`\\\\ a]{0,12}(wsrep_on)?[-@.,;=:()'\"`\\\\ a]{0,12}") {
            let _ = Assignments::of(text.as_bytes(), MYSQL);
        }
    }
}
