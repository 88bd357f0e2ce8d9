//! Tokens of SQL text, over bytes: a statement need not be UTF-8.
//!
//! Sources: "Comments", "String Literals" and "Schema Object Names" in the MySQL manual; "Comment
//! Syntax" in MariaDB's documentation.

use std::collections::HashSet;

/// What decides how a server reads text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Version of the server as in version comments: 101100 is 10.11.0.
    pub version: u32,
    pub mariadb: bool,
    /// `NO_BACKSLASH_ESCAPES` is in the session's `sql_mode`.
    pub backslash_is_plain: bool,
}

impl Dialect {
    /// Of a server that calls itself this, such as `9.7.4` or `5.5.5-10.11.6-MariaDB-log`, where the
    /// first part is there for old replicas.
    pub fn of(version: &[u8]) -> Self {
        let mariadb = version.windows(7).any(|name| name == b"MariaDB");
        let version = version.strip_prefix(b"5.5.5-").unwrap_or(version);
        let mut numbers = version
            .split(|byte| !byte.is_ascii_digit())
            .map(|digits| str::from_utf8(digits).ok()?.parse::<u32>().ok());
        let mut next = || numbers.next().flatten().unwrap_or(0).min(999);
        Self {
            version: next() * 10000 + next() * 100 + next(),
            mariadb,
            backslash_is_plain: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a name without quotes, a number.
    Word(&'a [u8]),
    /// What stands between backticks or double quotes, as it is written. In the default `sql_mode`
    /// the latter is a string.
    Quoted(&'a [u8]),
    /// What stands between single quotes, as it is written.
    Text(&'a [u8]),
    Symbol(u8),
}

impl Token<'_> {
    /// Whether this is the keyword, which is given in upper case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// Whether this is the name, in whatever case and quotes.
    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self, Token::Word(word) | Token::Quoted(word)
            if word.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub(super) fn is_symbol(&self, symbol: u8) -> bool {
        *self == Token::Symbol(symbol)
    }
}

/// The tokens of a text, without comments but with what version comments hold for this server.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// Inside a version comment whose content counts.
    in_comment: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            in_comment: false,
        }
    }

    /// Where the last token ends.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next token, and where it begins.
    pub(super) fn next_at(&mut self) -> Option<(usize, Token<'a>)> {
        self.skip_blank();
        let start = self.at;
        Some((start, self.next()?))
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn skip_line(&mut self) {
        let end = self.rest().iter().position(|&byte| byte == b'\n');
        self.at = end.map_or(self.text.len(), |end| self.at + end + 1);
    }

    fn skip_comment(&mut self) {
        let end = self.rest().windows(2).position(|pair| pair == b"*/");
        self.at = end.map_or(self.text.len(), |end| self.at + end + 2);
    }

    /// Goes past white space and comments.
    fn skip_blank(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t'..=b'\r', ..] => self.at += 1,
                [b'#', ..] => self.skip_line(),
                [b'-', b'-'] => self.at += 2,
                [b'-', b'-', after, ..] if after.is_ascii_whitespace() || *after < b' ' => {
                    self.skip_line();
                }
                [b'*', b'/', ..] if self.in_comment => {
                    self.in_comment = false;
                    self.at += 2;
                }
                [b'/', b'*', inside @ ..] => self.comment(inside),
                _ => return,
            }
        }
    }

    fn comment(&mut self, inside: &[u8]) {
        self.at += 2;
        let (skipped, inside) = match inside {
            [b'!', rest @ ..] => (1, rest),
            [b'M', b'!', rest @ ..] if self.dialect.mariadb => (2, rest),
            _ => return self.skip_comment(),
        };
        let digits = inside.iter().take(6).take_while(|b| b.is_ascii_digit());
        let digits = digits.count();
        let digits = if digits < 5 { 0 } else { digits };
        let version = inside[..digits]
            .iter()
            .fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
        if self.counts(version, skipped == 2) {
            self.at += skipped + digits;
            self.in_comment = true;
        } else {
            self.skip_comment();
        }
    }

    /// Whether the server executes what a version comment holds.
    fn counts(&self, version: u32, for_mariadb: bool) -> bool {
        // MariaDB passes over what only MySQL 5.7 and its successors below 10 understand.
        let only_mysql = self.dialect.mariadb && !for_mariadb && (50700..=99999).contains(&version);
        version <= self.dialect.version && !only_mysql
    }

    /// What stands between this quote and its end.
    fn quoted(&mut self, quote: u8) -> &'a [u8] {
        let escapes = quote != b'`' && !self.dialect.backslash_is_plain;
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.text.get(at) {
                None => {
                    self.at = self.text.len();
                    return &self.text[start.min(self.at)..];
                }
                Some(b'\\') if escapes => at += 2,
                Some(&byte) if byte == quote => {
                    if self.text.get(at + 1) != Some(&quote) {
                        self.at = at + 1;
                        return &self.text[start..at];
                    }
                    at += 2;
                }
                Some(_) => at += 1,
            }
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let rest = self.rest();
        Some(match *rest.first()? {
            b'\'' => Token::Text(self.quoted(b'\'')),
            quote @ (b'"' | b'`') => Token::Quoted(self.quoted(quote)),
            first if is_word(first) => {
                let length = rest.iter().position(|&byte| !is_word(byte));
                let word = &rest[..length.unwrap_or(rest.len())];
                self.at += word.len();
                Token::Word(word)
            }
            symbol => {
                self.at += 1;
                Token::Symbol(symbol)
            }
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

/// The statements of a text, which are separated by semicolons. A stored program's body belongs to
/// its statement, to the end of the text.
pub fn statements(text: &[u8], dialect: Dialect) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut lexer = Lexer::new(text, dialect);
    let (mut start, mut first, mut compound) = (0, true, false);
    let mut creates = false;
    while let Some(token) = lexer.next() {
        if token.is_symbol(b';') && !compound {
            found.push(&text[start..lexer.at - 1]);
            (start, first, creates) = (lexer.at, true, false);
            continue;
        }
        if first {
            creates = token.is("CREATE") || token.is("ALTER");
            compound = dialect.mariadb && is_compound(&token)
                || token.is("BEGIN") && lexer.clone().next().is_some_and(is_in_block);
        }
        compound |= creates && PROGRAMS.iter().any(|program| token.is(program));
        first = false;
    }
    // A comment alone is a statement too, which the server may find empty.
    if !text[start..].trim_ascii().is_empty() || found.is_empty() {
        found.push(&text[start..]);
    }
    found
}

/// Whether a text has one of these names, which are in lower case, where a name can stand.
pub fn names_one_of(text: &[u8], dialect: Dialect, names: &HashSet<Vec<u8>>) -> bool {
    // Most servers have no such thing.
    if names.is_empty() {
        return false;
    }
    let mut lower = Vec::new();
    Lexer::new(text, dialect).any(|token| match token {
        Token::Word(name) | Token::Quoted(name) if name.is_ascii() => {
            lower.clear();
            lower.extend(name.iter().map(u8::to_ascii_lowercase));
            names.contains(&lower)
        }
        Token::Word(name) | Token::Quoted(name) => {
            names.contains(String::from_utf8_lossy(name).to_lowercase().as_bytes())
        }
        Token::Text(_) | Token::Symbol(_) => false,
    })
}

/// Whether this follows `BEGIN` within a compound statement: `NOT ATOMIC`, or anything with `sql_mode = ORACLE`.
fn is_in_block(token: Token) -> bool {
    !token.is("WORK") && !token.is_symbol(b';')
}

/// Whether this begins a compound statement of MariaDB's that needs no stored program.
pub(super) fn is_compound(first: &Token) -> bool {
    const COMPOUND: [&str; 7] = ["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR", "DECLARE"];
    COMPOUND.iter().any(|word| first.is(word))
}

/// What has a body with semicolons in it.
const PROGRAMS: [&str; 5] = ["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"];

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const MARIADB: Dialect = Dialect {
        version: 101119,
        mariadb: true,
        backslash_is_plain: false,
    };
    pub(crate) const MYSQL: Dialect = Dialect {
        version: 90704,
        mariadb: false,
        backslash_is_plain: false,
    };

    fn shown(text: &str, dialect: Dialect) -> String {
        let show = |token| match token {
            Token::Word(word) => String::from_utf8_lossy(word).into_owned(),
            Token::Quoted(name) => format!("`{}`", String::from_utf8_lossy(name)),
            Token::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            Token::Symbol(symbol) => char::from(symbol).to_string(),
        };
        let tokens: Vec<_> = Lexer::new(text.as_bytes(), dialect).map(show).collect();
        tokens.join(" ")
    }

    #[test]
    fn servers_are_known_by_their_version() {
        assert_eq!(Dialect::of(b"9.7.4-2"), MYSQL);
        assert_eq!(
            Dialect::of(b"5.5.5-10.11.19-MariaDB-0+deb12u1-log"),
            MARIADB
        );
        assert_eq!(Dialect::of(b"11.4.2-MariaDB").version, 110402);
        assert_eq!(Dialect::of(b"").version, 0);
    }

    #[test]
    fn tokens() {
        for (text, expected) in [
            ("SELECT 1", "SELECT 1"),
            (" \n\tselect\u{b}a.b,@@x", "select a . b , @ @ x"),
            ("a -- b\nc", "a c"),
            ("a --b", "a - - b"),
            ("a --", "a"),
            ("a # b\nc", "a c"),
            ("a /* b */ c", "a c"),
            ("a /*+ b */ c", "a c"),
            ("a /* b", "a"),
            ("'it''s' 'a\\'b' c", "'it''s' 'a\\'b' c"),
            ("`a``b` \"c\"\"d\"", "`a``b` `c\"\"d`"),
            ("`a\\` b", "`a\\` b"),
            ("'open", "'open'"),
            ("'open\\", "'open\\'"),
            ("näme", "näme"),
            ("'/*' a", "'/*' a"),
        ] {
            for dialect in [MARIADB, MYSQL] {
                assert_eq!(shown(text, dialect), expected, "{text:?}");
            }
        }
        let plain = Dialect {
            backslash_is_plain: true,
            ..MYSQL
        };
        assert_eq!(shown("'a\\' b", plain), "'a\\' b");
    }

    #[test]
    fn version_comments() {
        for (text, mariadb, mysql) in [
            ("/*!40101 SET a */ b", "SET a b", "SET a b"),
            ("/*! SET a */ b", "SET a b", "SET a b"),
            ("/*!50701 a */ b", "b", "a b"),
            ("/*!99999 a */ b", "b", "b"),
            ("/*!80000a */ b", "b", "a b"),
            ("/*!100100 a */ b", "a b", "b"),
            ("/*M!100100 a */ b", "a b", "b"),
            ("/*M!120000 a */ b", "b", "b"),
            ("/*M! a */ b", "a b", "b"),
            ("/*!40000 a /* c */ b", "a b", "a b"),
            ("/*!1 a */ b", "1 a b", "1 a b"),
        ] {
            assert_eq!(shown(text, MARIADB), mariadb, "{text:?}");
            assert_eq!(shown(text, MYSQL), mysql, "{text:?}");
        }
    }

    #[test]
    fn texts_are_split_into_statements() {
        for (text, expected) in [
            ("a", &["a"][..]),
            ("a;", &["a"]),
            ("a; \n", &["a"]),
            ("a; -- no more\n", &["a", " -- no more\n"]),
            ("a;;", &["a", ""]),
            ("a;b ; c", &["a", "b ", " c"]),
            ("a ';' `;` /* ; */ ; b", &["a ';' `;` /* ; */ ", " b"]),
            ("", &[""]),
            (";a", &["", "a"]),
            (
                "DROP PROCEDURE p; CREATE DEFINER=x PROCEDURE p() BEGIN a; b; END",
                &[
                    "DROP PROCEDURE p",
                    " CREATE DEFINER=x PROCEDURE p() BEGIN a; b; END",
                ],
            ),
            (
                "BEGIN NOT ATOMIC a; b; END",
                &["BEGIN NOT ATOMIC a; b; END"],
            ),
            ("a; IF 1 THEN b; END IF", &["a", " IF 1 THEN b; END IF"]),
            ("BEGIN a; b; END", &["BEGIN a; b; END"]),
            ("BEGIN; a; COMMIT", &["BEGIN", " a", " COMMIT"]),
            ("BEGIN WORK; a", &["BEGIN WORK", " a"]),
        ] {
            let found = statements(text.as_bytes(), MARIADB);
            let expected: Vec<_> = expected.iter().map(|s| s.as_bytes()).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn names_are_found_where_they_can_stand() {
        let names = HashSet::from([b"f".to_vec(), "grüße".as_bytes().to_vec()]);
        for (text, found) in [
            ("SELECT f(1)", true),
            ("SELECT db.`F`(1)", true),
            ("SELECT GRÜSSE, Grüße()", true),
            ("SELECT 'f', ff /* f */", false),
        ] {
            assert_eq!(
                names_one_of(text.as_bytes(), MYSQL, &names),
                found,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(text: Vec<u8>) {
            let mut lexer = Lexer::new(&text, MARIADB);
            for _ in lexer.by_ref() {}
            prop_assert_eq!(lexer.at, text.len());
        }

        #[test]
        fn comments_and_quotes_are_read_to_their_end(text in "[-/*!#M'\"`;\\\\ 0-9a\n]{0,40}") {
            let pieces = statements(text.as_bytes(), MYSQL);
            let length: usize = pieces.iter().map(|piece| piece.len() + 1).sum();
            prop_assert!(length <= text.len() + 1);
        }
    }
}
