//! A node's place in its cluster, as it is configured.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::Deserialize;

use super::{
    ConfigError, Identity, invalid, is_host_and_port, networks,
    raw::{RawCluster, RawTls, Text},
    socket_address,
};

const MAX_NAME_BYTES: usize = 64;

/// This node's place in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Nodes of another name are refused.
    pub name: String,
    /// This node's own entry among the members.
    pub address: String,
    /// `host:port` of every node that the cluster starts with.
    pub members: Vec<String>,
    /// Where this node listens to the others.
    pub listen: SocketAddr,
    /// From where they may connect; from anywhere if this is empty.
    pub allow_from: Vec<IpNet>,
    /// How they know each other; none if whoever reaches them is trusted.
    pub tls: Option<Tls>,
    /// Where it keeps its copy of the log.
    pub directory: PathBuf,
    /// How much of the log it keeps for nodes that are away, in bytes.
    pub log_retention: u64,
    /// Whether clients may read, from what may be stale, while there is no majority.
    pub reads_without_majority: bool,
    pub isolation: Isolation,
    /// How often a transaction of several statements is run again, unseen, when another one has kept it from committing.
    pub retry_transactions: u16,
    pub backdoor_commits: BackdoorPolicy,
    /// Whether each node's `AUTO_INCREMENT` columns have values of their own.
    pub auto_increment_by_node: bool,
    /// Whether this node runs events while it leads.
    pub run_events: bool,
}

/// Files of certificates, which `trireme cert` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Of the authority that has signed the certificates of all nodes.
    pub ca: PathBuf,
    /// Of this node, for the host in its own address.
    pub own: Identity,
}

impl Tls {
    /// The files of certificates.
    pub fn certificates(&self) -> [&Path; 2] {
        [&self.ca, &self.own.certificate]
    }
}

/// The values that a server gives `AUTO_INCREMENT` columns: `offset`, `offset + increment`, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoIncrement {
    pub increment: usize,
    pub offset: usize,
}

/// What a transaction of several statements must not have missed to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// What was committed elsewhere while it committed: before, its server's locks see to what it changes.
    Server,
    /// Anything in the rows that it changes, since its first statement: snapshot isolation, where the first committer
    /// wins and no update is lost.
    Snapshot,
}

/// What becomes of a node whose server has committed what did not come through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BackdoorPolicy {
    /// It stops: its data are not those of the others.
    Fatal,
    /// It says so and goes on.
    Reported,
}

impl Cluster {
    pub(super) fn check(raw: RawCluster) -> Result<Self, ConfigError> {
        let RawCluster {
            name: Text(name),
            address,
            members,
            listen,
            allow_from,
            allow_plain,
            tls,
            directory: Text(directory),
            log_retention_mb,
            reads_without_majority,
            isolation,
            retry_transactions,
            backdoor_commits,
            auto_increment_by_node,
            run_events,
        } = raw;
        let members: Vec<_> = members.into_iter().map(|Text(member)| member).collect();
        let Text(address) = address.ok_or(ConfigError::Missing("cluster.address"))?;
        if let Some(member) = members.iter().find(|m| !is_host_and_port(m)) {
            let reason = "expected hosts and ports, such as \"db1:4567\"";
            return Err(invalid("cluster.members", member, reason));
        }
        if let Some(member) = (1..members.len()).find(|at| members[..*at].contains(&members[*at])) {
            let reason = "stands there twice";
            return Err(invalid("cluster.members", &members[member], reason));
        }
        if !members.contains(&address) {
            let reason = "expected one of cluster.members, word for word";
            return Err(invalid("cluster.address", &address, reason));
        }
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let reason = "expected a name of 1 to 64 bytes";
            return Err(invalid("cluster.name", &name, reason));
        }
        if log_retention_mb == 0 {
            let key = "cluster.log_retention_mb";
            return Err(invalid(key, "0", "expected at least 1"));
        }
        let listen = socket_address("cluster.listen", listen)?;
        if tls.is_none() && !allow_plain && !listen.ip().is_loopback() {
            return Err(ConfigError::Plain(listen));
        }
        let tls = tls.map(
            |RawTls {
                 ca: Text(ca),
                 certificate,
                 key,
             }| Tls {
                ca: ca.into(),
                own: Identity::new(certificate, key),
            },
        );
        Ok(Self {
            name,
            address,
            members,
            listen,
            allow_from: networks("cluster.allow_from", allow_from)?,
            tls,
            directory: directory.into(),
            log_retention: u64::from(log_retention_mb) << 20,
            reads_without_majority,
            isolation,
            retry_transactions,
            backdoor_commits,
            auto_increment_by_node,
            run_events,
        })
    }

    /// The log's start moves by so many bytes at a time, and so many are read when a node starts.
    pub fn log_step(&self) -> u64 {
        (self.log_retention / 16).min(64 << 20)
    }

    /// What keeps this node's values of `AUTO_INCREMENT` columns apart from those of the others, if they
    /// are to be kept apart. The order in which the members are written makes no difference.
    pub fn auto_increment(&self) -> Option<AutoIncrement> {
        let before = self.members.iter().filter(|m| **m < self.address);
        self.auto_increment_by_node.then(|| AutoIncrement {
            increment: self.members.len(),
            offset: before.count() + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Config, *};

    #[test]
    fn each_member_has_values_of_its_own_however_they_are_written_down() {
        for (text, expected) in [
            ("members = ['a:1', 'b:1', 'c:1']", Some((3, 2))),
            ("members = ['c:1', 'b:1', 'a:1']", Some((3, 2))),
            ("members = ['b:1']", Some((1, 1))),
            ("members = ['b:1']\nauto_increment_by_node = false", None),
        ] {
            let config = Config::parse(&format!(
                "[cluster]\nallow_plain = true\naddress = 'b:1'\n{text}"
            ));
            let expected = expected.map(|(increment, offset)| AutoIncrement { increment, offset });
            assert_eq!(
                config.unwrap().cluster.unwrap().auto_increment(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_encrypted_is_asked_for() {
        let tls = "[cluster.tls]\nca = 'a'\ncertificate = 'c'\nkey = 'k'";
        for (text, expected) in [
            ("listen = '127.0.0.1:1'", true),
            ("listen = '[::1]:1'", true),
            ("listen = '10.0.0.1:1'", false),
            ("", false),
            ("allow_plain = true", true),
            (tls, true),
        ] {
            let text = format!("[cluster]\naddress = 'a:1'\nmembers = ['a:1']\n{text}");
            match Config::parse(&text) {
                Err(ConfigError::Plain(_)) => assert!(!expected, "{text}"),
                other => assert!(expected, "{text}: {other:?}"),
            }
        }
    }
}
