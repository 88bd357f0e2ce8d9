//! Length-encoded integers.
//!
//! | first byte | value |
//! |---|---|
//! | 0x00 – 0xfa | itself |
//! | 0xfc, 0xfd, 0xfe | in the next 2, 3, 8 bytes, little endian |
//! | 0xfb, 0xff | not an integer |
//!
//! Source: "Protocol::LengthEncodedInteger" in the MySQL source documentation.

/// Splits an integer off the start of `bytes`; `None` when there is no whole one.
pub fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let len = match first {
        0..=0xfa => return Some((first.into(), rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
    };
    let (digits, rest) = rest.split_at_checked(len)?;
    let mut value = [0; 8];
    value[..len].copy_from_slice(digits);
    Some((u64::from_le_bytes(value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width() {
        for (bytes, expected) in [
            (&b"\x00x"[..], Some((0, &b"x"[..]))),
            (b"\xfa", Some((250, b""))),
            (b"\xfc\x01\x02x", Some((0x201, b"x"))),
            (b"\xfd\x01\x02\x03", Some((0x0003_0201, b""))),
            (
                b"\xfe\x01\0\0\0\0\0\0\x80x",
                Some((0x8000_0000_0000_0001, b"x")),
            ),
            (b"\xfc\x01", None),
            (b"\xfe\x01\0\0\0\0\0\0", None),
            (b"\xfb", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(split(bytes), expected);
        }
    }
}
