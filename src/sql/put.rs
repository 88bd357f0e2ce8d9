//! Texts in which something stands in place of something else, so that the result's columns keep their names.

use super::{
    calls::Call,
    lexer::{Dialect, Token},
    spanned::{Spanned, spanned},
};

/// What stands in place of something else.
pub(super) enum Put {
    /// In place of another expression.
    Expression(Vec<u8>),
    Text(Vec<u8>),
}

/// What stands in place of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
    /// A number of the call's type.
    Number(u32),
    /// NULL of the call's type.
    Null,
    /// A text without quotes, of a function that the server may not have; so the call goes, but for its arguments.
    Text(String),
    /// A number of such a function.
    Own(u32),
}

/// A statement with values in place of calls.
pub fn put_values(text: &[u8], values: &[(&Call, Instead)], dialect: Dialect) -> Vec<u8> {
    put(text, dialect, |tokens, at| {
        let mut values = values.iter();
        let (call, instead) = values.find(|(call, _)| call.place.start == tokens[at].start)?;
        let expression = match instead {
            Instead::Number(number) => {
                not_evaluated(number.to_string().as_bytes(), &text[call.place.clone()])
            }
            Instead::Null => not_evaluated(b"NULL", &text[call.place.clone()]),
            Instead::Text(value) => format!("'{value}'").into_bytes(),
            Instead::Own(number) => {
                // The parameters among them stay.
                let arguments = call.arguments.iter().map(|at| &text[at.clone()]);
                let arguments = arguments.collect::<Vec<_>>().join(&b", "[..]);
                let length = [b"LENGTH(CONCAT(", &arguments[..], b"))"].concat();
                not_evaluated(number.to_string().as_bytes(), &length)
            }
        };
        Some((call.place.end, Put::Expression(expression)))
    })
}

/// An expression of the very type that the original one has, which is not evaluated.
pub(super) fn not_evaluated(instead: &[u8], original: &[u8]) -> Vec<u8> {
    [b"IF(1, ", instead, b", ", original, b")"].concat()
}

/// A statement with what is to be put into it. For a token, `what` gives where that ends which is to be replaced from
/// there on, and by what.
pub(super) fn put(
    text: &[u8],
    dialect: Dialect,
    what: impl Fn(&[Spanned], usize) -> Option<(usize, Put)>,
) -> Vec<u8> {
    let tokens = spanned(text, dialect);
    let mut put = Vec::new();
    let mut written = 0;
    let mut columns = Columns::default();
    for at in 0..tokens.len() {
        let start = tokens[at].start;
        if let Some((end, name)) = columns.next(text, &tokens, at) {
            put.extend_from_slice(&text[written..end]);
            put.extend(name);
            written = end;
        }
        if start < written {
            continue;
        }
        if let Some((end, instead)) = what(&tokens, at) {
            put.extend_from_slice(&text[written..start]);
            match instead {
                Put::Text(instead) => put.extend(instead),
                Put::Expression(expression) => {
                    put.extend(expression);
                    columns.is_changed = true;
                }
            }
            written = end;
        }
    }
    if let Some((end, name)) = columns.end(text, &tokens) {
        put.extend_from_slice(&text[written..end]);
        put.extend(name);
        written = end;
    }
    put.extend_from_slice(&text[written..]);
    put
}

/// What stands between `SELECT` and its first column.
const MODIFIERS: [&str; 10] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_CALC_FOUND_ROWS",
    "SQL_NO_CACHE",
    "SQL_SMALL_RESULT",
];

/// What can stand after the last column.
const AFTER_COLUMNS: [&str; 16] = [
    "EXCEPT",
    "FETCH",
    "FOR",
    "FROM",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "INTO",
    "LIMIT",
    "LOCK",
    "OFFSET",
    "ORDER",
    "PROCEDURE",
    "UNION",
    "WHERE",
    "WINDOW",
];

/// The columns of a result, of which one that is changed is still called what the client has written.
#[derive(Default)]
struct Columns {
    depth: i32,
    /// The token with which a column begins, as long as one is read.
    first: Option<usize>,
    is_changed: bool,
}

impl Columns {
    /// The longest name that servers take for a column, in bytes.
    const MAX_NAME: usize = 255;

    /// Reads the next token; if a column ends before it that needs a name, gives where and the name.
    fn next(&mut self, text: &[u8], tokens: &[Spanned], at: usize) -> Option<(usize, Vec<u8>)> {
        let token = tokens[at].token;
        match token {
            Token::Symbol(b'(') => self.depth += 1,
            Token::Symbol(b')') => self.depth -= 1,
            _ => {}
        }
        if self.depth != 0 {
            return None;
        }
        let is_next = token.is_symbol(b',') && self.first.is_some();
        let ends =
            is_next || token.is_symbol(b';') || AFTER_COLUMNS.iter().any(|word| token.is(word));
        let named = if ends {
            self.end(text, &tokens[..at])
        } else {
            None
        };
        let is_modifier = MODIFIERS.iter().any(|word| token.is(word)) && self.first == Some(at);
        if is_next || is_modifier || token.is("SELECT") {
            self.first = Some(at + 1);
        }
        named
    }

    /// Ends the column whose last token is the last one of these.
    fn end(&mut self, text: &[u8], tokens: &[Spanned]) -> Option<(usize, Vec<u8>)> {
        let is_changed = std::mem::take(&mut self.is_changed);
        let column = tokens.get(self.first.take()?..)?;
        let (first, last) = (column.first()?, column.last()?);
        let original = &text[first.start..last.end];
        if !is_changed || has_name(column) || original.len() > Self::MAX_NAME {
            return None;
        }
        let name = String::from_utf8_lossy(original).replace('`', "``");
        Some((last.end, format!(" AS `{name}`").into_bytes()))
    }
}

/// Whether a column has a name of its own.
fn has_name(column: &[Spanned]) -> bool {
    let is_name =
        |token: &Token| matches!(token, Token::Word(_) | Token::Quoted(_) | Token::Text(_));
    match column {
        [.., before, last] => {
            let ends = is_name(&before.token) || before.token.is_symbol(b')');
            ends && is_name(&last.token)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{calls, lexer::tests::MYSQL};

    #[test]
    fn columns_keep_their_names() {
        for (text, expected) in [
            ("SELECT F", "SELECT 1 AS `F`"),
            (
                "SELECT 2, 1+F /* a */, F = 3",
                "SELECT 2, 1+1 AS `1+F` /* a */, 1 = 3 AS `F = 3`",
            ),
            (
                "SELECT DISTINCT F FROM t",
                "SELECT DISTINCT 1 AS `F` FROM t",
            ),
            (
                "SELECT F g, F AS `g`, F \"g\", F 'g'",
                "SELECT 1 g, 1 AS `g`, 1 \"g\", 1 'g'",
            ),
            ("SELECT (F), F IS NULL", "SELECT (1) AS `(F)`, 1 IS NULL"),
            (
                "SELECT `a`.`b` + F",
                "SELECT `a`.`b` + 1 AS ```a``.``b`` + F`",
            ),
            ("SELECT F HAVING F = 1", "SELECT 1 AS `F` HAVING 1 = 1"),
            (
                "SELECT 7 WHERE F = 1 ORDER BY F, F",
                "SELECT 7 WHERE 1 = 1 ORDER BY 1, 1",
            ),
            (
                "SELECT F UNION SELECT F;",
                "SELECT 1 AS `F` UNION SELECT 1 AS `F`;",
            ),
            ("SET @a = F, @b = F", "SET @a = 1, @b = 1"),
            ("DO F, F", "DO 1, 1"),
            (
                "SELECT (SELECT F), x",
                "SELECT (SELECT 1) AS `(SELECT F)`, x",
            ),
            ("INSERT INTO t SELECT F", "INSERT INTO t SELECT 1 AS `F`"),
        ] {
            let put = put(text.as_bytes(), MYSQL, |tokens, at| {
                let instead = Put::Expression(b"1".to_vec());
                tokens[at]
                    .token
                    .is("F")
                    .then_some((tokens[at].end, instead))
            });
            assert_eq!(String::from_utf8(put).unwrap(), expected);
        }
    }

    #[test]
    fn values_stand_in_place_of_calls() {
        let text = b"SELECT GET_LOCK('a', 1), RELEASE_LOCK(GET_LOCK('b', 2)), WSREP_LAST_SEEN_GTID(), WSREP_SYNC_WAIT_UPTO_GTID(?, 5) one";
        let calls = calls(text, MYSQL);
        let number = Instead::Number(0);
        let values = [
            number,
            Instead::Null,
            Instead::Text("c:5".to_owned()),
            Instead::Own(1),
        ];
        let values: Vec<_> = calls.iter().zip(values).collect();
        let put = put_values(text, &values, MYSQL);
        assert_eq!(
            String::from_utf8(put).unwrap(),
            "SELECT IF(1, 0, GET_LOCK('a', 1)) AS `GET_LOCK('a', 1)`, \
             IF(1, NULL, RELEASE_LOCK(GET_LOCK('b', 2))) AS `RELEASE_LOCK(GET_LOCK('b', 2))`, \
             'c:5' AS `WSREP_LAST_SEEN_GTID()`, IF(1, 1, LENGTH(CONCAT(?,  5))) one"
        );
    }
}
