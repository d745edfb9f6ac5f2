//! What only a node itself knows, asked by the API of any node and answered by the API of that one.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::forward::ConnectionState;
use spanmq_link_protocol::reason::{AdviceContext, Reason, ReasonWord};
use spanmq_link_protocol::replication::Phase;
use spanmq_link_protocol::status::{
    ForwardingMetrics, InboundMetrics, LinkMetrics, NodeLinkState, NodeReport, PoolState,
    ReasonReport, ReplicationMetrics, RouterMetrics,
};
use spanmq_linking::{BoardView, BufferView, LinkEntry, Linking};

use crate::ports::Node;

/// A node that has not answered by then counts as unreachable (LINK-SPEC 0.1).
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Version of questions and answers.
const VERSION: u8 = 1;

/// A question to one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Question {
    /// State of some links.
    LinkStates(Vec<String>),
    /// Metrics of one link.
    LinkMetrics(String),
}

/// Its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// In the order of the names; none for a link the node does not have (yet). JSON of
    /// [`NodeReport`], because it has fields that are left out when empty.
    LinkStates(Vec<Option<String>>),
    /// JSON of [`LinkMetrics`].
    LinkMetrics(Option<String>),
}

/// Answers another node's question; nothing for bytes that are no question of this version.
#[must_use]
pub fn answer(node: &dyn Node, question: &[u8]) -> Option<Vec<u8>> {
    let (version, body) = question.split_first()?;
    let config = bincode::config::standard().with_limit::<{ 1 << 20 }>();
    let (question, _) = bincode::serde::decode_from_slice(body, config).ok()?;
    (*version == VERSION).then(|| pack(&local(node, &question)))?
}

fn pack<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    let mut out = vec![VERSION];
    bincode::serde::encode_into_std_write(value, &mut out, bincode::config::standard()).ok()?;
    Some(out)
}

fn unpack(bytes: &[u8]) -> Option<Reply> {
    let (version, body) = bytes.split_first()?;
    let config = bincode::config::standard().with_limit::<{ 16 << 20 }>();
    let (reply, _) = bincode::serde::decode_from_slice(body, config).ok()?;
    (*version == VERSION).then_some(reply)
}

/// Asks all running members at once. Members that are known to be down are not asked; they and
/// those that do not answer in time have no reply.
async fn ask_all(node: &dyn Node, question: &Question) -> Vec<(String, Option<Reply>)> {
    let Some(bytes) = pack(question) else { return Vec::new() };
    let asked = node.cluster().members.into_iter().map(|member| {
        let bytes = bytes.clone();
        async move {
            let reply = if member.id == node.id() {
                Some(local(node, question))
            } else if member.running {
                let asking = tokio::time::timeout(ANSWER_LIMIT, node.ask(member.id, bytes));
                asking.await.ok().flatten().and_then(|bytes| unpack(&bytes))
            } else {
                None
            };
            (member.name.to_string(), reply)
        }
    });
    join_all(asked).await
}

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

/// A node that has the link in its list, but no actors for it yet.
fn starting() -> NodeReport {
    NodeReport {
        pool: PoolState::Connecting,
        replication: Phase::Connecting,
        enabled: true,
        reason: None,
        since: None,
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

fn local(node: &dyn Node, question: &Question) -> Reply {
    let linking = node.linking();
    match question {
        Question::LinkStates(links) => {
            let report = |link: &String| {
                let report = report(node, &linking, link)?;
                serde_json::to_string(&report).ok()
            };
            Reply::LinkStates(links.iter().map(report).collect())
        }
        Question::LinkMetrics(link) => {
            let metrics = metrics(node, &linking, link);
            Reply::LinkMetrics(metrics.and_then(|m| serde_json::to_string(&m).ok()))
        }
    }
}

fn report(node: &dyn Node, linking: &Linking, link: &str) -> Option<NodeReport> {
    let (entry, board, _) = linking.board(link)?;
    let LinkEntry { config, paused, .. } = entry;
    if !config.enable {
        return Some(NodeReport {
            pool: PoolState::Disconnected,
            replication: Phase::Disabled,
            enabled: false,
            reason: Some(explain(node, &config, &ReasonWord::Disabled.into())),
            since: None,
        });
    }
    let view = board.view();
    let replication = view.replication.values().map(|(standing, _)| standing).next();
    let pool = PoolState::of(view.connections.values().map(|(standing, ..)| standing.state));
    let phase = replication.map_or(Phase::Connecting, |standing| standing.state);
    let troubled = view.connections.values().map(|(standing, ..)| standing);
    let troubled = troubled.filter(|s| s.state != ConnectionState::Connected);
    let paused = paused.then(|| Reason::new(ReasonWord::Paused));
    let reason = replication
        .filter(|_| phase != Phase::Online)
        .and_then(|standing| standing.reason.clone())
        .or_else(|| troubled.clone().find_map(|standing| standing.reason.clone()))
        .or(paused);
    let since = troubled.map(|s| s.since).chain(replication.map(|s| s.since)).max();
    Some(NodeReport {
        pool,
        replication: phase,
        enabled: true,
        reason: reason.map(|reason| explain(node, &config, &reason)),
        since: since.map(rfc3339),
    })
}

fn explain(node: &dyn Node, config: &LinkConfig, reason: &Reason) -> ReasonReport {
    let context = AdviceContext {
        local_cluster: &node.cluster_name(),
        remote_cluster: &config.name,
        clientid: &config.clientid,
        server: config.server.as_text(),
        holder: None,
    };
    ReasonReport::of(reason, &context)
}

pub(crate) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn metrics(node: &dyn Node, linking: &Linking, link: &str) -> Option<LinkMetrics> {
    let (_, board, buffer) = linking.board(link)?;
    let mut routes = 0;
    node.read(&mut |state| routes = state.remotes().peer(link).map_or(0, |peer| peer.routes()));
    let view = board.view();
    let count =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let inbound = &board.inbound;
    Some(LinkMetrics {
        router: RouterMetrics { routes },
        forwarding: forwarding(&view, &buffer),
        replication: replication(&view),
        inbound: InboundMetrics {
            received: count(&inbound.received),
            delivered: count(&inbound.delivered),
            filtered: count(&inbound.filtered),
            rejected: count(&inbound.rejected),
            duplicates: count(&inbound.duplicates),
            bytes: count(&inbound.bytes),
        },
    })
}

fn forwarding(view: &BoardView, buffer: &BufferView) -> ForwardingMetrics {
    let connections = || view.connections.values();
    let sum = |field: fn(&spanmq_link_protocol::forward::ForwardCounters) -> u64| {
        connections().map(|(_, counters, _)| field(counters)).sum()
    };
    let inflight: u64 = connections().map(|(_, _, inflight)| *inflight as u64).sum();
    let [rate, rate_last5m, rate_max] = view.rates;
    let dropped = [buffer.dropped_expired, buffer.dropped_queue_full, buffer.dropped_other];
    ForwardingMetrics {
        matched: view.matched,
        success: sum(|c| c.success),
        failed: sum(|c| c.failed),
        dropped: dropped.iter().sum(),
        retried: sum(|c| c.retried),
        queuing: buffer.messages.saturating_sub(inflight),
        inflight,
        rate,
        rate_last5m,
        rate_max,
        dropped_expired: buffer.dropped_expired,
        dropped_queue_full: buffer.dropped_queue_full,
        dropped_other: buffer.dropped_other,
        late_reply: sum(|c| c.late_reply),
        bytes: sum(|c| c.bytes),
        failed_reasons: std::collections::BTreeMap::new(),
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
