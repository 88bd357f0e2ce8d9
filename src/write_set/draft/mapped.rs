//! Tables as row events show them.

use super::{KeysError, Text, Value};
use crate::{
    binlog::{Column, Image, TableMap},
    write_set::{
        key::{Hasher, KeyHash, Subject},
        table::{KeyColumn, Table, TableName, Tables},
    },
};

/// A table map with what is known of the table's schema.
#[derive(Debug)]
pub(super) struct Mapped<'a> {
    pub(super) map: TableMap,
    pub(super) name: TableName,
    pub(super) schema: &'a Table,
    /// Where the columns of each key stand in a row; nothing for a key that is computed.
    pub(super) places: Vec<Vec<usize>>,
    /// Where the columns of each foreign key stand.
    pub(super) references: Vec<Vec<usize>>,
}

impl<'a> Mapped<'a> {
    pub(super) fn new(map: TableMap, tables: &'a Tables) -> Result<Self, KeysError> {
        let name = TableName::new(&map.schema, &map.table);
        if map.names.is_empty() {
            return Err(KeysError::NoNames { name });
        }
        let place = |column: &str| {
            let place = map.names.iter().position(|name| name == column);
            place.ok_or_else(|| KeysError::Schema {
                name: name.clone(),
                column: column.to_owned(),
            })
        };
        let schema = tables.get(&name).ok_or(KeysError::NoMap)?;
        let places = schema.keys.iter().map(|key| {
            let columns = if key.is_computed {
                &[][..]
            } else {
                &key.columns
            };
            columns.iter().map(|column| place(&column.name)).collect()
        });
        let places = places.collect::<Result<_, _>>()?;
        let references = schema.foreign_keys.iter();
        let references = references
            .map(|key| key.columns.iter().map(|column| place(column)).collect())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            map,
            name,
            schema,
            places,
            references,
        })
    }

    /// What stands for a whole row.
    pub(super) fn row(&self, image: &Image<'_>) -> KeyHash {
        let mut hasher = Hasher::new(&self.name, Subject::Row);
        for value in image {
            hasher.part(&[u8::from(value.is_some())]);
            hasher.part(value.unwrap_or_default());
        }
        hasher.finish()
    }

    /// The values at these places, as they compare in the columns of a key; `None` if one is NULL.
    pub(super) fn values(
        &self,
        image: &Image<'_>,
        places: &[usize],
        columns: &[KeyColumn],
    ) -> Option<Vec<Value>> {
        let values = places.iter().zip(columns);
        let values = values.map(|(at, column)| Some(self.value(*at, image[*at]?, column.prefix)));
        values.collect()
    }

    fn value(&self, at: usize, bytes: &[u8], prefix: Option<u32>) -> Value {
        let cut = prefix.filter(|prefix| bytes.len() > *prefix as usize);
        match self.map.columns[at] {
            Column::Integer(_) => Value::Integer(bytes.to_vec()),
            Column::Fixed(_) => Value::Bytes(bytes.to_vec()),
            // Zero has two signs, and they are equal.
            Column::Float(_) => match bytes.split_last() {
                Some((0x80, rest)) if rest.iter().all(|byte| *byte == 0) => {
                    Value::Bytes(vec![0; bytes.len()])
                }
                _ => Value::Bytes(bytes.to_vec()),
            },
            Column::Counted(_) => match self.schema.collations.get(&self.map.names[at]) {
                None => {
                    let end = cut.map_or(bytes.len(), |prefix| prefix as usize);
                    Value::Bytes(bytes[..end].to_vec())
                }
                Some(collation) if collation.is_binary() && prefix.is_none() => {
                    Value::Bytes(bytes.trim_ascii_end().to_vec())
                }
                Some(collation) => Value::Text(Text {
                    collation: collation.clone(),
                    prefix: cut,
                    bytes: bytes.to_vec(),
                }),
            },
        }
    }
}
