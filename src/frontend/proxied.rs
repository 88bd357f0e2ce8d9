//! The PROXY header, with which a balancer says whose connection it passes on.
//!
//! A balancer sends it before anything that its client says, so it stands before the client's answer to the
//! greeting. It may be missing: balancers that ask only whether the node is there send none.
//!
//! Source: "The PROXY protocol, versions 1 & 2", HAProxy.

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, ProxyHeader};

use tracing::{Span, field};

use super::{
    channel::Channel,
    origin::Origin,
    session::{Session, SessionError},
};
use crate::config::Config;

/// How headers of the versions start. An answer to the greeting has 1 in the last of these bytes.
const STARTS: [&[u8]; 2] = [b"PROX", b"\r\n\r\n"];
/// The largest header that is read, in bytes. What balancers add to the addresses takes some hundred.
const MAX_HEADER: usize = 4096;

/// Whether a client, whose first bytes have been read, begins with a header.
pub(super) fn begins(client: &Channel) -> bool {
    STARTS.iter().any(|start| client.input().starts_with(start))
}

impl Session {
    /// Takes the PROXY header of a balancer.
    ///
    /// # Errors
    /// Its sender is no balancer of this node's, or what begins as a header is none.
    pub(super) async fn proxied(&mut self, config: &Config) -> Result<(), SessionError> {
        match self.origin {
            Origin::Remote(balancer) if config.is_balancer(balancer.ip()) => {}
            origin => return Err(SessionError::Untrusted(origin)),
        }
        if let Some(address) = take(&mut self.client).await? {
            self.origin = Origin::Remote(address);
            Span::current().record("proxied_for", field::display(address));
        }
        Ok(())
    }
}

/// Takes the header; gives where the client is, if the balancer is not itself the client.
///
/// # Errors
/// The socket fails or closes, or what begins as a header is none.
async fn take(client: &mut Channel) -> Result<Option<SocketAddr>, SessionError> {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    loop {
        match ProxyHeader::parse(client.input(), config) {
            Ok((header, length)) => {
                let address = header.proxied_address().map(|address| address.source);
                client.skip(length);
                return Ok(address);
            }
            Err(Error::BufferTooShort) if client.input().len() < MAX_HEADER => {
                client.more().await?
            }
            Err(_) => return Err(SessionError::Malformed),
        }
    }
}
