//! Slots: the rows of `trireme.mark`, one for each client that writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Connection, ConnectionError};
use crate::{config::Server, id::TransactionId};

/// The rows that are made at once when there is none left.
const BATCH: u32 = 64;

/// The slots that nobody uses.
#[derive(Debug, Default)]
pub struct Slots {
    pool: Mutex<Pool>,
    /// Held while more are made. Who made the same ones again would wait for those who have their
    /// marks in them by then.
    making: tokio::sync::Mutex<()>,
}

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
        self.take_from(async |first| make(server, first).await)
            .await
    }

    async fn take_from<F>(
        self: &Arc<Self>,
        make: impl Fn(u32) -> F,
    ) -> Result<Slot, ConnectionError>
    where
        F: Future<Output = Result<(), ConnectionError>>,
    {
        if let Some(slot) = self.free() {
            return Ok(slot);
        }
        let _making = self.making.lock().await;
        loop {
            if let Some(slot) = self.free() {
                return Ok(slot);
            }
            let first = self.pool().made;
            make(first).await?;
            let mut pool = self.pool();
            pool.made += BATCH;
            let made = (first..first + BATCH).rev();
            pool.free.extend(made.map(|number| Free {
                number,
                ordered: None,
            }));
        }
    }

    fn free(self: &Arc<Self>) -> Option<Slot> {
        let Free { number, ordered } = self.pool().free.pop()?;
        Some(Slot {
            number,
            ordered: Mutex::new(ordered),
            slots: Arc::clone(self),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(server: &Server, first: u32) -> Result<(), ConnectionError> {
    let mut connection = Connection::open(server).await?;
    let rows: Vec<_> = (first..first + BATCH)
        .map(|slot| format!("({slot}, '', '')"))
        .collect();
    let insert = format!("INSERT IGNORE INTO trireme.mark VALUES {}", rows.join(", "));
    connection.run_unlogged(&[insert]).await
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn slots_are_made_once_whoever_asks_meanwhile() {
        let slots = Arc::new(Slots::default());
        let next = AtomicU32::new(0);
        let make = |first| {
            assert_eq!(next.fetch_add(BATCH, Ordering::Relaxed), first);
            async {
                tokio::task::yield_now().await;
                Ok(())
            }
        };
        let (one, other) = tokio::join!(slots.take_from(make), slots.take_from(make));
        assert_eq!([one.unwrap().number(), other.unwrap().number()], [0, 1]);
        assert_eq!(next.into_inner(), BATCH);
    }
}
