//! How the values of a column are written in row events.

/// How long the values of a column are, and what is to know to compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// A little-endian integer of so many bytes.
    Integer(usize),
    /// So many bytes.
    Fixed(usize),
    /// A floating point number of so many bytes.
    Float(usize),
    /// A length of so many bytes, and then as many bytes as it says.
    Counted(usize),
}

impl Column {
    /// Reads what a table map says of a column with this type, from the metadata of all that
    /// follow; gives what is left of them. `None` for an unknown type.
    ///
    /// Source: "Table_map_event" in the MySQL source documentation, with the types that MariaDB (140,
    /// 141: compressed columns) and MySQL (242: VECTOR) have of their own.
    pub(super) fn decode(kind: u8, metadata: &[u8]) -> Option<(Self, &[u8])> {
        let none = |column| Some((column, metadata));
        let one = |column: fn(usize) -> Self| {
            let (byte, rest) = metadata.split_first()?;
            Some((column((*byte).into()), rest))
        };
        let two = |column: fn(usize, usize) -> Option<Self>| {
            let (bytes, rest) = metadata.split_first_chunk::<2>()?;
            Some((column(bytes[0].into(), bytes[1].into())?, rest))
        };
        match kind {
            6 => none(Self::Fixed(0)),            // NULL
            1 => none(Self::Integer(1)),          // TINY
            2 => none(Self::Integer(2)),          // SHORT
            9 => none(Self::Integer(3)),          // INT24
            3 => none(Self::Integer(4)),          // LONG
            8 => none(Self::Integer(8)),          // LONGLONG
            13 => none(Self::Fixed(1)),           // YEAR
            10 | 11 | 14 => none(Self::Fixed(3)), // DATE, TIME and DATE of old
            7 => none(Self::Fixed(4)),            // TIMESTAMP
            12 => none(Self::Fixed(8)),           // DATETIME
            4 | 5 => one(Self::Float),
            17 => one(|fsp| Self::Fixed(4 + fsp.div_ceil(2))), // TIMESTAMP2
            18 => one(|fsp| Self::Fixed(5 + fsp.div_ceil(2))), // DATETIME2
            19 => one(|fsp| Self::Fixed(3 + fsp.div_ceil(2))), // TIME2
            // VECTOR, JSON, the BLOBs and TEXTs, GEOMETRY, MariaDB's compressed BLOB
            242 | 245 | 249..=252 | 255 | 140 => one(Self::Counted),
            // VARCHAR, VAR_STRING, MariaDB's compressed VARCHAR
            15 | 253 | 141 => two(|low, high| Some(counted(low + (high << 8)))),
            16 => two(|bits, bytes| Some(Self::Fixed(bytes + usize::from(bits > 0)))), // BIT
            246 => two(decimal),
            254 => two(string),
            _ => None,
        }
    }

    /// Splits one value from what starts with it: without its length, if it has one of its own.
    pub(super) fn split(self, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        match self {
            Self::Integer(length) | Self::Fixed(length) | Self::Float(length) => {
                bytes.split_at_checked(length)
            }
            Self::Counted(width) => {
                let (length, rest) = bytes.split_at_checked(width)?;
                let mut whole = [0; 8];
                whole.get_mut(..width)?.copy_from_slice(length);
                rest.split_at_checked(usize::try_from(u64::from_le_bytes(whole)).ok()?)
            }
        }
    }
}

/// A string whose length is counted in as few bytes as its longest value needs.
fn counted(longest: usize) -> Column {
    Column::Counted(if longest > 255 { 2 } else { 1 })
}

/// CHAR, BINARY, ENUM and SET share a type. The first byte is the real one, with two bits of the
/// longest length in it, inverted, so that old readers see them set.
fn string(kind: usize, length: usize) -> Option<Column> {
    const ENUM: usize = 247;
    const SET: usize = 248;
    const HIGH_BITS: usize = 0x30;
    Some(match kind | HIGH_BITS {
        ENUM | SET => Column::Fixed(length),
        _ => counted(length + (((kind & HIGH_BITS) ^ HIGH_BITS) << 4)),
    })
}

/// Digits go nine to four bytes, and what is left over to as many as it needs; those after the point
/// are packed by themselves.
fn decimal(precision: usize, scale: usize) -> Option<Column> {
    const LEFT_OVER: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    let bytes = |digits: usize| digits / 9 * 4 + LEFT_OVER[digits % 9];
    Some(Column::Fixed(
        bytes(precision.checked_sub(scale)?) + bytes(scale),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Column::*, *};

    #[test]
    fn columns_have_their_widths() {
        for (name, kind, metadata, expected) in [
            ("INT", 3, &b""[..], Integer(4)),
            ("MEDIUMINT", 9, b"", Integer(3)),
            ("FLOAT", 4, b"\x04", Float(4)),
            ("TIMESTAMP(0)", 17, b"\0", Fixed(4)),
            ("TIMESTAMP(6)", 17, b"\x06", Fixed(7)),
            ("DATETIME(3)", 18, b"\x03", Fixed(7)),
            ("TIME(1)", 19, b"\x01", Fixed(4)),
            ("BIT(9)", 16, b"\x01\x01", Fixed(2)),
            ("BIT(16)", 16, b"\x00\x02", Fixed(2)),
            ("VARCHAR of 255 bytes", 15, b"\xff\0", Counted(1)),
            ("VARCHAR of 256 bytes", 15, b"\0\x01", Counted(2)),
            ("LONGBLOB", 252, b"\x04", Counted(4)),
            ("VECTOR", 242, b"\x04", Counted(4)),
            ("DECIMAL(10,2)", 246, b"\x0a\x02", Fixed(5)),
            ("DECIMAL(65,30)", 246, b"\x41\x1e", Fixed(30)),
            ("ENUM of 300", 254, b"\xf7\x02", Fixed(2)),
            ("SET of 64", 254, b"\xf8\x08", Fixed(8)),
            ("CHAR of 255 bytes", 254, b"\xfe\xff", Counted(1)),
            ("CHAR of 1020 bytes", 254, b"\xce\xfc", Counted(2)),
        ] {
            let decoded = Column::decode(kind, metadata);
            assert_eq!(decoded, Some((expected, &b""[..])), "{name}");
        }
        for (kind, metadata) in [(77, &b""[..]), (15, b"\x01"), (246, b"\x02\x0a")] {
            assert_eq!(Column::decode(kind, metadata), None, "{kind}");
        }
    }
}
