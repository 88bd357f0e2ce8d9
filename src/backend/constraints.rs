//! The foreign keys of the server's tables.

use std::collections::BTreeSet;

use super::{ConnectionError, Row, Schemas};
use crate::write_set::{ForeignKey, KeyColumn, KeyColumns, Table, TableName};

/// All foreign keys.
#[derive(Debug)]
pub(super) struct Constraints {
    all: Vec<Constraint>,
    /// Whether the server logs the rows that it changes because of them.
    logs_cascades: bool,
}

/// A foreign key of any table.
#[derive(Debug)]
struct Constraint {
    child: TableName,
    key: ForeignKey,
    acts_on_delete: bool,
    acts_on_update: bool,
}

impl Constraints {
    pub(super) async fn read(schemas: &Schemas) -> Result<Self, ConnectionError> {
        const CONSTRAINTS: &str = "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, \
            k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, \
            k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE \
            FROM information_schema.KEY_COLUMN_USAGE k \
            JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
            ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME \
            AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
            WHERE k.REFERENCED_TABLE_NAME IS NOT NULL \
            ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";
        // MySQL has this variable since it does itself what foreign keys say, and logs it, unless it is set; MariaDB
        // leaves it all to its storage engine.
        const NATIVE: &str = "SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'";
        let native = schemas.query(NATIVE).await?;
        Ok(Self {
            all: constraints(&schemas.query(CONSTRAINTS).await?),
            logs_cascades: native.first().and_then(|row| row.text(1)) == Some("OFF"),
        })
    }

    /// Adds what they say of a table.
    pub(super) fn add_to(&self, table: &mut Table, name: &TableName) {
        table.logs_cascades = self.logs_cascades;
        for constraint in &self.all {
            let Constraint { child, key, .. } = constraint;
            if child == name {
                table.foreign_keys.push(ForeignKey {
                    parent_is_reached: self.all.iter().any(|other| other.reaches(&key.parent)),
                    ..key.clone()
                });
            }
            if key.parent == *name {
                refer(&mut table.keys, &key.parent_columns);
                if constraint.acts_on_delete {
                    table.on_delete.push(child.clone());
                }
                if constraint.acts_on_update {
                    table.on_update.push(child.clone());
                }
            }
        }
        table.reached = self.reached_from(name);
    }

    /// The tables whose rows the server may change when some of this one change.
    fn reached_from(&self, name: &TableName) -> Vec<TableName> {
        let mut reached = BTreeSet::new();
        let mut open = vec![name];
        while let Some(parent) = open.pop() {
            for Constraint { child, key, .. } in &self.all {
                if key.cascades && key.parent == *parent && reached.insert(child) {
                    open.push(child);
                }
            }
        }
        reached.into_iter().cloned().collect()
    }
}

impl Constraint {
    /// Whether the server changes rows of this table because of it.
    fn reaches(&self, name: &TableName) -> bool {
        self.key.cascades && self.child == *name
    }
}

fn constraints(rows: &[Row]) -> Vec<Constraint> {
    let mut constraints: Vec<Constraint> = Vec::new();
    let mut last = None;
    for row in rows {
        let text = |at| row.text(at).unwrap_or_default();
        let name = [0, 1, 2].map(|at| text(at).to_owned());
        if last.as_ref() != Some(&name) {
            let acts = |rule| matches!(rule, "CASCADE" | "SET NULL" | "SET DEFAULT");
            let (acts_on_update, acts_on_delete) = (acts(text(7)), acts(text(8)));
            constraints.push(Constraint {
                child: TableName::new(text(0), text(1)),
                key: ForeignKey {
                    columns: Vec::new(),
                    parent: TableName::new(text(4), text(5)),
                    parent_columns: Vec::new(),
                    cascades: acts_on_update || acts_on_delete,
                    parent_is_reached: false,
                },
                acts_on_delete,
                acts_on_update,
            });
            last = Some(name);
        }
        let key = &mut constraints.last_mut().expect("one was pushed").key;
        key.columns.push(text(3).to_owned());
        key.parent_columns.push(KeyColumn::from(text(6)));
    }
    constraints
}

/// Marks the key that has exactly these columns as referenced, or adds it.
fn refer(keys: &mut Vec<KeyColumns>, columns: &[KeyColumn]) {
    match keys.iter_mut().find(|key| key.columns == columns) {
        Some(key) => key.is_referenced = true,
        None => keys.push(KeyColumns {
            columns: columns.to_vec(),
            is_referenced: true,
            ..KeyColumns::default()
        }),
    }
}
