//! What is defined on a server, as far as statements that use it are judged by it.

use std::sync::Arc;

use super::{Connection, ConnectionError, Functions, Row, Unreplicated, unreplicated};
use crate::{
    binlog::{Event, Kind, Query},
    sql::{self, Dialect, Reach},
    write_set::Definition,
};

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
    programs: Arc<Programs>,
    /// What must not be written to.
    pub unreplicated: Unreplicated,
}

/// What does other things than its name says. Most definitions leave it as it is.
#[derive(Debug, Default)]
struct Programs {
    /// Each with its schema, its name and its definition.
    views: Vec<Row>,
    /// Each with its schema, its name, its body and its type.
    routines: Vec<Row>,
    functions: Functions,
}

impl Defined {
    /// What may write although it looks like reading.
    pub fn functions(&self) -> &Functions {
        &self.programs.functions
    }

    /// Reads everything.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) async fn read(&self, connection: &mut Connection) -> Result<Self, ConnectionError> {
        let views = connection.query(VIEWS).await?;
        let routines = connection.query(ROUTINES).await?;
        let functions = Functions::of(&routines, &views, connection.dialect());
        let programs = Programs {
            views,
            routines,
            functions,
        };
        self.with(connection, Arc::new(programs)).await
    }

    /// Reads what a definition may have changed; nothing, if that is not read here.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) async fn read_after(
        &self,
        definition: &Definition,
        connection: &mut Connection,
    ) -> Result<Option<Self>, ConnectionError> {
        Ok(match reach(definition, connection.dialect()) {
            Reach::Accounts => None,
            Reach::Tables => Some(self.with(connection, self.programs.clone()).await?),
            Reach::Everything => Some(self.read(connection).await?),
        })
    }

    async fn with(
        &self,
        connection: &mut Connection,
        programs: Arc<Programs>,
    ) -> Result<Self, ConnectionError> {
        let dialect = connection.dialect();
        let Programs {
            views, routines, ..
        } = &*programs;
        Ok(Self {
            version: self.version + 1,
            unreplicated: unreplicated::read(connection, routines, views, dialect).await?,
            programs,
        })
    }
}

/// What the statements of a definition may have changed.
fn reach(definition: &Definition, dialect: Dialect) -> Reach {
    let of_event = |event| match Event::new(event) {
        Ok(event) if event.kind() == Kind::QUERY => Query::decode(event.body())
            .map_or(Reach::Everything, |query| sql::reach(query.text, dialect)),
        // Rows, and what a statement needs.
        Ok(_) => Reach::Accounts,
        Err(_) => Reach::Everything,
    };
    let events = definition.events.iter().cloned();
    events.map(of_event).max().unwrap_or(Reach::Everything)
}
