//! Links on one node: their state, their metrics.

use spanmq_api_model::LinkEvent;
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::forward::ConnectionState;
use spanmq_link_protocol::reason::{AdviceContext, Reason, ReasonWord};
use spanmq_link_protocol::replication::Phase;
use spanmq_link_protocol::status::{
    BufferMetrics, Dialect, ForwardingMetrics, InboundMetrics, LatencyMetrics, LinkMetrics,
    NodeLinkState, NodeReport, PoolState, ReasonReport, ReplicationMetrics, RouterMetrics, roll_up,
};
use spanmq_linking::{BoardView, BufferView, LatencyView, LinkEntry, Linking, Speaker};

use super::{Question, Reply, ask_all, rfc3339};
use crate::ports::Node;

/// States of `links` on every member, in the order of the names.
pub(crate) async fn link_states(node: &dyn Node, links: &[String]) -> Vec<Vec<NodeLinkState>> {
    let replies = ask_all(node, &Question::LinkStates(links.to_vec())).await;
    let of_link = |position: usize| {
        let state = |(name, reply): &(String, Option<Reply>)| {
            let report = match reply {
                Some(Reply::LinkStates(reports)) => reports.get(position).map(|report| {
                    let report = report.as_deref().and_then(|text| serde_json::from_str(text).ok());
                    report.unwrap_or_else(starting)
                }),
                _ => None,
            };
            NodeLinkState { node: name.clone(), report }
        };
        replies.iter().map(state).collect()
    };
    (0..links.len()).map(of_link).collect()
}

/// State and metrics of each link on this node, as JSON objects of R-5 and R-7 (O-2).
#[must_use]
pub fn link_values(node: &dyn Node, with_metrics: bool) -> Vec<LinkValues> {
    let linking = node.linking();
    let mut links: Vec<String> = Vec::new();
    node.read(&mut |state| links = state.links().list().map(|l| l.name.to_string()).collect());
    let values = links.into_iter().filter_map(|link| {
        let report = Some(report(node, &linking, &link)?);
        let state = NodeLinkState { node: node.name().to_string(), report };
        let row = roll_up(vec![state], Dialect::Emqx).node_status.pop()?;
        let status = serde_json::to_string(&row).ok()?;
        let metrics = with_metrics.then(|| metrics(node, &linking, &link)).flatten();
        let metrics = metrics.and_then(|metrics| serde_json::to_string(&metrics).ok());
        Some(LinkValues { link, status, metrics })
    });
    values.collect()
}

/// What `$SYS` tells about one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkValues {
    /// Its name.
    pub link: String,
    /// JSON of its state on this node.
    pub status: String,
    /// JSON of its metrics on this node, if they were wanted.
    pub metrics: Option<String>,
}

/// A node that has the link in its list, but no actors for it yet.
fn starting() -> NodeReport {
    NodeReport {
        pool: PoolState::Connecting,
        replication: Phase::Connecting,
        enabled: true,
        reason: None,
        since: None,
        warnings: Vec::new(),
    }
}

/// Metrics of a link on every member; those that do not answer count as zeros.
pub(crate) async fn link_metrics(node: &dyn Node, link: &str) -> Vec<(String, LinkMetrics)> {
    let replies = ask_all(node, &Question::LinkMetrics(link.to_owned())).await;
    let metrics = |reply| match reply {
        Some(Reply::LinkMetrics(Some(text))) => serde_json::from_str(&text).unwrap_or_default(),
        _ => LinkMetrics::default(),
    };
    replies.into_iter().map(|(name, reply)| (name, metrics(reply))).collect()
}

pub(super) fn local_states(node: &dyn Node, links: &[String]) -> Reply {
    let linking = node.linking();
    let report = |link: &String| {
        let report = report(node, &linking, link)?;
        serde_json::to_string(&report).ok()
    };
    Reply::LinkStates(links.iter().map(report).collect())
}

pub(super) fn local_metrics(node: &dyn Node, link: &str) -> Reply {
    let metrics = metrics(node, &node.linking(), link);
    Reply::LinkMetrics(metrics.and_then(|m| serde_json::to_string(&m).ok()))
}

/// The last state changes of a link here; none when it is not here.
pub(super) fn local_events(node: &dyn Node, link: &str) -> Reply {
    let board = node.linking().board(link).map(|(_, board, _)| board);
    let row = |event: spanmq_linking::Event| LinkEvent {
        node: node.name().to_string(),
        at: rfc3339(event.at),
        part: event.part.to_owned(),
        who: event.who,
        state: event.state.to_owned(),
        reason: event.reason.as_ref().map(|reason| reason.word.as_str().to_owned()),
        message: event.reason.as_ref().map(ToString::to_string),
    };
    Reply::rows(&board.map(|board| board.events().into_iter().map(row).collect::<Vec<_>>()))
}

/// The last state changes of a link on all nodes, oldest first.
pub(crate) async fn link_events(node: &dyn Node, link: &str) -> Vec<LinkEvent> {
    let replies = ask_all(node, &Question::LinkEvents(link.to_owned())).await;
    let rows = |reply: Option<Reply>| reply?.into_rows::<Option<Vec<LinkEvent>>>()?;
    let mut all: Vec<_> =
        replies.into_iter().filter_map(|(_, reply)| rows(reply)).flatten().collect();
    all.sort_by(|a, b| a.at.cmp(&b.at));
    all
}

/// Zeroes the counters of a link here.
pub(super) fn local_reset(node: &dyn Node, link: &str) -> Reply {
    Reply::Done(node.linking().reset(link))
}

/// Nodes on which the counters could not be zeroed.
pub(crate) async fn reset_link_metrics(node: &dyn Node, link: &str) -> Vec<String> {
    let replies = ask_all(node, &Question::ResetLinkMetrics(link.to_owned())).await;
    let running = node.cluster().members.into_iter().filter(|member| member.running);
    let running: Vec<_> = running.map(|member| member.name.to_string()).collect();
    let failed = replies.into_iter().filter(|(name, reply)| {
        // Only running nodes are asked; one without the link has nothing to reset.
        running.contains(name) && !matches!(reply, Some(Reply::Done(_)))
    });
    failed.map(|(name, _)| name).collect()
}

pub(crate) fn report(node: &dyn Node, linking: &Linking, link: &str) -> Option<NodeReport> {
    let (entry, board, _) = linking.board(link)?;
    let LinkEntry { config, paused, .. } = entry;
    if !config.enable {
        return Some(NodeReport {
            pool: PoolState::Disconnected,
            replication: Phase::Disabled,
            enabled: false,
            reason: Some(explain(node, &config, &ReasonWord::Disabled.into(), None)),
            since: None,
            warnings: Vec::new(),
        });
    }
    let view = board.view();
    let replication = view.replication.values().map(|(standing, _)| standing).next();
    let pool = PoolState::of(view.connections.values().map(|(standing, ..)| standing.state));
    let phase = replication.map_or(Phase::Connecting, |standing| standing.state);
    let troubled = view.connections.values().map(|(standing, ..)| standing);
    let troubled = troubled.filter(|s| s.state != ConnectionState::Connected);
    let paused = paused.then(|| Reason::new(ReasonWord::Paused));
    let refused = replication.filter(|_| phase != Phase::Online);
    let reason = view
        .trouble
        .clone()
        .or_else(|| refused.and_then(|standing| standing.reason.clone()))
        .or_else(|| troubled.clone().find_map(|standing| standing.reason.clone()))
        .or(paused);
    let since = troubled.map(|s| s.since).chain(replication.map(|s| s.since)).max();
    Some(NodeReport {
        pool,
        replication: phase,
        enabled: true,
        reason: reason.map(|reason| explain(node, &config, &reason, None)),
        since: since.map(rfc3339),
        warnings: linking
            .warnings(link)
            .iter()
            .map(|warning| explain(node, &config, &warning.reason, warning.speaker.as_ref()))
            .collect(),
    })
}

fn explain(
    node: &dyn Node,
    config: &LinkConfig,
    reason: &Reason,
    speaker: Option<&Speaker>,
) -> ReasonReport {
    let context = AdviceContext {
        local_cluster: &node.cluster_name(),
        remote_cluster: &config.name,
        clientid: &config.clientid,
        server: config.server.as_text(),
        holder: speaker.map(|speaker| &speaker.principal),
        holder_prefix: speaker.map(|speaker| &*speaker.prefix),
    };
    ReasonReport::of(reason, &context)
}

pub(crate) fn metrics(node: &dyn Node, linking: &Linking, link: &str) -> Option<LinkMetrics> {
    let (_, board, buffer) = linking.board(link)?;
    let mut routes = 0;
    node.read(&mut |state| routes = state.remotes().peer(link).map_or(0, |peer| peer.routes()));
    let view = board.view();
    let count =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let inbound = &board.inbound;
    Some(LinkMetrics {
        router: RouterMetrics { routes },
        forwarding: forwarding(&view, &board.latency_view(), &buffer),
        replication: replication(&view),
        inbound: InboundMetrics {
            received: count(&inbound.received),
            delivered: count(&inbound.delivered),
            filtered: count(&inbound.filtered),
            rejected: count(&inbound.rejected),
            duplicates: count(&inbound.duplicates),
            bytes: count(&inbound.bytes),
        },
        buffer: BufferMetrics {
            messages: buffer.messages,
            bytes: buffer.bytes,
            disk_bytes: buffer.disk_bytes,
            oldest_at_ms: buffer.oldest_at_ms,
        },
    })
}

fn forwarding(view: &BoardView, latency: &LatencyView, buffer: &BufferView) -> ForwardingMetrics {
    // Of all pools since start or reset, not only of the present connections.
    let total = view.forwarded;
    let inflight: u64 = view.connections.values().map(|(_, _, inflight)| *inflight as u64).sum();
    let [rate, rate_last5m, rate_max] = view.rates;
    let [p50, p95, p99] = latency.quantiles_us;
    let dropped = [buffer.dropped_expired, buffer.dropped_queue_full, buffer.dropped_other];
    ForwardingMetrics {
        matched: view.matched,
        success: total.success,
        failed: total.failed,
        dropped: dropped.iter().sum(),
        retried: total.retried,
        queuing: buffer.messages.saturating_sub(inflight),
        inflight,
        rate,
        rate_last5m,
        rate_max,
        dropped_expired: buffer.dropped_expired,
        dropped_queue_full: buffer.dropped_queue_full,
        dropped_other: buffer.dropped_other,
        late_reply: total.late_reply,
        bytes: total.bytes,
        failed_reasons: view
            .failed_reasons
            .iter()
            .map(|(word, n)| ((*word).to_owned(), *n))
            .collect(),
        latency_us: LatencyMetrics { p50, p95, p99, count: latency.count },
    }
}

fn replication(view: &BoardView) -> ReplicationMetrics {
    let mut total = ReplicationMetrics::default();
    for (_, counters) in view.replication.values() {
        total.sent_adds += counters.sent_adds;
        total.sent_deletes += counters.sent_deletes;
        total.batches += counters.batches;
        total.bootstraps += counters.bootstraps;
        total.last_bootstrap_ms = total.last_bootstrap_ms.max(counters.last_bootstrap_ms);
        total.pending += counters.pending;
    }
    total
}
