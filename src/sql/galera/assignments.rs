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
        let mut lexer = Lexer::new(text, dialect);
        lexer.next();
        let (parts, _) = parts(text, lexer, |token| token.is_symbol(b';'));
        let (own, others) = split(parts, dialect)?;
        let rest = (!others.is_empty()).then(|| [b"SET", &others.join(&b',')[..]].concat());
        Some(Self { own, rest })
    }
}

/// What MariaDB's `SET STATEMENT … FOR` another statement assigns to variables of the node, and the statement without that;
/// none if it is another statement, or assigns nothing of the kind.
pub fn for_one_statement(text: &[u8], dialect: Dialect) -> Option<(Vec<Assignment>, Vec<u8>)> {
    let mut lexer = Lexer::new(text, dialect);
    let is_one = dialect.mariadb && lexer.next()?.is("SET") && lexer.next()?.is("STATEMENT");
    if !is_one {
        return None;
    }
    let (parts, end) = parts(text, lexer, |token| token.is("FOR"));
    let (own, others) = split(parts, dialect)?;
    let statement = text[end?..].trim_ascii_start();
    let is_own = !own.iter().any(|assignment| assignment.is_global);
    is_own.then(|| match &others[..] {
        [] => (own, statement.to_vec()),
        others => {
            let others = others.join(&b',');
            let others = others.trim_ascii();
            let rest = [b"SET STATEMENT ", others, b" FOR ", statement].concat();
            (own, rest)
        }
    })
}

/// Assignments to variables of the node, and others; none if there are only others.
fn split(parts: Vec<&[u8]>, dialect: Dialect) -> Option<(Vec<Assignment>, Vec<&[u8]>)> {
    let mut own = Vec::new();
    let mut others = Vec::new();
    for part in parts {
        match assignment(part, dialect) {
            Some(assignment) => own.push(assignment),
            None => others.push(part),
        }
    }
    (!own.is_empty()).then_some((own, others))
}

/// What stands between the commas up to a token, and where that ends if it is there.
fn parts<'a>(
    text: &'a [u8],
    mut lexer: Lexer<'a>,
    is_end: impl Fn(&Token) -> bool,
) -> (Vec<&'a [u8]>, Option<usize>) {
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
            _ if depth == 0 && is_end(&token) => {
                parts.push(&text[start..at]);
                return (parts, Some(lexer.at()));
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (parts, None)
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
    use crate::sql::lexer::tests::{MARIADB, MYSQL};

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

    #[test]
    fn for_one_statement_alone() {
        for (text, rest) in [
            ("SET STATEMENT wsrep_sync_wait=1 FOR SELECT 1", "SELECT 1"),
            (
                "set statement max_statement_time = f(1, 2),wsrep_sync_wait=1 for UPDATE t SET a = 1",
                "SET STATEMENT max_statement_time = f(1, 2) FOR UPDATE t SET a = 1",
            ),
        ] {
            let (own, found) = for_one_statement(text.as_bytes(), MARIADB).unwrap();
            assert_eq!(own[0].name, "wsrep_sync_wait");
            assert_eq!(String::from_utf8(found).unwrap(), rest);
        }
        for (text, dialect) in [
            ("SET STATEMENT max_statement_time=1 FOR SELECT 1", MARIADB),
            ("SET STATEMENT wsrep_sync_wait=1", MARIADB),
            (
                "SET STATEMENT GLOBAL wsrep_sync_wait=1 FOR SELECT 1",
                MARIADB,
            ),
            ("SET wsrep_sync_wait=1", MARIADB),
            ("SET STATEMENT wsrep_sync_wait=1 FOR SELECT 1", MYSQL),
        ] {
            let found = for_one_statement(text.as_bytes(), dialect);
            assert_eq!(found, None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "SET ?(STATEMENT)?[-@.,;=:()'\"`\\\\ a]{0,12}(wsrep_on)?[-@.,;=:()'\"`\\\\ a]{0,12}") {
            let _ = Assignments::of(text.as_bytes(), MYSQL);
            let _ = for_one_statement(text.as_bytes(), MARIADB);
        }
    }
}
