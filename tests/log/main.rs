//! The replicated log: three nodes in one process, over real sockets and disks.

#![allow(clippy::unwrap_used)]

mod cluster;
mod ordering;
mod peer_port;
mod quorum;
mod retention;
mod status;
