//! The replicated log: every node delivers the same entries in the same order, and an entry that
//! was delivered anywhere is durable on a majority.
//!
//! The log carries bytes and must never know what they mean.

mod once;
mod state_machine;
mod store;
mod types;

pub use types::{Member, Proposal, TypeConfig};
