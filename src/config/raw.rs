//! The configuration file as it is written, with a default for every key.

use serde::Deserialize;

use super::{BackdoorPolicy, Isolation, Password};

/// What strings may have in them.
pub(super) const NOTATION: &str =
    "${NAME} stands for a variable of the environment, \\$ for a dollar sign, \\\\ for a backslash";

/// A string of the file, with values from the environment in it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text(pub(super) String);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let text = subst::substitute(&written, &subst::Env);
        text.map(Self)
            .map_err(|error| format!("{error}; {NOTATION}"))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Text> for Password {
    fn from(Text(password): Text) -> Self {
        Self(password)
    }
}

/// The file as written, with a default for every key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) pid_file: Option<Text>,
    pub(super) client: RawClient,
    pub(super) server: RawServer,
    pub(super) http: RawHttp,
    pub(super) cluster: Option<RawCluster>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawClient {
    pub(super) listen: Text,
    pub(super) socket: Option<Text>,
    pub(super) proxy_protocol_from: Vec<Text>,
    pub(super) require_secure_transport: bool,
    pub(super) drain_timeout_ms: u64,
    pub(super) tls: Option<RawIdentity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) certificate: Text,
    pub(super) key: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServer {
    pub(super) address: Text,
    pub(super) connect_timeout_ms: u64,
    pub(super) user: Text,
    pub(super) password: Password,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHttp {
    pub(super) listen: Text,
    pub(super) token: Password,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCluster {
    pub(super) name: Text,
    pub(super) address: Option<Text>,
    pub(super) members: Vec<Text>,
    pub(super) listen: Text,
    pub(super) allow_from: Vec<Text>,
    pub(super) allow_plain: bool,
    pub(super) tls: Option<RawTls>,
    pub(super) directory: Text,
    pub(super) log_retention_mb: u32,
    pub(super) reads_without_majority: bool,
    pub(super) isolation: Isolation,
    pub(super) retry_transactions: u16,
    pub(super) backdoor_commits: BackdoorPolicy,
    pub(super) auto_increment_by_node: bool,
    pub(super) run_events: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) ca: Text,
    pub(super) certificate: Text,
    pub(super) key: Text,
}

impl Default for RawCluster {
    fn default() -> Self {
        Self {
            name: "trireme".into(),
            address: None,
            members: Vec::new(),
            listen: "0.0.0.0:4567".into(),
            allow_from: Vec::new(),
            allow_plain: false,
            tls: None,
            directory: "/var/lib/trireme".into(),
            log_retention_mb: 1024,
            reads_without_majority: false,
            isolation: Isolation::Server,
            retry_transactions: 0,
            backdoor_commits: BackdoorPolicy::Fatal,
            auto_increment_by_node: true,
            run_events: true,
        }
    }
}

impl Default for RawClient {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:3306".into(),
            socket: None,
            proxy_protocol_from: Vec::new(),
            require_secure_transport: false,
            drain_timeout_ms: 8000,
            tls: None,
        }
    }
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:3307".into(),
            connect_timeout_ms: 3000,
            user: "trireme".into(),
            password: Password(String::new()),
        }
    }
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:9200".into(),
            token: Password(String::new()),
        }
    }
}
