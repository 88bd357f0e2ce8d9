//! The node's configuration: the TOML file as written, turned into a checked [`Config`].
//!
//! `config.example.toml` describes every key; a test keeps it equal to the defaults here.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

/// A configuration that has been checked: every value in it can be used as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// `host:port` of the MySQL or MariaDB server that this node stands in front of. A name is
    /// resolved at each connection, so that a server that moves is found again.
    pub server_address: String,
    /// How long a connection to the server may take before the client is told it is unreachable.
    pub server_connect_timeout: Duration,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration is not valid: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("{key} = {value:?}: {reason}")]
    Value {
        key: &'static str,
        value: String,
        reason: &'static str,
    },
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
        let Raw { client, server } = toml::from_str(text)?;
        let listen = client.listen.parse().map_err(|_| ConfigError::Value {
            key: "client.listen",
            value: client.listen,
            reason: "expected an address and a port, such as \"0.0.0.0:3306\"",
        })?;
        if !is_host_and_port(&server.address) {
            return Err(ConfigError::Value {
                key: "server.address",
                value: server.address,
                reason: "expected a host and a port, such as \"127.0.0.1:3307\"",
            });
        }
        if server.connect_timeout_ms == 0 {
            return Err(ConfigError::Value {
                key: "server.connect_timeout_ms",
                value: "0".to_owned(),
                reason: "expected at least 1",
            });
        }
        Ok(Self {
            listen,
            server_address: server.address,
            server_connect_timeout: Duration::from_millis(server.connect_timeout_ms),
        })
    }
}

fn is_host_and_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0))
}

/// The file as written, with a default for every key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    client: RawClient,
    server: RawServer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawClient {
    listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawServer {
    address: String,
    connect_timeout_ms: u64,
}

impl Default for RawClient {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:3306".to_owned(),
        }
    }
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:3307".to_owned(),
            connect_timeout_ms: 3000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../config.example.toml");

    #[test]
    fn the_example_states_the_defaults() {
        assert_eq!(
            Config::parse(EXAMPLE).unwrap(),
            Config::parse("").unwrap(),
            "config.example.toml and the defaults differ"
        );
    }

    #[test]
    fn the_example_names_every_key() {
        for key in ["listen", "address", "connect_timeout_ms"] {
            assert!(
                EXAMPLE.lines().any(|l| l.starts_with(&format!("{key} = "))),
                "{key} is missing"
            );
        }
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        for (text, expected) in [
            ("[client]\nlisten = \"3306\"", "client.listen"),
            ("[server]\naddress = \"db1\"", "server.address"),
            ("[server]\naddress = \":3306\"", "server.address"),
            ("[server]\naddress = \"db1:0\"", "server.address"),
            (
                "[server]\nconnect_timeout_ms = 0",
                "server.connect_timeout_ms",
            ),
            ("[server]\nadress = \"db1:3306\"", "unknown field `adress`"),
            ("[sever]", "unknown field `sever`"),
            ("[client", "not valid"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }
}
