//! The first packets of a session: the server's greeting, the client's answer, inside TLS if it asks for that, and the
//! authentication of one to the other.

use tracing::warn;

use super::{
    channel::{self, Packet},
    encryption::Encryption,
    proxied,
    session::{Session, SessionError, Speaker},
};
use crate::{
    config::Config,
    protocol::{
        attributes,
        auth::{self, Dialogue},
        capability::Capabilities,
        handshake::{self, HandshakeError, TLS_REQUEST},
        response::Status,
    },
};

/// The largest greeting or answer that is read, in bytes. Connection attributes, the largest part
/// of an answer, end at 64 KiB.
const MAX_HANDSHAKE: usize = 128 * 1024;

/// The sequence number of the first packet to the server: its greeting has 0.
const FIRST: u8 = 1;

/// The connection attribute that tells the server where a client is: it sees all of them come from the node.
const CLIENT_ADDRESS: &str = "trireme_client";

impl Session {
    /// Relays what comes before the first command; tells whether the client has been let in.
    pub(super) async fn log_in(
        &mut self,
        config: &Config,
        encryption: &Encryption,
    ) -> Result<bool, SessionError> {
        if !self.greeting().await? || !self.answer(config, encryption).await? {
            return Ok(false);
        }
        let is_in = self.authenticate().await?;
        if !is_in {
            channel::drain(&mut self.server, &mut self.client).await?;
        }
        self.renumber(0);
        Ok(is_in)
    }

    /// Relays the greeting without what a node cannot carry; tells whether there is one, and not an
    /// error or nothing.
    async fn greeting(&mut self) -> Result<bool, SessionError> {
        match self.server.peek().await? {
            None => return Ok(false),
            Some(head) if head.is_error() => {
                channel::drain(&mut self.server, &mut self.client).await?;
                return Ok(false);
            }
            Some(_) => {}
        }
        let Some(mut greeting) = self.server.take(MAX_HANDSHAKE).await? else {
            return Err(SessionError::Greeting(HandshakeError::TooLong));
        };
        self.capabilities =
            handshake::mask_greeting(&mut greeting.payload).map_err(SessionError::Greeting)?;
        self.server_version = handshake::server_version(&greeting.payload).to_vec();
        self.connection_id = handshake::connection_id(&greeting.payload);
        self.client.put_packet(greeting.sequence, &greeting.payload);
        self.client.flush().await?;
        Ok(true)
    }

    /// Waits for the client's first packet; tells whether there is one: the client may have left, or the
    /// server would not wait.
    async fn first_packet(&mut self) -> Result<bool, SessionError> {
        match self.speaker().await? {
            None => Ok(false),
            Some(Speaker::Server) => {
                channel::drain(&mut self.server, &mut self.client).await?;
                Ok(false)
            }
            Some(Speaker::Client(_)) => Ok(true),
        }
    }

    /// Relays the answer without what a node cannot carry, and with where the client is; tells whether there
    /// is one.
    async fn answer(
        &mut self,
        config: &Config,
        encryption: &Encryption,
    ) -> Result<bool, SessionError> {
        if !self.first_packet().await? {
            return Ok(false);
        }
        if proxied::begins(&self.client) {
            self.proxied(config).await?;
            if !self.first_packet().await? {
                return Ok(false);
            }
        }
        let mut answer = self.take_first().await?;
        let offered = self.capabilities;
        let is_secure = handshake::asks_for_tls(&answer.payload);
        if is_secure {
            if !handshake::shows_tls(offered) {
                return Err(SessionError::Answer(HandshakeError::Tls));
            }
            if !self.encrypt(encryption).await? || !self.first_packet().await? {
                return Ok(false);
            }
            answer = self.take_first().await?;
        } else if config.require_secure_transport && !self.origin.is_here() {
            return Err(SessionError::Insecure);
        }
        // Through a socket as well, clients tell their passwords in the clear.
        let is_secure = is_secure || self.origin.is_here();
        let is_secure = is_secure && offered.has(Capabilities::TLS);
        let agreed = handshake::mask_answer(&mut answer.payload, offered, is_secure);
        self.capabilities = agreed.map_err(SessionError::Answer)?;
        let origin = self.origin.to_string();
        attributes::add(&mut answer.payload, offered, CLIENT_ADDRESS, &origin);
        let mut sequence = FIRST;
        if is_secure {
            let request = &answer.payload[..TLS_REQUEST];
            sequence = self.server.put_packet(sequence, request);
            let address = &config.server.address;
            let handshake = |server| encryption.connect(server, address);
            if let Err(error) = self.server.encrypt(handshake).await {
                warn!(%error, "the server offers TLS, and does not encrypt");
                return Err(SessionError::Unencrypted(error));
            }
        }
        self.server.put_packet(sequence, &answer.payload);
        self.server.flush().await?;
        // Each side counts what it has said and heard itself.
        self.renumber(answer.sequence.wrapping_sub(sequence));
        Ok(true)
    }

    async fn take_first(&mut self) -> Result<Packet, SessionError> {
        let packet = self.client.take(MAX_HANDSHAKE).await?;
        let packet = packet.ok_or(SessionError::Answer(HandshakeError::TooLong))?;
        self.answer_sequence = packet.sequence;
        Ok(packet)
    }

    /// Encrypts towards the client; tells whether the server would wait for it.
    async fn encrypt(&mut self, encryption: &Encryption) -> Result<bool, SessionError> {
        let handshake = |client| encryption.accept(client);
        tokio::select! {
            biased;
            _ = self.server.peek() => Ok(false),
            encrypted = self.client.encrypt(handshake) => {
                encrypted?;
                Ok(true)
            }
        }
    }

    /// Relays an authentication to the server's verdict and tells whether it is an OK.
    pub(super) async fn authenticate(&mut self) -> Result<bool, SessionError> {
        loop {
            let head = channel::expect(&mut self.server, &mut self.client).await?;
            let dialogue = auth::after(head.payload);
            if dialogue == Dialogue::Accepted
                && let Some(status) = Status::of_ok(head.payload)
            {
                self.status = status.flags;
            }
            channel::pass(&mut self.server, &mut self.client).await?;
            self.client.flush().await?;
            match dialogue {
                Dialogue::Accepted => return Ok(true),
                Dialogue::Refused => return Ok(false),
                Dialogue::ServerContinues => {}
                Dialogue::Open => match self.speaker().await?.ok_or(SessionError::Left)? {
                    Speaker::Server => {}
                    Speaker::Client(_) => {
                        channel::pass(&mut self.client, &mut self.server).await?;
                        self.server.flush().await?;
                    }
                },
            }
        }
    }
}
