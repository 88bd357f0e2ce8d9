//! Stored functions: a statement that only reads may call one, and a function may write.

use std::collections::HashSet;

use super::Row;
use crate::sql::{self, Dialect};

/// The names of the server's stored functions, and of the views that call one, in lower case.
///
/// What a server says of a function's access to data is only what its author said, so all count.
#[derive(Debug, Default)]
pub struct Functions(HashSet<Vec<u8>>);

impl Functions {
    /// Takes the names from rows of routines, each with its schema, its name, its body and its type, and
    /// of views, each with its schema, its name and its definition.
    pub(super) fn of(routines: &[Row], views: &[Row], dialect: Dialect) -> Self {
        let name = |row: &Row| row.text(1).map(|name| name.to_lowercase().into_bytes());
        let is_function = |row: &&Row| row.text(3) == Some("FUNCTION");
        let mut names: HashSet<_> = routines
            .iter()
            .filter(is_function)
            .filter_map(name)
            .collect();
        // A view on such a view is one.
        loop {
            let before = names.len();
            for view in views {
                let definition = view.text(2).unwrap_or_default();
                if sql::names_one_of(definition.as_bytes(), dialect, &names) {
                    names.extend(name(view));
                }
            }
            if names.len() == before {
                return Self(names);
            }
        }
    }

    /// Whether a statement names one of them.
    pub fn are_named(&self, text: &[u8], dialect: Dialect) -> bool {
        sql::names_one_of(text, dialect, &self.0)
    }
}
