//! What a client and a server agreed to speak.
//!
//! Sources: "Capabilities Flags" in the MySQL source documentation; "Connection" in the MariaDB
//! protocol documentation for its extended half.

use std::ops::{BitAnd, BitOr, Not};

/// A set of capabilities. The upper 32 bits are MariaDB's extended ones, which travel in a field
/// of their own and only between peers that leave [`Self::MYSQL`] out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Set by everything that is not MariaDB (once `CLIENT_LONG_PASSWORD`).
    pub const MYSQL: Self = Self(1);
    /// `CLIENT_FOUND_ROWS`: rows that already were as they should become count as affected, too.
    pub const FOUND_ROWS: Self = Self(1 << 1);
    /// `CLIENT_CONNECT_WITH_DB`: the client's answer names a schema.
    pub const CONNECT_WITH_DB: Self = Self(1 << 3);
    /// `CLIENT_COMPRESS`: packets inside zlib packets.
    pub const COMPRESS: Self = Self(1 << 5);
    /// `CLIENT_PROTOCOL_41`: the protocol since MySQL 4.1.
    pub const PROTOCOL_41: Self = Self(1 << 9);
    /// `CLIENT_SSL`: the client's answer comes twice, the second time inside TLS.
    pub const TLS: Self = Self(1 << 11);
    /// `CLIENT_SECURE_CONNECTION`: authentication data may hold zeros.
    pub const SECURE_CONNECTION: Self = Self(1 << 15);
    /// `CLIENT_MULTI_STATEMENTS`: several statements in one command.
    pub const MULTI_STATEMENTS: Self = Self(1 << 16);
    /// `CLIENT_PLUGIN_AUTH`: the client's answer names its authentication plugin.
    pub const PLUGIN_AUTH: Self = Self(1 << 19);
    /// `CLIENT_CONNECT_ATTRS`: the client tells about itself.
    pub const CONNECT_ATTRS: Self = Self(1 << 20);
    /// `CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA`: authentication data may be longer than 255 bytes.
    pub const PLUGIN_AUTH_LENENC: Self = Self(1 << 21);
    /// `CLIENT_SESSION_TRACK`: an OK may tell what has changed in the session; its message has a length then.
    pub const SESSION_TRACK: Self = Self(1 << 23);
    /// `CLIENT_DEPRECATE_EOF`: no EOF after column definitions, an OK in its place after rows.
    pub const DEPRECATE_EOF: Self = Self(1 << 24);
    /// `CLIENT_OPTIONAL_RESULTSET_METADATA`: a column count says whether definitions follow.
    pub const OPTIONAL_METADATA: Self = Self(1 << 25);
    /// `CLIENT_ZSTD_COMPRESSION_ALGORITHM`.
    pub const ZSTD: Self = Self(1 << 26);
    /// `CLIENT_QUERY_ATTRIBUTES`: values beside a statement's text, before it.
    pub const QUERY_ATTRIBUTES: Self = Self(1 << 27);
    /// `MARIADB_CLIENT_PROGRESS`: ERR packets with number 65535 report progress.
    pub const PROGRESS: Self = Self(1 << 32);
    /// `MARIADB_CLIENT_CACHE_METADATA`: MariaDB's form of [`Self::OPTIONAL_METADATA`].
    pub const CACHE_METADATA: Self = Self(1 << 36);

    /// Whether all of `others` are in this set.
    pub fn has(self, others: Self) -> bool {
        self & others == others
    }
}

impl BitAnd for Capabilities {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Capabilities {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Not for Capabilities {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}
