//! What a statement asks.

use super::{Assignments, Kind, NAMES, begins_with, is_own, is_scope};
use crate::sql::lexer::{Dialect, Lexer, Token};

/// Longer texts ask for something else.
const MAX_BYTES: usize = 16 << 10;

/// A statement that asks for a node's own values.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// `SHOW STATUS` or `SHOW VARIABLES`, with its condition as it stands after `WHERE`.
    Show {
        kind: Kind,
        is_global: bool,
        condition: Vec<u8>,
    },
    /// A statement that reads them among other things.
    Read,
    Set(Assignments),
}

impl Question {
    /// The question in a statement, if it asks one.
    pub fn of(text: &[u8], dialect: Dialect) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut lexer = Lexer::new(text, dialect);
        let first = lexer.next()?;
        if first.is("SHOW") {
            return show(text, lexer);
        }
        let mut ends = (0..text.len()).map(|start| &text[start..]);
        if !ends.any(is_own) {
            return None;
        }
        if first.is("SET") {
            return Some(Assignments::of(text, dialect).map_or(Self::Read, Self::Set));
        }
        let reads = first.is("SELECT") || first.is("WITH") || first.is_symbol(b'(');
        reads.then_some(Self::Read)
    }
}

/// After `SHOW`.
fn show(text: &[u8], mut lexer: Lexer<'_>) -> Option<Question> {
    let mut token = lexer.next()?;
    let is_global = token.is("GLOBAL");
    if is_scope(&token) {
        token = lexer.next()?;
    }
    let kind = if token.is("STATUS") {
        Kind::Status
    } else if token.is("VARIABLES") {
        Kind::Variables
    } else {
        return None;
    };
    let filter = lexer.at();
    let condition = match lexer.next() {
        None | Some(Token::Symbol(b';')) => b"TRUE".to_vec(),
        Some(token) if token.is("WHERE") => text[lexer.at()..].to_vec(),
        Some(token) if token.is("LIKE") => match lexer.next()? {
            Token::Text(pattern) | Token::Quoted(pattern) if may_match(pattern) => {
                [b"Variable_name", &text[filter..]].concat()
            }
            _ => return None,
        },
        Some(_) => return None,
    };
    Some(Question::Show {
        kind,
        is_global,
        condition,
    })
}

/// Whether a pattern may match one of the names, by what it has before its first wildcard.
fn may_match(pattern: &[u8]) -> bool {
    let mut head = Vec::new();
    let mut rest = pattern.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' | b'_' => break,
            b'\\' => head.extend(rest.next()),
            _ => head.push(byte),
        }
    }
    let mut names = NAMES.iter().map(|name| name.as_bytes());
    names.any(|name| begins_with(name, &head) || begins_with(&head, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn what_a_show_is_about() {
        use Kind::{Status, Variables};
        for (text, expected) in [
            ("SHOW STATUS", Some((Status, "TRUE"))),
            ("show global status;", Some((Status, "TRUE"))),
            (
                "SHOW VARIABLES LIKE 'wsrep_on'",
                Some((Variables, "Variable_name LIKE 'wsrep_on'")),
            ),
            (
                "SHOW STATUS LIKE 'WSREP\\_local\\_index'",
                Some((Status, "Variable_name LIKE 'WSREP\\_local\\_index'")),
            ),
            (
                "SHOW STATUS LIKE \"ws%\"",
                Some((Status, "Variable_name LIKE \"ws%\"")),
            ),
            (
                "SHOW STATUS LIKE '%ready'",
                Some((Status, "Variable_name LIKE '%ready'")),
            ),
            (
                "SHOW VARIABLES LIKE 'pxc_maint_mode'",
                Some((Variables, "Variable_name LIKE 'pxc_maint_mode'")),
            ),
            (
                "SHOW SESSION VARIABLES WHERE Variable_name = 'a'",
                Some((Variables, " Variable_name = 'a'")),
            ),
            ("SHOW GLOBAL VARIABLES LIKE 'read_only'", None),
            (
                "SHOW STATUS LIKE 'w'",
                Some((Status, "Variable_name LIKE 'w'")),
            ),
            ("SHOW STATUS LIKE 'wx%'", None),
            ("SHOW TABLE STATUS", None),
            ("SHOW TABLES", None),
            ("SHOW", None),
        ] {
            let expected = expected.map(|(kind, condition)| Question::Show {
                kind,
                is_global: text.to_lowercase().contains("global"),
                condition: condition.as_bytes().to_vec(),
            });
            assert_eq!(Question::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }

    #[test]
    fn others_ask_nothing() {
        for text in [
            "SELECT 1",
            "SELECT wsrep",
            "INSERT INTO t VALUES ('wsrep_on')",
            "",
            "SET a = 1",
        ] {
            assert_eq!(Question::of(text.as_bytes(), MYSQL), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "(SHOW STATUS|SET|SELECT)?[-@.,;()'\"`\\\\ a]{0,12}(wsrep_)?[-@.,;=:()'\"`\\\\ a]{0,12}") {
            let _ = Question::of(text.as_bytes(), MYSQL);
        }
    }
}
