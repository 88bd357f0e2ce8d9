//! What a node answers to monitors and tools that know Galera.

use std::iter;

use xxhash_rust::xxh3::xxh3_128;

use super::{
    answer::Answer,
    session::{Session, SessionError},
    settings::Settings,
    shared::Shared,
};
use crate::{
    backend::Row,
    config::host,
    consensus::{ReplicatedLog, View},
    duty::Duty,
    metrics::{CommitOutcome, Metrics},
    replicator::MAX_ENTRY_BYTES,
    sql::{
        Dialect,
        galera::{self, Kind, Value, Values},
    },
    status::Report,
    write_set::Key,
};

/// What a node can do, in the provider's words.
const CAPABILITIES: &str = ":MULTI_MASTER:CERTIFICATION:TRX_REPLAY:ISOLATION:";

/// How a node is, as Galera numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Without a majority.
    Initialized = 0,
    /// Not ready for clients.
    Joining = 1,
    /// Behind the others, or allowed to be.
    Desynced = 2,
    Synced = 4,
}

impl State {
    fn comment(self) -> &'static str {
        match self {
            Self::Initialized => "Initialized",
            Self::Joining => "Joining",
            Self::Desynced => "Donor/Desynced",
            Self::Synced => "Synced",
        }
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn number(number: impl ToString) -> Value {
    Value::Number(number.to_string())
}

/// A UUID for something that has another name: the same wherever that has.
fn uuid(of: &[u8]) -> String {
    let hex = format!("{:032x}", xxh3_128(of));
    // Version 8, for what its maker has defined: RFC 9562.
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..],
    ];
    let [a, b, c, d, e] = parts;
    format!("{a}-{b}-8{c}-8{d}-{e}")
}

impl Shared {
    /// What this node has to tell.
    pub(super) fn galera(&self, settings: Settings) -> Values {
        let view = self.replicator.log.view();
        Values {
            status: self.status(&view),
            variables: self.variables(&view),
            session: settings.values(),
            functions: Vec::new(),
        }
    }

    fn state(&self) -> State {
        let captures = &self.replicator.captures;
        if self.replicator.majority().is_err() {
            State::Initialized
        } else if self.problem().or_else(|| captures.silence()).is_some() {
            State::Joining
        } else if self.is_desynced() || self.replicator.lag().is_some() {
            State::Desynced
        } else {
            State::Synced
        }
    }

    fn is_desynced(&self) -> bool {
        self.orders.duty() == Duty::Desynced
    }

    /// The cluster's UUID: what all nodes know of it from its first day on.
    pub(super) fn cluster_uuid(&self, view: &View) -> String {
        let members = view.members.iter().map(|(node, _)| node.to_string());
        let names: Vec<_> = iter::once(self.cluster.name.clone())
            .chain(members)
            .collect();
        uuid(names.join(" ").as_bytes())
    }

    /// Where the members that are there wait for clients.
    fn incoming_addresses(&self, view: &View) -> String {
        let addresses = view.members.iter().filter_map(|(node, member)| {
            let port = if *node == view.node {
                self.client_port
            } else {
                Report::decode(view.reports.get(node)?)?.client_port
            };
            Some(format!("{}:{port}", host(&member.address)))
        });
        addresses.collect::<Vec<_>>().join(",")
    }

    fn status(&self, view: &View) -> Vec<(&'static str, Value)> {
        let state = self.state();
        let has_majority = state != State::Initialized;
        let size = 1 + view.reports.len();
        let index = view.members.iter().position(|(node, _)| *node == view.node);
        let uuid_of_cluster = self.cluster_uuid(view);
        let mut status = vec![
            ("wsrep_local_state_uuid", text(uuid_of_cluster.clone())),
            ("wsrep_protocol_version", number(1)),
            ("wsrep_last_committed", number(self.replicator.seen())),
        ];
        status.extend(self.counts(view));
        status.extend([
            ("wsrep_local_state", number(state as u8)),
            ("wsrep_local_state_comment", text(state.comment())),
            (
                "wsrep_incoming_addresses",
                text(self.incoming_addresses(view)),
            ),
            ("wsrep_cluster_weight", number(size)),
            ("wsrep_desync_count", number(u8::from(self.is_desynced()))),
            ("wsrep_evs_delayed", text("")),
            ("wsrep_evs_evict_list", text("")),
            ("wsrep_evs_repl_latency", text("0/0/0/0/0")),
            (
                "wsrep_evs_state",
                text(if has_majority {
                    "OPERATIONAL"
                } else {
                    "GATHER"
                }),
            ),
            (
                "wsrep_gcomm_uuid",
                text(uuid(view.node.to_string().as_bytes())),
            ),
            ("wsrep_gmcast_segment", number(0)),
            ("wsrep_ist_receive_status", text("")),
            ("wsrep_ist_receive_seqno_start", number(0)),
            ("wsrep_ist_receive_seqno_current", number(0)),
            ("wsrep_ist_receive_seqno_end", number(0)),
            ("wsrep_cluster_capabilities", text("")),
            // Its members are those that it was formed with.
            ("wsrep_cluster_conf_id", number(1)),
            ("wsrep_cluster_size", number(size)),
            ("wsrep_cluster_state_uuid", text(uuid_of_cluster)),
            (
                "wsrep_cluster_status",
                text(if has_majority {
                    "Primary"
                } else {
                    "non-Primary"
                }),
            ),
            ("wsrep_connected", Value::Switch(true)),
            ("wsrep_local_index", number(index.unwrap_or_default())),
            ("wsrep_provider_capabilities", text(CAPABILITIES)),
            ("wsrep_provider_name", text("Trireme")),
            ("wsrep_provider_vendor", text("Trireme")),
            ("wsrep_provider_version", text(env!("CARGO_PKG_VERSION"))),
            (
                "wsrep_ready",
                Value::Switch(has_majority && state != State::Joining),
            ),
            ("wsrep_thread_count", number(1)),
            ("wsrep_applier_thread_count", number(1)),
            ("wsrep_rollbacker_thread_count", number(0)),
        ]);
        status
    }

    /// What is counted. What a node does not do is 0: it applies in one order, and does not hold up the others.
    fn counts(&self, view: &View) -> Vec<(&'static str, Value)> {
        let metrics = &self.replicator.metrics;
        let Metrics {
            sent,
            received,
            ordering,
            applying,
            ..
        } = &**metrics;
        let load = self.replicator.load();
        vec![
            ("wsrep_replicated", number(sent.write_sets.get())),
            ("wsrep_replicated_bytes", number(sent.bytes.get())),
            ("wsrep_repl_keys", number(sent.keys.get())),
            (
                "wsrep_repl_keys_bytes",
                number(sent.keys.get() * size_of::<Key>() as u64),
            ),
            ("wsrep_repl_data_bytes", number(sent.bytes.get())),
            ("wsrep_repl_other_bytes", number(0)),
            ("wsrep_received", number(received.write_sets.get())),
            ("wsrep_received_bytes", number(received.bytes.get())),
            (
                "wsrep_local_commits",
                number(metrics.commits(CommitOutcome::Committed)),
            ),
            (
                "wsrep_local_cert_failures",
                number(metrics.certification_failures.get()),
            ),
            ("wsrep_local_replays", number(metrics.replayed.get())),
            ("wsrep_local_send_queue", number(load.proposed)),
            ("wsrep_local_send_queue_max", number(ordering.max())),
            ("wsrep_local_send_queue_min", number(0)),
            ("wsrep_local_send_queue_avg", number(ordering.average())),
            (
                "wsrep_local_recv_queue",
                number(self.replicator.lacking(view.committed)),
            ),
            ("wsrep_local_recv_queue_max", number(applying.max())),
            ("wsrep_local_recv_queue_min", number(0)),
            ("wsrep_local_recv_queue_avg", number(applying.average())),
            ("wsrep_local_cached_downto", number(view.extent.first)),
            ("wsrep_flow_control_paused_ns", number(0)),
            ("wsrep_flow_control_paused", number("0.0")),
            ("wsrep_flow_control_sent", number(0)),
            ("wsrep_flow_control_recv", number(0)),
            ("wsrep_flow_control_active", text("false")),
            ("wsrep_flow_control_requested", text("false")),
            ("wsrep_flow_control_interval", text("[ 0, 0 ]")),
            ("wsrep_flow_control_interval_low", number(0)),
            ("wsrep_flow_control_interval_high", number(0)),
            ("wsrep_flow_control_status", text("OFF")),
            ("wsrep_cert_deps_distance", number("0.0")),
            ("wsrep_apply_oooe", number("0.0")),
            ("wsrep_apply_oool", number("0.0")),
            ("wsrep_apply_window", number("1.0")),
            ("wsrep_apply_waits", number(0)),
            ("wsrep_commit_oooe", number("0.0")),
            ("wsrep_commit_oool", number("0.0")),
            ("wsrep_commit_window", number("1.0")),
            ("wsrep_cert_index_size", number(load.certification_keys)),
            ("wsrep_cert_interval", number("0.0")),
            ("wsrep_causal_reads", number(0)),
            ("wsrep_open_transactions", number(load.proposed)),
            ("wsrep_open_connections", number(self.sessions.len())),
            ("wsrep_local_bf_aborts", number(metrics.overtaken.get())),
        ]
    }

    fn variables(&self, view: &View) -> Vec<(&'static str, Value)> {
        let cluster = &self.cluster;
        let host = host(&cluster.address);
        let retained = cluster.log_retention >> 20;
        let maintenance = match self.orders.duty() {
            Duty::Active | Duty::Desynced => "DISABLED",
            Duty::Drained => "MAINTENANCE",
            Duty::Leaving => "SHUTDOWN",
        };
        let position = format!("{}:{}", self.cluster_uuid(view), self.replicator.seen());
        let mut variables = vec![
            (
                "wsrep_auto_increment_control",
                Value::Switch(cluster.auto_increment_by_node),
            ),
            ("wsrep_certify_nonPK", Value::Switch(true)),
            (
                "wsrep_cluster_address",
                text(format!("gcomm://{}", cluster.members.join(","))),
            ),
            ("wsrep_cluster_name", text(cluster.name.clone())),
            (
                "wsrep_data_home_dir",
                text(cluster.directory.display().to_string()),
            ),
            ("wsrep_debug", text("NONE")),
            ("wsrep_desync", Value::Switch(self.is_desynced())),
            (
                "wsrep_dirty_reads",
                Value::Switch(cluster.reads_without_majority),
            ),
            ("wsrep_forced_binlog_format", text("NONE")),
            ("wsrep_load_data_splitting", Value::Switch(false)),
            ("wsrep_log_conflicts", Value::Switch(false)),
            ("wsrep_max_ws_rows", number(0)),
            ("wsrep_max_ws_size", number(MAX_ENTRY_BYTES)),
            ("wsrep_node_address", text(host)),
            (
                "wsrep_node_incoming_address",
                text(format!("{host}:{}", self.client_port)),
            ),
            ("wsrep_node_name", text(cluster.address.clone())),
            ("wsrep_notify_cmd", text("")),
            ("wsrep_on", Value::Switch(true)),
            ("wsrep_OSU_method", text("TOI")),
            ("wsrep_provider", text("trireme")),
            (
                "wsrep_provider_options",
                text(format!("gcache.size = {retained}M; ")),
            ),
            ("wsrep_recover", Value::Switch(false)),
            ("wsrep_reject_queries", text("NONE")),
            ("wsrep_slave_threads", number(1)),
            ("wsrep_sst_donor", text("")),
            ("wsrep_sst_donor_rejects_queries", Value::Switch(false)),
            ("wsrep_sst_method", text("none")),
            ("wsrep_sst_receive_address", text("AUTO")),
            ("wsrep_start_position", text(position)),
            ("wsrep_trx_fragment_size", number(0)),
            ("wsrep_trx_fragment_unit", text("bytes")),
            ("pxc_maint_mode", text(maintenance)),
        ];
        variables.extend(self.settings().values());
        variables
    }
}

/// Answers a `SHOW` with what the server says and with this node's own values. What a server that was built for Galera says
/// of it, it says of itself.
pub(super) async fn show(
    session: &mut Session,
    values: &Values,
    statement: &[u8],
    (kind, is_global, condition): (Kind, bool, &[u8]),
    dialect: Dialect,
) -> Result<Answer, SessionError> {
    let mut packets = session.record(statement, 0).await?;
    // An error is one packet, and the client may ask for it again.
    if packets.len() > 1 {
        let own = values.rows(kind, is_global, condition, dialect);
        let own = session.record(&own, 0).await?;
        packets
            .retain(|packet| name_of(packet).is_none_or(|name| !galera::is_own(name.as_bytes())));
        let end = packets.len() - 1;
        let rows = own.into_iter().filter(|packet| name_of(packet).is_some());
        packets.splice(end..end, rows);
    }
    Ok(session.replay(packets))
}

/// The name in a row of a name and a value; none for what is no such row.
fn name_of(packet: &[u8]) -> Option<String> {
    let row = Row::decode(&packet.to_vec().into(), 2)?;
    row.text(0).map(str::to_owned)
}
