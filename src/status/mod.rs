//! What a node says of itself: the document behind `/status`, the verdict behind `/health`, the
//! figures behind `/metrics`, and the client that `trireme status` is.

mod exposition;
mod last_error;
mod orders;
mod report;
mod server;

use std::{fmt, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use last_error::{LastError, Logged};
pub use orders::{order, wait_until_drained};
pub use report::Report;
pub use server::{Source, serve};

/// A node answers within two seconds, also when its cluster has no majority.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What a node knows of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// None for a node that stands alone.
    pub cluster: Option<Cluster>,
    #[serde(flatten)]
    pub report: Report,
}

/// A cluster, as one of its nodes sees it. Ids are written as in the logs: 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: String,
    /// The node that tells this.
    pub node: String,
    pub leader: Option<String>,
    /// In the order of their addresses.
    pub members: Vec<Member>,
    /// Index of the first log entry that this node still has.
    pub log_first: u64,
    /// Bytes that its log takes on disk.
    pub log_bytes: u64,
    /// How many commits of this node's server did not come through it, since it started.
    pub backdoor_commits: u64,
    /// What the last of them was.
    pub last_backdoor_commit: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub node: String,
    /// Where it listens to its peers.
    pub address: String,
    pub role: Role,
    /// What it has said of itself in the last seconds; none if it is not heard of.
    pub report: Option<Report>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Leader,
    Follower,
}

impl Status {
    /// Asks the node whose `http.listen` is `address` (`host:port`).
    ///
    /// # Errors
    /// Nothing answers there, or what answers is not a node.
    pub fn fetch(address: &str) -> anyhow::Result<Self> {
        let answer = agent().get(format!("http://{address}/status")).call();
        let mut answer = answer.with_context(|| {
            format!("no status from {address}; is it the http.listen of a node that runs?")
        })?;
        let status = answer.body_mut().read_json();
        status.with_context(|| format!("what answers at {address} is not a node"))
    }
}

/// What asks a node.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(ANSWER_LIMIT));
    config.build().into()
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cluster) = &self.cluster {
            writeln!(f, "cluster         {}", cluster.name)?;
            for member in &cluster.members {
                let role = match member.role {
                    Role::Leader => "leader  ",
                    Role::Follower => "follower",
                };
                let this = if member.node == cluster.node {
                    "  this node"
                } else {
                    ""
                };
                writeln!(f, "  {role}      {}  {}{this}", member.node, member.address)?;
                let health = match &member.report {
                    Some(report) => report.problem.as_deref().unwrap_or("ok"),
                    None => "not heard of: it does not run, or cannot be reached",
                };
                writeln!(f, "                {health}")?;
            }
            writeln!(f, "last delivered  {}", self.report.last_delivered)?;
            if let Some(last_committed) = self.report.last_committed {
                writeln!(f, "last committed  {last_committed}")?;
            }
            let Cluster {
                log_first,
                log_bytes,
                ..
            } = cluster;
            writeln!(
                f,
                "log             from {log_first}, {} MiB",
                log_bytes >> 20
            )?;
            if let Some(last) = &cluster.last_backdoor_commit {
                let count = cluster.backdoor_commits;
                writeln!(
                    f,
                    "not replicated  {count} backdoor commits, the last: {last}"
                )?;
            }
        }
        let health = self.report.problem.as_deref().unwrap_or("ok");
        writeln!(f, "health          {health}")?;
        if let Some(error) = &self.report.last_error {
            writeln!(f, "last error      {} {}", error.at, error.text)?;
        }
        write!(f, "version         {}", self.report.version)
    }
}
