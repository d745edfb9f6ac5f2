//! Cluster links (LINK-SPEC O-1). All nodes export learnt routes, which are cluster-wide: take the
//! maximum of them, the sum of the others.

use std::sync::Arc;

use spanmq_link_protocol::replication::Phase;
use spanmq_link_protocol::status::{LinkMetrics, PoolState};

use spanmq_linking::LatencyView;

use super::text::{Buckets, Kind, Text};
use crate::ports::Node;
use crate::server::now_ms;

use crate::question::links::{metrics, report};

const POOL_STATES: [(PoolState, &str); 3] = [
    (PoolState::Connected, "connected"),
    (PoolState::Connecting, "connecting"),
    (PoolState::Disconnected, "disconnected"),
];

const PHASES: [Phase; 7] = [
    Phase::Online,
    Phase::Connecting,
    Phase::Handshaking,
    Phase::Bootstrapping,
    Phase::Rejected,
    Phase::Disconnected,
    Phase::Disabled,
];

pub(super) fn write(text: &mut Text, node: &dyn Node) {
    let linking = node.linking();
    let mut links: Vec<Arc<str>> = Vec::new();
    node.read(&mut |state| links = state.links().list().map(|link| link.name.clone()).collect());
    let ttl = linking.actor_ttl().as_secs_f64();
    let help = "Silence after which an actor of a remote expires while others of it speak.";
    text.add(Kind::Gauge, "cluster_link_actor_expiry_seconds", help, &[], ttl);
    for link in &links {
        if let Some(report) = report(node, &linking, link) {
            states(text, link, report.pool, report.replication);
        }
        if let Some(metrics) = metrics(node, &linking, link) {
            counters(text, link, &metrics);
        }
        if let Some((_, board, _)) = linking.board(link) {
            let label = [("link", &**link)];
            let view = board.view();
            latency(text, link, &board.latency_view());
            let reconnects = view.forwarded.reconnects;
            let name = "cluster_link_reconnects_total";
            let help = "Connections of the pool that were opened again.";
            text.add(Kind::Counter, name, help, &label, reconnects as f64);
        }
    }
}

fn latency(text: &mut Text, link: &str, view: &LatencyView) {
    let counts = view.buckets.map(|(micros, count)| (micros as f64 / 1e6, count));
    let (sum, count) = (view.sum_us as f64 / 1e6, view.count);
    let name = "cluster_link_forward_latency_seconds";
    let help = "From append to acknowledgement.";
    text.histogram(name, help, &[("link", link)], &Buckets { counts: &counts, sum, count });
}

fn states(text: &mut Text, link: &str, pool: PoolState, replication: Phase) {
    for (state, word) in POOL_STATES {
        let labels = [("link", link), ("state", word)];
        let value = f64::from(u8::from(state == pool));
        let help = "1 for the present state of the forwarding connections.";
        text.add(Kind::Gauge, "cluster_link_status", help, &labels, value);
    }
    for phase in PHASES {
        let labels = [("link", link), ("state", phase.as_str())];
        let value = f64::from(u8::from(phase == replication));
        let help = "1 for the present state of the route replication.";
        text.add(Kind::Gauge, "cluster_link_replication_state", help, &labels, value);
    }
}

fn counters(text: &mut Text, link: &str, metrics: &LinkMetrics) {
    let LinkMetrics { router, forwarding, replication, inbound, buffer } = metrics;
    let label = [("link", link)];
    let mut counter = |name: &str, help: &str, value: u64| {
        text.add(Kind::Counter, &format!("cluster_link_{name}_total"), help, &label, value as f64);
    };
    counter("forward_matched", "Messages handed to the link.", forwarding.matched);
    counter("forward_success", "Messages the remote acknowledged.", forwarding.success);
    counter("forward_retried", "Messages sent again.", forwarding.retried);
    counter("forward_bytes", "Bytes sent to the remote.", forwarding.bytes);
    counter("received", "Messages received from the remote.", inbound.received);
    counter("delivered", "Of these delivered to somebody.", inbound.delivered);
    counter("filtered", "Of these not wanted.", inbound.filtered);
    counter("rejected", "Of these not allowed.", inbound.rejected);
    counter("duplicates", "Of these seen before.", inbound.duplicates);
    counter("received_bytes", "Bytes received from the remote.", inbound.bytes);
    counter("route_adds_sent", "Routes told to the remote.", replication.sent_adds);
    counter("route_deletes_sent", "Routes taken back.", replication.sent_deletes);
    counter("bootstraps", "Full sets of routes sent.", replication.bootstraps);
    let help = "Messages the remote refused for good.";
    let named: u64 = forwarding.failed_reasons.values().sum();
    let other = ("other", forwarding.failed.saturating_sub(named));
    let reasons = forwarding.failed_reasons.iter().map(|(reason, count)| (reason.as_str(), *count));
    for (reason, value) in reasons.chain([other]) {
        let labels = [("link", link), ("reason", reason)];
        text.add(Kind::Counter, "cluster_link_forward_failed_total", help, &labels, value as f64);
    }
    let dropped = [
        ("expired", forwarding.dropped_expired),
        ("queue_full", forwarding.dropped_queue_full),
        ("other", forwarding.dropped_other),
    ];
    for (reason, value) in dropped {
        let labels = [("link", link), ("reason", reason)];
        let name = "cluster_link_forward_dropped_total";
        text.add(Kind::Counter, name, "Messages given up.", &labels, value as f64);
    }
    let mut gauge = |name: &str, help: &str, value: f64| {
        text.add(Kind::Gauge, &format!("cluster_link_{name}"), help, &label, value);
    };
    gauge("routes", "Routes learnt from the remote.", router.routes as f64);
    gauge("forward_queuing", "Messages that wait.", forwarding.queuing as f64);
    gauge("forward_inflight", "Messages not acknowledged yet.", forwarding.inflight as f64);
    gauge("forward_queuing_bytes", "Bytes that wait in the buffer.", buffer.bytes as f64);
    gauge("buffer_disk_bytes", "Of these on disk.", buffer.disk_bytes as f64);
    let since = buffer.oldest_at_ms.map_or(0, |at| now_ms().saturating_sub(at));
    gauge("forward_lag_seconds", "Age of the oldest message that waits.", since as f64 / 1e3);
    gauge("route_ops_pending", "Route changes not told yet.", replication.pending as f64);
    let seconds = replication.last_bootstrap_ms as f64 / 1e3;
    gauge("bootstrap_duration_seconds", "Of the last bootstrap.", seconds);
}
