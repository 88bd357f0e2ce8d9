//! What keys need to know of a table's schema.

use std::{collections::HashMap, fmt, sync::Arc};

/// The schema of one table, as far as it says what may be there once only and what depends on what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The lists of columns whose values tell rows apart, or that other tables refer to.
    pub keys: Vec<KeyColumns>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Whether the server logs the rows that it changes because of foreign keys.
    pub logs_cascades: bool,
    /// The tables whose rows the server changes when rows of this one are removed that they refer to.
    pub on_delete: Vec<TableName>,
    /// The tables whose rows the server changes when such rows of this one change.
    pub on_update: Vec<TableName>,
    /// Those and what is reached from them in turn.
    pub reached: Vec<TableName>,
    /// The character columns.
    pub collations: HashMap<String, Collation>,
}

/// The schemas of some tables.
pub type Tables = HashMap<TableName, Arc<Table>>;

impl Table {
    /// Whether the server changes rows of this table when those that they refer to change.
    pub(super) fn is_reached(&self) -> bool {
        self.foreign_keys.iter().any(|key| key.cascades)
    }

    pub(super) fn has_primary_key(&self) -> bool {
        self.keys.iter().any(|key| key.is_primary)
    }
}

/// The columns of a key, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyColumns {
    pub columns: Vec<KeyColumn>,
    pub is_primary: bool,
    /// Whether a foreign key refers to it.
    pub is_referenced: bool,
    /// Whether values of it are computed, so that rows do not have them.
    pub is_computed: bool,
}

/// One column of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    /// If only the start of a value counts: so many characters, or bytes of a binary one.
    pub prefix: Option<u32>,
}

impl From<&str> for KeyColumn {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            prefix: None,
        }
    }
}

/// Columns whose values must be those of a row in another table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    pub parent: TableName,
    pub parent_columns: Vec<KeyColumn>,
    /// Whether the server changes rows when those that they refer to change (CASCADE, SET NULL).
    pub cascades: bool,
    /// Whether that may happen to the rows that they refer to.
    pub parent_is_reached: bool,
}

/// The name of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl TableName {
    pub fn new(schema: &str, table: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// How the values of a column compare; the server's names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collation {
    pub character_set: String,
    pub name: String,
}

impl Collation {
    /// Whether values are equal when their bytes without trailing spaces are.
    pub(super) fn is_binary(&self) -> bool {
        let wide = matches!(&*self.character_set, "ucs2" | "utf16" | "utf16le" | "utf32");
        self.name == "binary" || (self.name.ends_with("_bin") && !wide)
    }
}
