//! The server's binlog as a stream of events, read for the transactions in it.
//!
//! Nothing is skipped: an event that is damaged, missing or of an unknown kind is an error.

mod column;
mod context;
mod event;
mod groups;
mod place;
mod query;
mod rows;
mod table_map;
mod xid;

pub use column::Column;
pub use context::preparation;
#[cfg(test)]
pub(crate) use event::tests::event as written_event;
pub use event::{Event, EventError, Kind};
pub use groups::{CaptureError, Direct, Group, Groups, Refusal};
pub use place::Place;
pub use query::{Query, UnknownVariable};
pub use rows::{Change, Image, RowsError, changes, table_of};
pub use table_map::TableMap;
pub use xid::Xid;
