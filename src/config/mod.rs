//! The node's configuration: the TOML file as written, turned into a checked [`Config`].
//!
//! `config.example.toml` describes every key; a test keeps it equal to the defaults here. Strings may
//! take values from the environment, so that one file can serve all nodes of a cluster.

mod cluster;
mod raw;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;

pub use cluster::{AutoIncrement, BackdoorPolicy, Cluster, Isolation, Tls};

use raw::{NOTATION, Raw, RawClient, RawIdentity, RawServer, Text};

/// The keys whose values are not to be shown.
const SECRETS: [&str; 2] = ["password", "token"];

/// A configuration that has been checked: every value in it can be used as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The socket in the file system through which those on the same machine may.
    pub socket: Option<PathBuf>,
    /// Who may say for whom it connects.
    pub balancers: Vec<IpNet>,
    /// What the node shows clients that encrypt; one that it makes itself if there is none.
    pub certificate: Option<Identity>,
    /// Whether clients must encrypt.
    pub require_secure_transport: bool,
    /// How long sessions may go on with their transactions when the node has been told to stop.
    pub drain_timeout: Duration,
    pub server: Server,
    /// Where the node tells its status over HTTP.
    pub http_listen: SocketAddr,
    /// With what an operator's orders over HTTP come; none if none are taken.
    pub token: Option<Password>,
    /// Where the node writes its process id.
    pub pid_file: Option<PathBuf>,
    /// The cluster that this node is a member of; none for a node that stands alone.
    pub cluster: Option<Cluster>,
}

/// The MySQL or MariaDB server that this node stands in front of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `host:port`. A name is resolved at each connection, so that a server that moves is found
    /// again.
    pub address: String,
    /// How long a connection may take before the server counts as unreachable.
    pub connect_timeout: Duration,
    /// The account of the node's own connections.
    pub user: String,
    pub password: Password,
}

/// Files of a certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A password or another secret, which is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Text")]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a secret)")
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration is not valid: line {line}: {reason}")]
    Syntax { line: usize, reason: String },
    #[error("{key} = {value:?}: {reason}")]
    Value {
        key: &'static str,
        value: String,
        reason: &'static str,
    },
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error(
        "cluster.listen = \"{0}\", where others can come: add [cluster.tls] with certificates that `trireme cert` makes, \
         or, where only the nodes can reach that port, cluster.allow_plain = true"
    )]
    Plain(SocketAddr),
}

impl Config {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Checks a configuration given as TOML text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: Raw = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        let Raw {
            pid_file,
            client,
            server,
            http,
            cluster,
        } = raw;
        let RawClient {
            listen,
            socket,
            proxy_protocol_from,
            require_secure_transport,
            drain_timeout_ms,
            tls,
        } = client;
        let key = "client.proxy_protocol_from";
        Ok(Self {
            listen: socket_address("client.listen", listen)?,
            socket: socket.map(|Text(path)| path.into()),
            balancers: networks(key, proxy_protocol_from)?,
            certificate: tls
                .map(|RawIdentity { certificate, key }| Identity::new(certificate, key)),
            require_secure_transport,
            drain_timeout: Duration::from_millis(drain_timeout_ms),
            server: Server::check(server)?,
            http_listen: socket_address("http.listen", http.listen)?,
            token: Some(http.token).filter(|Password(token)| !token.is_empty()),
            pid_file: pid_file.map(|Text(path)| path.into()),
            cluster: cluster.map(Cluster::check).transpose()?,
        })
    }

    /// This configuration with what another one says of what can change while a node runs, and the sections in which it
    /// says what cannot.
    pub fn reloaded(&self, other: Self) -> (Self, Vec<&'static str>) {
        let reloaded = Self {
            balancers: other.balancers.clone(),
            require_secure_transport: other.require_secure_transport,
            drain_timeout: other.drain_timeout,
            token: other.token.clone(),
            ..self.clone()
        };
        let differs = [
            (
                "client",
                (reloaded.listen, &reloaded.socket) != (other.listen, &other.socket),
            ),
            ("client.tls", reloaded.certificate != other.certificate),
            ("server", reloaded.server != other.server),
            ("http", reloaded.http_listen != other.http_listen),
            ("pid_file", reloaded.pid_file != other.pid_file),
            ("cluster", reloaded.cluster != other.cluster),
        ];
        let unchanged = differs.into_iter().filter(|(_, differs)| *differs);
        (reloaded, unchanged.map(|(section, _)| section).collect())
    }

    /// Whether a PROXY header that comes from `address` counts.
    pub fn is_balancer(&self, address: IpAddr) -> bool {
        // A socket for both versions shows addresses of the older one as some of the newer.
        let address = address.to_canonical();
        self.balancers.iter().any(|net| net.contains(&address))
    }
}

impl Identity {
    fn new(Text(certificate): Text, Text(key): Text) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
        }
    }
}

impl Server {
    fn check(raw: RawServer) -> Result<Self, ConfigError> {
        let RawServer {
            address: Text(address),
            connect_timeout_ms,
            user: Text(user),
            password,
        } = raw;
        if !is_host_and_port(&address) {
            let reason = "expected a host and a port, such as \"127.0.0.1:3307\"";
            return Err(invalid("server.address", &address, reason));
        }
        if connect_timeout_ms == 0 {
            let key = "server.connect_timeout_ms";
            return Err(invalid(key, "0", "expected at least 1"));
        }
        Ok(Self {
            address,
            connect_timeout: Duration::from_millis(connect_timeout_ms),
            user,
            password,
        })
    }
}

fn socket_address(key: &'static str, Text(value): Text) -> Result<SocketAddr, ConfigError> {
    let reason = "expected an address and a port, such as \"0.0.0.0:3306\"";
    value.parse().map_err(|_| invalid(key, &value, reason))
}

fn networks(key: &'static str, written: Vec<Text>) -> Result<Vec<IpNet>, ConfigError> {
    let networks = written.into_iter().map(|Text(value)| {
        let address = value.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| value.parse()).map_err(|_| {
            let reason = "expected addresses or networks, such as \"10.0.0.5\" or \"10.0.0.0/24\"";
            invalid(key, &value, reason)
        })
    });
    networks.collect()
}

/// The host in a `host:port`, an address of IP's version 6 without its brackets.
pub fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// What is wrong with a text, without the secrets that may be in it.
fn syntax(text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count();
    let written = text.lines().nth(line).unwrap_or_default();
    let is_secret = SECRETS.iter().any(|key| written.contains(key));
    let reason = if is_secret {
        format!("expected a string in quotes; {NOTATION}")
    } else {
        error.message().to_owned()
    };
    ConfigError::Syntax {
        line: line + 1,
        reason,
    }
}

fn invalid(key: &'static str, value: &str, reason: &'static str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        reason,
    }
}

fn is_host_and_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../config.example.toml");

    #[test]
    fn the_example_states_the_defaults() {
        let needed = "[cluster]\naddress = 'db1:4567'\nmembers = ['db1:4567', 'db2:4567', 'db3:4567']\nallow_plain = true";
        let error = Config::parse(EXAMPLE).unwrap_err();
        assert!(matches!(error, ConfigError::Plain(_)), "{error}");
        let example = EXAMPLE.replace("allow_plain = false", "allow_plain = true");
        assert_eq!(
            Config::parse(&example).unwrap(),
            Config::parse(needed).unwrap(),
            "config.example.toml and the defaults differ"
        );
    }

    #[test]
    fn the_example_names_every_key() {
        for key in [
            "listen",
            "proxy_protocol_from",
            "require_secure_transport",
            "drain_timeout_ms",
            "address",
            "connect_timeout_ms",
            "user",
            "password",
            "name",
            "members",
            "allow_from",
            "allow_plain",
            "directory",
            "token",
            "log_retention_mb",
            "reads_without_majority",
            "isolation",
            "retry_transactions",
            "backdoor_commits",
            "auto_increment_by_node",
            "run_events",
        ] {
            assert!(
                EXAMPLE.lines().any(|l| l.starts_with(&format!("{key} = "))),
                "{key} is missing"
            );
        }
    }

    #[test]
    fn some_of_it_can_change_while_a_node_runs() {
        let config = |text| Config::parse(text).unwrap();
        let present = config("client.drain_timeout_ms = 1\n[server]\naddress = 'a:1'");
        let other = "client.drain_timeout_ms = 2\nclient.proxy_protocol_from = ['10.0.0.1']\nhttp.token = 't'";
        let (reloaded, unchanged) = present.reloaded(config(other));
        assert_eq!(
            reloaded,
            config(&format!("{other}\nserver.address = 'a:1'"))
        );
        assert_eq!(unchanged, ["server"]);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config = Config::parse("http.token = 'abc'\nserver.password = 'abc'").unwrap();
        assert!(!format!("{config:?}").contains("abc"));
        for text in [
            "server.password = 123456",
            "[http]\n\ntoken = \"123456\nlisten = ''",
            "http.token = '${123456'",
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains("expected a string in quotes"), "{error}");
            assert!(!error.contains("123456"), "{error}");
        }
    }

    #[test]
    fn values_come_from_the_environment_where_the_file_says_so() {
        // Cargo tells its tests the package's name.
        let text = r"
            server.user = '${CARGO_PKG_NAME}'
            server.password = 'a\$b${NO_SUCH_VARIABLE:c}'
            [cluster]
            allow_plain = true
            address = '$CARGO_PKG_NAME:1'
            members = ['${CARGO_PKG_NAME}:1', 'b:1']
        ";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.server.user, "trireme");
        assert_eq!(config.server.password.0, "a$bc");
        let cluster = config.cluster.unwrap();
        assert_eq!(cluster.address, "trireme:1");
        assert_eq!(cluster.members, ["trireme:1", "b:1"]);
    }

    #[test]
    fn hosts() {
        for (address, expected) in [
            ("db1:4567", "db1"),
            ("[::1]:1", "::1"),
            ("10.0.0.1:1", "10.0.0.1"),
        ] {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn balancers_are_addresses_and_networks() {
        let text = "client.proxy_protocol_from = ['10.1.0.0/16', '192.0.2.7', 'fd00::/8']";
        let config = Config::parse(text).unwrap();
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(config.is_balancer(address), expected, "{address}");
        }
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        for (text, expected) in [
            ("[client]\nlisten = \"3306\"", "client.listen"),
            (
                "[client]\nproxy_protocol_from = [\"10.0.0.0/33\"]",
                "client.proxy_protocol_from",
            ),
            ("[server]\naddress = \"db1\"", "server.address"),
            ("[server]\naddress = \":3306\"", "server.address"),
            ("[server]\naddress = \"db1:0\"", "server.address"),
            (
                "[server]\nconnect_timeout_ms = 0",
                "server.connect_timeout_ms",
            ),
            ("[http]\nlisten = \"9200\"", "http.listen"),
            ("[server]\nadress = \"db1:3306\"", "unknown field `adress`"),
            ("[sever]", "unknown field `sever`"),
            (
                "[server]\nuser = '${NO_SUCH_VARIABLE}'",
                "NO_SUCH_VARIABLE; ${NAME} stands for",
            ),
            ("[server]\npassword = 'a$'", "for a dollar sign"),
            ("[client", "line 1: "),
            ("[client]\n\nlisten = 1", "line 3: invalid type"),
            ("[cluster]", "cluster.address is missing"),
            ("[cluster]\naddress = 'a:1'", "cluster.address"),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a']",
                "cluster.members",
            ),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a:1', 'b:1', 'a:1']",
                "twice",
            ),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a:1']\nname = ''",
                "cluster.name",
            ),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a:1']\nlisten = 'a:1'",
                "cluster.listen",
            ),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a:1']\nallow_plain = true\nallow_from = ['b']",
                "cluster.allow_from",
            ),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a:1']\ntls.ca = 'ca.pem'",
                "missing field `certificate`",
            ),
            (
                "[cluster]\naddress = 'a:1'\nmembers = ['a:1']\nbackdoor_commits = 'ignored'",
                "unknown variant `ignored`, expected `fatal` or `reported`",
            ),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }
}
