//! Whether a connection between nodes is encrypted, and who may be at its other end.
//!
//! With TLS both ends show a certificate of the cluster's authority: the one that was dialled for the host that was dialled,
//! the one that dials for the host of some member. Only TLS 1.3 is spoken.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor, TlsConnector, TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        client::verify_server_name,
        crypto::ring,
        pki_types::ServerName,
        server::{ParsedCertificate, WebPkiClientVerifier},
        version::TLS13,
    },
};
use tokio_util::either::Either;

use crate::{
    certificates,
    config::{self, Tls},
};

/// A connection to another node.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// How connections to other nodes are secured; clones share it.
#[derive(Debug, Clone)]
pub struct Security(Option<Arc<Certified>>);

struct Certified {
    /// The hosts of all members.
    hosts: Vec<ServerName<'static>>,
    address: String,
    files: Tls,
    configs: Mutex<Configs>,
}

#[derive(Clone)]
struct Configs {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Security {
    /// Reads the certificates of the node at `address`, whose cluster has these members.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn new(tls: Option<&Tls>, address: &str, members: &[String]) -> anyhow::Result<Self> {
        let Some(files) = tls else {
            return Ok(Self(None));
        };
        let hosts = members.iter().map(|member| name_of(member));
        Ok(Self(Some(Arc::new(Certified {
            hosts: hosts.collect::<io::Result<_>>()?,
            configs: Configs::read(files, address)?.into(),
            address: address.to_owned(),
            files: files.clone(),
        }))))
    }

    /// Reads the certificates again, for connections from now on.
    ///
    /// # Errors
    /// As when they were read first; those that were read then count still.
    pub fn reload(&self) -> anyhow::Result<()> {
        if let Self(Some(certified)) = self {
            *certified.lock() = Configs::read(&certified.files, &certified.address)?;
        }
        Ok(())
    }

    /// Makes sure that the node at `address` is at the other end of this connection, if that can be made sure of.
    pub(crate) async fn dialled(&self, stream: TcpStream, address: &str) -> io::Result<Stream> {
        let Self(Some(certified)) = self else {
            return Ok(Either::Left(stream));
        };
        let connector = certified.lock().connector.clone();
        let connected = connector.connect(name_of(address)?, stream).await?;
        Ok(Either::Right(connected.into()))
    }

    /// Makes sure that who is at the other end of this connection has a certificate, if certificates are used.
    pub(crate) async fn accepted(&self, stream: TcpStream) -> io::Result<Stream> {
        let Self(Some(certified)) = self else {
            return Ok(Either::Left(stream));
        };
        let acceptor = certified.lock().acceptor.clone();
        Ok(Either::Right(acceptor.accept(stream).await?.into()))
    }

    /// Whether the certificate that an accepted connection has shown, if certificates are used, is that of a member.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check(&self, stream: &Stream) -> Result<(), String> {
        let (Self(Some(certified)), Either::Right(stream)) = (self, stream) else {
            return Ok(());
        };
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates().and_then(|all| all.first());
        let shown = shown.and_then(|shown| ParsedCertificate::try_from(shown).ok());
        let is_member = |host| {
            let named = |shown| verify_server_name(shown, host).is_ok();
            shown.as_ref().is_some_and(named)
        };
        if certified.hosts.iter().any(is_member) {
            return Ok(());
        }
        Err("its certificate is for no host of cluster.members".to_owned())
    }
}

impl Certified {
    fn lock(&self) -> MutexGuard<'_, Configs> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

impl Configs {
    fn read(files: &Tls, address: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in certificates::read(&files.ca, "cluster.tls.ca")? {
            roots.add(authority)?;
        }
        let roots = Arc::new(roots);
        let (own, key) = certificates::read_identity(&files.own, "cluster.tls")?;
        let is_own = verify_server_name(&ParsedCertificate::try_from(&own[0])?, &name_of(address)?);
        is_own.with_context(|| {
            let host = config::host(address);
            let shown = files.own.certificate.display();
            format!(
                "{shown} is not for this node (cluster.address); `trireme cert {host}` makes one"
            )
        })?;
        let mismatch = || certificates::mismatch(&files.own);
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let acceptor = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own.clone(), key.clone_key());
        let acceptor = acceptor.with_context(mismatch)?;
        let connector = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(own, key);
        Ok(Self {
            acceptor: Arc::new(acceptor).into(),
            connector: Arc::new(connector.with_context(mismatch)?).into(),
        })
    }
}

/// The host of a `host:port`, as certificates name it.
fn name_of(address: &str) -> io::Result<ServerName<'static>> {
    let host = config::host(address).to_owned();
    ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{certificates, config::Identity};

    /// Certificates of one authority, for localhost, which is a member's host, and for elsewhere, which is not.
    fn made() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let hosts = ["localhost".to_owned(), "elsewhere".to_owned()];
        certificates::make(directory.path(), &hosts, 1).unwrap();
        directory
    }

    fn files(directory: &TempDir, host: &str) -> Tls {
        let file = |name: String| directory.path().join(name);
        Tls {
            ca: file("ca.pem".to_owned()),
            own: Identity {
                certificate: file(format!("{host}.pem")),
                key: file(format!("{host}.key")),
            },
        }
    }

    fn security(files: Option<&Tls>, host: &str) -> Security {
        let members = ["localhost:1".to_owned()];
        Security::new(files, &format!("{host}:1"), &members).unwrap()
    }

    /// What the dialling and the accepting end say of each other, after a byte has come through.
    async fn meet(dialling: &Security, accepting: &Security) -> (bool, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dial = async {
            let stream = TcpStream::connect(address).await?;
            let mut stream = dialling
                .dialled(stream, &format!("localhost:{}", address.port()))
                .await?;
            stream.write_all(b"a").await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        let accept = async {
            let (stream, _) = listener.accept().await?;
            let mut stream = accepting.accepted(stream).await?;
            accepting.check(&stream).map_err(io::Error::other)?;
            let byte = stream.read_u8().await?;
            stream.write_all(&[byte]).await?;
            stream.flush().await?;
            Ok::<_, io::Error>(byte)
        };
        let (dialled, accepted) = tokio::join!(dial, accept);
        let is_through = |byte: io::Result<u8>| byte.is_ok_and(|byte| byte == b'a');
        (is_through(dialled), is_through(accepted))
    }

    #[tokio::test]
    async fn only_members_of_one_authority_come_together() {
        let (one, other) = (made(), made());
        let certified = |made, host| security(Some(&files(made, host)), host);
        let member = certified(&one, "localhost");
        let elsewhere = certified(&one, "elsewhere");
        let foreign = certified(&other, "localhost");
        let plain = security(None, "localhost");
        for (dialling, accepting, expected) in [
            (&member, &member, true),
            (&plain, &plain, true),
            (&elsewhere, &member, false),
            (&member, &elsewhere, false),
            (&foreign, &member, false),
            (&member, &foreign, false),
            (&plain, &member, false),
        ] {
            let met = meet(dialling, accepting).await;
            assert_eq!(met, (expected, expected), "{dialling:?} {accepting:?}");
        }
    }

    #[tokio::test]
    async fn certificates_can_be_replaced() {
        let directory = made();
        let [one, other] =
            [(), ()].map(|()| security(Some(&files(&directory, "localhost")), "localhost"));
        let anew = made();
        for name in ["ca.pem", "localhost.pem", "localhost.key"] {
            let file = |directory: &TempDir| directory.path().join(name);
            std::fs::copy(file(&anew), file(&directory)).unwrap();
        }
        assert_eq!(meet(&one, &other).await, (true, true));
        one.reload().unwrap();
        assert_eq!(meet(&one, &other).await, (false, false));
        other.reload().unwrap();
        assert_eq!(meet(&one, &other).await, (true, true));

        std::fs::write(directory.path().join("localhost.key"), "not a key").unwrap();
        let error = format!("{:#}", one.reload().unwrap_err());
        assert!(error.contains("localhost.key (cluster.tls.key)"), "{error}");
        assert_eq!(meet(&one, &other).await, (true, true));
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_by_name() {
        let directory = made();
        let good = files(&directory, "localhost");
        let mut other_key = good.clone();
        other_key.own.key = directory.path().join("elsewhere.key");
        let no_authority = Tls {
            ca: directory.path().join("none.pem"),
            ..good.clone()
        };
        for (files, host, expected) in [
            (&other_key, "localhost", "do not go together"),
            (&no_authority, "localhost", "none.pem (cluster.tls.ca)"),
            (&good, "db1", "`trireme cert db1`"),
        ] {
            let refused = Security::new(Some(files), &format!("{host}:1"), &[]);
            let error = format!("{:#}", refused.unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
