//! TLS towards clients, and from the node to its server for those that use it.
//!
//! A client inside TLS may tell its password in the clear, and its account may ask for TLS; so its session is inside TLS
//! on both sides, if its server offers that. The server is the one of the configuration, whatever certificate it shows:
//! whoever could stand in its place could as well for sessions that are not encrypted.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use tokio_rustls::{
    TlsAcceptor, TlsConnector, TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
        version::{TLS12, TLS13},
    },
};

use super::channel::Socket;
use crate::{
    certificates,
    config::{self, Config, Identity},
};

/// A side of a session inside TLS.
type Encrypted = TlsStream<Box<dyn Socket>>;

/// How sessions are encrypted when clients ask for it.
pub struct Encryption {
    /// None if the certificate is in no file.
    files: Option<Identity>,
    acceptor: Mutex<TlsAcceptor>,
    connector: TlsConnector,
}

impl Encryption {
    /// Reads the certificate for clients, or makes one: beside the log if the node has any.
    ///
    /// # Errors
    /// A file cannot be read or written, or is not what it should be.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let files = match (&config.certificate, &config.cluster) {
            (Some(files), _) => Some(files.clone()),
            (None, Some(cluster)) => Some(certificates::own(&cluster.directory)?),
            (None, None) => None,
        };
        Ok(Self {
            acceptor: acceptor(files.as_ref())?.into(),
            connector: connector()?,
            files,
        })
    }

    /// The file of its certificate, if it has any.
    pub fn certificate(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| &*files.certificate)
    }

    /// Reads the certificate again, for sessions from now on.
    ///
    /// # Errors
    /// As when it was read first; what was read then counts still.
    pub fn reload(&self) -> anyhow::Result<()> {
        if self.files.is_some() {
            *self.lock() = acceptor(self.files.as_ref())?;
        }
        Ok(())
    }

    /// Encrypts towards a client.
    pub(super) async fn accept(&self, client: Box<dyn Socket>) -> io::Result<Encrypted> {
        let acceptor = self.lock().clone();
        Ok(acceptor.accept(client).await?.into())
    }

    /// Encrypts towards the server at `address`.
    pub(super) async fn connect(
        &self,
        server: Box<dyn Socket>,
        address: &str,
    ) -> io::Result<Encrypted> {
        let name = ServerName::try_from(config::host(address).to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(self.connector.connect(name, server).await?.into())
    }

    fn lock(&self) -> MutexGuard<'_, TlsAcceptor> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

fn acceptor(files: Option<&Identity>) -> anyhow::Result<TlsAcceptor> {
    let (chain, key) = match files {
        Some(files) => certificates::read_identity(files, "client.tls")?,
        None => {
            let (certificate, key) = certificates::self_signed()?;
            let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            (vec![certificate.der().clone()], key)
        }
    };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS12, &TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let config = config.with_context(|| match files {
        Some(files) => certificates::mismatch(files),
        None => "cannot use the certificate that was made for clients".to_owned(),
    })?;
    Ok(Arc::new(config).into())
}

fn connector() -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS12, &TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// Takes whatever certificate the server shows.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
