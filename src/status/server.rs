//! The HTTP port.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::{
    Cluster, LastError, Member, Report, Role, Status,
    exposition::{self, exposition},
    orders,
};
use crate::{
    backend::Captures,
    config::Config,
    consensus::{ReplicatedLog, View},
    duty::{Duty, Orders},
    metrics::Metrics,
    net::accept,
    replicator::Replicator,
};

/// How long a node may take to deliver what its cluster had when it was asked.
const LEVEL_LIMIT: Duration = Duration::from_secs(1);
/// Connections that may be open at once.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to send a request, or keep a connection without one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The page of a node: all of it, without outside requests.
const PAGE: &str = include_str!("page.html");
/// What a browser lets it do.
const PAGE_MAY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the answers come from.
pub struct Source<L> {
    pub config: watch::Receiver<Arc<Config>>,
    /// The cluster's name and its log; none for a node that stands alone.
    pub cluster: Option<(String, Arc<L>)>,
    pub replicator: Option<Arc<Replicator>>,
    pub last_error: LastError,
    pub orders: Orders,
    pub metrics: Arc<Metrics>,
    /// Of clients.
    pub sessions: TaskTracker,
}

/// Serves `/status`, `/health`, `/metrics`, orders and a page for people for as long as the future is polled. Any request for `/`
/// that does not want HTML, which is what HAProxy and xinetd's clustercheck send unless told otherwise, is one for `/health`.
pub async fn serve<L: ReplicatedLog>(listener: TcpListener, source: Arc<Source<L>>) {
    let mut router = Router::new()
        .route("/status", get(status::<L>))
        .route("/metrics", get(metrics::<L>))
        .route("/health", any(health::<L>))
        .route("/", any(page::<L>));
    for (path, duty) in orders::PATHS {
        let obey = move |source, headers| orders::obey::<L>(duty, source, headers);
        router = router.route(path, post(obey));
    }
    let router = router.with_state(source);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, _) = accept(|| listener.accept(), "an HTTP").await;
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let router = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIMEOUT)
                .serve_connection(TokioIo::new(stream), router);
            if let Err(error) = served.await {
                debug!(%error, "an HTTP connection ended");
            }
            drop(place);
        });
    }
}

/// The page, for who wants HTML; else the health.
async fn page<L: ReplicatedLog>(source: State<Arc<Source<L>>>, headers: HeaderMap) -> Response {
    let accepts = headers
        .get(ACCEPT)
        .and_then(|accepts| accepts.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        ([(CONTENT_SECURITY_POLICY, PAGE_MAY)], Html(PAGE)).into_response()
    } else {
        health(source).await.into_response()
    }
}

async fn status<L: ReplicatedLog>(State(source): State<Arc<Source<L>>>) -> Json<Status> {
    Json(source.status().await)
}

async fn metrics<L: ReplicatedLog>(State(source): State<Arc<Source<L>>>) -> impl IntoResponse {
    let text = exposition(&source.metrics, &source.status().await);
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], text)
}

async fn health<L: ReplicatedLog>(State(source): State<Arc<Source<L>>>) -> (StatusCode, String) {
    match source.problem().await {
        None => (StatusCode::OK, "ok\n".to_owned()),
        // HAProxy's disable-on-404: no new sessions, and those that are there may end what they do.
        Some(problem) if source.orders.duty() != Duty::Active => {
            (StatusCode::NOT_FOUND, problem + "\n")
        }
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
    }
}

impl<L: ReplicatedLog> Source<L> {
    async fn status(&self) -> Status {
        let problem = self.problem().await;
        let view = self.cluster.as_ref().map(|(_, log)| log.view());
        let report = self.report(problem, view.as_ref());
        let named = self.cluster.as_ref().zip(view);
        let cluster = named.map(|((name, _), view)| {
            let mut cluster = describe(name.clone(), view, &report);
            if let Some(replicator) = &self.replicator {
                let (count, last) = replicator.captures.backdoor.seen();
                cluster.backdoor_commits = count;
                cluster.last_backdoor_commit = last.map(|commit| commit.to_string());
            }
            cluster
        });
        Status { cluster, report }
    }

    /// Why clients should go elsewhere.
    pub(super) async fn problem(&self) -> Option<String> {
        if let Some(problem) = self.orders.duty().problem() {
            return Some(problem.to_owned());
        }
        let (_, log) = self.cluster.as_ref()?;
        let captures = self.replicator.as_ref().map(|own| &own.captures);
        let problem = |captures: &Arc<Captures>| captures.problem().or_else(|| captures.silence());
        if let Some(problem) = captures.and_then(problem) {
            return Some(problem);
        }
        if log.view().members.is_empty() {
            let problem =
                "the cluster has not formed: every configured member has to run for the first time";
            return Some(problem.to_owned());
        }
        if !log.has_majority() {
            let problem = "no majority: this node does not reach enough members; start them, or repair the network";
            return Some(problem.to_owned());
        }
        // While a new leader is being elected there is no such index, and nothing to worry about.
        if let Some(index) = log.read_index().await
            && timeout(LEVEL_LIMIT, log.committed(index)).await.is_err()
        {
            let delivered = log.view().committed;
            let problem =
                format!("catching up: it has delivered {delivered} of {index} log entries");
            return Some(problem);
        }
        let replicator = self.replicator.as_ref()?;
        replicator.problem().or_else(|| replicator.lag())
    }
}

fn describe(name: String, view: View, own: &Report) -> Cluster {
    let View {
        node,
        leader,
        members,
        extent,
        reports,
        ..
    } = view;
    let members = members.into_iter().map(|(id, member)| Member {
        node: id.to_string(),
        address: member.address,
        role: if leader == Some(id) {
            Role::Leader
        } else {
            Role::Follower
        },
        report: if id == node {
            Some(own.clone())
        } else {
            let report = reports.get(&id);
            report.and_then(|report| Report::decode(report))
        },
    });
    let mut members: Vec<_> = members.collect();
    members.sort_by(|a, b| a.address.cmp(&b.address));
    Cluster {
        name,
        node: node.to_string(),
        leader: leader.map(|id| id.to_string()),
        members,
        log_first: extent.first,
        log_bytes: extent.bytes,
        backdoor_commits: 0,
        last_backdoor_commit: None,
    }
}
