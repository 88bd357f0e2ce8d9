//! `COM_STMT_EXECUTE`: a prepared statement's parameters.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | the command |
//! | 4 | the statement |
//! | 1 | flags: a cursor |
//! | 4 | 1 |
//! | lenenc | how many parameters, n, with the attributes after them; this only with `CLIENT_QUERY_ATTRIBUTES`, and if a flag says so or the statement has parameters |
//! | (n + 7) / 8 | which of them are NULL; this and what follows only if there are any |
//! | 1 | 1: types follow; 0: they are those of the last execution |
//! | n times 2 | type, of which the second byte has flags; with `CLIENT_QUERY_ATTRIBUTES` a name after each |
//! | … | values, of those that are not NULL |
//!
//! Source: "COM_STMT_EXECUTE" and "Binary Protocol Value" in the MySQL source documentation.

use super::lenenc;
use crate::sql::hex;

/// The command, the statement, flags and a number.
const HEAD: usize = 10;
/// Where the flags are in it.
const FLAGS: usize = 5;

const UNSIGNED: u8 = 0x80;

/// The flag that says that the number of parameters is there; the others are for cursors.
const IS_COUNTED: u8 = 0x08;

/// A statement can have no more parameters than this.
const MAX_COUNT: usize = 0xffff;

/// The parameters of an execution.
#[derive(Debug, PartialEq, Eq)]
pub struct Execution<'a> {
    /// Each as an expression; none if its type is not known.
    pub parameters: Vec<Option<String>>,
    /// What says their types, for the executions that do not say it again.
    pub types: Vec<u8>,
    count: &'a [u8],
    nulls: &'a [u8],
    values: &'a [u8],
}

impl<'a> Execution<'a> {
    /// Reads the command for a statement of so many parameters, whose last execution has said these types.
    pub fn decode(
        packet: &'a [u8],
        parameters: usize,
        has_attributes: bool,
        last_types: &[u8],
    ) -> Option<Self> {
        let mut rest = packet.get(HEAD..)?;
        let start = rest;
        let mut count = parameters;
        if has_attributes && (parameters > 0 || packet[FLAGS] & IS_COUNTED != 0) {
            let (given, after) = lenenc::split(rest)?;
            count = usize::try_from(given).ok()?;
            rest = after;
        }
        let counted = &start[..start.len() - rest.len()];
        if !(parameters..=MAX_COUNT).contains(&count) {
            return None;
        }
        let (nulls, bound) = rest.split_at_checked(count.div_ceil(8))?;
        let (types, rest) = match bound {
            [1, rest @ ..] if count > 0 => {
                let after = after_types(rest, count, has_attributes)?;
                rest.split_at(rest.len() - after.len())
            }
            [_, rest @ ..] if count > 0 => (last_types, rest),
            [] if count == 0 => (bound, bound),
            _ => return None,
        };
        let mut execution = Self {
            parameters: Vec::new(),
            types: types.to_vec(),
            count: counted,
            nulls,
            values: rest,
        };
        execution.read(parameters, has_attributes)?;
        Some(execution)
    }

    fn read(&mut self, parameters: usize, has_attributes: bool) -> Option<()> {
        let mut types = &self.types[..];
        let mut values = self.values;
        let mut is_known = true;
        for at in 0..parameters {
            let (&[kind, flags], after) = types.split_first_chunk()?;
            types = if has_attributes {
                string(after)?.1
            } else {
                after
            };
            let is_null = self.nulls[at / 8] >> (at % 8) & 1 == 1;
            let value = if is_null {
                Some("NULL".to_owned())
            } else if is_known {
                let value = value(kind, flags, values);
                is_known = value.is_some();
                value.map(|(value, after)| {
                    values = after;
                    value
                })
            } else {
                None
            };
            self.parameters.push(value);
        }
        Some(())
    }

    /// The command that executes another statement with the same parameters, without a cursor.
    pub fn of_statement(&self, packet: &[u8], id: u32) -> Vec<u8> {
        let mut other = packet[..HEAD].to_vec();
        other[1..5].copy_from_slice(&id.to_le_bytes());
        other[FLAGS] &= IS_COUNTED;
        other.extend_from_slice(self.count);
        if !self.nulls.is_empty() {
            other.extend([self.nulls, &[1], &self.types, self.values].concat());
        }
        other
    }
}

fn after_types(mut rest: &[u8], count: usize, has_names: bool) -> Option<&[u8]> {
    for _ in 0..count {
        rest = rest.get(2..)?;
        if has_names {
            rest = string(rest)?.1;
        }
    }
    Some(rest)
}

/// A value of a type (`enum_field_types`) as an expression, and what follows it; none for dates and their like.
fn value(kind: u8, flags: u8, rest: &[u8]) -> Option<(String, &[u8])> {
    let is_signed = flags & UNSIGNED == 0;
    let width = match kind {
        // TINY
        0x01 => 1,
        // SHORT, YEAR
        0x02 | 0x0d => 2,
        // LONG, INT24
        0x03 | 0x09 => 4,
        // LONGLONG
        0x08 => 8,
        // FLOAT
        0x04 => {
            let (bytes, after) = rest.split_first_chunk()?;
            return Some((format!("{:e}", f32::from_le_bytes(*bytes)), after));
        }
        // DOUBLE
        0x05 => {
            let (bytes, after) = rest.split_first_chunk()?;
            return Some((format!("{:e}", f64::from_le_bytes(*bytes)), after));
        }
        // NULL, TIMESTAMP, DATE, TIME, DATETIME
        0x06 | 0x07 | 0x0a..=0x0c => return None,
        _ => {
            let (bytes, after) = string(rest)?;
            // Alone, digits of this kind are a number where one is wanted.
            return Some((format!("CONCAT(X'{}')", hex(bytes)), after));
        }
    };
    let (bytes, after) = rest.split_at_checked(width)?;
    let is_negative = is_signed && bytes[width - 1] & 0x80 != 0;
    let mut wide = [if is_negative { 0xff } else { 0 }; 8];
    wide[..width].copy_from_slice(bytes);
    let number = if is_signed {
        i64::from_le_bytes(wide).to_string()
    } else {
        u64::from_le_bytes(wide).to_string()
    };
    Some((number, after))
}

fn string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = lenenc::split(rest)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] = b"\x17\x07\0\0\0\x01\x01\0\0\0";

    fn packet(rest: &[u8]) -> Vec<u8> {
        [START, rest].concat()
    }

    fn decode(rest: &[u8], count: usize, has_attributes: bool) -> Option<Vec<Option<String>>> {
        let packet = packet(rest);
        let execution = Execution::decode(&packet, count, has_attributes, b"\xfd\0\x08\0");
        Some(execution?.parameters)
    }

    #[test]
    fn parameters_are_expressions() {
        let known = |values: &[&str]| {
            let values = values.iter().map(|value| Some((*value).to_owned()));
            Some(values.collect::<Vec<_>>())
        };
        for (rest, count, has_attributes, expected) in [
            (
                &b"\0\x01\xfd\0\x08\0\x02ab\xff\xff\xff\xff\xff\xff\xff\xff"[..],
                2,
                false,
                known(&["CONCAT(X'6162')", "-1"]),
            ),
            // The types of the last execution.
            (
                b"\0\0\x01a\x05\0\0\0\0\0\0\0",
                2,
                false,
                known(&["CONCAT(X'61')", "5"]),
            ),
            (
                b"\x01\x01\x06\0\x01\x80\xff",
                2,
                false,
                known(&["NULL", "255"]),
            ),
            (
                b"\0\x01\x05\0\0\0\0\0\0\0\xf8\x3f",
                1,
                false,
                known(&["1.5e0"]),
            ),
            // An attribute stands after the parameter.
            (
                b"\x02\0\x01\x02\0\0\xfd\0\x01n\x03\0\x01v",
                1,
                true,
                known(&["3"]),
            ),
            // A date, behind which nothing is known.
            (
                b"\0\x01\x0a\0\x01\0\x04\0\0\0\0\x01",
                2,
                false,
                Some(vec![None, None]),
            ),
            (b"\0\x01\xfd\0\x09a", 1, false, Some(vec![None])),
            (b"\0\x01\xfd", 1, false, None),
            (b"\x01\0\0", 2, true, None),
            (b"", 1, false, None),
            (b"", 0, false, known(&[])),
            (b"", 0, true, known(&[])),
        ] {
            assert_eq!(decode(rest, count, has_attributes), expected, "{rest:?}");
        }
    }

    #[test]
    fn another_statement_gets_the_parameters_with_their_types() {
        let packet = packet(b"\0\0\x01a\x05\0\0\0\0\0\0\0");
        let execution = Execution::decode(&packet, 2, false, b"\xfd\0\x08\0").unwrap();
        let other = execution.of_statement(&packet, 9);
        let expected = b"\x17\x09\0\0\0\0\x01\0\0\0\0\x01\xfd\0\x08\0\x01a\x05\0\0\0\0\0\0\0";
        assert_eq!(other, expected);
        let execution = Execution::decode(START, 0, true, b"").unwrap();
        assert_eq!(
            execution.of_statement(START, 9),
            b"\x17\x09\0\0\0\0\x01\0\0\0"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(rest: Vec<u8>, count in 0_usize..20, has_attributes: bool, types: Vec<u8>) {
            let packet = packet(&rest);
            if let Some(execution) = Execution::decode(&packet, count, has_attributes, &types) {
                execution.of_statement(&packet, 1);
            }
        }
    }
}
