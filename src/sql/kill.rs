//! `KILL QUERY`.
//!
//! Sources: "KILL Statement" in the MySQL manual, "KILL [CONNECTION | QUERY]" in MariaDB's documentation.

use super::lexer::{Dialect, Lexer, Token};

/// The connection whose statement a `KILL QUERY` ends, if it names one by its number.
pub fn killed_query(text: &[u8], dialect: Dialect) -> Option<u32> {
    let mut tokens = Lexer::new(text, dialect);
    if !tokens.next()?.is("KILL") {
        return None;
    }
    let is_how = |token: &Token| token.is("HARD") || token.is("SOFT");
    let kind = tokens.find(|token| !is_how(token))?;
    match tokens.next()? {
        Token::Word(number) if kind.is("QUERY") => str::from_utf8(number).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lexer::tests::MARIADB, *};

    #[test]
    fn only_a_query_is_killed() {
        for (text, expected) in [
            ("KILL QUERY 7", Some(7)),
            ("/* stop */ kill soft query 12;", Some(12)),
            ("KILL 7", None),
            ("KILL CONNECTION 7", None),
            ("KILL QUERY ID 7", None),
            ("KILL QUERY USER root", None),
            ("KILL QUERY 7000000000", None),
            ("KILL QUERY", None),
            ("SELECT 'KILL QUERY 7'", None),
            ("", None),
        ] {
            let killed = killed_query(text.as_bytes(), MARIADB);
            assert_eq!(killed, expected, "{text}");
        }
    }
}
