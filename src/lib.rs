//! Trireme: synchronous multi-master for stock MySQL and MariaDB servers.
//!
//! ARCHITECTURE.md is the way in; the modules below are listed from the top of the import order
//! to the bottom, and each may name only those under it.

pub mod cli;
pub mod node;
pub mod signals;

pub mod sandbox;

pub mod check;
pub mod frontend;
pub mod status;

pub mod replicator;

pub mod applier;
pub mod backend;
pub mod certification;
pub mod write_set;

pub mod consensus;

pub mod certificates;
pub mod config;
pub mod duty;
pub mod id;
pub mod metrics;
pub mod net;

pub mod binlog;
pub mod protocol;
pub mod sql;
