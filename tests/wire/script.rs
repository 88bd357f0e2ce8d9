//! A scripted client and a scripted server, with a node between them, over real sockets.

use std::{mem, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, empty},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject},
    },
};
use tokio_util::task::TaskTracker;
use trireme::{
    config::Config,
    duty::{Duty, Orders},
    frontend::{Encryption, Frontend},
};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a sender must be kept waiting: far more than what it sends takes on loopback.
const STALL: Duration = Duration::from_secs(1);

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// One connection through a node. Every step sends from one side and checks what the other gets.
pub(crate) struct Script {
    client: Box<dyn Socket>,
    client_address: SocketAddr,
    server: TcpStream,
    node: JoinHandle<()>,
    address: SocketAddr,
    orders: Orders,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.node.abort();
    }
}

impl Script {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more in the node's configuration.
    pub(crate) async fn start_with(more: &str) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let config = Config::parse(&format!("{more}\n[server]\naddress = \"{address}\"")).unwrap();
        let encryption = Encryption::new(&config).unwrap();
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let orders = Orders::default();
        let frontend = Frontend {
            config: watch::channel(Arc::new(config)).1,
            shared: None,
            sessions: TaskTracker::new(),
            orders: orders.clone(),
            encryption: encryption.into(),
        };
        let node = tokio::spawn(async move { match frontend.serve(listener, None).await {} });
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = patiently(server.accept()).await.unwrap();
        Self {
            client_address: client.local_addr().unwrap(),
            client: Box::new(client),
            server,
            node,
            address,
            orders,
        }
    }

    /// The node is told to let nobody in.
    pub(crate) async fn node_is(&mut self, duty: Duty) {
        assert!(self.orders.give(duty));
        let refused = async {
            while TcpStream::connect(self.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        patiently(refused).await;
    }

    /// The node takes clients again.
    pub(crate) async fn node_resumes(&mut self) {
        assert!(self.orders.give(Duty::Active));
        let accepted = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        patiently(accepted).await;
    }

    /// Where the node sees the client.
    pub(crate) fn client_address(&self) -> SocketAddr {
        self.client_address
    }

    /// The client asks for TLS, and encrypts from then on if the node has a certificate of this authority for localhost. It
    /// may begin before it knows that the node has heard it.
    pub(crate) async fn client_encrypts(
        &mut self,
        request: &[u8],
        authority: &Path,
        at_once: bool,
    ) {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(authority).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = BufWriter::new(mem::replace(&mut self.client, Box::new(empty())));
        client.write_all(request).await.unwrap();
        if !at_once {
            client.flush().await.unwrap();
        }
        let name = "localhost".try_into().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let encrypted = patiently(connector.connect(name, client)).await;
        self.client = Box::new(encrypted.unwrap());
    }

    /// The server sends this and the client gets it as it is.
    pub(crate) async fn server(&mut self, sent: &[u8]) {
        self.server_arrives(sent, sent).await;
    }

    /// The client sends this and the server gets it as it is.
    pub(crate) async fn client(&mut self, sent: &[u8]) {
        self.client_arrives(sent, sent).await;
    }

    pub(crate) async fn server_arrives(&mut self, sent: &[u8], arrives: &[u8]) {
        deliver(&mut self.server, sent, &mut *self.client, arrives).await;
    }

    pub(crate) async fn client_arrives(&mut self, sent: &[u8], arrives: &[u8]) {
        deliver(&mut *self.client, sent, &mut self.server, arrives).await;
    }

    /// The server sends this while the client does not read: the node does not take all of it.
    /// When the client reads, it gets all of it.
    pub(crate) async fn server_stalls(&mut self, sent: &[u8]) {
        stalls(&mut self.server, &mut *self.client, sent).await;
    }

    /// The same from the client to the server.
    pub(crate) async fn client_stalls(&mut self, sent: &[u8]) {
        stalls(&mut *self.client, &mut self.server, sent).await;
    }

    /// The client sends this; nothing of it needs to arrive.
    pub(crate) async fn client_says(&mut self, sent: &[u8]) {
        self.client.write_all(sent).await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// The server sends this; nothing of it needs to arrive.
    pub(crate) async fn server_says(&mut self, sent: &[u8]) {
        self.server.write_all(sent).await.unwrap();
    }

    /// The server closes, and with it the client's connection ends; what the client gets before.
    pub(crate) async fn server_closes(mut self) -> Vec<u8> {
        self.server.shutdown().await.unwrap();
        read_to_end(&mut *self.client).await
    }

    /// The client closes, and with it the server's connection ends; what the server gets before.
    pub(crate) async fn client_closes(mut self) -> Vec<u8> {
        self.client.shutdown().await.unwrap();
        read_to_end(&mut self.server).await
    }

    /// The node ends both connections; what the client gets before.
    pub(crate) async fn node_closes(mut self) -> Vec<u8> {
        let said = read_to_end(&mut *self.client).await;
        read_to_end(&mut self.server).await;
        said
    }
}

/// Listens on a port that is asked for by its number, as a node's is: one that the system has chosen would be another one
/// when it is opened again.
async fn listener() -> TcpListener {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        // Somebody else may have it meanwhile.
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
    }
}

async fn stalls(from: &mut dyn Socket, to: &mut dyn Socket, sent: &[u8]) {
    let mut write = pin!(from.write_all(sent));
    assert!(
        timeout(STALL, &mut write).await.is_err(),
        "the node took everything"
    );
    let (written, ()) = tokio::join!(write, receive(to, sent));
    written.unwrap();
}

async fn deliver(from: &mut dyn Socket, sent: &[u8], to: &mut dyn Socket, arrives: &[u8]) {
    let write = async {
        from.write_all(sent).await?;
        from.flush().await
    };
    let (written, ()) = tokio::join!(write, receive(to, arrives));
    written.unwrap();
}

async fn receive(socket: &mut dyn Socket, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    patiently(socket.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, expected);
}

/// A connection that is reset has ended too.
async fn read_to_end(socket: &mut dyn Socket) -> Vec<u8> {
    let mut got = Vec::new();
    if let Err(error) = patiently(socket.read_to_end(&mut got)).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    got
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .expect("nothing came within the test's patience")
}

/// A packet of one frame.
pub(crate) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
    [&[a, b, c, sequence], payload].concat()
}
