//! What a transaction of one statement leaves behind for the next statement to ask for, which the server forgets over
//! the node's own statements.

use super::{
    answer::Answer,
    rows::HIDDEN,
    session::{Session, SessionError},
};
use crate::{
    backend::{Row, literal},
    protocol::{
        errno, lenenc,
        packet::{END, OK},
    },
    sql::{
        Diagnostics, Dialect,
        galera::{Value, Values},
    },
};

const NO_CONDITION: &str = "the statement that is asked about was a transaction by itself, and of it the node does not \
    know this; run it in a transaction, and ask there";

/// What `ROW_COUNT()` says after an error or a result set.
const NO_ROW_COUNT: i64 = -1;

/// Shows no condition, as there is none.
const NOTHING: &[u8] = b"SHOW WARNINGS LIMIT 0";

/// What a statement has left behind.
#[derive(Debug)]
pub(super) struct Aftermath {
    row_count: i64,
    /// The server's answer to `SHOW WARNINGS`; nothing if there are no conditions.
    shown: Vec<Vec<u8>>,
    /// The first packet of that which is a row.
    first: usize,
    conditions: Vec<Condition>,
    /// There may be more than are shown.
    warnings: u64,
    /// The SQLSTATE of the error that it has ended with.
    state: Option<String>,
}

/// An error, a warning or a note.
#[derive(Debug)]
struct Condition {
    is_error: bool,
    number: u64,
    /// Nothing if it is no UTF-8.
    message: Option<String>,
}

/// How a statement that asks for it is answered.
pub(super) enum Told {
    /// With these packets.
    Packets(Vec<Vec<u8>>),
    /// By the server, which is sent this text.
    Text(Vec<u8>),
    Refused(Answer),
}

impl Aftermath {
    /// Asks the server, as long as it knows, what the statement has left behind that was answered so.
    pub(super) async fn of(session: &mut Session, answer: &Answer) -> Result<Self, SessionError> {
        let warnings = answer.warnings();
        let mut shown = Vec::new();
        if warnings > 0 {
            shown = session.record(b"SHOW WARNINGS", HIDDEN).await?;
        }
        if let [_error] = &shown[..] {
            // It was to end the statement before.
            shown.clear();
        }
        // After the number of columns, three definitions, and an EOF packet if the session has any.
        let is_eof = |packet: &Vec<u8>| matches!(packet[..], [END, _, _, _, _]);
        let first = if shown.get(4).is_some_and(is_eof) {
            5
        } else {
            4
        };
        let last = shown.len().saturating_sub(1);
        let rows = shown.get(first..last).unwrap_or_default();
        let conditions: Vec<_> = rows.iter().map(|packet| Condition::read(packet)).collect();
        // The packet of an error does not say how many there are.
        let warnings = u64::from(warnings).max(conditions.len() as u64);
        Ok(Self {
            row_count: row_count(answer),
            conditions,
            first,
            shown,
            warnings,
            state: answer.state(),
        })
    }

    /// Whether a text may ask for it in an expression.
    pub(super) fn may_be_read(text: &[u8]) -> bool {
        const END: &[u8] = b"_count";
        let mut parts = text.windows(END.len());
        parts.any(|part| part.eq_ignore_ascii_case(END))
    }

    /// Puts what it is into a text that asks for it in expressions.
    pub(super) fn put_into(&self, text: &[u8], dialect: Dialect) -> Vec<u8> {
        let values = Values {
            session: vec![
                ("warning_count", Value::Unsigned(self.warnings)),
                ("error_count", Value::Unsigned(self.errors())),
            ],
            functions: vec![("ROW_COUNT", Value::Signed(self.row_count))],
            ..Values::default()
        };
        values.put_into(text, dialect)
    }

    /// How a statement is answered that asks for it, which leaves the conditions as they are.
    pub(super) fn tell(&mut self, asked: &Diagnostics, dialect: Dialect) -> Told {
        let told = match asked {
            Diagnostics::Get { condition, items } => match self.get(*condition, items, dialect) {
                Some(told) => return told,
                None => no_condition(items),
            },
            // What the server shows now may be of a statement of the node's.
            Diagnostics::Show { .. } if self.shown.is_empty() => Told::Text(NOTHING.to_vec()),
            &Diagnostics::Show {
                errors_only,
                skipped,
                most,
            } => {
                let (before, rest) = self.shown.split_at(self.first);
                let (rows, end) = rest.split_at(self.conditions.len());
                let rows = rows.iter().zip(&self.conditions);
                let asked = rows.filter(|(_, condition)| condition.is_error || !errors_only);
                let asked = asked.map(|(row, _)| row).skip(skipped).take(most);
                Told::Packets(before.iter().chain(asked).chain(end).cloned().collect())
            }
            Diagnostics::Count { errors_only } => {
                let name = if *errors_only { "error" } else { "warning" };
                let count = format!("SELECT @@session.{name}_count");
                Told::Text(self.put_into(count.as_bytes(), dialect))
            }
        };
        self.row_count = NO_ROW_COUNT;
        told
    }

    fn errors(&self) -> u64 {
        let errors = self
            .conditions
            .iter()
            .filter(|condition| condition.is_error);
        errors.count() as u64
    }

    /// `GET DIAGNOSTICS`, as assignments; none if there is no such condition.
    fn get(
        &self,
        number: Option<usize>,
        items: &[(Vec<u8>, Vec<u8>)],
        dialect: Dialect,
    ) -> Option<Told> {
        let condition = match number {
            None => None,
            Some(number) => match number.checked_sub(1).and_then(|at| self.conditions.get(at)) {
                Some(condition) => Some(condition),
                None => return None,
            },
        };
        let mut assignments = Vec::new();
        for (variable, item) in items {
            let Some(value) = self.item(item, condition) else {
                let refusal = Answer::refusal(errno::NOT_SUPPORTED_YET, NO_CONDITION);
                return Some(Told::Refused(refusal));
            };
            let value = match value {
                Value::Text(text) => system_text(&text),
                _ => value.literal(dialect),
            };
            assignments.push([variable, &b" = "[..], value.as_bytes()].concat());
        }
        let set = [b"SET ", &assignments.join(&b", "[..])[..]].concat();
        Some(Told::Text(set))
    }

    /// What is asked for of a condition or, without one, of the statement; nothing if that is not known.
    fn item(&self, item: &[u8], condition: Option<&Condition>) -> Option<Value> {
        Some(match (item, condition) {
            (b"NUMBER", None) => Value::Unsigned(self.conditions.len() as u64),
            (b"ROW_COUNT", None) => Value::Signed(self.row_count),
            (b"MYSQL_ERRNO", Some(condition)) => Value::Unsigned(condition.number),
            (b"MESSAGE_TEXT", Some(condition)) => Value::Text(condition.message.clone()?),
            (b"RETURNED_SQLSTATE", Some(condition)) if condition.is_error && self.errors() == 1 => {
                Value::Text(self.state.clone()?)
            }
            _ => return None,
        })
    }
}

impl Condition {
    /// Reads a row of `SHOW WARNINGS`: level, number, message.
    fn read(packet: &[u8]) -> Self {
        let row = Row::decode(&packet.to_vec().into(), 3);
        let text = |column| row.as_ref().and_then(|row| row.text(column));
        Self {
            is_error: text(0) == Some("Error"),
            number: text(1)
                .and_then(|number| number.parse().ok())
                .unwrap_or_default(),
            message: text(2).map(str::to_owned),
        }
    }
}

/// Has the server say that there is no such condition. It may have others, of the node's own statements.
fn no_condition(items: &[(Vec<u8>, Vec<u8>)]) -> Told {
    let items = items
        .iter()
        .map(|(variable, item)| [&variable[..], b" = ", item].concat());
    let items = items.collect::<Vec<_>>().join(&b", "[..]);
    Told::Text([b"GET DIAGNOSTICS CONDITION 0 ", &items[..]].concat())
}

/// An expression of this value and the server's own character set.
fn system_text(text: &str) -> String {
    format!("CONCAT(LEFT(VERSION(), 0), {})", literal(text))
}

/// What `ROW_COUNT()` says of a statement that was answered so.
fn row_count(answer: &Answer) -> i64 {
    match &answer.packet.payload[..] {
        [OK, rest @ ..] => lenenc::split(rest).map_or(0, |(rows, _)| rows as i64),
        _ => NO_ROW_COUNT,
    }
}
