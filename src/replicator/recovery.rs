//! Recovery: finds out what of the log this node's server has, after whatever has ended the node
//! or the server before.

use std::{collections::HashSet, sync::Arc};

use tokio::time::sleep;
use tracing::info;

use super::{
    RETRY, ReplicationFailure, Replicator,
    claims::{Claims, nothing_defined},
    entry::{Assembly, Entry, small_body},
    retry,
};
use crate::{
    backend::{Connection, ConnectionError, Note, position},
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
/// A definition that ran meanwhile commits by itself; a note tells of it.
///
/// # Errors
/// The log cannot be read, or is not that of this server.
pub(super) async fn recover(replicator: &Arc<Replicator>) -> Result<Recovered, ReplicationFailure> {
    let Replicator { log, server, .. } = &**replicator;
    let noted = noted(replicator).await?;
    let end = announce(log).await;
    let (saved, marks) = retry("the saved position cannot be read", async || {
        read(server).await
    })
    .await;
    let mut position = saved;
    let mut deliveries = log.deliveries(0);
    let mut assembly = Assembly::default();
    let mut claims = Claims::default();
    let mut has_defined = false;
    loop {
        let delivered = deliveries.next().await?;
        let index = delivered.index;
        let entry = assembly.take(&delivered.body);
        let entry = entry.map_err(|error| ReplicationFailure::Entry { index, error })?;
        for (seqno, entry) in entry.into_iter().flat_map(|e| claims.take(Seqno(index), e)) {
            match entry {
                Entry::WriteSet(write_set) if marks.contains(&write_set.id) => {
                    position = position.max(seqno);
                }
                Entry::Defined { id, definition }
                    if noted.as_ref().is_some_and(|noted| noted.note.id == id) =>
                {
                    has_defined = !definition.events.is_empty();
                }
                _ => {}
            }
        }
        if index >= end.0 {
            break;
        }
    }
    if let Some(Noted { note, has_run }) = noted {
        let seqno = note.seqno;
        match (has_run, has_defined) {
            (true, false) => return Err(ReplicationFailure::Void { seqno }),
            (false, true) => {
                let error = "the others have it, and this server has lost it".to_owned();
                return Err(ReplicationFailure::Undefined { seqno, error });
            }
            _ => {}
        }
        replicator.noted(seqno, has_run).await;
        if has_run {
            position = position.max(seqno);
        }
    }
    if position > end {
        return Err(ReplicationFailure::Foreign { position, end });
    }
    retry("the position cannot be saved", async || {
        save(server, position).await
    })
    .await;
    info!(%position, %end, "found the place of this server's data in the log");
    Ok(Recovered { position, end })
}

/// A definition of this node that the server was in the midst of when the node ended.
#[derive(Debug)]
struct Noted {
    note: Note,
    has_run: bool,
}

/// Tells the others what a definition of this node has done, if it was in the midst of one. It must
/// be told before the node announces its start, since that ends every claim.
async fn noted(replicator: &Arc<Replicator>) -> Result<Option<Noted>, ReplicationFailure> {
    let Replicator { log, server, .. } = &**replicator;
    let (node, _) = log.identity();
    let note = retry("the note of a definition cannot be read", async || {
        Note::read(&mut Connection::open(server).await?).await
    })
    .await;
    let Some(note) = note.filter(|note| note.id.node == node) else {
        return Ok(None);
    };
    replicator.end_connection(&note).await;
    let defined = replicator.effect(&note).await?;
    let has_run = defined != nothing_defined(note.id);
    info!(seqno = %note.seqno, has_run, "found what a definition has done");
    if has_run {
        replicator.clone().tell(defined, None).await;
    }
    Ok(Some(Noted { note, has_run }))
}

/// Says in the log that this node has started; gives the place of that.
async fn announce(log: &Engine) -> Seqno {
    let (node, incarnation) = log.identity();
    let body = small_body(&Entry::Started { node, incarnation });
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
    connection.run_unlogged(&[position::update(position)]).await
}
