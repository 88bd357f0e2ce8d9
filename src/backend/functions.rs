//! Stored functions: a statement that only reads may call one, and a function may write.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Connection, ConnectionError, Row};
use crate::sql::{self, Dialect};

/// What a server says of a function's access to data is only what its author said, so all count.
/// Those of the `sys` schema are the server's own.
const FUNCTIONS: &str = "SELECT routine_name FROM information_schema.routines \
    WHERE routine_type = 'FUNCTION' AND routine_schema NOT IN ('sys', 'mysql')";

const VIEWS: &str = "SELECT table_name, view_definition FROM information_schema.views \
    WHERE table_schema NOT IN ('sys', 'mysql')";

/// The names of the server's stored functions, and of the views that call one, in lower case.
#[derive(Debug, Default)]
pub struct Functions(RwLock<Arc<HashSet<Vec<u8>>>>);

impl Functions {
    /// The names as they were read last.
    pub fn names(&self) -> Arc<HashSet<Vec<u8>>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the names anew.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn read(&self, connection: &mut Connection) -> Result<(), ConnectionError> {
        let name = |row: &Row| row.text(0).map(|name| name.to_lowercase().into_bytes());
        let functions = connection.query(FUNCTIONS).await?;
        let views = connection.query(VIEWS).await?;
        let dialect = Dialect::of(connection.version().as_bytes());
        let mut names: HashSet<_> = functions.iter().filter_map(name).collect();
        // A view on such a view is one.
        loop {
            let before = names.len();
            for view in &views {
                let definition = view.text(1).unwrap_or_default();
                if sql::names_one_of(definition.as_bytes(), dialect, &names) {
                    names.extend(name(view));
                }
            }
            if names.len() == before {
                break;
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        Ok(())
    }
}
