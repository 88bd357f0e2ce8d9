//! Conversations through a node, byte by byte, with both ends scripted.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod authentication;
mod bad_input;
mod encryption;
mod large;
mod leaving;
mod proxied;
mod script;
