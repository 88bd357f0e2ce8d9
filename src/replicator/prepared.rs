//! A transaction that its session holds prepared on the server, until it is decided there.
//!
//! Its locks, and its mark's slot, must not outlive it: where a session ends before it has decided,
//! the node decides itself.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{
    backend::{ConnectionError, ServerRun, Slot, position},
    id::TransactionId,
};

/// Between two looks at what a session has left behind.
const RETRY: Duration = Duration::from_millis(20);

/// A server takes no longer than this to notice that its client is gone, or counts as having done
/// so.
const PATIENCE: Duration = Duration::from_secs(5);

/// `ER_XAER_NOTA`: no such transaction, or not in nobody's hands.
const NO_SUCH_TRANSACTION: u16 = 1397;

/// A transaction on the server, and who has it there.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: TransactionId,
    /// The session's connection on the server.
    pub connection: u32,
    /// Nobody else may write into it before the transaction is decided.
    pub slot: Arc<Slot>,
}

/// What becomes of a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Commit,
    RollBack,
}

/// A transaction that is to be rolled back, by its session or, if this is dropped before it is
/// [`over`](Self::over), by the node.
#[derive(Debug)]
pub struct Prepared {
    held: Option<Held>,
    run: Arc<ServerRun>,
}

impl Prepared {
    pub(super) fn new(held: Held, run: Arc<ServerRun>) -> Self {
        Self {
            held: Some(held),
            run,
        }
    }

    pub fn id(&self) -> TransactionId {
        self.held.as_ref().expect("taken only at the end").id
    }

    /// The transaction is decided, or others see to it.
    pub fn over(mut self) -> Held {
        self.held.take().expect("taken only at the end")
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let run = self.run.clone();
            // Without a runtime the node is stopping; its next start rolls back.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(async move { decide(&run, &held, Decision::RollBack).await });
            }
        }
    }
}

/// Decides a transaction whose session has gone, when its connection has; gives what has become of
/// it. It may not be what was wanted: a server that crashed can have lost what was prepared.
pub(super) async fn decide(run: &ServerRun, held: &Held, wanted: Decision) -> Decision {
    let since = Instant::now();
    loop {
        match attempt(run, held, wanted, since.elapsed() > PATIENCE).await {
            Ok(Some(decision)) => {
                info!(transaction = %held.id, ?decision, "decided what a session has left");
                return decision;
            }
            Ok(None) => {}
            Err(error) => {
                warn!(transaction = %held.id, %error, "cannot decide what a session has left");
            }
        }
        sleep(RETRY).await;
    }
}

async fn attempt(
    run: &ServerRun,
    held: &Held,
    wanted: Decision,
    is_late: bool,
) -> Result<Option<Decision>, ConnectionError> {
    let Held {
        id,
        connection,
        slot,
    } = held;
    let mut own = run.open().await?;
    let holder = format!("SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {connection}");
    if !is_late && !own.query(&holder).await?.is_empty() {
        return Ok(None);
    }
    let prepared = own.query("XA RECOVER").await?;
    let name = id.to_string();
    if !prepared.iter().any(|row| row.text(3) == Some(&name)) {
        let mark = position::mark(&mut own, slot.number()).await?;
        return Ok(Some(if mark == Some(*id) {
            Decision::Commit
        } else {
            Decision::RollBack
        }));
    }
    let verb = match wanted {
        Decision::Commit => "COMMIT",
        Decision::RollBack => "ROLLBACK",
    };
    match own.query(&format!("XA {verb} '{name}'")).await {
        Ok(_) => Ok(Some(wanted)),
        Err(ConnectionError::Server {
            number: NO_SUCH_TRANSACTION,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}
