//! A connection to a peer that is opened when there is something to say, and calls over it.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use serde::Serialize;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tracing::{info, warn};

use super::{
    message::{Call, Hello, Lane, MAX_FRAME_BYTES, Reply, Request, Welcome, codec, decode, encode},
    security::{Security, Stream as PeerStream},
};
use crate::id::NodeId;

pub(crate) type Frames = Framed<PeerStream, LengthDelimitedCodec>;

const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection on which an answer takes longer is taken for broken, and a new one opened.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Calls that wait to be written.
const QUEUED_CALLS: usize = 64;

/// How a connection to a peer is opened.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    pub(crate) address: String,
    pub(crate) hello: Hello,
    pub(crate) security: Security,
}

impl Dial {
    /// Opens a connection and introduces this node; returns who has answered.
    ///
    /// # Errors
    /// The peer cannot be reached within [`DIAL_TIMEOUT`], is not who it should be, or refuses; its reason is in the error.
    pub(crate) async fn open(&self) -> io::Result<(NodeId, Frames)> {
        let address = &self.address;
        let dialing = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = self.security.dialled(stream, address).await?;
            let mut frames = Framed::new(stream, codec(MAX_FRAME_BYTES));
            send(&mut frames, &self.hello).await?;
            match decode::<Welcome>(&next_frame(&mut frames).await?)? {
                Ok(node) => Ok((node, frames)),
                Err(reason) => Err(io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    format!("{address} refuses: {reason}"),
                )),
            }
        };
        timeout(DIAL_TIMEOUT, dialing).await?
    }
}

/// Sends a message; a peer that does not read for [`ANSWER_TIMEOUT`] is an error.
pub(crate) async fn send(
    frames: &mut (impl Sink<Bytes, Error = io::Error> + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    timeout(ANSWER_TIMEOUT, frames.send(encode(message)?)).await?
}

/// One call on a connection that is used for nothing else.
pub(crate) async fn call_once(frames: &mut Frames, request: Request) -> io::Result<Reply> {
    let call = Call {
        number: 1,
        content: request,
    };
    send(frames, &call).await?;
    let reply = timeout(ANSWER_TIMEOUT, next_frame(frames)).await??;
    Ok(decode::<Call<Reply>>(&reply)?.content)
}

pub(crate) async fn next_frame(
    frames: &mut (impl Stream<Item = io::Result<BytesMut>> + Unpin),
) -> io::Result<BytesMut> {
    let closed = || io::Error::from(io::ErrorKind::UnexpectedEof);
    frames.next().await.ok_or_else(closed)?
}

/// A handle to a connection for calls; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    calls: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    reply: oneshot::Sender<io::Result<Reply>>,
}

impl Link {
    /// A link that lives for as long as its handles.
    pub(crate) fn new(dial: Dial) -> Self {
        let (calls, queue) = mpsc::channel(QUEUED_CALLS);
        tokio::spawn(keep(dial, queue));
        Self { calls }
    }

    /// Sends a request and waits for its reply. Dropping the future gives up the reply, not the
    /// request.
    ///
    /// # Errors
    /// The peer cannot be reached or has not answered within `limit`; whether it has handled the
    /// request is then unknown.
    pub(crate) async fn call(&self, request: Request, limit: Duration) -> io::Result<Reply> {
        let answered = async {
            let (reply, answer) = oneshot::channel();
            let ended = || io::Error::other("the link has ended");
            let queued = self.calls.send(Waiting { request, reply }).await;
            queued.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?
        };
        timeout(limit, answered).await?
    }
}

/// Serves calls over one connection after the other.
async fn keep(dial: Dial, mut queue: mpsc::Receiver<Waiting>) {
    let address = &dial.address;
    let is_told = dial.hello.lane == Lane::Control;
    let mut was_reached = None;
    while let Some(first) = queue.recv().await {
        let dialed = dial.open().await;
        if is_told && was_reached.replace(dialed.is_ok()) != Some(dialed.is_ok()) {
            match &dialed {
                Ok(_) => info!(peer = address, "reached a peer"),
                Err(error) => warn!(peer = address, %error, "cannot reach a peer"),
            }
        }
        match dialed {
            Ok((_, frames)) => converse(frames, first, &mut queue).await,
            Err(error) => {
                let mut failed = Some(first);
                while let Some(Waiting { reply, .. }) = failed {
                    let _ = reply.send(Err(copy(&error)));
                    failed = queue.try_recv().ok();
                }
            }
        }
    }
}

/// Sends calls and hands out replies until the connection fails.
async fn converse(mut frames: Frames, first: Waiting, queue: &mut mpsc::Receiver<Waiting>) {
    let mut number = 0;
    let mut unanswered = BTreeMap::new();
    let mut next = Some(first);
    let error = loop {
        if let Some(Waiting { request, reply }) = next.take() {
            number += 1;
            unanswered.insert(number, (Instant::now(), reply));
            let call = Call {
                number,
                content: request,
            };
            if let Err(error) = send(&mut frames, &call).await {
                break error;
            }
        }
        let oldest = unanswered.first_key_value().map(|(_, (sent, _))| *sent);
        tokio::select! {
            call = queue.recv() => match call {
                Some(call) => next = Some(call),
                None => return,
            },
            frame = next_frame(&mut frames) => match frame.and_then(|f| decode::<Call<Reply>>(&f)) {
                Ok(Call { number, content }) => {
                    if let Some((_, reply)) = unanswered.remove(&number) {
                        let _ = reply.send(Ok(content));
                    }
                }
                Err(error) => break error,
            },
            () = overdue(oldest) => break io::ErrorKind::TimedOut.into(),
        }
    };
    for (_, (_, reply)) in unanswered {
        let _ = reply.send(Err(copy(&error)));
    }
}

async fn overdue(since: Option<Instant>) {
    match since {
        Some(sent) => tokio::time::sleep_until((sent + ANSWER_TIMEOUT).into()).await,
        None => pending().await,
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
