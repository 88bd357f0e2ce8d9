//! How nodes reach each other: TCP, encrypted or not, length-delimited frames, a connection for urgent calls, one for
//! proposals and one for the log's stream to each peer.

pub(crate) mod link;
mod log_lane;
pub(crate) mod message;
pub(crate) mod network;
pub(crate) mod security;
pub(crate) mod server;
