//! Where clients are.

use std::{fmt, net::SocketAddr};

/// Where a client is, as far as the node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// There, or behind a balancer there that does not say for whom it connects.
    Remote(SocketAddr),
    /// On the node's machine: it came through the socket in the file system.
    Local,
    /// In the node, which is a client of its own.
    Node,
}

impl Origin {
    /// Whether nobody can listen on the way from there.
    pub(super) fn is_here(self) -> bool {
        matches!(self, Self::Local | Self::Node)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(address) => address.fmt(f),
            Self::Local => f.write_str("localhost"),
            Self::Node => f.write_str("the node"),
        }
    }
}
