//! The first packets of a session: the server's greeting, the client's answer, and the authentication of one to the other.

use super::{
    channel, proxied,
    session::{Session, SessionError, Speaker},
};
use crate::{
    config::Config,
    protocol::{
        attributes,
        auth::{self, Dialogue},
        handshake::{self, HandshakeError},
        response::Status,
    },
};

/// The largest greeting or answer that is read, in bytes. Connection attributes, the largest part
/// of an answer, end at 64 KiB.
const MAX_HANDSHAKE: usize = 128 * 1024;

/// The connection attribute that tells the server where a client is: it sees all of them come from the node.
const CLIENT_ADDRESS: &str = "trireme_client";

impl Session {
    /// Relays what comes before the first command; tells whether the client has been let in.
    pub(super) async fn log_in(&mut self, config: &Config) -> Result<bool, SessionError> {
        if !self.greeting().await? || !self.answer(config).await? {
            return Ok(false);
        }
        let is_in = self.authenticate().await?;
        if !is_in {
            channel::drain(&mut self.server, &mut self.client).await?;
        }
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
    async fn answer(&mut self, config: &Config) -> Result<bool, SessionError> {
        if !self.first_packet().await? {
            return Ok(false);
        }
        if proxied::begins(&self.client) {
            self.proxied(config).await?;
            if !self.first_packet().await? {
                return Ok(false);
            }
        }
        let Some(mut answer) = self.client.take(MAX_HANDSHAKE).await? else {
            return Err(SessionError::Answer(HandshakeError::TooLong));
        };
        let offered = self.capabilities;
        self.capabilities =
            handshake::mask_answer(&mut answer.payload, offered).map_err(SessionError::Answer)?;
        let address = self.address.to_string();
        attributes::add(&mut answer.payload, offered, CLIENT_ADDRESS, &address);
        self.server.put_packet(answer.sequence, &answer.payload);
        self.server.flush().await?;
        Ok(true)
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
