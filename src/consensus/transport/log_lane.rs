//! The leader's append requests to one peer, pipelined over a connection of their own.

use std::io;

use futures::{
    SinkExt, Stream, StreamExt,
    stream::{self, BoxStream, SplitSink},
};
use openraft::{
    error::RPCError,
    raft::{AppendEntriesRequest, StreamAppendResult},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    link::{ANSWER_TIMEOUT, Dial, Frames, next_frame, send},
    message::decode,
    network::unreachable,
};
use crate::consensus::types::TypeConfig;

type Appended = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Requests that may be under way at once: what a peer that cannot keep up has to hold.
const PIPELINED: usize = 16;

/// Sends `requests` as they come and yields the peer's answers in the same order, until the
/// requests end, the peer turns one down, or the connection fails.
pub(crate) async fn append(
    dial: &Dial,
    mut requests: impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
) -> Result<BoxStream<'static, Appended>, RPCError<TypeConfig>> {
    // The engine holds a request back for a while when the last try has failed, and without that
    // a peer that is away would be dialled without a pause.
    let Some(first) = requests.next().await else {
        return Ok(stream::empty().boxed());
    };
    let requests = stream::iter([first]).chain(requests);
    let (_, frames) = dial.open().await.map_err(unreachable)?;
    let (sink, answers) = frames.split();
    let (sent, unanswered) = mpsc::channel(PIPELINED);
    let writer = Writer(tokio::spawn(write(sink, requests, sent)));
    let state = Some((answers, unanswered, writer));
    let appended = stream::unfold(state, |state| async {
        let (mut answers, mut unanswered, writer) = state?;
        let () = unanswered.recv().await?;
        let answer = timeout(ANSWER_TIMEOUT, next_frame(&mut answers)).await;
        let answer = answer.unwrap_or_else(|elapsed| Err(elapsed.into()));
        match answer.and_then(|frame| decode::<StreamAppendResult<TypeConfig>>(&frame)) {
            Ok(Ok(matched)) => Some((Ok(Ok(matched)), Some((answers, unanswered, writer)))),
            Ok(Err(turned_down)) => Some((Ok(Err(turned_down)), None)),
            Err(error) => Some((Err(unreachable(error)), None)),
        }
    });
    Ok(appended.boxed())
}

/// Ends the task with the stream.
struct Writer(JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends each request, and says so before: a request that fails to go out is then found missing
/// by who waits for its answer.
async fn write(
    mut sink: SplitSink<Frames, bytes::Bytes>,
    mut requests: impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin,
    sent: mpsc::Sender<()>,
) {
    while let Some(request) = requests.next().await {
        let going: io::Result<()> = match sent.send(()).await {
            Ok(()) => send(&mut sink, &request).await,
            Err(_) => return,
        };
        if going.is_err() {
            // Closing makes the reader's wait end at once.
            let _ = sink.close().await;
            return;
        }
    }
}
