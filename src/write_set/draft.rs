//! From row events to keys.
//!
//! Two values that the server takes for one must give one key. How character values compare only
//! the server knows, so a draft lists those that it must be asked about, and its keys are finished
//! with the answers.

mod mapped;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    key::{Hasher, Key, KeyHash, Mode, Subject},
    table::{Collation, ForeignKey, KeyColumn, KeyColumns, TableName, Tables},
};
use crate::binlog::{self, Change, Event, Image, Kind, RowsError, TableMap};
use mapped::Mapped;

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
    /// What its keys stand for, if that is asked for.
    names: Option<Names>,
    cascades: Cascades,
}

/// What is known of the rows that a server has changed because of foreign keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cascades {
    /// There are none.
    #[default]
    None,
    /// They are logged, as far as there are any.
    Logged,
    /// They are not: who applies the others must change them anew.
    Unlogged,
}

/// What keys stand for, as people are told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    values: Vec<OpenKey>,
    /// Keys that stand for no values of columns.
    wholes: HashMap<KeyHash, TableName>,
}

/// A key that waits for what the server says of its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            Value::Bytes(_) | Value::Integer(_) => None,
        })
    }

    fn hash(&self, weights: &Weights) -> KeyHash {
        let mut hasher = Hasher::new(&self.table, Subject::Values(&self.columns));
        for value in &self.values {
            hasher.part(match value {
                Value::Bytes(bytes) | Value::Integer(bytes) => bytes,
                Value::Text(text) => &weights[text],
            });
        }
        hasher.finish()
    }

    /// What it stands for: integers as they are, of other values, which may be nobody's business, that there are any.
    fn name(&self) -> String {
        let columns = self.columns.iter().map(|column| &column.name[..]);
        let values = self.values.iter().map(|value| match value {
            Value::Integer(bytes) => integer(bytes).to_string(),
            Value::Bytes(_) | Value::Text(_) => "…".to_owned(),
        });
        let (columns, values): (Vec<_>, Vec<_>) = (columns.collect(), values.collect());
        format!(
            "{} ({}) = ({})",
            self.table,
            columns.join(", "),
            values.join(", ")
        )
    }
}

/// A little-endian integer, with its sign.
fn integer(bytes: &[u8]) -> i64 {
    let is_negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if is_negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Bytes(Vec<u8>),
    /// At most eight bytes, little endian.
    Integer(Vec<u8>),
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
        Self::default().read(events, tables)
    }

    /// As [`of`](Self::of), for one that can [`name`](Self::name) its keys.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn with_names(events: &[Event], tables: &Tables) -> Result<Self, KeysError> {
        let draft = Self {
            names: Some(Names::default()),
            ..Self::default()
        };
        draft.read(events, tables)
    }

    /// What a key stands for, if it is one of these, and they have names. `weights` has each of
    /// [`texts`](Self::texts).
    ///
    /// # Panics
    /// If it has not.
    pub fn name(&self, hash: KeyHash, weights: &Weights) -> Option<String> {
        let names = self.names.as_ref()?;
        if let Some(table) = names.wholes.get(&hash) {
            return Some(format!("{table} (all or any rows)"));
        }
        let mut values = names.values.iter();
        let named = values.find(|key| key.hash(weights) == hash)?;
        Some(named.name())
    }

    fn read(self, events: &[Event], tables: &Tables) -> Result<Self, KeysError> {
        let mut draft = self;
        let mut statement = Statement::default();
        let mut gone = Gone::default();
        for event in events {
            if event.kind() == Kind::TABLE_MAP {
                if statement.has_rows {
                    draft.follow_cascades(&std::mem::take(&mut statement));
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
            let acts = !event.is_without_foreign_keys();
            for change in &changes {
                if !gone.follow(table, change) {
                    let name = table.name.clone();
                    return Err(KeysError::GoneTwice { name });
                }
                if draft.change(table, change) && acts {
                    let is_removal = change.after.is_none();
                    statement.cascading.insert((table.map.id, is_removal));
                }
            }
            if table.schema.is_reached() {
                draft.key(&table.name, Subject::Table, Mode::Reference);
            }
            statement.has_rows = true;
        }
        draft.follow_cascades(&statement);
        Ok(draft)
    }

    /// What is known of the rows that the server has changed because of foreign keys.
    pub fn cascades(&self) -> Cascades {
        self.cascades
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
            self.whole(&table.name, table.row(before), Mode::Exclusive);
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
        if key.parent_is_reached {
            self.key(&key.parent, Subject::Table, Mode::Reference);
        }
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
        if let Some(names) = &mut self.names {
            names.values.push(key.clone());
        }
        if key.texts().next().is_some() {
            self.open.push(key);
        } else {
            self.add(key.hash(&Weights::new()), mode);
        }
    }

    /// Adds what a statement may have changed without a trace in its rows, because of foreign keys.
    ///
    /// A storage engine that runs their actions itself logs nothing of them. MySQL 9.7 logs them, and maps the tables that
    /// they may reach, but has the storage engine run them in a session that was reset or has changed its user.
    fn follow_cascades(&mut self, statement: &Statement<'_>) {
        let is_mapped = |name: &TableName| {
            let mut tables = statement.tables.values();
            tables.any(|table| table.name == *name)
        };
        for (id, is_removal) in &statement.cascading {
            let table = &statement.tables[id];
            let children = if *is_removal {
                &table.schema.on_delete
            } else {
                &table.schema.on_update
            };
            if children.is_empty() {
                continue;
            }
            if table.schema.logs_cascades && children.iter().all(is_mapped) {
                self.cascades = self.cascades.max(Cascades::Logged);
                continue;
            }
            self.cascades = Cascades::Unlogged;
            for name in &table.schema.reached {
                self.key(name, Subject::Table, Mode::Exclusive);
            }
        }
    }

    fn key(&mut self, table: &TableName, subject: Subject<'_>, mode: Mode) {
        self.whole(table, Hasher::new(table, subject).finish(), mode);
    }

    /// Adds a key of a table that stands for no values of columns.
    fn whole(&mut self, table: &TableName, hash: KeyHash, mode: Mode) {
        if let Some(names) = &mut self.names {
            names.wholes.insert(hash, table.clone());
        }
        self.add(hash, mode);
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
        let says_so = schema.logs_cascades && schema.is_reached();
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
    /// The tables of which rows were changed that others may refer to, and whether they were removed.
    cascading: BTreeSet<(u64, bool)>,
}

#[cfg(test)]
mod tests;
