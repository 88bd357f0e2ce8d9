//! Recovery: finds out what of the log this node's server has, after whatever has ended the node
//! or the server before.

use std::collections::HashSet;

use tokio::time::sleep;
use tracing::{info, warn};

use super::{
    RETRY, ReplicationFailure,
    entry::{Assembly, Entry},
};
use crate::{
    backend::{Connection, ConnectionError, position},
    config::Server,
    consensus::{Engine, ProposeError, ReplicatedLog},
    id::{Seqno, TransactionId},
};

/// Where a node stands when it starts.
#[derive(Debug)]
pub(super) struct Recovered {
    /// All up to here is committed on its server, and nothing after.
    pub(super) position: Seqno,
    /// The log goes at least to here, and nothing of an earlier start of this node comes after.
    pub(super) end: Seqno,
}

/// Finds a node's place. Its server has nothing that an earlier start has prepared and not decided.
///
/// Transactions commit in the order of the log. A batch of write sets from other nodes moves the
/// saved position, a client's transaction leaves its mark, so the last of either tells how far the
/// server's data are.
///
/// # Errors
/// The log cannot be read, or is not that of this server.
pub(super) async fn recover(
    log: &Engine,
    server: &Server,
) -> Result<Recovered, ReplicationFailure> {
    let end = announce(log).await;
    let (saved, marks) = loop {
        match read(server).await {
            Ok(read) => break read,
            Err(error) => warn!(%error, "the saved position cannot be read; trying again"),
        }
        sleep(RETRY).await;
    };
    let mut position = saved;
    let mut deliveries = log.deliveries(0);
    let mut assembly = Assembly::default();
    loop {
        let delivered = deliveries.next().await?;
        let index = delivered.index;
        let entry = assembly.take(&delivered.body);
        let entry = entry.map_err(|error| ReplicationFailure::Entry { index, error })?;
        if let Some(Entry::WriteSet(write_set)) = entry
            && marks.contains(&write_set.id)
        {
            position = position.max(Seqno(index));
        }
        if index >= end.0 {
            break;
        }
    }
    if position > end {
        return Err(ReplicationFailure::Foreign { position, end });
    }
    while let Err(error) = save(server, position).await {
        warn!(%error, "the position cannot be saved; trying again");
        sleep(RETRY).await;
    }
    info!(%position, %end, "found the place of this server's data in the log");
    Ok(Recovered { position, end })
}

/// Says in the log that this node has started; gives the place of that.
async fn announce(log: &Engine) -> Seqno {
    let (node, incarnation) = log.identity();
    let bodies = Entry::Started { node, incarnation }.bodies();
    let body = bodies.expect("a small entry").remove(0);
    loop {
        match log.propose(body.clone()).await {
            Ok(index) => return Seqno(index),
            Err(ProposeError::NoQuorum | ProposeError::Unknown) => sleep(RETRY).await,
            Err(ProposeError::Stopped | ProposeError::TooLarge(_)) => std::future::pending().await,
        }
    }
}

async fn read(server: &Server) -> Result<(Seqno, HashSet<TransactionId>), ConnectionError> {
    let mut connection = Connection::open(server).await?;
    let saved = position::read(&mut connection).await?;
    Ok((saved, position::marks(&mut connection).await?))
}

/// From here on the marks are not needed to know the position.
async fn save(server: &Server, position: Seqno) -> Result<(), ConnectionError> {
    let mut connection = Connection::open(server).await?;
    connection.query("SET SESSION sql_log_bin = 0").await?;
    connection.query(&position::update(position)).await?;
    Ok(())
}
