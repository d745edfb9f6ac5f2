//! Metrics of a link: per node, and combined for the cluster.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Routes learnt from the remote. The same table on every node, so combined with max.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RouterMetrics {
    pub routes: u64,
}

/// Messages sent to the remote; combined with sum, rates too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ForwardingMetrics {
    /// Handed to the link.
    pub matched: u64,
    pub success: u64,
    pub failed: u64,
    /// The sum of its parts below, and stopped.
    pub dropped: u64,
    /// Had to be sent again; each is also a success or a failure.
    pub retried: u64,
    pub queuing: u64,
    pub inflight: u64,
    /// Matched per second in the last 10 s sample.
    pub rate: f64,
    pub rate_last5m: f64,
    pub rate_max: f64,
    pub dropped_expired: u64,
    pub dropped_queue_full: u64,
    pub dropped_other: u64,
    pub late_reply: u64,
    pub bytes: u64,
    /// Failures by reason word.
    pub failed_reasons: BTreeMap<String, u64>,
    /// From append to acknowledgement.
    pub latency_us: LatencyMetrics,
}

/// Latency in microseconds; combined with max, which names the slowest node.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencyMetrics {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
    /// Messages that were measured; the sum of all nodes.
    pub count: u64,
}

/// What waits in the buffer of a link: how far the link lags behind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BufferMetrics {
    /// Messages that wait or are under way.
    pub messages: u64,
    pub bytes: u64,
    /// Of these on disk.
    pub disk_bytes: u64,
    /// Unix milliseconds at which the oldest came; of all nodes the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_at_ms: Option<u64>,
}

/// Our routes told to the remote.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicationMetrics {
    pub sent_adds: u64,
    pub sent_deletes: u64,
    pub batches: u64,
    pub bootstraps: u64,
    /// Of the slowest node.
    pub last_bootstrap_ms: u64,
    pub pending: u64,
}

/// Messages that came from the remote.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InboundMetrics {
    pub received: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub bytes: u64,
}

/// Everything about one link on one node, or on all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkMetrics {
    pub router: RouterMetrics,
    pub forwarding: ForwardingMetrics,
    pub replication: ReplicationMetrics,
    pub inbound: InboundMetrics,
    pub buffer: BufferMetrics,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeMetrics {
    pub node: String,
    pub metrics: LinkMetrics,
}

/// The answer of `…/metrics` in the EMQX dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsReport {
    pub metrics: LinkMetrics,
    pub node_metrics: Vec<NodeMetrics>,
}

impl LinkMetrics {
    /// Adds another node's numbers: routes and the last bootstrap with max, the rest with sum.
    pub fn combine(&mut self, other: &LinkMetrics) {
        self.router.routes = self.router.routes.max(other.router.routes);
        self.forwarding.add(&other.forwarding);
        self.replication.add(&other.replication);
        self.inbound.add(&other.inbound);
        self.buffer.add(&other.buffer);
    }
}

macro_rules! sum_fields {
    ($into:ident, $from:ident: $($field:ident),*) => {
        $($into.$field = $into.$field.saturating_add($from.$field);)*
    };
}

impl ForwardingMetrics {
    fn add(&mut self, other: &ForwardingMetrics) {
        sum_fields!(self, other: matched, success, failed, dropped, retried, queuing, inflight,
            dropped_expired, dropped_queue_full, dropped_other, late_reply, bytes);
        self.rate += other.rate;
        self.rate_last5m += other.rate_last5m;
        self.rate_max += other.rate_max;
        for (reason, count) in &other.failed_reasons {
            let sum = self.failed_reasons.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        let (latency, other) = (&mut self.latency_us, &other.latency_us);
        latency.p50 = latency.p50.max(other.p50);
        latency.p95 = latency.p95.max(other.p95);
        latency.p99 = latency.p99.max(other.p99);
        latency.count = latency.count.saturating_add(other.count);
    }
}

impl BufferMetrics {
    fn add(&mut self, other: &BufferMetrics) {
        sum_fields!(self, other: messages, bytes, disk_bytes);
        self.oldest_at_ms = self.oldest_at_ms.into_iter().chain(other.oldest_at_ms).min();
    }
}

impl ReplicationMetrics {
    fn add(&mut self, other: &ReplicationMetrics) {
        sum_fields!(self, other: sent_adds, sent_deletes, batches, bootstraps, pending);
        self.last_bootstrap_ms = self.last_bootstrap_ms.max(other.last_bootstrap_ms);
    }
}

impl InboundMetrics {
    fn add(&mut self, other: &InboundMetrics) {
        sum_fields!(self, other: received, delivered, filtered, rejected, duplicates, bytes);
    }
}

impl MetricsReport {
    /// Combines the nodes, in the order of their names. A node that did not answer counts as
    /// zeros: give it `LinkMetrics::default()`.
    pub fn of_nodes(mut nodes: Vec<NodeMetrics>) -> MetricsReport {
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        let mut metrics = LinkMetrics::default();
        for node in &nodes {
            metrics.combine(&node.metrics);
        }
        MetricsReport { metrics, node_metrics: nodes }
    }

    /// The document dialect: each `metrics` also has `routers` and `routes`.
    pub fn to_document_json(&self) -> serde_json::Value {
        let nodes: Vec<_> = self
            .node_metrics
            .iter()
            .map(|node| serde_json::json!({"node": node.node, "metrics": document(&node.metrics)}))
            .collect();
        serde_json::json!({ "metrics": document(&self.metrics), "node_metrics": nodes })
    }
}

fn document(metrics: &LinkMetrics) -> serde_json::Value {
    let mut value = serde_json::to_value(metrics).unwrap_or_default();
    if let serde_json::Value::Object(fields) = &mut value {
        fields.insert("routers".into(), metrics.router.routes.into());
        fields.insert("routes".into(), metrics.router.routes.into());
    }
    value
}
