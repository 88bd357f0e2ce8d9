//! Statements that ask what the statement before has left behind.
//!
//! Sources: "SHOW WARNINGS Statement" and "GET DIAGNOSTICS Statement" in the MySQL manual.

use super::lexer::{Dialect, Lexer, Token};

/// A statement that asks for the conditions of the statement before, its errors, warnings and notes, and leaves them as they are.
#[derive(Debug, PartialEq, Eq)]
pub enum Diagnostics {
    /// `SHOW WARNINGS` or `SHOW ERRORS`.
    Show {
        errors_only: bool,
        skipped: usize,
        most: usize,
    },
    /// `SHOW COUNT(*) WARNINGS` or `SHOW COUNT(*) ERRORS`.
    Count { errors_only: bool },
    /// `GET DIAGNOSTICS`: of the condition with this number or of the statement, and what goes where.
    Get {
        condition: Option<usize>,
        items: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

impl Diagnostics {
    /// Reads one, if the statement is one.
    pub fn of(text: &[u8], dialect: Dialect) -> Option<Self> {
        let mut lexer = Lexer::new(text, dialect);
        let first = lexer.next()?;
        let asked = if first.is("SHOW") {
            show(&mut lexer)?
        } else if first.is("GET") {
            get(text, &mut lexer)?
        } else {
            return None;
        };
        lexer.all(|token| token.is_symbol(b';')).then_some(asked)
    }
}

fn is_errors(token: Token) -> Option<bool> {
    let errors_only = token.is("ERRORS");
    (errors_only || token.is("WARNINGS")).then_some(errors_only)
}

fn show(lexer: &mut Lexer) -> Option<Diagnostics> {
    let what = lexer.next()?;
    if what.is("COUNT") {
        let is_all = lexer.next()?.is_symbol(b'(')
            && lexer.next()?.is_symbol(b'*')
            && lexer.next()?.is_symbol(b')');
        let errors_only = is_errors(lexer.next()?)?;
        return is_all.then_some(Diagnostics::Count { errors_only });
    }
    let errors_only = is_errors(what)?;
    let (mut skipped, mut most) = (0, usize::MAX);
    if lexer.clone().next().is_some_and(|token| token.is("LIMIT")) {
        lexer.next();
        most = number(lexer.next()?)?;
        let next = lexer.clone().next();
        if next.is_some_and(|token| token.is_symbol(b',')) {
            lexer.next();
            (skipped, most) = (most, number(lexer.next()?)?);
        } else if next.is_some_and(|token| token.is("OFFSET")) {
            lexer.next();
            skipped = number(lexer.next()?)?;
        }
    }
    Some(Diagnostics::Show {
        errors_only,
        skipped,
        most,
    })
}

fn get(text: &[u8], lexer: &mut Lexer) -> Option<Diagnostics> {
    let mut token = lexer.next()?;
    if token.is("CURRENT") {
        token = lexer.next()?;
    }
    if !token.is("DIAGNOSTICS") {
        return None;
    }
    let mut condition = None;
    if lexer.clone().next()?.is("CONDITION") {
        lexer.next();
        condition = Some(number(lexer.next()?)?);
    }
    let mut items = Vec::new();
    loop {
        let (start, at) = lexer.next_at()?;
        let _variable = lexer.next()?;
        let end = lexer.at();
        let is_assigned = at.is_symbol(b'@') && lexer.next()?.is_symbol(b'=');
        let Token::Word(name) = lexer.next()? else {
            return None;
        };
        if !is_assigned {
            return None;
        }
        items.push((text[start..end].to_vec(), name.to_ascii_uppercase()));
        if !lexer
            .clone()
            .next()
            .is_some_and(|token| token.is_symbol(b','))
        {
            return Some(Diagnostics::Get { condition, items });
        }
        lexer.next();
    }
}

fn number(token: Token) -> Option<usize> {
    let Token::Word(digits) = token else {
        return None;
    };
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::MYSQL;

    #[test]
    fn what_is_asked() {
        let show = |errors_only, skipped, most| {
            Some(Diagnostics::Show {
                errors_only,
                skipped,
                most,
            })
        };
        let get = |condition, items: &[(&str, &str)]| {
            let items = items
                .iter()
                .map(|(to, item)| (to.as_bytes().to_vec(), item.as_bytes().to_vec()));
            Some(Diagnostics::Get {
                condition,
                items: items.collect(),
            })
        };
        for (text, expected) in [
            ("show warnings;", show(false, 0, usize::MAX)),
            ("SHOW ERRORS LIMIT 3", show(true, 0, 3)),
            ("SHOW WARNINGS LIMIT 1, 3", show(false, 1, 3)),
            ("SHOW WARNINGS LIMIT 3 OFFSET 1", show(false, 1, 3)),
            (
                "SHOW COUNT(*) ERRORS",
                Some(Diagnostics::Count { errors_only: true }),
            ),
            ("SHOW WARNINGS LIMIT", None),
            ("SHOW WARNINGS 1", None),
            ("SHOW TABLES", None),
            (
                "GET DIAGNOSTICS @n = NUMBER, @`r` = row_count",
                get(None, &[("@n", "NUMBER"), ("@`r`", "ROW_COUNT")]),
            ),
            (
                "GET CURRENT DIAGNOSTICS CONDITION 2 @m = MESSAGE_TEXT",
                get(Some(2), &[("@m", "MESSAGE_TEXT")]),
            ),
            ("GET STACKED DIAGNOSTICS @n = NUMBER", None),
            ("GET DIAGNOSTICS n = NUMBER", None),
            ("GET DIAGNOSTICS @n NUMBER", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(Diagnostics::of(text.as_bytes(), MYSQL), expected, "{text}");
        }
    }
}
