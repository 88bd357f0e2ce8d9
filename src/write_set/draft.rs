//! From row events to keys.
//!
//! Two values that the server takes for one must give one key. How character values compare only
//! the server knows, so a draft lists those that it must be asked about, and its keys are finished
//! with the answers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    key::{Hasher, Key, KeyHash, Mode, Subject},
    table::{Collation, ForeignKey, KeyColumn, KeyColumns, Table, TableName, Tables},
};
use crate::binlog::{self, Change, Column, Event, Image, Kind, RowsError, TableMap};

/// Why a transaction has no keys and so cannot be replicated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("a row event of table {}.{} cannot be used: {error}", name.schema, name.table)]
    Rows { name: TableName, error: RowsError },
    #[error(
        "the binlog does not name the columns of table {}.{}; set binlog_row_metadata=FULL",
        name.schema, name.table
    )]
    NoNames { name: TableName },
    #[error("a row event has no table map, or a malformed one")]
    NoMap,
    #[error("the schema of table {}.{} has no column {column} of its rows", name.schema, name.table)]
    Schema { name: TableName, column: String },
    /// MySQL 9.7 logs a row twice that a statement deletes both itself and by a cascade, and so it does where a
    /// cascade comes back to its first row.
    #[error(
        "the server has logged twice that a row of table {}.{} is gone, which no server could follow; delete \
        from one table at a time what is deleted by a cascade, too, and set a reference to NULL before where rows \
        refer to each other in a circle",
        name.schema, name.table
    )]
    GoneTwice { name: TableName },
}

/// A character value that the server must be asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    pub collation: Collation,
    /// How many of its characters count, if not all.
    pub prefix: Option<u32>,
    pub bytes: Vec<u8>,
}

/// What the server says of character values: equal for those that it takes for one.
pub type Weights = HashMap<Text, Vec<u8>>;

/// The keys of a transaction, not all of which are finished.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Draft {
    keys: BTreeMap<KeyHash, Mode>,
    open: Vec<OpenKey>,
}

/// A key that waits for what the server says of its texts.
#[derive(Debug, PartialEq, Eq)]
struct OpenKey {
    table: TableName,
    columns: Vec<KeyColumn>,
    values: Vec<Value>,
    mode: Mode,
}

impl OpenKey {
    fn texts(&self) -> impl Iterator<Item = &Text> {
        self.values.iter().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            Value::Bytes(_) => None,
        })
    }

    fn hash(&self, weights: &Weights) -> KeyHash {
        let mut hasher = Hasher::new(&self.table, Subject::Values(&self.columns));
        for value in &self.values {
            hasher.part(match value {
                Value::Bytes(bytes) => bytes,
                Value::Text(text) => &weights[text],
            });
        }
        hasher.finish()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Bytes(Vec<u8>),
    Text(Text),
}

/// The tables that the row events belong to, whether rows of them come or not.
///
/// # Errors
/// An event is malformed.
pub fn tables_of(events: &[Event]) -> Result<Vec<TableName>, KeysError> {
    let maps = events
        .iter()
        .filter(|event| event.kind() == Kind::TABLE_MAP);
    let names = maps.map(|event| {
        let map = TableMap::decode(event.body()).ok_or(KeysError::NoMap)?;
        Ok(TableName::new(&map.schema, &map.table))
    });
    let mut names = names.collect::<Result<Vec<_>, KeysError>>()?;
    names.sort();
    names.dedup();
    Ok(names)
}

impl Draft {
    /// Takes the keys from a transaction's row events. `tables` has each of [`tables_of`] them.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn of(events: &[Event], tables: &Tables) -> Result<Self, KeysError> {
        let mut draft = Self::default();
        let mut statement = Statement::default();
        let mut gone = Gone::default();
        for event in events {
            if event.kind() == Kind::TABLE_MAP {
                if statement.has_rows {
                    draft.cascades(&std::mem::take(&mut statement));
                }
                let map = TableMap::decode(event.body()).ok_or(KeysError::NoMap)?;
                let mapped = Mapped::new(map, tables)?;
                statement.tables.insert(mapped.map.id, mapped);
                continue;
            }
            let table = binlog::table_of(event);
            let table = table.and_then(|id| statement.tables.get_mut(&id));
            let table = table.ok_or(KeysError::NoMap)?;
            let changes = binlog::changes(event, &table.map);
            let changes = changes.map_err(|error| KeysError::Rows {
                name: table.name.clone(),
                error,
            })?;
            for change in &changes {
                if !gone.follow(table, change) {
                    let name = table.name.clone();
                    return Err(KeysError::GoneTwice { name });
                }
                statement.may_cascade |= draft.change(table, change);
            }
            if table.schema.is_reached_by_cascades() {
                draft.key(&table.name, Subject::Table, Mode::Reference);
            }
            statement.has_rows = true;
        }
        draft.cascades(&statement);
        Ok(draft)
    }

    /// The values that the server must be asked about.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.open.iter().flat_map(OpenKey::texts)
    }

    /// The keys, in the order of their hashes. `weights` has each of [`texts`](Self::texts).
    ///
    /// # Panics
    /// If it has not.
    pub fn finish(mut self, weights: &Weights) -> Vec<Key> {
        for key in std::mem::take(&mut self.open) {
            self.add(key.hash(weights), key.mode);
        }
        let keys = self.keys.into_iter();
        keys.map(|(hash, mode)| Key { hash, mode }).collect()
    }

    /// Adds the keys of one changed row; tells whether rows that refer to it may change with it.
    fn change(&mut self, table: &Mapped<'_>, change: &Change<'_>) -> bool {
        let mut may_cascade = false;
        let Change { before, after } = change;
        for (key, places) in table.schema.keys.iter().zip(&table.places) {
            let is_same = match (before, after) {
                (Some(before), Some(after)) => places.iter().all(|at| before[*at] == after[*at]),
                _ => false,
            };
            if is_same && !key.is_computed {
                if key.is_primary {
                    self.values(table, key, places, after.as_ref(), Mode::Update);
                }
                continue;
            }
            may_cascade |= key.is_referenced && before.is_some();
            for image in [before, after] {
                self.values(table, key, places, image.as_ref(), Mode::Exclusive);
            }
        }
        if let (Some(before), false) = (before, table.schema.has_primary_key()) {
            self.add(table.row(before), Mode::Exclusive);
        }
        for (key, places) in table.schema.foreign_keys.iter().zip(&table.references) {
            let same = |before: &Image<'_>, after: &Image<'_>| {
                places.iter().all(|at| before[*at] == after[*at])
            };
            if let (Some(after), false) = (
                after,
                before
                    .iter()
                    .zip(after)
                    .any(|(before, after)| same(before, after)),
            ) {
                self.reference(table, key, places, after);
            }
        }
        may_cascade
    }

    /// Adds the key of an image's values in the columns of a key, unless one of them is NULL.
    fn values(
        &mut self,
        table: &Mapped<'_>,
        key: &KeyColumns,
        places: &[usize],
        image: Option<&Image<'_>>,
        mode: Mode,
    ) {
        let Some(image) = image else {
            return;
        };
        if key.is_computed {
            return self.key(&table.name, Subject::AnyValues(&key.columns), mode);
        }
        let values = table.values(image, places, &key.columns);
        self.open_key(&table.name, &key.columns, values, mode);
    }

    fn reference(
        &mut self,
        table: &Mapped<'_>,
        key: &ForeignKey,
        places: &[usize],
        image: &Image<'_>,
    ) {
        let values = table.values(image, places, &key.parent_columns);
        self.open_key(&key.parent, &key.parent_columns, values, Mode::Reference);
    }

    fn open_key(
        &mut self,
        table: &TableName,
        columns: &[KeyColumn],
        values: Option<Vec<Value>>,
        mode: Mode,
    ) {
        let Some(values) = values else {
            return;
        };
        let key = OpenKey {
            table: table.clone(),
            columns: columns.to_vec(),
            values,
            mode,
        };
        if key.texts().next().is_some() {
            self.open.push(key);
        } else {
            self.add(key.hash(&Weights::new()), mode);
        }
    }

    /// Adds what a statement may have changed without a trace in its rows: a storage engine that runs the
    /// actions of foreign keys itself maps the tables that they reach, and logs no rows of them.
    fn cascades(&mut self, statement: &Statement<'_>) {
        if !statement.may_cascade {
            return;
        }
        let tables = || statement.tables.values();
        let is_mapped = |name: &TableName| tables().any(|table| table.name == *name);
        for table in tables().filter(|table| !table.schema.logs_cascades) {
            if table.schema.cascades_from().any(is_mapped) {
                self.key(&table.name, Subject::Table, Mode::Exclusive);
            }
        }
    }

    fn key(&mut self, table: &TableName, subject: Subject<'_>, mode: Mode) {
        self.add(Hasher::new(table, subject).finish(), mode);
    }

    fn add(&mut self, hash: KeyHash, mode: Mode) {
        let known = self.keys.entry(hash).or_insert(mode);
        *known = mode.max(*known);
    }
}

/// The rows that a transaction has left behind, of tables where a cascade may do so, too, and says so.
#[derive(Debug, Default)]
struct Gone(HashSet<KeyHash>);

impl Gone {
    /// Takes a change; not if its row has gone before.
    fn follow(&mut self, table: &Mapped<'_>, change: &Change<'_>) -> bool {
        let schema = table.schema;
        let says_so = schema.logs_cascades && schema.is_reached_by_cascades();
        if !says_so || !schema.has_primary_key() {
            return true;
        }
        if let Some(before) = &change.before
            && !self.0.insert(table.row(before))
        {
            return false;
        }
        if let Some(after) = &change.after {
            self.0.remove(&table.row(after));
        }
        true
    }
}

/// The tables of one statement.
#[derive(Debug, Default)]
struct Statement<'a> {
    tables: BTreeMap<u64, Mapped<'a>>,
    has_rows: bool,
    may_cascade: bool,
}

/// A table map with what is known of the table's schema.
#[derive(Debug)]
struct Mapped<'a> {
    map: TableMap,
    name: TableName,
    schema: &'a Table,
    /// Where the columns of each key stand in a row; nothing for a key that is computed.
    places: Vec<Vec<usize>>,
    /// Where the columns of each foreign key stand.
    references: Vec<Vec<usize>>,
}

impl<'a> Mapped<'a> {
    fn new(map: TableMap, tables: &'a Tables) -> Result<Self, KeysError> {
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
    fn row(&self, image: &Image<'_>) -> KeyHash {
        let mut hasher = Hasher::new(&self.name, Subject::Row);
        for value in image {
            hasher.part(&[u8::from(value.is_some())]);
            hasher.part(value.unwrap_or_default());
        }
        hasher.finish()
    }

    /// The values at these places, as they compare in the columns of a key; `None` if one is NULL.
    fn values(
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

#[cfg(test)]
mod tests;
