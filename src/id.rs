//! Names of the cluster's parts that every layer shares.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A node's identity in the replicated log: drawn at random when its log directory is made, and
/// never used again once that directory is lost.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NodeId(u64);

impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl From<NodeId> for u64 {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Who proposed an entry, and which of its proposals it is. A proposal that is sent again keeps
/// its id, so that it is delivered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProposalId {
    pub node: NodeId,
    /// Counts the node's starts; proposals of an earlier start are dropped once one of a later
    /// start was delivered.
    pub incarnation: u64,
    /// Counts the proposals of one incarnation, from 1.
    pub sequence: u64,
}

impl fmt::Display for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.node, self.incarnation, self.sequence)
    }
}

/// A kind of server. A cluster has one: what either logs is strange to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    MariaDb,
    MySql,
}

impl Family {
    /// The kind of a server that calls itself by this version.
    pub fn of(version: &str) -> Self {
        if version.contains("MariaDB") {
            Self::MariaDb
        } else {
            Self::MySql
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

/// A place in the one order of the cluster: the index in the log. Not every index is one.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seqno(pub u64);

impl fmt::Display for Seqno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A transaction of a client, and its name as an XA transaction on its server: unique in the
/// cluster for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransactionId {
    /// Where the client is connected.
    pub node: NodeId,
    /// Counts that node's starts.
    pub incarnation: u64,
    /// Counts the transactions of one incarnation, from 1.
    pub number: u64,
}

/// What the name of every transaction starts with; nobody else's XA transactions should.
const PREFIX: &str = "trireme-";

impl fmt::Display for TransactionId {
    /// At most 58 bytes of the 64 that an XA id may have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            incarnation,
            number,
        } = self;
        write!(f, "{PREFIX}{node}-{incarnation:x}-{number:x}")
    }
}

/// A name that no node has given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a transaction")]
pub struct NotATransaction;

impl FromStr for TransactionId {
    type Err = NotATransaction;

    fn from_str(name: &str) -> Result<Self, NotATransaction> {
        let numbers = name.strip_prefix(PREFIX).ok_or(NotATransaction)?;
        let mut numbers = numbers.split('-').map(|n| u64::from_str_radix(n, 16));
        let mut next = || numbers.next().and_then(Result::ok).ok_or(NotATransaction);
        let id = Self {
            node: next()?.into(),
            incarnation: next()?,
            number: next()?,
        };
        // One spelling for each.
        if id.to_string() == name {
            Ok(id)
        } else {
            Err(NotATransaction)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_transaction_is_known_by_its_name(node: u64, incarnation: u64, number: u64) {
            let id = TransactionId { node: node.into(), incarnation, number };
            let name = id.to_string();
            prop_assert!(name.len() <= 64);
            prop_assert_eq!(name.parse(), Ok(id));
        }
    }

    #[test]
    fn other_names_are_not_transactions() {
        for name in [
            "",
            "trireme-",
            "trireme-0-0-0",
            "trireme-0000000000000007-1-+1",
            "trireme-0000000000000007-1",
            "trireme-0000000000000007-1-1-1",
            "other-0000000000000007-1-1",
        ] {
            assert_eq!(
                name.parse::<TransactionId>(),
                Err(NotATransaction),
                "{name}"
            );
        }
    }
}
