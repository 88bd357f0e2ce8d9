//! Statements about others that are prepared from a text.
//!
//! Sources: "PREPARE Statement", "EXECUTE Statement" in the MySQL manual; "EXECUTE IMMEDIATE" in MariaDB's documentation.

use super::lexer::{Dialect, Lexer, Token};

/// A statement about another one that is prepared from a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dynamic {
    /// Prepares a text that can be told, if there is one. What had the name before is forgotten.
    Prepare {
        name: String,
        text: Option<Text>,
    },
    Execute(String),
    ExecuteImmediate(Text),
    Deallocate(String),
}

/// Where the text of a prepared statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    Literal(Vec<u8>),
    /// A user variable, as it is written.
    Variable(Vec<u8>),
}

impl Dynamic {
    /// Reads a statement; none if it is no such one, or its name has letters that servers compare by rules of their own.
    pub fn of(statement: &[u8], dialect: Dialect) -> Option<Self> {
        let mut lexer = Lexer::new(statement, dialect);
        let mut first = lexer.next()?;
        // With settings for it alone.
        if first.is("SET") && lexer.next()?.is("STATEMENT") {
            lexer.find(|token| token.is("FOR"))?;
            first = lexer.next()?;
        }
        if first.is("PREPARE") {
            let name = name(lexer.next()?)?;
            lexer.next().filter(|token| token.is("FROM"))?;
            let text = Text::of(statement, lexer, dialect);
            Some(Self::Prepare { name, text })
        } else if first.is("EXECUTE") {
            let second = lexer.next()?;
            if dialect.mariadb && second.is("IMMEDIATE") {
                Text::of(statement, lexer, dialect).map(Self::ExecuteImmediate)
            } else {
                name(second).map(Self::Execute)
            }
        } else if first.is("DEALLOCATE") || first.is("DROP") {
            lexer.next().filter(|token| token.is("PREPARE"))?;
            lexer.next().and_then(name).map(Self::Deallocate)
        } else {
            None
        }
    }
}

impl Text {
    /// What stands next, if it is one literal or one variable.
    fn of(statement: &[u8], mut lexer: Lexer, dialect: Dialect) -> Option<Self> {
        let (start, first) = lexer.next_at()?;
        let text = match first {
            Token::Text(written) => Self::Literal(unescaped(written, b'\'', dialect)),
            Token::Quoted(written) => Self::Literal(unescaped(written, b'"', dialect)),
            Token::Symbol(b'@') => {
                let (at, _name) = lexer.next_at().filter(|(_, name)| {
                    matches!(name, Token::Word(_) | Token::Quoted(_) | Token::Text(_))
                })?;
                if at != start + 1 {
                    return None;
                }
                Self::Variable(statement[start..lexer.at()].to_vec())
            }
            _ => return None,
        };
        let is_whole = lexer
            .next()
            .is_none_or(|after| after.is_symbol(b';') || after.is("USING"));
        is_whole.then_some(text)
    }
}

/// A name as all its spellings have it.
fn name(token: Token) -> Option<String> {
    let (Token::Word(name) | Token::Quoted(name)) = token else {
        return None;
    };
    let name = str::from_utf8(name).ok().filter(|name| name.is_ascii())?;
    Some(name.to_ascii_lowercase())
}

/// What a string literal stands for, of what is written between its quotes.
fn unescaped(written: &[u8], quote: u8, dialect: Dialect) -> Vec<u8> {
    let mut text = Vec::with_capacity(written.len());
    let mut rest = written;
    loop {
        rest = match rest {
            [] => return text,
            [b'\\', escaped, after @ ..] if !dialect.backslash_is_plain => {
                match escaped {
                    b'0' => text.push(0),
                    b'b' => text.push(8),
                    b'n' => text.push(b'\n'),
                    b'r' => text.push(b'\r'),
                    b't' => text.push(b'\t'),
                    b'Z' => text.push(26),
                    b'%' | b'_' => text.extend([b'\\', *escaped]),
                    other => text.push(*other),
                }
                after
            }
            [first, second, after @ ..] if *first == quote && *second == quote => {
                text.push(quote);
                after
            }
            [byte, after @ ..] => {
                text.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::lexer::tests::{MARIADB, MYSQL},
        *,
    };

    fn literal(text: &str) -> Option<Text> {
        Some(Text::Literal(text.into()))
    }

    fn variable(name: &str) -> Option<Text> {
        Some(Text::Variable(name.into()))
    }

    #[test]
    fn texts_are_read() {
        for (written, expected) in [
            ("'SELECT 1'", literal("SELECT 1")),
            (r#""SELECT ""a"", 'b'""#, literal(r#"SELECT "a", 'b'"#)),
            (r"'it''s \'\\\n\%\q'", literal("it's '\\\n\\%q")),
            ("@v", variable("@v")),
            ("@`a b` ;", variable("@`a b`")),
            ("@'a'", variable("@'a'")),
            ("@@sql_mode", None),
            ("CONCAT('SELECT ', '1')", None),
            ("'SELECT ' '1'", None),
            ("_utf8'SELECT 1'", None),
            ("@a.b", None),
            ("", None),
        ] {
            let statement = format!("prepare `S` /* as */ FROM {written}");
            let name = "s".to_owned();
            let expected = Dynamic::Prepare {
                name,
                text: expected,
            };
            let read = Dynamic::of(statement.as_bytes(), MYSQL);
            assert_eq!(read, Some(expected), "{statement}");
        }
    }

    #[test]
    fn statements_are_read() {
        let execute = |name: &str| Some(Dynamic::Execute(name.to_owned()));
        let immediate = |text: Option<Text>| text.map(Dynamic::ExecuteImmediate);
        for (statement, expected) in [
            ("EXECUTE S USING @a, @b", execute("s")),
            ("execute `s`;", execute("s")),
            ("EXECUTE é", None),
            ("EXECUTE", None),
            (
                "EXECUTE IMMEDIATE 'DO ?' USING 1",
                immediate(literal("DO ?")),
            ),
            ("EXECUTE IMMEDIATE @v", immediate(variable("@v"))),
            ("EXECUTE IMMEDIATE UPPER('do 1')", None),
            (
                "DEALLOCATE PREPARE s",
                Some(Dynamic::Deallocate("s".to_owned())),
            ),
            ("DROP PREPARE s", Some(Dynamic::Deallocate("s".to_owned()))),
            ("SET STATEMENT sql_mode = '' FOR execute s", execute("s")),
            ("SET STATEMENT sql_mode = ''", None),
            ("SET @a = 1", None),
            ("DROP TABLE s", None),
            ("PREPARE s", None),
            ("SELECT 1", None),
        ] {
            let read = Dynamic::of(statement.as_bytes(), MARIADB);
            assert_eq!(read, expected, "{statement}");
        }
        let named = Dynamic::of(b"EXECUTE immediate USING @a", MYSQL);
        assert_eq!(named, execute("immediate"));
    }

    #[test]
    fn backslashes_may_be_plain() {
        let dialect = Dialect {
            backslash_is_plain: true,
            ..MYSQL
        };
        let read = Dynamic::of(br"PREPARE s FROM 'a\n'''", dialect);
        let text = literal("a\\n'");
        let name = "s".to_owned();
        assert_eq!(read, Some(Dynamic::Prepare { name, text }));
    }
}
