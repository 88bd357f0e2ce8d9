//! A table map: which table the row events after it belong to, and how its columns are written.
//!
//! | bytes of the body | field |
//! |---|---|
//! | 6 | table id, a name for the row events of the same statement |
//! | 2 | flags |
//! | 1, s, 1 | length of the schema's name, the name, zero |
//! | 1, t, 1 | length of the table's name, the name, zero |
//! | lenenc | number of columns c |
//! | c | the columns' types |
//! | lenenc, … | length of the types' metadata, the metadata |
//! | (c + 7) / 8 | which columns may be NULL |
//! | … | fields of optional metadata: kind (1), length (lenenc), content |
//!
//! Source: "Table_map_event" in the MySQL source documentation, "TABLE_MAP_EVENT" in MariaDB's
//! protocol documentation.

use super::column::Column;
use crate::protocol::lenenc;

const TABLE_ID_BYTES: usize = 6;
const FLAGS_BYTES: usize = 2;

/// The optional metadata that holds the columns' names; `binlog_row_metadata=FULL` writes it.
const COLUMN_NAMES: u8 = 4;

/// The table that row events belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// A name that is good for one statement.
    pub id: u64,
    pub schema: String,
    pub table: String,
    pub columns: Vec<Column>,
    /// The columns' names in their order; none where the server did not write them.
    pub names: Vec<String>,
}

impl TableMap {
    /// Reads the body of an event; `None` when it is malformed or has a column whose values cannot
    /// be told apart.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (id, rest) = table_id(body)?;
        let (schema, rest) = name(rest)?;
        let (table, rest) = name(rest)?;
        let (count, rest) = length(rest)?;
        let (types, rest) = rest.split_at_checked(count)?;
        let (metadata_bytes, rest) = length(rest)?;
        let (mut metadata, rest) = rest.split_at_checked(metadata_bytes)?;
        let (_nullable, rest) = rest.split_at_checked(count.div_ceil(8))?;
        let mut columns = Vec::with_capacity(count);
        for kind in types {
            let (column, after) = Column::decode(*kind, metadata)?;
            columns.push(column);
            metadata = after;
        }
        let names = column_names(rest)?;
        let is_whole = metadata.is_empty() && (names.is_empty() || names.len() == count);
        is_whole.then_some(Self {
            id,
            schema,
            table,
            columns,
            names,
        })
    }
}

/// The table id that the bodies of table maps and row events start with, and what is after the flags
/// behind it.
pub(super) fn table_id(body: &[u8]) -> Option<(u64, &[u8])> {
    let (id, rest) = body.split_at_checked(TABLE_ID_BYTES)?;
    let mut bytes = [0; 8];
    bytes[..TABLE_ID_BYTES].copy_from_slice(id);
    Some((u64::from_le_bytes(bytes), rest.get(FLAGS_BYTES..)?))
}

/// A length-encoded number that counts bytes or columns.
pub(super) fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = lenenc::split(bytes)?;
    Some((usize::try_from(length).ok()?, rest))
}

fn name(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked((*length).into())?;
    let rest = rest.strip_prefix(&[0])?;
    Some((str::from_utf8(name).ok()?.to_owned(), rest))
}

fn column_names(mut fields: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while let Some((kind, rest)) = fields.split_first() {
        let (bytes, rest) = length(rest)?;
        let (mut content, rest) = rest.split_at_checked(bytes)?;
        fields = rest;
        while *kind == COLUMN_NAMES && !content.is_empty() {
            let (bytes, rest) = length(content)?;
            let (name, rest) = rest.split_at_checked(bytes)?;
            names.push(str::from_utf8(name).ok()?.to_owned());
            content = rest;
        }
    }
    Some(names)
}
