//! The node's own connections to its server.

mod backdoor;
mod blockers;
mod bookmark;
mod capture;
mod check;
mod connection;
mod constraints;
mod defined;
mod dump;
mod functions;
mod interval;
mod login;
mod named_locks;
mod note;
mod pool;
pub mod position;
mod prepare;
mod run;
mod scheduled;
mod schema;
mod slots;
mod system_tables;
mod unreplicated;
mod weights;

use std::io;

use tokio::time::error::Elapsed;

use crate::binlog::Place;

pub use backdoor::{Backdoor, BackdoorCommit};
pub use blockers::{Blockers, Kill, Watch};
pub use capture::{CaptureFailure, Captured, Captures, Changes, Expected, capture, unreachable};
pub use check::{Finding, check};
pub use connection::{Connection, Row};
pub use defined::Defined;
pub use dump::{AtTheEnd, Dump, Sent, end_of_binlog};
pub use functions::Functions;
pub use named_locks::{MAX_NAME, NamedLock, NamedLocks};
pub use note::{Effect, Note, NoteError};
pub use pool::Pool;
pub use prepare::{PrepareError, prepare};
pub use run::ServerRun;
pub use scheduled::{ScheduledEvent, ScheduledEvents, Standing, forget_run};
pub(crate) use schema::literal;
pub use schema::{Defining, NoKeys, Schemas};
pub use slots::{Slot, Slots};
pub use unreplicated::{Unreplicable, Unreplicated, Verdict};

/// Why the node cannot talk to its server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer within server.connect_timeout_ms")]
    Timeout(#[from] Elapsed),
    /// An ERR packet.
    #[error("error {number}: {message}")]
    Server { number: u16, message: String },
    #[error("cannot log in with server.user: {0}")]
    Login(String),
    #[error("the server sent {0} that cannot be understood")]
    Malformed(&'static str),
    #[error(
        "a server cannot be asked for its binlog from {0} on, beyond 4 GiB; run FLUSH BINARY LOGS"
    )]
    Far(Place),
    #[error("its binlog was emptied, and not all of it was read")]
    Emptied,
    /// See [`ServerRun`].
    #[error("the server has started anew")]
    StartedAnew,
}
