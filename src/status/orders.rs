//! What an operator tells a node to do: `POST /drain`, `/desync` and `/resume`, with the configured token.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, bail};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use super::{Report, Source, Status, agent};
use crate::{config::Config, duty::Duty};

/// Between two looks at a node that is drained.
const PERIOD: Duration = Duration::from_millis(500);

/// Where each duty is asked for.
pub(super) const PATHS: [(&str, Duty); 3] = [
    ("/drain", Duty::Drained),
    ("/desync", Duty::Desynced),
    ("/resume", Duty::Active),
];

/// Gives the node this duty, for who has the token.
pub(super) async fn obey<L>(
    duty: Duty,
    State(source): State<Arc<Source<L>>>,
    headers: HeaderMap,
) -> (StatusCode, &'static str) {
    let token = source.config.borrow().token.clone();
    let Some(token) = token else {
        let reason = "this node takes no orders over HTTP: it has no http.token\n";
        return (StatusCode::FORBIDDEN, reason);
    };
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    if !given.is_some_and(|given| given.ct_eq(token.0.as_bytes()).into()) {
        warn!(?duty, "refused an order: not with this node's http.token");
        return (StatusCode::UNAUTHORIZED, "not this node's http.token\n");
    }
    if !source.orders.give(duty) {
        let reason = "the node has been told to stop, and takes no other order\n";
        return (StatusCode::CONFLICT, reason);
    }
    info!(?duty, "an operator's order");
    (StatusCode::OK, "ok\n")
}

/// Gives the node with this configuration, which runs on this machine, another duty.
///
/// # Errors
/// The configuration has no token, or the node does not run or does not obey.
pub fn order(config: &Config, duty: Duty) -> anyhow::Result<()> {
    let Some(token) = &config.token else {
        bail!("http.token is missing in this configuration: a node without one takes no orders");
    };
    let address = local(config.http_listen);
    let (path, _) = PATHS
        .into_iter()
        .find(|(_, asked)| *asked == duty)
        .context("nobody is told this over HTTP")?;
    let asked = agent().post(format!("http://{address}{path}"));
    let asked = asked.header(AUTHORIZATION.as_str(), format!("Bearer {}", token.0));
    let answer = asked.config().http_status_as_error(false).build();
    let mut answer = answer.send_empty().with_context(|| {
        format!("nothing answers at {address} (http.listen); does the node run?")
    })?;
    if answer.status() != StatusCode::OK {
        let reason = answer.body_mut().read_to_string().unwrap_or_default();
        bail!("the node at {address} does not: {}", reason.trim_end());
    }
    Ok(())
}

/// Waits until a node on this machine that was drained has no sessions any more; `progress` hears how many there are.
///
/// # Errors
/// The node has stopped, or has got another order.
pub fn wait_until_drained(config: &Config, mut progress: impl FnMut(usize)) -> anyhow::Result<()> {
    let address = local(config.http_listen).to_string();
    loop {
        let Report { duty, sessions, .. } = Status::fetch(&address)?.report;
        if duty != Duty::Drained {
            bail!("the node at {address} has got another order");
        }
        progress(sessions);
        if sessions == 0 {
            return Ok(());
        }
        sleep(PERIOD);
    }
}

/// Where this machine reaches what listens there.
fn local(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}
