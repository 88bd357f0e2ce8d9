//! Statements about savepoints.
//!
//! Source: "SAVEPOINT, ROLLBACK TO SAVEPOINT, and RELEASE SAVEPOINT Statements" in the MySQL manual.

use super::lexer::{Dialect, Lexer, Token};

/// A statement about a savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savepoint {
    pub step: Step,
    /// As it is written, without quotes. Names that differ in case alone are the same one.
    pub name: Vec<u8>,
}

/// What is done with a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Set,
    /// Also with those that were set after it.
    Release,
    /// Those that were set after it go.
    RollBackTo,
}

impl Savepoint {
    /// Reads a statement; none if it is no such one.
    pub fn of(statement: &[u8], dialect: Dialect) -> Option<Self> {
        let mut lexer = Lexer::new(statement, dialect);
        let mut next = || lexer.next();
        let mut token = next()?;
        let step = if token.is("SAVEPOINT") {
            Step::Set
        } else if token.is("RELEASE") {
            if !next()?.is("SAVEPOINT") {
                return None;
            }
            Step::Release
        } else if token.is("ROLLBACK") {
            token = next()?;
            if token.is("WORK") {
                token = next()?;
            }
            if !token.is("TO") {
                return None;
            }
            Step::RollBackTo
        } else {
            return None;
        };
        let mut name = next()?;
        // It may be called that.
        if step == Step::RollBackTo
            && name.is("SAVEPOINT")
            && let Some(token) = next().filter(|token| !token.is_symbol(b';'))
        {
            name = token;
        }
        let (Token::Word(name) | Token::Quoted(name)) = name else {
            return None;
        };
        let name = name.to_vec();
        Some(Self { step, name })
    }

    /// Does this to the savepoints of a transaction, oldest first.
    pub fn note(self, names: &mut Vec<Vec<u8>>) {
        let Self { step, name } = self;
        let at = names.iter().position(|set| set.eq_ignore_ascii_case(&name));
        match (step, at) {
            (Step::Set, _) => {
                if let Some(at) = at {
                    names.remove(at);
                }
                names.push(name);
            }
            (Step::Release, Some(at)) => names.truncate(at),
            (Step::RollBackTo, Some(at)) => names.truncate(at + 1),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lexer::tests::MYSQL, *};

    #[test]
    fn statements_about_savepoints_are_read() {
        for (statement, expected) in [
            ("SAVEPOINT a", Some((Step::Set, "a"))),
            ("savepoint `a b`;", Some((Step::Set, "a b"))),
            ("RELEASE SAVEPOINT a", Some((Step::Release, "a"))),
            ("ROLLBACK TO a", Some((Step::RollBackTo, "a"))),
            (
                "ROLLBACK WORK TO SAVEPOINT a",
                Some((Step::RollBackTo, "a")),
            ),
            (
                "ROLLBACK TO savepoint",
                Some((Step::RollBackTo, "savepoint")),
            ),
            (
                "ROLLBACK TO savepoint;",
                Some((Step::RollBackTo, "savepoint")),
            ),
            ("ROLLBACK", None),
            ("ROLLBACK WORK", None),
            ("RELEASE a", None),
            ("SAVEPOINT", None),
            ("SAVEPOINT 'a'", None),
            ("SELECT 1", None),
        ] {
            let expected = expected.map(|(step, name)| Savepoint {
                step,
                name: name.into(),
            });
            let read = Savepoint::of(statement.as_bytes(), MYSQL);
            assert_eq!(read, expected, "{statement}");
        }
    }

    #[test]
    fn later_savepoints_go_with_earlier_ones() {
        let mut names = Vec::new();
        for (statement, expected) in [
            ("SAVEPOINT a", &["a"][..]),
            ("SAVEPOINT b", &["a", "b"]),
            ("SAVEPOINT A", &["b", "A"]),
            ("SAVEPOINT c", &["b", "A", "c"]),
            ("ROLLBACK TO a", &["b", "A"]),
            ("ROLLBACK TO c", &["b", "A"]),
            ("RELEASE SAVEPOINT b", &[]),
        ] {
            let savepoint = Savepoint::of(statement.as_bytes(), MYSQL).unwrap();
            savepoint.note(&mut names);
            let expected: Vec<_> = expected.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(names, expected, "{statement}");
        }
    }
}
