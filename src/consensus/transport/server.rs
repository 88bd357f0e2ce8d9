//! The peer port: answers what other nodes ask, and turns strangers away.

use std::{collections::HashSet, io, net::IpAddr, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use ipnet::IpNet;
use openraft::ReadPolicy;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_util::codec::{Framed, FramedParts};
use tracing::{debug, warn};

use super::{
    link::{Frames, next_frame, send},
    message::{
        Call, Hello, Lane, MAX_FRAME_BYTES, MAX_HELLO_BYTES, PROTOCOL, Reply, Request, Welcome,
        codec, decode,
    },
    security::Security,
};
use crate::{
    consensus::{
        Raft,
        reports::Reports,
        types::{Proposal, Snapshot},
    },
    id::NodeId,
    net::accept,
};

/// A node says hello at once.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that may be open: members open four each, and those that are half-open or come
/// from strangers end with [`HELLO_TIMEOUT`].
const MAX_CONNECTIONS: usize = 256;
/// Calls of one connection that may be under way.
const CALLS_UNDER_WAY: usize = 64;
/// Who asks for a read index does not wait longer for it.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(1);
/// Strangers whose refusal is remembered, so that each is logged once.
const REMEMBERED_REFUSALS: usize = 1000;

/// What answers on the peer port.
pub(crate) struct Server {
    pub(crate) cluster: Arc<str>,
    pub(crate) node: NodeId,
    /// The addresses that the configuration lists.
    pub(crate) members: Vec<String>,
    /// Whose connections are looked at; all if there are none.
    pub(crate) allowed: Vec<IpNet>,
    pub(crate) security: Security,
    pub(crate) raft: Raft,
    pub(crate) reports: Reports,
}

impl Server {
    /// Serves peers for as long as the future is polled.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (refused, mut refusals) = mpsc::channel::<(IpAddr, String)>(16);
        let mut logged = HashSet::new();
        // They end with the node: its peers must not go on talking to an engine that has stopped.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (stream, from) = accept(|| listener.accept(), "a peer's") => {
                    let Ok(place) = places.clone().try_acquire_owned() else { continue };
                    let (server, refused) = (self.clone(), refused.clone());
                    connections.spawn(async move {
                        if let Err(reason) = server.answer(stream, from.ip()).await {
                            let _ = refused.send((from.ip(), reason)).await;
                        }
                        drop(place);
                    });
                }
                Some(_) = connections.join_next() => {}
                Some(refusal) = refusals.recv() => {
                    if logged.len() < REMEMBERED_REFUSALS && logged.insert(refusal.clone()) {
                        let (from, reason) = refusal;
                        warn!(%from, reason, "refused a connection to the peer port");
                    }
                }
            }
        }
    }

    /// One connection from hello to end; an error is why it was refused.
    async fn answer(self: Arc<Self>, stream: TcpStream, from: IpAddr) -> Result<(), String> {
        let from = from.to_canonical();
        if !self.allowed.is_empty() && !self.allowed.iter().any(|net| net.contains(&from)) {
            return Err("its address is not among cluster.allow_from".to_owned());
        }
        let _ = stream.set_nodelay(true);
        let greeting = async {
            let stream = self.security.accepted(stream).await?;
            let mut frames = Framed::new(stream, codec(MAX_HELLO_BYTES));
            let hello = decode::<Hello>(&next_frame(&mut frames).await?)?;
            Ok::<_, io::Error>((frames, hello))
        };
        let greeting = timeout(HELLO_TIMEOUT, greeting).await;
        let greeting = greeting.unwrap_or_else(|elapsed| Err(elapsed.into()));
        let (mut frames, hello) = greeting.map_err(|error| {
            format!("not a node's greeting, or [cluster.tls] is not the same on both: {error}")
        })?;
        let checked = self.security.check(frames.get_ref());
        let checked = checked.and_then(|()| self.check(&hello));
        let welcome: Welcome = checked.map(|()| self.node);
        if send(&mut frames, &welcome).await.is_err() {
            return Ok(());
        }
        let from = hello.from;
        welcome.map_err(|reason| format!("node {from}: {reason}"))?;
        let frames = with_large_frames(frames);
        let ended = match hello.lane {
            Lane::Log => self.append(frames).await,
            Lane::Control | Lane::Proposals | Lane::Reports => {
                self.calls(frames, hello.to.is_some()).await
            }
        };
        match ended {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(format!("node {from}: {error}"))
            }
            Err(error) => {
                debug!(%from, %error, "a peer's connection ended");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn check(&self, hello: &Hello) -> Result<(), String> {
        if hello.protocol != PROTOCOL {
            return Err("it speaks another version of the protocol".to_owned());
        }
        if hello.cluster != self.cluster.as_ref() {
            return Err(format!(
                "it belongs to cluster {:?}, this node to {:?} (cluster.name)",
                hello.cluster, self.cluster
            ));
        }
        match hello.to {
            Some(node) if node != self.node => Err(format!(
                "it looks for node {node}, and this one is {}",
                self.node
            )),
            _ => Ok(()),
        }
    }

    /// The leader's append requests, answered in order.
    async fn append(&self, frames: Frames) -> io::Result<()> {
        let (mut sink, frames) = frames.split();
        let (broken, mut why) = mpsc::channel(1);
        let requests = frames.scan(broken, |broken, frame| {
            let request = frame.and_then(|frame| decode(&frame));
            std::future::ready(request.map_err(|error| broken.try_send(error)).ok())
        });
        let mut answers = self.raft.stream_append(requests).boxed();
        while let Some(Ok(answer)) = answers.next().await {
            send(&mut sink, &answer).await?;
        }
        why.recv().await.map_or(Ok(()), Err)
    }

    /// Calls: proposals in their order, others side by side.
    async fn calls(self: Arc<Self>, frames: Frames, is_addressed: bool) -> io::Result<()> {
        let (mut sink, mut frames) = frames.split();
        let (replies, mut outgoing) = mpsc::channel(CALLS_UNDER_WAY);
        let under_way = Arc::new(Semaphore::new(CALLS_UNDER_WAY));
        let reading = async {
            loop {
                let Call { number, content } = decode(&next_frame(&mut frames).await?)?;
                if !is_addressed && !matches!(content, Request::Probe) {
                    let reason = "a request without an addressee";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
                let (server, replies) = (self.clone(), replies.clone());
                let is_ordered = matches!(content, Request::Propose(_));
                let permit = under_way.clone().acquire_owned().await;
                let answering = async move {
                    let content = server.handle(content).await;
                    let _ = replies.send(Call { number, content }).await;
                    drop(permit);
                };
                if is_ordered {
                    answering.await;
                } else {
                    tokio::spawn(answering);
                }
            }
        };
        let writing = async {
            while let Some(reply) = outgoing.recv().await {
                send(&mut sink, &reply).await?;
            }
            Ok(())
        };
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    }

    async fn handle(&self, request: Request) -> Reply {
        let raft = &self.raft;
        let answer = match request {
            Request::PreVote(request) => raft.pre_vote(request).await.ok().map(Reply::Vote),
            Request::Vote(request) => raft.vote(request).await.ok().map(Reply::Vote),
            Request::Heartbeat(request) => {
                let requests = futures::stream::iter([request]);
                let mut answers = raft.stream_append(requests).boxed();
                let answer = answers.next().await.and_then(Result::ok);
                answer.map(Reply::Heartbeat)
            }
            Request::TransferLeader(request) => {
                let response = raft.handle_transfer_leader(request).await;
                response.ok().map(Reply::TransferLeader)
            }
            Request::Snapshot { vote, meta, once } => {
                let snapshot = Snapshot {
                    meta,
                    snapshot: once,
                };
                let response = raft.install_full_snapshot(vote, snapshot).await;
                response.ok().map(Reply::Snapshot)
            }
            Request::ReadIndex => Some(Reply::ReadIndex(read_index(raft, READ_LIMIT).await)),
            Request::Propose(batch) => Some(Reply::Propose(take_in(raft, batch).await)),
            Request::Report => Some(Reply::Report(self.reports.own())),
            Request::Probe => Some(Reply::Probe {
                is_member: raft.is_initialized().await.unwrap_or(true),
                members: self.members.clone(),
            }),
        };
        answer.unwrap_or(Reply::Stopped)
    }
}

/// Hands proposals to the engine, which takes them in together if this node leads and a majority
/// has lately said so. They may still be lost with the leadership.
pub(crate) async fn take_in(raft: &Raft, batch: Vec<Proposal>) -> bool {
    if !raft.is_leader() {
        return false;
    }
    let Ok(mut outcomes) = raft.client_write_many(batch).await else {
        return false;
    };
    // The engine handles one message after the other: when it has answered this one, it has
    // refused the batch already or not at all.
    let is_handled = raft.with_raft_state(|_| ()).await.is_ok();
    let is_refused = matches!(
        outcomes.next().now_or_never(),
        Some(Some(Ok(Err(_)) | Err(_)))
    );
    is_handled && !is_refused
}

/// How far the log is committed, confirmed by a majority; none if this node does not lead one, or
/// it does not confirm within `limit`.
pub(crate) async fn read_index(raft: &Raft, limit: Duration) -> Option<u64> {
    let asking = raft.get_read_log_id(ReadPolicy::ReadIndex);
    let (read, _applied) = timeout(limit, asking).await.ok()?.ok()?;
    Some(read.index())
}

fn with_large_frames(frames: Frames) -> Frames {
    let FramedParts {
        io,
        mut codec,
        read_buf,
        write_buf,
        ..
    } = frames.into_parts();
    codec.set_max_frame_length(MAX_FRAME_BYTES);
    let mut parts = FramedParts::new::<bytes::Bytes>(io, codec);
    parts.read_buf = read_buf;
    parts.write_buf = write_buf;
    Framed::from_parts(parts)
}
