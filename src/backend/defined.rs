//! What is defined on a server, as far as statements that use it are judged by it.

use super::{Connection, ConnectionError, Functions, Unreplicated, unreplicated};
use crate::sql::Dialect;

/// The `sys` schema and `mysql` hold what is the server's own. MariaDB opens all tables of the others before it finds that none is a view.
const VIEWS: &str = "SELECT table_schema, table_name, view_definition FROM information_schema.views \
    WHERE table_schema NOT IN ('sys', 'mysql', 'information_schema', 'performance_schema')";

const ROUTINES: &str = "SELECT routine_schema, routine_name, routine_definition, routine_type \
    FROM information_schema.routines WHERE routine_schema NOT IN ('sys', 'mysql')";

/// What is defined on a server.
#[derive(Debug, Default)]
pub struct Defined {
    /// How often this was read before.
    pub version: u64,
    /// What may write although it looks like reading.
    pub functions: Functions,
    /// What must not be written to.
    pub unreplicated: Unreplicated,
}

impl Defined {
    /// Reads it.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) async fn read(
        connection: &mut Connection,
        version: u64,
    ) -> Result<Self, ConnectionError> {
        let dialect = Dialect::of(connection.version().as_bytes());
        let views = connection.query(VIEWS).await?;
        let routines = connection.query(ROUTINES).await?;
        Ok(Self {
            version,
            functions: Functions::of(&routines, &views, dialect),
            unreplicated: unreplicated::read(connection, &routines, &views, dialect).await?,
        })
    }
}
