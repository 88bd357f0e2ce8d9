//! Statements that ask of a server what a Galera node would know, as monitors and tools do.
//!
//! The server evaluates all of them: a node puts what it knows into the text. Sources: "Galera Cluster Status
//! Variables" and "Galera Cluster System Variables" in MariaDB's documentation, and the tools' own statements.

mod assignments;
mod question;
mod sync_wait;
mod values;

pub use assignments::{Assignment, Assignments, for_one_statement};
pub use question::Question;
pub use sync_wait::SyncWait;
pub use values::{Value, Values};

use super::lexer::Token;

/// The names that a node answers for begin with these.
const NAMES: [&str; 2] = ["wsrep_", "pxc_maint_mode"];

/// Which of the two kinds of values is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Status,
    Variables,
}

/// Whether a node answers for what has this name.
pub fn is_own(name: &[u8]) -> bool {
    NAMES.iter().any(|own| begins_with(name, own.as_bytes()))
}

/// Whether a name begins with another one, in whatever case.
fn begins_with(name: &[u8], other: &[u8]) -> bool {
    let start = name.get(..other.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(other))
}

fn is_scope(token: &Token<'_>) -> bool {
    ["GLOBAL", "SESSION", "LOCAL"]
        .iter()
        .any(|scope| token.is(scope))
}
