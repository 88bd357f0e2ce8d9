//! The text of statements, read as far as a node must know what they do to a transaction.
//!
//! This is not a parser: the server is. What is not recognized counts as a write.

mod alteration;
mod bounds;
mod calls;
mod changed;
mod class;
mod definition;
mod diagnostics;
mod dynamic;
mod effect;
pub mod galera;
mod kill;
mod lexer;
mod literal;
mod put;
mod repeat;
mod savepoint;
mod spanned;
mod table_locks;
mod unsupported;

pub use alteration::orders_rows_of;
pub use bounds::{Access, Completion, sets_completion, sets_next_transaction};
pub use calls::{Call, Function, calls, names_calls, parameters_in, prepares, with_parameters};
pub use changed::{Named, changed, named};
pub use class::Class;
pub use definition::{Reach, defines_account_or_routine, names_directory, reach};
pub use diagnostics::Diagnostics;
pub use dynamic::{Dynamic, Text};
pub use effect::Effect;
pub use kill::killed_query;
pub use lexer::{Dialect, names_one_of, statements};
pub use literal::hex;
pub use put::{Instead, put_values};
pub use repeat::{makes_temporary, may_read_again, may_repeat};
pub use savepoint::Savepoint;
pub use table_locks::{TableLock, TableLocks};
pub use unsupported::Unsupported;
