//! Calls of the functions that take and give up locks by a name.
//!
//! Source: "Locking Functions" in the MySQL manual; "GET_LOCK" in MariaDB's documentation.

use std::ops::Range;

use super::{
    lexer::{Dialect, Token},
    spanned::{Spanned, spanned},
};

/// A function that is about locks with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFunction {
    Get,
    Release,
    ReleaseAll,
    IsFree,
    IsUsed,
}

const FUNCTIONS: [(&str, LockFunction); 5] = [
    ("GET_LOCK", LockFunction::Get),
    ("RELEASE_LOCK", LockFunction::Release),
    ("RELEASE_ALL_LOCKS", LockFunction::ReleaseAll),
    ("IS_FREE_LOCK", LockFunction::IsFree),
    ("IS_USED_LOCK", LockFunction::IsUsed),
];

/// A call of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockCall {
    pub function: LockFunction,
    /// Where it stands in the text, with its arguments.
    pub place: Range<usize>,
    /// Where its arguments stand.
    pub arguments: Vec<Range<usize>>,
}

/// Whether a text has the name of one of the functions in it, in quotes or not.
pub fn names_locks(text: &[u8]) -> bool {
    const END: &[u8] = b"lock";
    let mut ends = text.split(|&byte| byte == b'_').skip(1);
    ends.any(|end| {
        let end = end.get(..END.len());
        end.is_some_and(|end| end.eq_ignore_ascii_case(END))
    })
}

/// The calls in a statement, in the order of the text, without those that are arguments of others.
pub fn lock_calls(text: &[u8], dialect: Dialect) -> Vec<LockCall> {
    let tokens = spanned(text, dialect);
    let mut calls = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_qualified = at > 0 && tokens[at - 1].token.is_symbol(b'.');
        match call(&tokens[at..]) {
            Some((call, taken)) if !is_qualified => {
                calls.push(call);
                at += taken;
            }
            _ => at += 1,
        }
    }
    calls
}

/// The call at the start of these tokens, and how many of them it takes.
fn call(tokens: &[Spanned]) -> Option<(LockCall, usize)> {
    let [name, open, rest @ ..] = tokens else {
        return None;
    };
    let mut functions = FUNCTIONS.iter();
    let (_, function) = functions.find(|(known, _)| name.token.is_name(known))?;
    if !open.token.is_symbol(b'(') {
        return None;
    }
    let mut arguments = Vec::new();
    let mut start = open.end;
    let mut depth = 0;
    for (at, Spanned { token, start: here, end }) in rest.iter().enumerate() {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') if depth > 0 => depth -= 1,
            Token::Symbol(b',' | b')') if depth == 0 => {
                if at > 0 {
                    arguments.push(start..*here);
                }
                start = *end;
                if token.is_symbol(b')') {
                    let call = LockCall {
                        function: *function,
                        place: name.start..start,
                        arguments,
                    };
                    return Some((call, at + 3));
                }
            }
            _ => {}
        }
    }
    None
}

/// How many parameters of a prepared statement stand in a text before this place.
pub fn parameters_before(text: &[u8], place: usize, dialect: Dialect) -> usize {
    let tokens = spanned(text, dialect);
    let before = tokens.iter().take_while(|spanned| spanned.start < place);
    before
        .filter(|spanned| spanned.token.is_symbol(b'?'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::{MARIADB, MYSQL};

    /// The calls with their arguments, each as it is written.
    fn shown(text: &str) -> Vec<(LockFunction, Vec<&str>)> {
        let calls = lock_calls(text.as_bytes(), MYSQL);
        assert_eq!(calls, lock_calls(text.as_bytes(), MARIADB), "{text}");
        let calls = calls.into_iter();
        let shown = calls.map(|call| {
            let arguments = call.arguments.into_iter();
            (call.function, arguments.map(|at| text[at].trim()).collect())
        });
        shown.collect()
    }

    #[test]
    fn calls_are_found_with_their_arguments() {
        use LockFunction::{Get, IsFree, IsUsed, Release, ReleaseAll};
        for (text, expected) in [
            (
                "SELECT GET_LOCK('a, (b', 10)",
                vec![(Get, vec!["'a, (b'", "10"])],
            ),
            (
                "select `get_lock` (concat('a', database()), -1), release_lock(@a)",
                vec![
                    (Get, vec!["concat('a', database())", "-1"]),
                    (Release, vec!["@a"]),
                ],
            ),
            (
                "DO RELEASE_ALL_LOCKS( /* all */ )",
                vec![(ReleaseAll, vec![])],
            ),
            ("DO RELEASE_ALL_LOCKS()", vec![(ReleaseAll, vec![])]),
            (
                "SET @a = IF(IS_FREE_LOCK(?), IS_USED_LOCK('b'), 1)",
                vec![(IsFree, vec!["?"]), (IsUsed, vec!["'b'"])],
            ),
            (
                "SELECT GET_LOCK('a', IS_FREE_LOCK('b'))",
                vec![(Get, vec!["'a'", "IS_FREE_LOCK('b')"])],
            ),
            ("SELECT GET_LOCK('a',)", vec![(Get, vec!["'a'", ""])]),
            ("SELECT d.get_lock('a', 1), get_lock FROM t", vec![]),
            ("SELECT 'GET_LOCK(1, 2)', \"GET_LOCK\"", vec![]),
            ("SELECT GET_LOCK('a', 1", vec![]),
            ("SELECT GET_LOCK(", vec![]),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_noticed_in_quotes_too() {
        for (text, expected) in [
            ("SELECT get_LOCK('a', 1)", true),
            ("PREPARE p FROM 'DO RELEASE_ALL_LOCKS()'", true),
            ("SELECT a_ FROM lock", false),
            ("", false),
        ] {
            assert_eq!(names_locks(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_counted_as_far_as_a_place() {
        let text = "SELECT ?, '?', GET_LOCK(?, ?)";
        let place = text.find("GET").unwrap();
        assert_eq!(parameters_before(text.as_bytes(), place, MYSQL), 1);
        assert_eq!(parameters_before(text.as_bytes(), text.len(), MYSQL), 3);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[-@.,;()'\"`\\\\ a]{0,8}(GET_LOCK|RELEASE_ALL_LOCKS)?[-@.,;=:()'\"`\\\\ a]{0,12}") {
            for call in lock_calls(text.as_bytes(), MYSQL) {
                proptest::prop_assert!(text.get(call.place).is_some());
            }
        }
    }
}
