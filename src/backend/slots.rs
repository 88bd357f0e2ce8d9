//! Slots: the rows of `trireme.mark`, one for each client that writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Connection, ConnectionError};
use crate::{config::Server, id::TransactionId};

/// The rows that are made at once when there is none left.
const BATCH: u32 = 64;

/// The slots that nobody uses.
#[derive(Debug, Default)]
pub struct Slots(Mutex<Pool>);

#[derive(Debug, Default)]
struct Pool {
    free: Vec<Free>,
    /// The number of rows that are known to be there.
    made: u32,
}

/// A slot that nobody uses, with the last transaction in it that was ordered.
#[derive(Debug)]
struct Free {
    number: u32,
    ordered: Option<TransactionId>,
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
                if let Some(Free { number, ordered }) = pool.free.pop() {
                    return Ok(Slot {
                        number,
                        ordered: Mutex::new(ordered),
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
                let made = (made..made + BATCH).rev();
                pool.free.extend(made.map(|number| Free {
                    number,
                    ordered: None,
                }));
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
        .map(|slot| format!("({slot}, '', '')"))
        .collect();
    let insert = format!("INSERT IGNORE INTO trireme.mark VALUES {}", rows.join(", "));
    connection.query(&insert).await?;
    Ok(())
}

/// A slot that is in use until this is dropped.
#[derive(Debug)]
pub struct Slot {
    number: u32,
    ordered: Mutex<Option<TransactionId>>,
    slots: Arc<Slots>,
}

impl Slot {
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The statement that puts a transaction's mark into the slot. The last one that was ordered
    /// stays there beside it, since this one may not be.
    pub fn mark(&self, id: TransactionId) -> String {
        let number = self.number;
        let previous = self.ordered().map(|id| id.to_string()).unwrap_or_default();
        format!(
            "UPDATE trireme.mark SET txn = '{id}', previous = '{previous}' WHERE slot = {number}"
        )
    }

    /// The transaction whose mark is in the slot has its place in the order.
    pub fn set_ordered(&self, id: TransactionId) {
        *self.ordered() = Some(id);
    }

    fn ordered(&self) -> MutexGuard<'_, Option<TransactionId>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let ordered = *self.ordered();
        let number = self.number;
        self.slots.pool().free.push(Free { number, ordered });
    }
}
