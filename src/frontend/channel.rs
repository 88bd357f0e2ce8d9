//! One side's socket, read by packets and written by bytes.

use std::{fmt, io, mem};

use bytes::{Buf, BytesMut};
use futures::FutureExt;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, empty, join, split,
};

use crate::protocol::packet::{self, Head, Header};

/// Bytes that are read at once, and held at most before they are written. Both buffers of a
/// session stay within it, whatever the size of the packets that pass.
const CHUNK: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// A socket, or what encrypts one.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A socket failed, or closed where its peer had more to say.
#[derive(Debug, thiserror::Error)]
#[error("{side}: {source}")]
pub(super) struct ChannelError {
    pub(super) side: Side,
    source: io::Error,
}

impl ChannelError {
    fn closed(side: Side) -> Self {
        Self {
            side,
            source: io::ErrorKind::UnexpectedEof.into(),
        }
    }
}

/// A packet that was taken whole.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) sequence: u8,
    pub(super) payload: Vec<u8>,
}

/// A socket with a buffer for each direction.
///
/// What goes out is held until [`Channel::flush`] or until there is a chunk of it. Whoever waits
/// for input that may depend on that output flushes first.
pub(super) struct Channel {
    side: Side,
    socket: Box<dyn Socket>,
    input: BytesMut,
    output: Vec<u8>,
    shift: u8,
}

impl Channel {
    pub(super) fn new(side: Side, socket: impl Socket + 'static) -> Self {
        Self {
            side,
            socket: Box::new(socket),
            input: BytesMut::new(),
            output: Vec::new(),
            shift: 0,
        }
    }

    /// Encrypts from here on. What has been read already is the begin of it.
    ///
    /// # Errors
    /// The handshake fails. The socket is lost then, and if the future is dropped.
    pub(super) async fn encrypt<S: Socket + 'static, F: Future<Output = io::Result<S>>>(
        &mut self,
        handshake: impl FnOnce(Box<dyn Socket>) -> F,
    ) -> Result<(), ChannelError> {
        self.flush().await?;
        let socket = mem::replace(&mut self.socket, Box::new(empty()));
        let (reader, writer) = split(socket);
        let begun = io::Cursor::new(self.input.split());
        let reader = AsyncReadExt::chain(begun, reader);
        let socket = Box::new(join(reader, writer));
        let encrypted = handshake(socket).await;
        let encrypted = encrypted.map_err(|source| self.error(source))?;
        self.socket = Box::new(encrypted);
        Ok(())
    }

    /// Says goodbye, as encryption asks for, if that needs no waiting.
    pub(super) fn close(&mut self) {
        let _ = self.socket.shutdown().now_or_never();
    }

    /// Waits for the head of the next packet and leaves it unread; `None` when the peer has closed.
    ///
    /// Safe to drop while it waits: what has been read stays in the buffer.
    ///
    /// # Errors
    /// The socket fails, or the peer closes in the middle of a head.
    pub(super) async fn peek(&mut self) -> Result<Option<Head<'_>>, ChannelError> {
        while Head::peek(&self.input).is_none() {
            if self.fill().await? == 0 {
                return if self.input.is_empty() {
                    Ok(None)
                } else {
                    Err(ChannelError::closed(self.side))
                };
            }
        }
        Ok(Head::peek(&self.input))
    }

    /// Takes the next packet whole; `None`, with the rest of it left unread, when its payload has
    /// more than `limit` bytes.
    ///
    /// # Errors
    /// The socket fails or closes.
    pub(super) async fn take(&mut self, limit: usize) -> Result<Option<Packet>, ChannelError> {
        let mut payload = Vec::new();
        loop {
            self.fill_to(Header::LEN).await?;
            let header = [self.input[0], self.input[1], self.input[2], self.input[3]];
            let header = Header::decode(header);
            let length = header.length as usize;
            if payload.len() + length > limit {
                return Ok(None);
            }
            self.fill_to(Header::LEN + length).await?;
            self.input.advance(Header::LEN);
            payload.extend_from_slice(&self.input.split_to(length));
            if !header.continues() {
                return Ok(Some(Packet {
                    sequence: header.sequence.wrapping_add(self.shift),
                    payload,
                }));
            }
        }
    }

    /// What has been read and not taken yet.
    pub(super) fn input(&self) -> &[u8] {
        &self.input
    }

    /// Takes bytes of it that are not a packet.
    pub(super) fn skip(&mut self, length: usize) {
        self.input.advance(length);
    }

    /// Waits for more of it.
    ///
    /// # Errors
    /// The socket fails or closes.
    pub(super) async fn more(&mut self) -> Result<(), ChannelError> {
        self.fill_to(self.input.len() + 1).await
    }

    /// Changes two bytes of the next packet's payload, which has been peeked at up to there.
    pub(super) fn amend(&mut self, at: usize, bytes: [u8; 2]) {
        self.input[Header::LEN + at..][..2].copy_from_slice(&bytes);
    }

    /// The number of the first packet that comes from here after a command.
    pub(super) fn first_sequence(&self) -> u8 {
        self.shift.wrapping_add(1)
    }

    /// Adds to the sequence numbers of all that is taken or passed on from here.
    pub(super) fn renumber(&mut self, shift: u8) {
        self.shift = shift;
    }

    /// Holds bytes for the peer.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Holds a packet for the peer; gives the sequence number after its last frame's.
    pub(super) fn put_packet(&mut self, sequence: u8, payload: &[u8]) -> u8 {
        packet::write(&mut self.output, sequence, payload)
    }

    /// Sends what is held.
    pub(super) async fn flush(&mut self) -> Result<(), ChannelError> {
        let send = async {
            self.socket.write_all(&self.output).await?;
            self.socket.flush().await
        };
        let sent = send.await;
        self.output.clear();
        sent.map_err(|source| self.error(source))
    }

    async fn fill(&mut self) -> Result<usize, ChannelError> {
        self.input.reserve(CHUNK);
        let read = self.socket.read_buf(&mut self.input).await;
        read.map_err(|source| self.error(source))
    }

    async fn fill_to(&mut self, length: usize) -> Result<(), ChannelError> {
        while self.input.len() < length {
            if self.fill().await? == 0 {
                return Err(ChannelError::closed(self.side));
            }
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> ChannelError {
        ChannelError {
            side: self.side,
            source,
        }
    }
}

/// Waits for the next packet of `from`; what is held for `to` goes first if that takes time.
///
/// # Errors
/// A socket fails, or `from` closes.
pub(super) async fn expect<'a>(
    from: &'a mut Channel,
    to: &mut Channel,
) -> Result<Head<'a>, ChannelError> {
    if Head::peek(&from.input).is_none() {
        to.flush().await?;
    }
    let side = from.side;
    let head = from.peek().await?;
    head.ok_or_else(|| ChannelError::closed(side))
}

/// Passes the next packet on, frame by frame as it is, in bounded memory whatever its size.
///
/// The last of it may still be held for `to`.
///
/// # Errors
/// A socket fails, or `from` closes before the packet ends.
pub(super) async fn pass(from: &mut Channel, to: &mut Channel) -> Result<(), ChannelError> {
    loop {
        let head = expect(from, to).await?;
        let mut header = head.header;
        header.sequence = header.sequence.wrapping_add(from.shift);
        to.put(&header.encode());
        from.input.advance(Header::LEN);
        let mut left = header.length as usize;
        while left > 0 {
            if from.input.is_empty() {
                to.flush().await?;
                from.fill_to(1).await?;
            }
            let part = left.min(from.input.len());
            to.put(&from.input[..part]);
            from.input.advance(part);
            left -= part;
            if to.output.len() >= CHUNK {
                to.flush().await?;
            }
        }
        if !header.continues() {
            return Ok(());
        }
    }
}

/// Passes on everything `from` still says until it closes.
///
/// # Errors
/// A socket fails.
pub(super) async fn drain(from: &mut Channel, to: &mut Channel) -> Result<(), ChannelError> {
    loop {
        to.put(&from.input.split());
        to.flush().await?;
        if from.fill().await? == 0 {
            return Ok(());
        }
    }
}

/// Passes bytes both ways, each when it likes, until both sides have closed.
///
/// # Errors
/// A socket fails; the error names `one` for either.
pub(super) async fn stream(one: &mut Channel, other: &mut Channel) -> Result<(), ChannelError> {
    one.put(&other.input.split());
    other.put(&one.input.split());
    one.flush().await?;
    other.flush().await?;
    copy_bidirectional(&mut one.socket, &mut other.socket)
        .await
        .map(|_| ())
        .map_err(|source| one.error(source))
}
