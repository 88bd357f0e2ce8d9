//! Query attributes: values that a client sends before the text of a `COM_QUERY`, once both sides have agreed to
//! `CLIENT_QUERY_ATTRIBUTES`.
//!
//! | bytes | field |
//! |---|---|
//! | lenenc | number of attributes, n |
//! | lenenc | number of their sets, 1 |
//! | (n + 7) / 8 | which of them are NULL; this and what follows only if there are any |
//! | 1 | 1: types and names follow |
//! | n times 2 + lenenc and a name | type, of which the second byte has flags, and name |
//! | … | values as in the binary protocol |
//! | rest | the statement's text |
//!
//! Source: "COM_QUERY" and "Binary Protocol Value" in the MySQL source documentation.

use super::lenenc;

/// What stands before a text without attributes.
pub const NONE: [u8; 2] = [0, 1];

/// A client can bind no more parameters than this.
const MAX_COUNT: u64 = 0xffff;

/// Splits what follows the command's byte into the attributes and the text; `None` if the attributes do not end.
pub fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = after(rest)?;
    Some(rest.split_at(rest.len() - text.len()))
}

fn after(rest: &[u8]) -> Option<&[u8]> {
    let (count, rest) = lenenc::split(rest)?;
    let (_, mut rest) = lenenc::split(rest)?;
    if count == 0 {
        return Some(rest);
    }
    let count = usize::try_from(count).ok().filter(|_| count <= MAX_COUNT)?;
    let (nulls, bound) = rest.split_at_checked(count.div_ceil(8))?;
    rest = bound.strip_prefix(&[1])?;
    let mut types = Vec::new();
    for _ in 0..count {
        let (kind, named) = rest.split_at_checked(2)?;
        types.push(kind[0]);
        rest = after_string(named)?;
    }
    for (at, kind) in types.into_iter().enumerate() {
        if nulls[at / 8] >> (at % 8) & 1 == 0 {
            rest = after_value(kind, rest)?;
        }
    }
    Some(rest)
}

/// What follows a value of a type (`enum_field_types`).
fn after_value(kind: u8, rest: &[u8]) -> Option<&[u8]> {
    let fixed = match kind {
        // NULL
        0x06 => 0,
        // TINY
        0x01 => 1,
        // SHORT, YEAR
        0x02 | 0x0d => 2,
        // LONG, FLOAT, INT24
        0x03 | 0x04 | 0x09 => 4,
        // DOUBLE, LONGLONG
        0x05 | 0x08 => 8,
        // TIMESTAMP, DATE, TIME, DATETIME
        0x07 | 0x0a | 0x0b | 0x0c => 1 + usize::from(*rest.first()?),
        _ => return after_string(rest),
    };
    rest.get(fixed..)
}

fn after_string(rest: &[u8]) -> Option<&[u8]> {
    let (length, rest) = lenenc::split(rest)?;
    rest.get(usize::try_from(length).ok()?..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_found_after_its_attributes() {
        for (attributes, text) in [
            (&b"\0\x01"[..], &b"SELECT 1"[..]),
            (b"\0\x01", b""),
            (b"\x01\x01\0\x01\xfe\0\x02ab\x03xyz", b"SELECT 1"),
            // A NULL, an unsigned number, a date without time, a string without a name.
            (
                b"\x04\x01\x01\x01\x06\0\x01a\x08\x80\x01b\x0c\0\x01c\x0f\0\0\x01\0\0\0\0\0\0\0\x04\xe8\x07\x0b\x1d\x01s",
                b"DO 0",
            ),
        ] {
            let rest = [attributes, text].concat();
            assert_eq!(split(&rest), Some((attributes, text)), "{attributes:?}");
        }
    }

    #[test]
    fn attributes_that_do_not_end_have_no_text() {
        for rest in [
            &b""[..],
            b"\0",
            b"\x01\x01",
            b"\x01\x01\0",
            b"\x01\x01\0\0SELECT 1",
            b"\x01\x01\0\x01\xfe\0\x02ab\x09xyz",
            b"\x01\x01\0\x01\x0c\0\0\xff",
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(split(rest), None, "{rest:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(rest: Vec<u8>) {
            let _ = split(&rest);
        }
    }
}
