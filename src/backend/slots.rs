//! Slots: the rows of `trireme.mark`, one for each client that writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Connection, ConnectionError};
use crate::config::Server;

/// The rows that are made at once when there is none left.
const BATCH: u32 = 64;

/// The slots that nobody uses.
#[derive(Debug, Default)]
pub struct Slots(Mutex<Pool>);

#[derive(Debug, Default)]
struct Pool {
    free: Vec<u32>,
    /// The number of rows that are known to be there.
    made: u32,
}

impl Slots {
    /// Takes a slot, and makes more on the server when there is none left.
    ///
    /// # Errors
    /// The server cannot be reached with the node's account.
    pub async fn take(self: &Arc<Self>, server: &Server) -> Result<Slot, ConnectionError> {
        loop {
            let made = {
                let mut pool = self.pool();
                if let Some(number) = pool.free.pop() {
                    return Ok(Slot {
                        number,
                        slots: Arc::clone(self),
                    });
                }
                pool.made
            };
            make(server, made).await?;
            let mut pool = self.pool();
            // Others may have made the same ones meanwhile.
            if pool.made == made {
                pool.made += BATCH;
                pool.free.extend((made..made + BATCH).rev());
            }
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(server: &Server, first: u32) -> Result<(), ConnectionError> {
    let mut connection = Connection::open(server).await?;
    connection.query("SET SESSION sql_log_bin = 0").await?;
    let rows: Vec<_> = (first..first + BATCH)
        .map(|slot| format!("({slot}, '')"))
        .collect();
    let insert = format!("INSERT IGNORE INTO trireme.mark VALUES {}", rows.join(", "));
    connection.query(&insert).await?;
    Ok(())
}

/// A slot that is in use until this is dropped.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    slots: Arc<Slots>,
}

impl Slot {
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.pool().free.push(self.number);
    }
}
