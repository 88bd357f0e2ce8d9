//! Calls of functions whose values the node knows and its server does not.
//!
//! Sources: "Locking Functions" in the MySQL manual; "GET_LOCK" and "Galera Functions" in MariaDB's documentation.

use std::ops::Range;

use super::{
    lexer::{Dialect, Lexer, Token},
    spanned::{Spanned, spanned},
};

/// A function that the node has a part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    GetLock,
    ReleaseLock,
    ReleaseAllLocks,
    IsFreeLock,
    IsUsedLock,
    LastSeenGtid,
    LastWrittenGtid,
    SyncWaitUptoGtid,
}

const FUNCTIONS: [(&str, Function); 8] = [
    ("GET_LOCK", Function::GetLock),
    ("RELEASE_LOCK", Function::ReleaseLock),
    ("RELEASE_ALL_LOCKS", Function::ReleaseAllLocks),
    ("IS_FREE_LOCK", Function::IsFreeLock),
    ("IS_USED_LOCK", Function::IsUsedLock),
    ("WSREP_LAST_SEEN_GTID", Function::LastSeenGtid),
    ("WSREP_LAST_WRITTEN_GTID", Function::LastWrittenGtid),
    ("WSREP_SYNC_WAIT_UPTO_GTID", Function::SyncWaitUptoGtid),
];

/// A call of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub function: Function,
    /// Where it stands in the text, with its arguments.
    pub place: Range<usize>,
    /// Where its arguments stand.
    pub arguments: Vec<Range<usize>>,
}

/// Whether a text has the name of one of the functions in it, in quotes or not.
pub fn names_calls(text: &[u8]) -> bool {
    let mut ends = text.split(|&byte| byte == b'_').skip(1);
    ends.any(|end| {
        let end = end.get(..4).unwrap_or_default();
        end.eq_ignore_ascii_case(b"lock") || end.eq_ignore_ascii_case(b"gtid")
    })
}

/// The calls in a statement, in the order of the text, without those that are arguments of others.
pub fn calls(text: &[u8], dialect: Dialect) -> Vec<Call> {
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
fn call(tokens: &[Spanned]) -> Option<(Call, usize)> {
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
    for (
        at,
        Spanned {
            token,
            start: here,
            end,
        },
    ) in rest.iter().enumerate()
    {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') if depth > 0 => depth -= 1,
            Token::Symbol(b',' | b')') if depth == 0 => {
                if at > 0 {
                    arguments.push(start..*here);
                }
                start = *end;
                if token.is_symbol(b')') {
                    let call = Call {
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

/// How many parameters a prepared statement has.
pub fn parameters_in(text: &[u8], dialect: Dialect) -> usize {
    let tokens = spanned(text, dialect);
    let parameters = tokens.iter().filter(|spanned| spanned.is_parameter());
    parameters.count()
}

/// A part of a statement with these expressions in place of its parameters; none if one of them is none.
pub fn with_parameters(
    text: &[u8],
    part: Range<usize>,
    parameters: &[Option<String>],
    dialect: Dialect,
) -> Option<Vec<u8>> {
    let mut put = Vec::new();
    let mut written = part.start;
    let tokens = spanned(text, dialect);
    let places = tokens.iter().filter(|spanned| spanned.is_parameter());
    for (place, parameter) in places.zip(parameters) {
        if part.contains(&place.start) {
            put.extend_from_slice(&text[written..place.start]);
            put.extend_from_slice(parameter.as_ref()?.as_bytes());
            written = place.end;
        }
    }
    put.extend_from_slice(&text[written..part.end]);
    Some(put)
}

/// Whether a statement prepares another one that is in a text.
pub fn prepares(text: &[u8], dialect: Dialect) -> bool {
    let first = Lexer::new(text, dialect).next();
    first.is_some_and(|first| first.is("PREPARE") || first.is("EXECUTE"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lexer::tests::{MARIADB, MYSQL};

    /// The calls with their arguments, each as it is written.
    fn shown(text: &str) -> Vec<(Function, Vec<&str>)> {
        let found = calls(text.as_bytes(), MYSQL);
        assert_eq!(found, calls(text.as_bytes(), MARIADB), "{text}");
        let shown = found.into_iter().map(|call| {
            let arguments = call.arguments.into_iter();
            (call.function, arguments.map(|at| text[at].trim()).collect())
        });
        shown.collect()
    }

    #[test]
    fn calls_are_found_with_their_arguments() {
        use Function::{
            GetLock as Get, IsFreeLock as IsFree, IsUsedLock as IsUsed, LastSeenGtid,
            ReleaseAllLocks as ReleaseAll, ReleaseLock as Release, SyncWaitUptoGtid,
        };
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
            (
                "SELECT WSREP_SYNC_WAIT_UPTO_GTID(wsrep_last_seen_gtid(), 1), WSREP_LAST_SEEN_GTID()",
                vec![
                    (SyncWaitUptoGtid, vec!["wsrep_last_seen_gtid()", "1"]),
                    (LastSeenGtid, vec![]),
                ],
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
            ("SELECT Wsrep_Last_Seen_Gtid()", true),
            ("SELECT a_ FROM lock", false),
            ("", false),
        ] {
            assert_eq!(names_calls(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_replaced_in_a_part() {
        let text = "SELECT ?, '?', GET_LOCK(CONCAT(?, '?'), ?)";
        let part = text.find("CONCAT").unwrap()..text.rfind(',').unwrap();
        let known = |value: &str| Some(value.to_owned());
        for (parameters, expected) in [
            (vec![None, known("'a'"), None], Some("CONCAT('a', '?')")),
            (vec![known("1"), None, known("2")], None),
            (vec![], Some("CONCAT(?, '?')")),
        ] {
            let put = with_parameters(text.as_bytes(), part.clone(), &parameters, MYSQL);
            let put = put.map(|put| String::from_utf8(put).unwrap());
            assert_eq!(put.as_deref(), expected, "{parameters:?}");
        }
        assert_eq!(parameters_in(text.as_bytes(), MYSQL), 3);
    }

    #[test]
    fn statements_that_prepare_others() {
        for (text, expected) in [
            ("/* a */ prepare p FROM 'SELECT 1'", true),
            ("EXECUTE IMMEDIATE 'SELECT 1'", true),
            ("SELECT 'PREPARE'", false),
            ("", false),
        ] {
            assert_eq!(prepares(text.as_bytes(), MARIADB), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[-@.,;()'\"`\\\\ a]{0,8}(GET_LOCK|RELEASE_ALL_LOCKS)?[-@.,;=:()'\"`\\\\ a]{0,12}") {
            for call in calls(text.as_bytes(), MYSQL) {
                proptest::prop_assert!(text.get(call.place).is_some());
            }
        }
    }
}
