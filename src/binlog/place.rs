//! Places in the binlog.

use std::fmt;

/// Where a reader stands in the binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// Bytes from the start of the file.
    pub position: u64,
}

impl Place {
    /// What a file starts with, before its first event.
    const MAGIC_BYTES: u64 = 4;

    /// What a `ROTATE` event's body says: the position, 8 bytes, and the file.
    pub(super) fn after_rotate(body: &[u8]) -> Option<Self> {
        let (position, file) = body.split_first_chunk()?;
        Some(Self {
            file: String::from_utf8(file.to_vec()).ok()?,
            position: u64::from_le_bytes(*position),
        })
    }

    /// Whether `next` is the start of the file after this one.
    pub(super) fn is_followed_by(&self, next: &Self) -> bool {
        fn number(file: &str) -> Option<(&str, u64)> {
            let (base, number) = file.rsplit_once('.')?;
            Some((base, number.parse().ok()?))
        }
        next.position == Self::MAGIC_BYTES
            && number(&self.file).map(|(base, n)| (base, n + 1)) == number(&next.file)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.position)
    }
}
