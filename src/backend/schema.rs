//! The schemas of the server's tables, as the keys of write sets need them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ConnectionError, Row, constraints::Constraints, pool::Pool, weights::Collations};
use crate::{
    binlog::Event,
    config::Server,
    sql::hex,
    write_set::{
        Cascades, Collation, Draft, Key, KeyColumn, KeyColumns, KeyHash, KeysError, Table,
        TableName, Tables, tables_of,
    },
};

/// What is known of the tables, until something is defined.
#[derive(Debug)]
pub struct Schemas {
    pool: Pool,
    state: Mutex<State>,
    collations: Collations,
}

/// Why the keys of a transaction are not known.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    #[error("the node cannot ask its server for the schema: {0}")]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

#[derive(Debug, Default)]
struct State {
    /// Definitions that run now: what is read meanwhile is not kept.
    definitions: usize,
    /// Counts what was forgotten, so that what was read before is not kept after.
    version: u64,
    tables: Tables,
    foreign_keys: Option<Arc<Constraints>>,
}

/// A definition that runs, until this is dropped.
#[derive(Debug)]
pub struct Defining<'a>(&'a Schemas);

impl Schemas {
    pub fn new(server: Server) -> Self {
        Self {
            pool: Pool::new(server),
            state: Mutex::default(),
            collations: Collations::default(),
        }
    }

    /// The keys of a transaction, from its row events, and what these have of cascades. It must hold the tables' metadata locks, as
    /// it does from its first use of them to its end.
    ///
    /// # Errors
    /// See [`NoKeys`].
    pub async fn keys(&self, events: &[Event]) -> Result<(Vec<Key>, Cascades), NoKeys> {
        let tables = self.tables(&tables_of(events)?).await?;
        let draft = Draft::of(events, &tables)?;
        let weights = self.collations.weights(self, &draft).await?;
        let cascades = draft.cascades();
        Ok((draft.finish(&weights), cascades))
    }

    /// What one of those keys stands for.
    ///
    /// # Errors
    /// See [`NoKeys`].
    pub async fn name(&self, key: KeyHash, events: &[Event]) -> Result<Option<String>, NoKeys> {
        let tables = self.tables(&tables_of(events)?).await?;
        let draft = Draft::with_names(events, &tables)?;
        let weights = self.collations.weights(self, &draft).await?;
        Ok(draft.name(key, &weights))
    }

    /// Forgets everything, now and when what it gives is dropped: a definition runs in between.
    pub fn defining(&self) -> Defining<'_> {
        let mut state = self.lock();
        state.definitions += 1;
        state.forget();
        Defining(self)
    }

    /// Whether a definition runs.
    pub fn are_changing(&self) -> bool {
        self.lock().definitions > 0
    }

    async fn tables(&self, names: &[TableName]) -> Result<Tables, ConnectionError> {
        let mut tables = Tables::new();
        for name in names {
            tables.insert(name.clone(), self.table(name).await?);
        }
        Ok(tables)
    }

    /// Runs a statement that changes nothing.
    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Row>, ConnectionError> {
        self.pool.query(sql).await
    }

    async fn table(&self, name: &TableName) -> Result<Arc<Table>, ConnectionError> {
        let version = {
            let state = self.lock();
            if let Some(table) = state.tables.get(name) {
                return Ok(table.clone());
            }
            state.version
        };
        let table = Arc::new(self.read(name, version).await?);
        self.keep(version, |state| {
            state.tables.insert(name.clone(), table.clone());
        });
        Ok(table)
    }

    async fn read(&self, name: &TableName, version: u64) -> Result<Table, ConnectionError> {
        let place = format!(
            "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            literal(&name.schema),
            literal(&name.table)
        );
        let columns = format!(
            "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA \
            FROM information_schema.COLUMNS WHERE {place}"
        );
        let indexes = format!(
            "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART \
            FROM information_schema.STATISTICS WHERE {place} AND NON_UNIQUE = 0 \
            ORDER BY INDEX_NAME, SEQ_IN_INDEX"
        );
        let mut table = Table::default();
        let mut computed = Vec::new();
        for row in self.rows_of(name, &columns).await? {
            let column = row.text(1).unwrap_or_default();
            if let (Some(character_set), Some(collation)) = (row.text(2), row.text(3)) {
                let collation = Collation {
                    character_set: character_set.to_owned(),
                    name: collation.to_owned(),
                };
                table.collations.insert(column.to_owned(), collation);
            }
            if row.text(4).unwrap_or_default().contains("VIRTUAL") {
                computed.push(column.to_owned());
            }
        }
        let mut last = None;
        for row in self.rows_of(name, &indexes).await? {
            let index = row.text(1).unwrap_or_default();
            if last.as_deref() != Some(index) {
                last = Some(index.to_owned());
                table.keys.push(KeyColumns {
                    is_primary: index == "PRIMARY",
                    ..KeyColumns::default()
                });
            }
            let key = table.keys.last_mut().expect("one was pushed");
            // A key part without a column is an expression.
            let column = row.text(2);
            key.is_computed |= column.is_none_or(|name| computed.iter().any(|c| c == name));
            key.columns.push(KeyColumn {
                name: column.unwrap_or(index).to_owned(),
                prefix: row.text(3).and_then(|prefix| prefix.parse().ok()),
            });
        }
        let constraints = self.foreign_keys(version).await?;
        constraints.add_to(&mut table, name);
        Ok(table)
    }

    /// The rows of a result whose first column has the table's name, in its own case: the server
    /// compares without.
    async fn rows_of(&self, name: &TableName, sql: &str) -> Result<Vec<Row>, ConnectionError> {
        let mut rows = self.query(sql).await?;
        rows.retain(|row| row.text(0) == Some(&name.table));
        Ok(rows)
    }

    async fn foreign_keys(&self, version: u64) -> Result<Arc<Constraints>, ConnectionError> {
        if let Some(known) = &self.lock().foreign_keys {
            return Ok(known.clone());
        }
        let constraints = Arc::new(Constraints::read(self).await?);
        self.keep(version, |state| {
            state.foreign_keys = Some(constraints.clone());
        });
        Ok(constraints)
    }

    /// Keeps what was read since `version`, unless a definition has run or runs meanwhile.
    fn keep(&self, version: u64, keep: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.version == version && state.definitions == 0 {
            keep(&mut state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        self.version += 1;
        self.tables = HashMap::new();
        self.foreign_keys = None;
    }
}

impl Drop for Defining<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.definitions -= 1;
        state.forget();
    }
}

/// A string that no setting of the server reads otherwise.
pub(crate) fn literal(text: &str) -> String {
    format!("_utf8mb4 X'{}'", hex(text))
}
