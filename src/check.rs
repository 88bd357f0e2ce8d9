//! `trireme check`: whether a node could run with a configuration, and what to do if not.

use std::time::Duration;

use anyhow::Context;
use tokio::time::timeout;

use crate::{
    backend::{self, Connection},
    certificates,
    config::{Cluster, Config},
    consensus::Security,
    frontend::Encryption,
    net,
};

/// How long another member may take to answer.
const PEER_LIMIT: Duration = Duration::from_secs(2);

/// What was found.
pub struct Verdict {
    /// Each a sentence or two, with the line that mends it.
    pub findings: Vec<String>,
    /// Whether a node could run.
    pub is_ready: bool,
}

/// Looks at the server and at the other members, and changes nothing.
///
/// # Errors
/// The server cannot be asked.
pub async fn check(config: &Config) -> anyhow::Result<Verdict> {
    let server = &config.server;
    let asked = async {
        let mut connection = Connection::open(server).await?;
        let auto_increment = config.cluster.as_ref().and_then(Cluster::auto_increment);
        backend::check(&mut connection, auto_increment).await
    };
    let found = asked.await;
    let found = found.with_context(|| {
        format!(
            "cannot ask the server at {} as {:?} (server.address, server.user, server.password)",
            server.address, server.user
        )
    })?;
    let mut is_ready = !found.iter().any(backend::Finding::is_fatal);
    let mut findings: Vec<_> = found.iter().map(ToString::to_string).collect();
    if let Some(files) = &config.certificate {
        match Encryption::new(config) {
            Ok(_) => findings.extend(certificates::ageing(&[&files.certificate])?),
            Err(error) => {
                is_ready = false;
                findings.push(format!("{error:#}"));
            }
        }
    }
    if let Some(cluster) = &config.cluster {
        if let Some(files) = &cluster.tls {
            match Security::new(Some(files), &cluster.address, &cluster.members) {
                Ok(_) => findings.extend(certificates::ageing(&files.certificates())?),
                Err(error) => {
                    is_ready = false;
                    findings.push(format!("{error:#}"));
                }
            }
        }
        let members = cluster.members.iter();
        for member in members.filter(|member| **member != cluster.address) {
            if !answers(member).await {
                findings.push(format!(
                    "nobody answers at {member} (cluster.members); start that node, or open the way to its port"
                ));
            }
        }
    }
    Ok(Verdict { findings, is_ready })
}

async fn answers(address: &str) -> bool {
    matches!(timeout(PEER_LIMIT, net::connect(address)).await, Ok(Ok(_)))
}
