//! What cannot be replicated: tables of engines that take no part in transactions, sequences, which
//! each server moves by itself, and routines that use locks with names; and what uses one of them.

use std::{collections::HashMap, sync::Arc};

use super::{Connection, ConnectionError, Row};
use crate::sql::{self, Dialect, Named};

const TABLES: &str = "SELECT table_schema, table_name, engine, table_type FROM information_schema.tables \
    WHERE (engine <> 'InnoDB' OR table_type = 'SEQUENCE') AND table_schema NOT IN \
    ('information_schema', 'performance_schema', 'sys', 'trireme', 'trireme_private')";

/// What is done when rows of a table change: the table's schema, its name, and a body.
const TRIGGERS: &str = "SELECT event_object_schema, event_object_table, action_statement \
    FROM information_schema.triggers WHERE event_object_schema <> 'sys'";

/// Tables whose rows take values from sequences: their schema, their name, and a default value.
const NUMBERED: &str = "SELECT table_schema, table_name, column_default \
    FROM information_schema.columns WHERE column_default LIKE '%nextval(%'";

/// Where a server keeps what is its own.
const SYSTEM_SCHEMA: &str = "mysql";

/// Why what changes something cannot be replicated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreplicable {
    #[error(
        "changes of {table} are not replicated, since its engine is {engine}; run ALTER TABLE {table} \
        ENGINE=InnoDB"
    )]
    Engine { table: String, engine: String },
    #[error(
        "{0} is a table of the server itself, which is not replicated; use CREATE USER, GRANT, \
        CREATE FUNCTION and the like"
    )]
    System(String),
    #[error(
        "the sequence {0} is not replicated, so that nodes would give the same values; use \
        AUTO_INCREMENT"
    )]
    Sequence(String),
    #[error(
        "{0} uses lock functions or WSREP_..._GTID, in which the node has a part only in statements of clients; call them \
        before and after it"
    )]
    Calls(String),
    #[error("{user} cannot be used here: {reason}")]
    Used {
        user: String,
        reason: Arc<Unreplicable>,
    },
}

/// What of a server cannot be replicated, and why: by name and schema, in lower case.
#[derive(Debug, Default)]
pub struct Unreplicated(HashMap<String, HashMap<String, Arc<Unreplicable>>>);

/// A view, a table or a routine with what it names, of its own schema where it does not say.
type User = (String, String, Vec<Named>);

/// Whether a statement can be replicated, as far as its text tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Replicable,
    Unreplicable(Arc<Unreplicable>),
    /// It depends on the default schema.
    AskSchema,
}

/// Reads what cannot be replicated; routines and views are known, each with its schema, its name and its text.
///
/// # Errors
/// The connection fails.
pub(super) async fn read(
    connection: &mut Connection,
    routines: &[Row],
    views: &[Row],
    dialect: Dialect,
) -> Result<Unreplicated, ConnectionError> {
    let tables = connection.query(TABLES).await?;
    let tables: Vec<_> = tables.iter().filter_map(table).collect();
    let only_system = tables
        .iter()
        .all(|((schema, _), _)| schema == SYSTEM_SCHEMA);
    let has_sequences = tables
        .iter()
        .any(|(_, reason)| matches!(reason, Unreplicable::Sequence(_)));
    let mut unreplicated = Unreplicated::default();
    for ((schema, name), reason) in tables {
        unreplicated.add(&schema, &name, reason);
    }
    let calling: Vec<_> = routines
        .iter()
        .filter_map(|row| calling(row, dialect))
        .collect();
    if only_system && calling.is_empty() {
        return Ok(unreplicated);
    }
    for (schema, name) in calling {
        let routine = format!("{schema}.{name}");
        unreplicated.add(schema, name, Unreplicable::Calls(routine));
    }
    let mut bodies = connection.query(TRIGGERS).await?;
    if has_sequences {
        // To read all columns takes long where there are many tables.
        bodies.extend(connection.query(NUMBERED).await?);
    }
    let views = views
        .iter()
        .filter_map(|row| user(row, |text| sql::named(text, dialect)));
    let others = bodies
        .iter()
        .chain(routines)
        .filter_map(|row| user(row, |text| sql::changed(text, dialect)));
    unreplicated.add_users(&views.chain(others).collect::<Vec<_>>());
    Ok(unreplicated)
}

fn table(row: &Row) -> Option<((String, String), Unreplicable)> {
    let (schema, name) = (row.text(0)?, row.text(1)?);
    let table = format!("{schema}.{name}");
    let reason = match (row.text(2), row.text(3)) {
        (_, Some("SEQUENCE")) => Unreplicable::Sequence(table),
        _ if schema == SYSTEM_SCHEMA => Unreplicable::System(table),
        (engine, _) => Unreplicable::Engine {
            table,
            engine: engine?.to_owned(),
        },
    };
    Some(((schema.to_owned(), name.to_owned()), reason))
}

/// The schema and the name of a routine that calls functions in which the node has a part.
fn calling(row: &Row, dialect: Dialect) -> Option<(&str, &str)> {
    let body = row.text(2)?.as_bytes();
    let has_calls = sql::names_calls(body) && !sql::calls(body, dialect).is_empty();
    has_calls.then_some((row.text(0)?, row.text(1)?))
}

fn user(row: &Row, uses: impl FnOnce(&[u8]) -> Vec<Named>) -> Option<User> {
    let (schema, name) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
    Some((schema, name, uses(row.text(2)?.as_bytes())))
}

impl Unreplicated {
    /// Whether there is nothing of the kind.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges a statement by what it may [change](sql::changed), in its default schema if that is known.
    pub fn judge(&self, changed: &[Named], schema: Option<&str>) -> Verdict {
        let mut verdict = Verdict::Replicable;
        for named in changed {
            let Some(schemas) = self.0.get(&named.name) else {
                continue;
            };
            match named.schema.as_deref().or(schema) {
                Some(schema) => {
                    if let Some(reason) = schemas.get(&schema.to_lowercase()) {
                        return Verdict::Unreplicable(reason.clone());
                    }
                }
                None => verdict = Verdict::AskSchema,
            }
        }
        verdict
    }

    /// Whether this was not known before.
    fn add(&mut self, schema: &str, name: &str, reason: Unreplicable) -> bool {
        let schemas = self.0.entry(name.to_lowercase()).or_default();
        let is_new = !schemas.contains_key(&schema.to_lowercase());
        if is_new {
            schemas.insert(schema.to_lowercase(), Arc::new(reason));
        }
        is_new
    }

    /// Adds what changes what is here, itself or by what it uses.
    fn add_users(&mut self, users: &[User]) {
        let mut has_grown = true;
        while std::mem::take(&mut has_grown) {
            for (schema, name, uses) in users {
                if let Verdict::Unreplicable(reason) = self.judge(uses, Some(schema)) {
                    let user = format!("{schema}.{name}");
                    has_grown |= self.add(schema, name, Unreplicable::Used { user, reason });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<Named> {
        let named = |name: &&str| {
            let (schema, name) = name
                .split_once('.')
                .map_or((None, *name), |(schema, name)| (Some(schema), name));
            Named {
                schema: schema.map(str::to_owned),
                name: name.to_owned(),
            }
        };
        names.iter().map(named).collect()
    }

    fn unreplicated() -> Unreplicated {
        let mut unreplicated = Unreplicated::default();
        let (table, engine) = ("d.M".to_owned(), "MyISAM".to_owned());
        assert!(unreplicated.add("d", "M", Unreplicable::Engine { table, engine }));
        let user = |schema: &str, name: &str, uses: &[&str]| {
            (schema.to_owned(), name.to_owned(), named(uses))
        };
        unreplicated.add_users(&[
            user("e", "view", &["f"]),
            user("e", "f", &["e.p"]),
            user("e", "p", &["D.m"]),
            user("e", "other", &["m"]),
        ]);
        unreplicated
    }

    #[test]
    fn what_changes_something_unreplicated_is_unreplicable_in_its_schema() {
        let unreplicated = unreplicated();
        for (changed, schema, expected) in [
            (&["d.m"][..], None, Some("changes of d.M are")),
            (&["m"], Some("D"), Some("changes of d.M are")),
            (
                &["x", "e.view"],
                None,
                Some("e.view cannot be used here: e.f cannot"),
            ),
            (&["e.m", "d.p", "e.other"], None, None),
            (&["m"], Some("e"), None),
            (&["x"], None, None),
        ] {
            match (unreplicated.judge(&named(changed), schema), expected) {
                (Verdict::Unreplicable(reason), Some(start)) => {
                    assert!(reason.to_string().starts_with(start), "{reason}");
                }
                (verdict, expected) => {
                    assert_eq!(
                        (verdict, expected),
                        (Verdict::Replicable, None),
                        "{changed:?}"
                    );
                }
            }
        }
        assert_eq!(unreplicated.judge(&named(&["m"]), None), Verdict::AskSchema);
        let both = unreplicated.judge(&named(&["m", "d.m"]), None);
        assert!(matches!(both, Verdict::Unreplicable(_)), "{both:?}");
    }
}
