//! Row events: which rows a statement has written, changed and removed in one table.
//!
//! | bytes of the body | field |
//! |---|---|
//! | 6 | table id |
//! | 2 | flags |
//! | 2, … | in version 2: length of extra data, itself included, and the data |
//! | lenenc | number of columns c |
//! | (c + 7) / 8 | which columns the images have; of an update those before, then those after |
//! | … | the rows' images; of an update those before and after in turn |
//!
//! An image is a bitmap of the NULLs among its columns, and the values of the others.
//!
//! Source: "Rows_event" in the MySQL source documentation, "Rows Event" in MariaDB's protocol
//! documentation.

use super::{
    column::Column,
    event::{Event, Kind},
    table_map::{TableMap, length, table_id},
};

/// The values of a row, in the order of the columns: as they are written, without the length of
/// those that have one; `None` for NULL.
pub type Image<'a> = Vec<Option<&'a [u8]>>;

/// A row as it was before and as it is after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// Nothing for a row that is new.
    pub before: Option<Image<'a>>,
    /// Nothing for a row that is removed.
    pub after: Option<Image<'a>>,
}

/// Why the rows of an event cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    #[error("its rows lack columns; set binlog_row_image=FULL")]
    MissingColumns,
    #[error("its rows are malformed, or of a kind that is not known")]
    Malformed,
}

/// The table id of a row event; `None` when it is malformed.
pub fn table_of(event: &Event) -> Option<u64> {
    table_id(event.body()).map(|(id, _)| id)
}

/// The changes of a row event whose table is `map`.
///
/// # Errors
/// See [`RowsError`].
pub fn changes<'a>(event: &'a Event, map: &TableMap) -> Result<Vec<Change<'a>>, RowsError> {
    let Kind(kind) = event.kind();
    let columns = &map.columns[..];
    let (mut rest, is_full) = images(event, columns.len()).ok_or(RowsError::Malformed)?;
    if !is_full {
        return Err(RowsError::MissingColumns);
    }
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let mut next = |is_there: bool| {
            if !is_there {
                return Ok(None);
            }
            let (image, after) = image(rest, columns).ok_or(RowsError::Malformed)?;
            rest = after;
            Ok(Some(image))
        };
        changes.push(Change {
            before: next(!matches!(kind, 23 | 30))?,
            after: next(!matches!(kind, 25 | 32))?,
        });
    }
    Ok(changes)
}

/// The images of a row event, and whether all columns are in them.
fn images(event: &Event, columns: usize) -> Option<(&[u8], bool)> {
    let Kind(kind) = event.kind();
    let (_, mut rest) = table_id(event.body())?;
    if kind >= 30 {
        let extra = rest.first_chunk::<2>()?;
        rest = rest.get(u16::from_le_bytes(*extra).into()..)?;
    }
    let (count, mut rest) = length(rest)?;
    // An image without columns would have no bytes, and there would be no end to them.
    if count != columns || count == 0 {
        return None;
    }
    let mut is_full = true;
    let bitmaps = if matches!(kind, 24 | 31) { 2 } else { 1 };
    for _ in 0..bitmaps {
        let (present, after) = bitmap(rest, columns)?;
        is_full &= (0..columns).all(present);
        rest = after;
    }
    Some((rest, is_full))
}

fn image<'a>(bytes: &'a [u8], columns: &[Column]) -> Option<(Image<'a>, &'a [u8])> {
    let (is_null, mut rest) = bitmap(bytes, columns.len())?;
    let mut image = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        if is_null(at) {
            image.push(None);
        } else {
            let (value, after) = column.split(rest)?;
            image.push(Some(value));
            rest = after;
        }
    }
    Some((image, rest))
}

/// A bitmap of `count` bits, and what is after it.
fn bitmap(bytes: &[u8], count: usize) -> Option<(impl Fn(usize) -> bool, &[u8])> {
    let (bitmap, rest) = bytes.split_at_checked(count.div_ceil(8))?;
    Some((move |at: usize| (bitmap[at / 8] >> (at % 8)) & 1 == 1, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::event::tests::event, *};

    /// `CREATE TABLE s.t (a INT, b VARCHAR(300), c DOUBLE)` with the names of its columns.
    const MAP: &[u8] =
        b"\x07\0\0\0\0\0\0\0\x01s\0\x01t\0\x03\x03\x0f\x05\x03\x2c\x01\x08\x07\x04\x06\x01a\x01b\x01c";

    fn map() -> TableMap {
        TableMap::decode(MAP).unwrap()
    }

    fn rows(kind: u8, images: &[u8]) -> Event {
        let head: &[u8] = match kind {
            23..=25 => b"\x07\0\0\0\0\0\x01\0\x03",
            _ => b"\x07\0\0\0\0\0\x01\0\x05\0xyz\x03",
        };
        event(Kind(kind), 0, &[head, images].concat())
    }

    #[test]
    fn a_table_map_has_its_parts() {
        let map = map();
        assert_eq!((map.id, &*map.schema, &*map.table), (7, "s", "t"));
        assert_eq!(map.names, ["a", "b", "c"]);
        let columns = [Column::Integer(4), Column::Counted(2), Column::Float(8)];
        assert_eq!(map.columns, columns);
        assert_eq!(TableMap::decode(&MAP[..23]).unwrap().names, [""; 0]);
    }

    #[test]
    fn every_kind_of_change_has_its_images() {
        const ONE: &[u8] = b"\x06\x01\0\0\0";
        const TWO: &[u8] = b"\0\x02\0\0\0\x01\0x\0\0\0\0\0\0\xf0\x3f";
        let one = || Some(vec![Some(&b"\x01\0\0\0"[..]), None, None]);
        let two = || {
            let values = [&b"\x02\0\0\0"[..], b"x", b"\0\0\0\0\0\0\xf0\x3f"];
            Some(values.map(Some).to_vec())
        };
        for version in [23, 30] {
            for (offset, bitmaps, expected) in [
                (0, &b"\x07"[..], vec![(None, one()), (None, two())]),
                (1, b"\x07\x07", vec![(one(), two())]),
                (2, b"\x07", vec![(one(), None), (two(), None)]),
            ] {
                let event = rows(version + offset, &[bitmaps, ONE, TWO].concat());
                let changes = changes(&event, &map()).unwrap().into_iter();
                let changes: Vec<_> = changes.map(|c| (c.before, c.after)).collect();
                assert_eq!(changes, expected, "{version} {offset}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (kind, images, expected) in [
            (30, &b"\x03\x06\x01\0\0\0"[..], RowsError::MissingColumns),
            (31, b"\x07\x03\x06\x01\0\0\0", RowsError::MissingColumns),
            (30, b"\x07\x06\x01\0\0", RowsError::Malformed),
            (30, b"\x07\0\x01\0\0\0\xff\xff", RowsError::Malformed),
            (31, b"\x07\x07\x06\x01\0\0\0", RowsError::Malformed),
            (30, b"", RowsError::Malformed),
        ] {
            assert_eq!(changes(&rows(kind, images), &map()), Err(expected));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(map in prop::collection::vec(any::<u8>(), 0..60), images: Vec<u8>, kind in 23..33u8) {
            if let Some(map) = TableMap::decode(&map) {
                let _ = changes(&event(Kind(kind), 0, &images), &map);
            }
            let _ = changes(&rows(kind, &images), &self::map());
        }

        #[test]
        fn a_damaged_table_map_is_no_panic(at: prop::sample::Index, byte: u8) {
            let mut bytes = MAP.to_vec();
            bytes[at.index(MAP.len())] = byte;
            let _ = TableMap::decode(&bytes);
        }
    }
}
