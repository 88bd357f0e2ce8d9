//! `/metrics`: what a node counts and what it knows of its cluster, as Prometheus reads it.

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::ConstCounter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::{Registry, Unit},
};

use super::{Role, Status};
use crate::metrics::Metrics;

/// The content type of the exposition.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The exposition, in the OpenMetrics text format.
pub(super) fn exposition(metrics: &Metrics, status: &Status) -> String {
    let mut registry = Registry::with_prefix("trireme");
    let build = Family::<_, Gauge>::default();
    build
        .get_or_create(&[("version", status.report.version.clone())])
        .set(1);
    registry.register("build_info", "The version of this node", build);
    registry.register(
        "ready",
        "Whether clients should use this node (1) or another one (0)",
        ConstGauge::new(i64::from(status.report.problem.is_none())),
    );
    registry.register(
        "sessions",
        "Clients that are connected",
        ConstGauge::new(status.report.sessions as i64),
    );
    metrics.register(&mut registry);
    if let Some(cluster) = &status.cluster {
        let is_leader = |member: &&super::Member| member.role == Role::Leader;
        let leader = cluster.members.iter().find(is_leader);
        let leads = leader.is_some_and(|leader| leader.node == cluster.node);
        registry.register(
            "leader",
            "Whether this node leads the log",
            ConstGauge::new(i64::from(leads)),
        );
        registry.register(
            "members",
            "Nodes of the cluster, running or not",
            ConstGauge::new(cluster.members.len() as i64),
        );
        registry.register(
            "delivered_index",
            "Index of the last log entry that this node has, as committed by the cluster",
            ConstGauge::new(status.report.last_delivered as i64),
        );
        registry.register(
            "log_first_index",
            "Index of the first log entry that this node still has",
            ConstGauge::new(cluster.log_first as i64),
        );
        registry.register_with_unit(
            "log_size",
            "Of the log's files",
            Unit::Bytes,
            ConstGauge::new(cluster.log_bytes as i64),
        );
        if let Some(committed) = status.report.last_committed {
            registry.register(
                "committed_index",
                "Index of the last log entry that this node's server has, or is about to have",
                ConstGauge::new(committed as i64),
            );
        }
        registry.register(
            "apply_queue_entries",
            "Log entries that this node has and its server does not",
            ConstGauge::new(status.report.lacking as i64),
        );
        registry.register(
            "backdoor_commits",
            "Commits of this node's server that did not come through it, and are not replicated",
            ConstCounter::new(cluster.backdoor_commits),
        );
    }
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes all of it");
    text
}
