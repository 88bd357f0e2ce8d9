//! Write sets: what a transaction has changed, in a form that every node can judge and apply.
//!
//! Its keys say what it has in common with others, its events are the server's own.

mod draft;
mod key;
mod table;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{Seqno, TransactionId};

pub use draft::{Cascades, Draft, KeysError, Text, Weights, tables_of};
pub use key::{Key, KeyHash, Mode};
pub use table::{Collation, ForeignKey, KeyColumn, KeyColumns, Table, TableName, Tables};

/// What a transaction has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSet {
    pub id: TransactionId,
    /// Everything up to here was committed on the transaction's server, or kept out of its way by
    /// locks, before it was proposed.
    pub last_seen: Seqno,
    /// In the order of their hashes, each once.
    pub keys: Vec<Key>,
    /// The event that says how the others are to be read.
    pub format: Bytes,
    /// Row events, each after the table maps that it belongs to.
    pub events: Vec<Bytes>,
}

impl WriteSet {
    /// The bytes of its events.
    pub fn event_bytes(&self) -> usize {
        self.events.iter().map(Bytes::len).sum()
    }
}

/// What a statement has done that is no transaction: a change of the schema or of accounts.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The event that says how the others are to be read.
    pub format: Bytes,
    /// Statements as the server has logged them, and the rows that it has logged with one, each
    /// after the table maps that it belongs to. Empty if it has had no effect.
    pub events: Vec<Bytes>,
}
