//! What a statement in the binlog needs beside its own event: events that come before it.
//!
//! | kind | bytes of the body | field |
//! |---|---|---|
//! | 5 | 1, 8 | 1 for `last_insert_id` or 2 for `insert_id`, value |
//! | 13 | 8, 8 | `rand_seed1`, `rand_seed2` |
//! | 14 | 4, string | length and name of a user variable |
//! | | 1 | 1 if it is NULL; nothing follows then |
//! | | 1, 4 | type, number of the collation |
//! | | 4, … | length and bytes of the value |
//! | | 1 | flags, of which the lowest says that it is unsigned; may be missing |
//!
//! Types are 0 for strings, 1 for 8 bytes of a double, 2 for 8 bytes of an integer, 4 for decimals: precision, scale, and the value
//! as in rows.
//!
//! Source: "Intvar_event", "Rand_event" and "User_var_event" in the MySQL source documentation.

use super::event::{Event, Kind};
use crate::sql::hex;

/// The statements that give a session what such an event says; `None` when it is malformed.
pub fn preparation(event: &Event) -> Option<Vec<String>> {
    let body = event.body();
    match event.kind() {
        Kind::INTVAR => {
            let (kind, value) = body.split_first()?;
            let name = match kind {
                1 => "last_insert_id",
                2 => "insert_id",
                _ => return None,
            };
            Some(vec![format!("SET {name} = {}", u64_at(value, 0)?)])
        }
        Kind::RAND => {
            let seeds = (u64_at(body, 0)?, u64_at(body, 8)?);
            Some(vec![format!(
                "SET rand_seed1 = {}, rand_seed2 = {}",
                seeds.0, seeds.1
            )])
        }
        Kind::USER_VARIABLE => user_variable(body),
        _ => None,
    }
}

fn user_variable(body: &[u8]) -> Option<Vec<String>> {
    let (length, rest) = body.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let name = str::from_utf8(name).ok()?.replace('`', "``");
    let set = |value: String| format!("SET @`{name}` = {value}");
    let (&is_null, rest) = rest.split_first()?;
    if is_null != 0 {
        return Some(vec![set("NULL".to_owned())]);
    }
    let (&kind, rest) = rest.split_first()?;
    let (collation, rest) = rest.split_first_chunk()?;
    let collation = u32::from_le_bytes(*collation);
    let (length, rest) = rest.split_first_chunk()?;
    let (value, flags) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let is_unsigned = flags.first().is_some_and(|flags| flags & 1 != 0);
    let value = match kind {
        0 => {
            // Bytes become what is of this collation.
            let collation = format!("SET collation_connection = {collation}");
            let value = set(format!("CAST(X'{}' AS CHAR)", hex(value)));
            return Some(vec![collation, value]);
        }
        1 => format!("{:e}", f64::from_bits(u64_at(value, 0)?)),
        2 if is_unsigned => u64_at(value, 0)?.to_string(),
        2 => u64_at(value, 0)?.cast_signed().to_string(),
        4 => decimal(value)?,
        _ => return None,
    };
    Some(vec![set(value)])
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// A decimal number: groups of nine digits in four bytes each, big end first, with what is left of nine in fewer bytes at both ends.
/// The highest bit is set in numbers that are not negative; negative ones have all bits inverted.
///
/// Source: `decimal2bin` in the MySQL source documentation.
fn decimal(value: &[u8]) -> Option<String> {
    const DIGITS: usize = 9;
    const BYTES: [usize; DIGITS + 1] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
    let (&[precision, scale], packed) = value.split_first_chunk()?;
    let (whole, fraction) = (
        usize::from(precision.checked_sub(scale)?),
        usize::from(scale),
    );
    let is_negative = packed.first()? & 0x80 == 0;
    let mut packed: Vec<u8> = packed
        .iter()
        .map(|byte| byte ^ if is_negative { 0xff } else { 0 })
        .collect();
    *packed.first_mut()? ^= 0x80;
    let mut rest = &packed[..];
    let mut group = |digits: usize| {
        let (bytes, after) = rest.split_at_checked(BYTES[digits])?;
        rest = after;
        let number = bytes
            .iter()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        Some(if digits == 0 {
            String::new()
        } else {
            format!("{number:0digits$}")
        })
    };
    let mut text = if is_negative { "-0" } else { "0" }.to_owned();
    text += &group(whole % DIGITS)?;
    for _ in 0..whole / DIGITS {
        text += &group(DIGITS)?;
    }
    text.push('.');
    for _ in 0..fraction / DIGITS {
        text += &group(DIGITS)?;
    }
    text += &group(fraction % DIGITS)?;
    if fraction == 0 {
        text.push('0');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{super::written_event, *};

    fn said(kind: u8, body: &[u8]) -> Option<String> {
        let statements = preparation(&written_event(Kind(kind), 0, body));
        statements.map(|statements| statements.join("; "))
    }

    #[test]
    fn events_become_assignments() {
        let variable = |value: &[u8]| [b"\x02\0\0\0a`\0", value].concat();
        for (kind, body, expected) in [
            (5, b"\x02\x07\0\0\0\0\0\0\0".to_vec(), "SET insert_id = 7"),
            (
                5,
                b"\x01\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
                "SET last_insert_id = 18446744073709551615",
            ),
            (
                13,
                [7u64.to_le_bytes(), 9u64.to_le_bytes()].concat(),
                "SET rand_seed1 = 7, rand_seed2 = 9",
            ),
            (14, b"\x01\0\0\0a\x01".to_vec(), "SET @`a` = NULL"),
            (
                14,
                variable(b"\0\x21\0\0\0\x02\0\0\0\xc3\xa9"),
                "SET collation_connection = 33; SET @`a``` = CAST(X'C3A9' AS CHAR)",
            ),
            (
                14,
                variable(&[&b"\x01\x08\0\0\0\x08\0\0\0"[..], &1.25f64.to_le_bytes()].concat()),
                "SET @`a``` = 1.25e0",
            ),
            (
                14,
                variable(
                    &[
                        &b"\x02\x08\0\0\0\x08\0\0\0"[..],
                        &(-5i64).to_le_bytes(),
                        b"\0",
                    ]
                    .concat(),
                ),
                "SET @`a``` = -5",
            ),
            (
                14,
                variable(
                    &[
                        &b"\x02\x08\0\0\0\x08\0\0\0"[..],
                        &u64::MAX.to_le_bytes(),
                        b"\x01",
                    ]
                    .concat(),
                ),
                "SET @`a``` = 18446744073709551615",
            ),
            // The examples of the source: 1234567890.1234 as DECIMAL(14,4), and its negative.
            (
                14,
                variable(b"\x04\x08\0\0\0\x09\0\0\0\x0e\x04\x81\x0d\xfb\x38\xd2\x04\xd2"),
                "SET @`a``` = 01234567890.1234",
            ),
            (
                14,
                variable(b"\x04\x08\0\0\0\x09\0\0\0\x0e\x04\x7e\xf2\x04\xc7\x2d\xfb\x2d"),
                "SET @`a``` = -01234567890.1234",
            ),
            (
                14,
                variable(b"\x04\x08\0\0\0\x03\0\0\0\x01\0\x85"),
                "SET @`a``` = 05.0",
            ),
        ] {
            assert_eq!(said(kind, &body).as_deref(), Some(expected));
            for end in 0..body.len() - 1 {
                // Without its last byte a value may still be whole: those are flags.
                assert_eq!(said(kind, &body[..end]), None, "{expected} cut at {end}");
            }
        }
        assert_eq!(said(17, b""), None);
    }
}
