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
    pub const MAGIC_BYTES: u64 = 4;

    /// Whether the server has written what comes here after what comes there.
    pub fn is_after(&self, other: &Self) -> bool {
        // A file's number gets longer when its digits do not suffice.
        let order = |place: &Self| (place.file.len(), place.file.clone(), place.position);
        order(self) > order(other)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_one_after_the_other() {
        let places = [
            ("log.000009", 900),
            ("log.000010", 4),
            ("log.000010", 30),
            ("log.999999", 4),
            ("log.1000000", 4),
        ];
        let places = places.map(|(file, position)| Place {
            file: file.to_owned(),
            position,
        });
        for (at, place) in places.iter().enumerate() {
            for (other_at, other) in places.iter().enumerate() {
                assert_eq!(place.is_after(other), at > other_at, "{place} {other}");
            }
        }
    }
}
