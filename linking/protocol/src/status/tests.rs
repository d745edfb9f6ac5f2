use super::*;
use crate::forward::ConnectionState as C;
use crate::reason::{AdviceContext, Reason, ReasonWord};
use crate::replication::Phase;
use serde_json::json;

fn report(pool: PoolState, replication: Phase) -> NodeReport {
    NodeReport { pool, replication, enabled: true, reason: None, since: None, warnings: Vec::new() }
}

fn node(name: &str, report: Option<NodeReport>) -> NodeLinkState {
    NodeLinkState { node: name.into(), report }
}

fn online() -> Option<NodeReport> {
    Some(report(PoolState::Connected, Phase::Online))
}

#[test]
fn a_pool_is_connected_when_every_connection_is() {
    assert_eq!(PoolState::of([C::Connected, C::Connected]), PoolState::Connected);
    assert_eq!(PoolState::of([C::Connected, C::Connecting]), PoolState::Connecting);
    assert_eq!(PoolState::of([C::Connecting, C::Connected]), PoolState::Connecting);
    assert_eq!(PoolState::of([C::Connecting, C::Disconnected]), PoolState::Disconnected);
    assert_eq!(PoolState::of([]), PoolState::Disconnected);
}

#[test]
fn both_dialects_name_each_state_of_a_node_in_their_words() {
    let disabled = NodeReport { enabled: false, ..report(PoolState::Connected, Phase::Disabled) };
    let table = [
        (report(PoolState::Connected, Phase::Online), "connected", "running"),
        (report(PoolState::Connected, Phase::Bootstrapping), "connected", "connecting"),
        (report(PoolState::Connected, Phase::Rejected), "connected", "disconnected"),
        (report(PoolState::Connecting, Phase::Online), "connecting", "connecting"),
        (report(PoolState::Disconnected, Phase::Online), "disconnected", "disconnected"),
        (disabled, "disconnected", "stopped"),
    ];
    for (report, emqx, guide) in table {
        assert_eq!(report.word(Dialect::Emqx), emqx, "{report:?}");
        assert_eq!(report.word(Dialect::Guide), guide, "{report:?}");
    }
}

#[test]
fn nodes_that_agree_give_the_clusters_word_in_the_order_of_their_names() {
    let status = roll_up(vec![node("n2", online()), node("n1", online())], Dialect::Emqx);
    assert_eq!(
        (status.status.as_str(), status.replication_status.as_str()),
        ("connected", "online")
    );
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({
            "status": "connected",
            "node_status": [
                {"node": "n1", "status": "connected", "replication_status": "online"},
                {"node": "n2", "status": "connected", "replication_status": "online"},
            ],
            "replication_status": "online",
        })
    );
}

#[test]
fn nodes_that_differ_or_do_not_answer_are_inconsistent() {
    let down = Some(report(PoolState::Disconnected, Phase::Disconnected));
    let status = roll_up(vec![node("n1", online()), node("n2", down)], Dialect::Guide);
    assert_eq!(status.status, "inconsistent");
    for nodes in
        [vec![node("n1", online()), node("n2", None)], vec![node("n1", None), node("n2", None)]]
    {
        let status = roll_up(nodes, Dialect::Emqx);
        assert_eq!(status.status, "inconsistent");
        assert_eq!(status.reason.unwrap().code, "node_unreachable");
    }
}

#[test]
fn the_reason_of_a_node_is_the_reason_of_the_link() {
    let context = AdviceContext {
        local_cluster: "us",
        remote_cluster: "eu",
        clientid: "us",
        server: "h:1883",
        holder: None,
        holder_prefix: None,
    };
    let reason = Some(ReasonReport::of(&Reason::new(ReasonWord::UnknownCluster), &context));
    let since = Some("2026-01-01T00:00:00Z".to_owned());
    let rejected = NodeReport {
        reason,
        since: since.clone(),
        ..report(PoolState::Connected, Phase::Rejected)
    };
    let status = roll_up(vec![node("n1", Some(rejected))], Dialect::Guide);
    assert_eq!(status.status, "disconnected");
    assert_eq!(status.replication_status, "rejected");
    assert_eq!(status.since, since);
    let reason = status.reason.unwrap();
    assert_eq!(reason.code, "unknown_cluster");
    assert!(reason.advice.contains("\"name\":\"us\""));
}

fn metrics(routes: u64, matched: u64, rate: f64) -> LinkMetrics {
    LinkMetrics {
        router: RouterMetrics { routes },
        forwarding: ForwardingMetrics {
            matched,
            rate,
            latency_us: LatencyMetrics { p50: matched, count: 1, ..LatencyMetrics::default() },
            failed_reasons: [("quota_exceeded".to_owned(), matched)].into(),
            ..ForwardingMetrics::default()
        },
        replication: ReplicationMetrics {
            last_bootstrap_ms: matched,
            ..ReplicationMetrics::default()
        },
        inbound: InboundMetrics { received: 1, ..InboundMetrics::default() },
        buffer: BufferMetrics {
            messages: 1,
            oldest_at_ms: Some(matched),
            ..BufferMetrics::default()
        },
    }
}

#[test]
fn routes_combine_with_max_and_messages_with_sum() {
    let nodes = [("n2", metrics(10, 5, 1.5)), ("n1", metrics(12, 7, 0.5))];
    let nodes = nodes.map(|(node, metrics)| NodeMetrics { node: node.into(), metrics });
    let report = MetricsReport::of_nodes(nodes.to_vec());
    assert_eq!(report.metrics.router.routes, 12);
    assert_eq!(report.metrics.forwarding.matched, 12);
    assert_eq!(report.metrics.forwarding.failed_reasons["quota_exceeded"], 12);
    let latency = report.metrics.forwarding.latency_us;
    assert_eq!((latency.p50, latency.count), (7, 2), "of the slowest node");
    let buffer = report.metrics.buffer;
    assert_eq!((buffer.messages, buffer.oldest_at_ms), (2, Some(5)), "the earliest");
    assert!((report.metrics.forwarding.rate - 2.0).abs() < f64::EPSILON);
    assert_eq!(report.metrics.replication.last_bootstrap_ms, 7);
    assert_eq!(report.metrics.inbound.received, 2);
    assert_eq!(report.node_metrics[0].node, "n1");
}

#[test]
fn the_document_dialect_adds_both_spellings_of_routes() {
    let nodes = vec![NodeMetrics { node: "n1".into(), metrics: metrics(10, 0, 0.0) }];
    let report = MetricsReport::of_nodes(nodes);
    let document = report.to_document_json();
    for metrics in [&document["metrics"], &document["node_metrics"][0]["metrics"]] {
        assert_eq!(metrics["routers"], 10);
        assert_eq!(metrics["routes"], 10);
        assert_eq!(metrics["router"]["routes"], 10);
    }
    let plain = serde_json::to_value(&report).unwrap();
    assert_eq!(plain["metrics"].get("routers"), None);
}
