//! The MySQL wire protocol, as far as a relay must know it. A leaf: knows no sockets and no node.

pub mod attributes;
pub mod auth;
pub mod capability;
pub mod command;
pub mod errno;
pub mod error;
pub mod execution;
pub mod handshake;
pub mod lenenc;
pub mod packet;
pub mod query_attributes;
pub mod response;
