//! Keys: what two write sets have in common when they conflict.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::table::{KeyColumn, TableName};

/// What a write set does to what a key stands for. Ordered by what it excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Depends on it, as a row does on the one that its foreign key refers to.
    Reference,
    /// Changes a row, but none of the values that tell it from others.
    Update,
    /// Makes, removes or changes what the key stands for.
    Exclusive,
}

impl Mode {
    /// Whether two write sets conflict, of which neither has seen the other's change.
    pub fn conflicts_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Reference, Self::Reference | Self::Update) | (Self::Update, Self::Reference) => {
                false
            }
            (Self::Update, Self::Update) | (Self::Exclusive, _) | (_, Self::Exclusive) => true,
        }
    }
}

/// The hash of what a key stands for. Two that are equal by chance cost a false conflict, never a
/// change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 16]);

/// A key, and what its write set does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub hash: KeyHash,
    pub mode: Mode,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// Values of these columns in a table; the name of an index does not matter.
    Values(&'a [KeyColumn]),
    /// Whatever values the columns have: where rows do not tell them.
    AnyValues(&'a [KeyColumn]),
    /// A row that only its whole tells from others.
    Row,
    /// The whole table.
    Table,
}

/// Hashes the parts of a key, each with its length, with XXH3 of 128 bits.
pub(super) struct Hasher(Xxh3);

impl Hasher {
    pub(super) fn new(table: &TableName, subject: Subject<'_>) -> Self {
        let mut hasher = Self(Xxh3::new());
        hasher.part(table.schema.as_bytes());
        hasher.part(table.table.as_bytes());
        let (tag, columns) = match subject {
            Subject::Values(columns) => (0, columns),
            Subject::AnyValues(columns) => (1, columns),
            Subject::Row => (2, &[][..]),
            Subject::Table => (3, &[][..]),
        };
        hasher.0.update(&[tag]);
        hasher.0.update(&(columns.len() as u64).to_le_bytes());
        for column in columns {
            hasher.part(column.name.to_lowercase().as_bytes());
            let prefix = column.prefix.unwrap_or_default();
            hasher.0.update(&prefix.to_le_bytes());
        }
        hasher
    }

    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> KeyHash {
        KeyHash(self.0.digest128().to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode::*, *};

    #[test]
    fn modes_exclude_each_other() {
        for (one, other, conflict) in [
            (Reference, Reference, false),
            (Reference, Update, false),
            (Reference, Exclusive, true),
            (Update, Update, true),
            (Update, Exclusive, true),
            (Exclusive, Exclusive, true),
        ] {
            assert_eq!(one.conflicts_with(other), conflict, "{one:?} {other:?}");
            assert_eq!(other.conflicts_with(one), conflict, "{other:?} {one:?}");
        }
    }

    #[test]
    fn what_keys_stand_for_is_told_apart() {
        let table = |schema, table| TableName::new(schema, table);
        let a = [KeyColumn::from("a")];
        let prefixed = [KeyColumn {
            prefix: Some(3),
            ..KeyColumn::from("a")
        }];
        let hash = |table: &TableName, subject, parts: &[&[u8]]| {
            let mut hasher = Hasher::new(table, subject);
            parts.iter().for_each(|part| hasher.part(part));
            hasher.finish()
        };
        let hashes = [
            hash(&table("s", "t"), Subject::Values(&a), &[b"x"]),
            hash(&table("s", "t"), Subject::Values(&a), &[b"", b"x"]),
            hash(&table("s", "t"), Subject::Values(&prefixed), &[b"x"]),
            hash(&table("s", "t"), Subject::AnyValues(&a), &[b"x"]),
            hash(&table("st", ""), Subject::Values(&a), &[b"x"]),
            hash(&table("s", "t"), Subject::Row, &[b"x"]),
            hash(&table("s", "t"), Subject::Table, &[b"x"]),
        ];
        for (at, one) in hashes.iter().enumerate() {
            assert!(!hashes[at + 1..].contains(one), "{at}");
        }
        let upper = [KeyColumn::from("A")];
        let same = hash(&table("s", "t"), Subject::Values(&upper), &[b"x"]);
        assert_eq!(same, hashes[0], "a column's name has no case");
    }
}
