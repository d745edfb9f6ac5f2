//! What only a node itself knows, asked by the API of any node and answered by the API of that one.

pub(crate) mod clients;
pub(crate) mod links;

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::ports::Node;
use clients::{ClientFilter, SubscriptionFilter};

/// A node that has not answered by then counts as unreachable (LINK-SPEC 0.1).
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Version of questions and answers.
const VERSION: u8 = 1;

/// A question to one node. New ones go to the end: the number of a question is its format.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Question {
    /// State of some links.
    LinkStates(Vec<String>),
    /// Metrics of one link.
    LinkMetrics(String),
    /// Zero the metrics of one link.
    ResetLinkMetrics(String),
    /// Clients, by client id.
    Clients(ClientFilter),
    /// Subscriptions, by client id and filter.
    Subscriptions(SubscriptionFilter),
    /// Disconnect a client, and end its session.
    Kick { client_id: String, purge: bool },
    /// Counters and gauges of the MQTT side.
    Numbers,
    /// Newest audit records.
    Audit { limit: usize, source: Option<String> },
    /// State changes of one link.
    LinkEvents(String),
    /// What a node says about itself.
    Facts,
}

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) term: u64,
    pub(crate) applied: u64,
    pub(crate) connections: u64,
    pub(crate) memory_used: Option<u64>,
    pub(crate) uptime_ms: u64,
}

impl Facts {
    fn of(node: &dyn Node) -> Self {
        let view = node.cluster();
        let broker = node.broker();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            term: view.term,
            applied: view.applied,
            connections: u64::try_from(broker.metrics().clients.get()).unwrap_or(0),
            memory_used: node.resident_memory(),
            uptime_ms: u64::try_from(broker.uptime().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// What the members whose name `wanted` takes say about themselves, as far as they answer.
pub(crate) async fn facts(
    node: &dyn Node,
    wanted: impl Fn(&str) -> bool,
) -> std::collections::BTreeMap<String, Facts> {
    let replies = ask_some(node, &Question::Facts, wanted).await;
    let known = |(name, reply): (String, Option<Reply>)| Some((name, reply?.into_rows()?));
    replies.into_iter().filter_map(known).collect()
}

/// Its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// In the order of the names; none for a link the node does not have (yet). JSON of
    /// `NodeReport`, because it has fields that are left out when empty.
    LinkStates(Vec<Option<String>>),
    /// JSON of `LinkMetrics`.
    LinkMetrics(Option<String>),
    /// Whether there was something to do.
    Done(bool),
    /// JSON of a list.
    Rows(String),
}

impl Reply {
    fn rows<T: Serialize>(rows: &T) -> Self {
        Self::Rows(serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned()))
    }

    fn into_rows<T: serde::de::DeserializeOwned>(self) -> Option<T> {
        match self {
            Self::Rows(text) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }
}

/// Answers another node's question; nothing for bytes that are no question of this version.
pub async fn answer(node: &dyn Node, question: &[u8]) -> Option<Vec<u8>> {
    let (version, body) = question.split_first()?;
    let config = bincode::config::standard().with_limit::<{ 1 << 20 }>();
    let (question, _) = bincode::serde::decode_from_slice(body, config).ok()?;
    if *version != VERSION {
        return None;
    }
    pack(&local(node, &question).await)
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

async fn local(node: &dyn Node, question: &Question) -> Reply {
    match question {
        Question::LinkStates(names) => links::local_states(node, names),
        Question::LinkMetrics(link) => links::local_metrics(node, link),
        Question::ResetLinkMetrics(link) => links::local_reset(node, link),
        Question::Facts => Reply::rows(&Facts::of(node)),
        Question::LinkEvents(link) => links::local_events(node, link),
        Question::Clients(filter) => Reply::rows(&clients::local_clients(node, filter).await),
        Question::Subscriptions(filter) => {
            Reply::rows(&clients::local_subscriptions(node, filter).await)
        }
        Question::Kick { client_id, purge } => {
            Reply::Done(node.broker().kick(client_id.as_str().into(), *purge).await)
        }
        Question::Numbers => Reply::rows(&crate::metrics::local(node)),
        Question::Audit { limit, source } => {
            let wanted = |entry: &spanmq_api_model::AuditEntry| {
                source.as_ref().is_none_or(|source| *source == entry.source)
            };
            Reply::rows(&node.audit().newest(*limit, wanted))
        }
    }
}

/// Asks all running members at once. Members that are known to be down are not asked; they and
/// those that do not answer in time have no reply.
pub(crate) async fn ask_all(node: &dyn Node, question: &Question) -> Vec<(String, Option<Reply>)> {
    ask_some(node, question, |_| true).await
}

/// The same for the members whose name `wanted` takes.
pub(crate) async fn ask_some(
    node: &dyn Node,
    question: &Question,
    wanted: impl Fn(&str) -> bool,
) -> Vec<(String, Option<Reply>)> {
    let Some(bytes) = pack(question) else { return Vec::new() };
    let members = node.cluster().members.into_iter().filter(|member| wanted(&member.name));
    let asked = members.map(|member| {
        let bytes = bytes.clone();
        async move {
            let reply = if member.id == node.id() {
                Some(local(node, question).await)
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

/// Rows of all nodes with their node's name, and the nodes that did not answer.
pub(crate) async fn gather<T: serde::de::DeserializeOwned>(
    node: &dyn Node,
    question: &Question,
    only: Option<&str>,
) -> (Vec<(String, T)>, Vec<String>) {
    let mut rows = Vec::new();
    let mut unreachable = Vec::new();
    for (name, reply) in ask_some(node, question, |name| only.is_none_or(|o| o == name)).await {
        match reply.and_then(Reply::into_rows::<T>) {
            Some(found) => rows.push((name, found)),
            None => unreachable.push(name),
        }
    }
    (rows, unreachable)
}

pub(crate) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

pub(crate) fn rfc3339_ms(ms: u64) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}
