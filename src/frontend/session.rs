//! One client's session: its connection to the server, and the conversation between the two.
//!
//! The server speaks first (a greeting), then the client (its answer, after a balancer's PROXY header if there is
//! one), then both authenticate in [`authentication`](Session::authenticate); after that the client sends one
//! command at a time and the server answers it. A client that sends commands ahead waits in its socket for the answer.

use std::{fmt, future, io, pin::pin, sync::Arc};

use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tracing::{debug, warn};
use xxhash_rust::xxh3::Xxh3;

use super::{
    Frontend,
    answer::{Answer, node_error},
    channel::{self, Channel, ChannelError, Packet, Side, Socket},
    origin::Origin,
    replicated::Replicated,
};
use crate::{
    backend::unreachable,
    config::{Config, Server},
    net,
    protocol::{
        capability::Capabilities,
        command::{Command, Reply, Shape},
        errno::{self, ErrorCode},
        error::ErrorPacket,
        handshake::HandshakeError,
        response::{Next, Response, Status, Unexpected},
    },
};

/// Why the server cannot be reached.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer within server.connect_timeout_ms")]
    Timeout(#[from] Elapsed),
}

/// The longest last packet of an answer that is read, in bytes: an OK, an EOF or an ERR.
const MAX_LAST: usize = 16 << 20;

/// No answer with a longer packet is digested, in bytes.
const MOST_DIGESTED: usize = 64 * 1024;

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("the server's greeting cannot be used: {0}")]
    Greeting(HandshakeError),
    #[error("the client's answer to the greeting cannot be used: {0}")]
    Answer(HandshakeError),
    #[error("the session cannot be encrypted towards the server as it is towards the client: {0}")]
    Unencrypted(ChannelError),
    #[error("{}", errno::INSECURE_TRANSPORT_MESSAGE)]
    Insecure,
    #[error(
        "a PROXY header came from {0}, which is none of this node's client.proxy_protocol_from"
    )]
    Untrusted(Origin),
    #[error("it begins like a PROXY header and is none")]
    Malformed,
    #[error("one side left during authentication")]
    Left,
    #[error("a packet is too long")]
    TooLong(Side),
    #[error("the server ended its connection before the transaction was decided")]
    ServerLost,
    #[error("the server said what nobody had asked for; the node lost track of an answer")]
    Unasked,
    #[error("{error}")]
    Response { error: Unexpected, sequence: u8 },
}

/// Serves one client until either side closes.
pub(super) async fn serve(client: impl Socket + 'static, origin: Origin, frontend: Arc<Frontend>) {
    let config = frontend.config.borrow().clone();
    let shared = &frontend.shared;
    let client = Channel::new(Side::Client, client);
    if let Some(problem) = shared.as_ref().and_then(|shared| shared.problem()) {
        return turn_away(client, &problem).await;
    }
    let server = match connect(&config).await {
        Ok(server) => Channel::new(Side::Server, server),
        Err(error) => {
            warn!(server = %config.server.address, %error, "server unreachable");
            let reason = unreachable(&config.server, &error);
            return turn_away(client, &reason).await;
        }
    };
    let mut session = Session::new(client, origin, server);
    // In a box, since the futures in it are too deep for the compiler otherwise.
    if let Err(error) = Box::pin(session.run(&frontend, &config)).await {
        session.end(error).await;
    }
    session.client.close();
    session.server.close();
}

async fn connect(config: &Config) -> Result<TcpStream, ConnectError> {
    let Server {
        address,
        connect_timeout,
        ..
    } = &config.server;
    Ok(timeout(*connect_timeout, net::connect(address)).await??)
}

/// Refuses a client for which there is no session.
async fn turn_away(mut client: Channel, reason: &impl fmt::Display) {
    if let Err(error) = refuse(&mut client, reason).await {
        debug!(%error, "client left before its error");
    }
}

/// Tells a client that waits for the server's greeting why there is none.
async fn refuse(client: &mut Channel, reason: &impl fmt::Display) -> Result<(), ChannelError> {
    client.put(&node_error(errno::UNKNOWN_COMMAND, reason).encode_as_greeting());
    client.flush().await
}

pub(super) struct Session {
    pub(super) client: Channel,
    pub(super) origin: Origin,
    pub(super) server: Channel,
    /// What the client and the server agreed to speak.
    pub(super) capabilities: Capabilities,
    /// What stands before the text of the client's statement, if query attributes may.
    pub(super) attributes: Vec<u8>,
    /// The number of the last packet of the client before the server's verdict.
    pub(super) answer_sequence: u8,
    pub(super) server_version: Vec<u8>,
    /// What the server calls its connection.
    pub(super) connection_id: u32,
    /// The flags in the last packet of the server that had any.
    pub(super) status: u16,
    /// Whether the client waits for the answer to another statement of its command.
    pub(super) more_follows: bool,
    /// The status flags that the client does not see.
    pub(super) hidden: u16,
    /// Of the packets that the client has got of an answer, while somebody wants to know.
    pub(super) digest: Option<Xxh3>,
}

impl Session {
    fn new(client: Channel, origin: Origin, server: Channel) -> Self {
        Self {
            client,
            origin,
            server,
            capabilities: Capabilities(0),
            attributes: Vec::new(),
            answer_sequence: 1,
            server_version: Vec::new(),
            connection_id: 0,
            status: Status::AUTOCOMMIT,
            more_follows: false,
            hidden: 0,
            digest: None,
        }
    }

    async fn run(&mut self, frontend: &Frontend, config: &Config) -> Result<(), SessionError> {
        let Frontend {
            shared,
            orders,
            encryption,
            ..
        } = frontend;
        // Waited for once: a statement pays nothing for it.
        let is_own = self.origin == Origin::Node;
        let mut left = pin!(async {
            if is_own {
                future::pending().await
            } else {
                orders.until_open(false).await
            }
        });
        let logged_in = tokio::select! {
            logged_in = self.log_in(config, encryption) => logged_in?,
            () = &mut left => false,
        };
        if !logged_in {
            return Ok(());
        }
        debug!("logged in");
        let shared = shared.clone();
        let mut replicated = shared.map(|shared| Replicated::new(shared, self));
        loop {
            let in_transaction = match &replicated {
                Some(replicated) => replicated.in_transaction(self),
                None => self.has(Status::IN_TRANSACTION),
            };
            let speaker = tokio::select! {
                biased;
                () = in_the_way(replicated.as_ref()) => {
                    if let Some(replicated) = &mut replicated {
                        replicated.yield_to_applier(self).await?;
                    }
                    continue;
                }
                // As from a server that shuts down.
                () = &mut left, if !in_transaction => return Ok(()),
                speaker = self.speaker() => speaker?,
            };
            let Some(speaker) = speaker else {
                return Ok(());
            };
            match speaker {
                // Idle for too long, killed, shutting down: an ERR, and then it closes.
                Speaker::Server => {
                    let head = channel::expect(&mut self.server, &mut self.client).await?;
                    if !head.is_error() {
                        return Err(SessionError::Unasked);
                    }
                    channel::pass(&mut self.server, &mut self.client).await?;
                    self.client.flush().await?;
                }
                Speaker::Client(command) => {
                    let goes_on = match &mut replicated {
                        Some(replicated) => replicated.command(self, command).await?,
                        None => self.command(command).await?,
                    };
                    if !goes_on {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Relays a command and its answer; tells whether the session goes on.
    pub(super) async fn command(&mut self, command: Command) -> Result<bool, SessionError> {
        channel::pass(&mut self.client, &mut self.server).await?;
        self.server.flush().await?;
        match command.reply() {
            Reply::None => {}
            Reply::Close => {
                channel::drain(&mut self.server, &mut self.client).await?;
                return Ok(false);
            }
            Reply::Packets(shape) => {
                let answer = self.respond(shape, 0).await?;
                self.answer_with(answer).await?;
            }
            Reply::Authentication => {
                self.authenticate().await?;
            }
            Reply::Stream => {
                channel::stream(&mut self.client, &mut self.server).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Relays the server's answer to a command, without the status flags `hidden`, up to its last
    /// packet, which it gives.
    pub(super) async fn respond(
        &mut self,
        shape: Shape,
        hidden: u16,
    ) -> Result<Answer, SessionError> {
        let mut response = Response::new(shape, self.capabilities);
        let mut is_first = true;
        loop {
            let next = self.next_packet(&mut response, hidden).await?;
            if next == Next::Command {
                let packet = self.take_answer().await?;
                return Ok(Answer::of_server(packet, is_first));
            }
            is_first = false;
            self.pass_answer().await?;
            if next == Next::File {
                // What the client says is not in it.
                self.digest = None;
                self.upload().await?;
            }
        }
    }

    /// Passes on the next packet of an answer.
    async fn pass_answer(&mut self) -> Result<(), SessionError> {
        if let Some(digest) = &mut self.digest {
            if let Some(Packet { sequence, payload }) = self.server.take(MOST_DIGESTED).await? {
                digest.update(&payload.len().to_le_bytes());
                digest.update(&payload);
                self.client.put_packet(sequence, &payload);
                return Ok(());
            }
            self.digest = None;
        }
        Ok(channel::pass(&mut self.server, &mut self.client).await?)
    }

    /// Waits for the next packet of an answer, leaves it unread without the flags `hidden`, and
    /// tells who speaks after it.
    pub(super) async fn next_packet(
        &mut self,
        response: &mut Response,
        hidden: u16,
    ) -> Result<Next, SessionError> {
        let head = channel::expect(&mut self.server, &mut self.client).await?;
        let sequence = head.header.sequence;
        let next = response
            .packet(&head)
            .map_err(|error| SessionError::Response { error, sequence })?;
        if let Some(Status { flags, at }) = response.status() {
            self.status = flags;
            let mut shown = flags & !(hidden | self.hidden);
            if self.more_follows {
                shown |= Status::MORE_RESULTS;
            }
            self.server.amend(at, shown.to_le_bytes());
        }
        Ok(next)
    }

    pub(super) async fn take_answer(&mut self) -> Result<Packet, SessionError> {
        let packet = self.server.take(MAX_LAST).await?;
        packet.ok_or(SessionError::TooLong(Side::Server))
    }

    /// Sends the client the last packet of an answer.
    pub(super) async fn answer_with(&mut self, answer: Answer) -> Result<(), SessionError> {
        let Packet { sequence, payload } = answer.packet;
        self.client.put_packet(sequence, &payload);
        Ok(self.client.flush().await?)
    }

    /// Relays the file that the server asked for: packets up to an empty one.
    async fn upload(&mut self) -> Result<(), SessionError> {
        self.client.flush().await?;
        loop {
            let head = channel::expect(&mut self.client, &mut self.server).await?;
            let last = head.header.length == 0;
            channel::pass(&mut self.client, &mut self.server).await?;
            if last {
                return Ok(self.server.flush().await?);
            }
        }
    }

    /// Waits until either side starts a packet; `None` when one has closed.
    pub(super) async fn speaker(&mut self) -> Result<Option<Speaker>, ChannelError> {
        // Dropping a peek loses nothing. The server first: what ends the session comes before a
        // command that would be lost in it.
        tokio::select! {
            biased;
            head = self.server.peek() => Ok(head?.map(|_| Speaker::Server)),
            head = self.client.peek() => {
                Ok(head?.map(|head| Speaker::Client(Command::of(head.payload))))
            }
        }
    }

    /// Ends a session that cannot go on, with the reason as far as the client can still hear it.
    async fn end(&mut self, error: SessionError) {
        debug!(%error, "session ended by an error");
        let told = match &error {
            // A server that refuses a packet half-way has said why before it closed.
            SessionError::Channel(error) if error.side == Side::Server => {
                channel::drain(&mut self.server, &mut self.client).await
            }
            SessionError::Channel(_)
            | SessionError::Left
            | SessionError::ServerLost
            | SessionError::TooLong(Side::Server) => {
                return;
            }
            SessionError::TooLong(Side::Client) => {
                self.tell(errno::PACKET_TOO_LARGE, &error, 1).await
            }
            SessionError::Greeting(_) => refuse(&mut self.client, &error).await,
            SessionError::Answer(_)
            | SessionError::Untrusted(_)
            | SessionError::Malformed
            | SessionError::Unencrypted(_) => {
                let sequence = self.answer_sequence.wrapping_add(1);
                self.tell(errno::HANDSHAKE, &error, sequence).await
            }
            SessionError::Insecure => {
                let refusal = ErrorPacket {
                    code: errno::INSECURE_TRANSPORT,
                    message: error.to_string(),
                };
                let sequence = self.answer_sequence.wrapping_add(1);
                self.client.put(&refusal.encode(sequence));
                self.client.flush().await
            }
            SessionError::Unasked => {
                warn!("{error}");
                self.tell(errno::MALFORMED_PACKET, &error, 0).await
            }
            SessionError::Response { sequence, .. } => {
                warn!(%error, "lost track of the server's answer");
                self.tell(errno::MALFORMED_PACKET, &error, *sequence).await
            }
        };
        if let Err(error) = told {
            debug!(%error, "session ended before the client was told");
        }
    }

    async fn tell(
        &mut self,
        code: ErrorCode,
        error: &SessionError,
        sequence: u8,
    ) -> Result<(), ChannelError> {
        self.client.put(&node_error(code, error).encode(sequence));
        self.client.flush().await
    }
}

/// Waits, while a session does nothing, until its transaction is in the applier's way.
async fn in_the_way(replicated: Option<&Replicated>) {
    match replicated {
        Some(replicated) => replicated.in_the_way().await,
        None => future::pending().await,
    }
}

/// Who starts a packet.
pub(super) enum Speaker {
    /// The client, with this if it is a command.
    Client(Command),
    Server,
}
