//! The engine's way to its peers.

use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use openraft::{
    OptionalSend, RaftNetworkFactory,
    error::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    },
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};

use super::{
    link::{Dial, Link},
    log_lane,
    message::{Hello, Lane, PROTOCOL, Reply, Request},
    security::Security,
};
use crate::{
    consensus::{
        once::Once,
        types::{Member, Snapshot, TypeConfig, Vote},
    },
    id::NodeId,
};

type RpcResult<T> = Result<T, RPCError<TypeConfig>>;
type Appended = RpcResult<StreamAppendResult<TypeConfig>>;

/// The links to all peers; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    cluster: Arc<str>,
    node: NodeId,
    security: Security,
    known: Arc<Mutex<HashMap<NodeId, Peer>>>,
}

/// One peer.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) control: Link,
    pub(crate) proposals: Link,
    pub(crate) reports: Link,
}

impl Peers {
    pub(crate) fn new(cluster: Arc<str>, node: NodeId, security: Security) -> Self {
        Self {
            cluster,
            node,
            security,
            known: Arc::default(),
        }
    }

    /// The links to `target`, made anew when its address has changed.
    pub(crate) fn get(&self, target: NodeId, member: &Member) -> Peer {
        let mut known = self.known.lock().expect("nothing panics under this lock");
        match known.get(&target) {
            Some(peer) if peer.address == member.address => peer.clone(),
            _ => {
                let address = &member.address;
                let link = |lane| Link::new(self.dial(address, Some(target), lane));
                let peer = Peer {
                    address: address.clone(),
                    control: link(Lane::Control),
                    proposals: link(Lane::Proposals),
                    reports: link(Lane::Reports),
                };
                known.insert(target, peer.clone());
                peer
            }
        }
    }

    /// How this node opens a connection there.
    pub(crate) fn dial(&self, address: &str, to: Option<NodeId>, lane: Lane) -> Dial {
        let hello = Hello {
            protocol: PROTOCOL,
            cluster: self.cluster.to_string(),
            from: self.node,
            to,
            lane,
        };
        Dial {
            address: address.to_owned(),
            hello,
            security: self.security.clone(),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Network;

    async fn new_client(&mut self, target: NodeId, member: &Member) -> Network {
        Network {
            peer: self.get(target, member),
            append: Append::Log(self.dial(&member.address, Some(target), Lane::Log)),
        }
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, member: &Member) -> Network {
        Network {
            peer: self.get(target, member),
            append: Append::Heartbeat,
        }
    }
}

/// What one of the engine's tasks uses to talk to one peer.
pub(crate) struct Network {
    peer: Peer,
    append: Append,
}

/// How append requests travel.
enum Append {
    /// On a connection of their own.
    Log(Dial),
    /// With the urgent calls.
    Heartbeat,
}

impl Network {
    async fn call(&self, request: Request, limit: Duration) -> RpcResult<Reply> {
        let reply = self.peer.control.call(request, limit).await;
        reply.map_err(unreachable)
    }

    async fn ask_for_vote(
        &self,
        request: Request,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        match self.call(request, option.soft_ttl()).await? {
            Reply::Vote(response) => Ok(response),
            other => out_of_place(other),
        }
    }

    fn heartbeat<'s>(
        &'s self,
        requests: impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 's,
        limit: Duration,
    ) -> BoxStream<'s, Appended> {
        let answers = requests.then(move |request| async move {
            match self.call(Request::Heartbeat(request), limit).await? {
                Reply::Heartbeat(result) => Ok(result),
                other => out_of_place(other),
            }
        });
        answers.boxed()
    }
}

pub(crate) fn unreachable(error: io::Error) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(&error))
}

fn out_of_place<T>(reply: Reply) -> RpcResult<T> {
    let text = match reply {
        Reply::Stopped => "the node is stopping".to_owned(),
        other => format!("not an answer to that request: {other:?}"),
    };
    Err(unreachable(io::Error::other(text)))
}

impl NetVote<TypeConfig> for Network {
    async fn vote(
        &mut self,
        vote: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        self.ask_for_vote(Request::Vote(vote), option).await
    }

    async fn pre_vote(
        &mut self,
        vote: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        self.ask_for_vote(Request::PreVote(vote), option).await
    }
}

impl NetStreamAppend<TypeConfig> for Network {
    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, Appended>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            match &self.append {
                Append::Log(dial) => log_lane::append(dial, requests).await,
                Append::Heartbeat => Ok(self.heartbeat(requests, option.soft_ttl())),
            }
        })
    }
}

impl NetTransferLeader<TypeConfig> for Network {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<TypeConfig>> {
        match self
            .call(Request::TransferLeader(request), option.soft_ttl())
            .await?
        {
            Reply::TransferLeader(response) => Ok(response),
            other => out_of_place(other),
        }
    }
}

impl NetSnapshot<TypeConfig> for Network {
    type SnapshotData = Once;

    /// For a peer whose next entry was removed from the log. It can take part again then; that its server
    /// lacks data is for it to see.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let Snapshot { meta, snapshot } = snapshot;
        let request = Request::Snapshot {
            vote,
            meta,
            once: snapshot,
        };
        let reply = tokio::select! {
            reply = self.call(request, option.soft_ttl()) => reply?,
            closed = cancel => return Err(closed.into()),
        };
        match reply {
            Reply::Snapshot(response) => Ok(response),
            other => Ok(out_of_place(other)?),
        }
    }
}

impl NetBackoff<TypeConfig> for Network {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}
