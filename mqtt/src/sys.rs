//! `$SYS`: this node's own numbers, published to its own clients only. The last value of each topic is
//! kept for later subscribers, like a retained message that never leaves the node.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use spanmq_session::codec::encode_message;
use spanmq_session::{Message, Origin, Properties, ProtocolVersion, Publisher, QoS};
use spanmq_state::Opaque;
use spanmq_topic::{TopicFilter, TopicName, matches};

use crate::broker::BrokerHandle;
use crate::mail::Mail;
use crate::ports::{Done, Forward, Retained};
use crate::shared::{MessageIds, Shared, wall_ms};

/// Topics whose last values are kept; further ones are published only.
const TOPICS_MAX: usize = 10_000;

/// The last value of each topic.
pub(crate) struct SysTopics {
    ids: Mutex<MessageIds>,
    last: Mutex<BTreeMap<Arc<str>, Arc<Message>>>,
}

impl Default for SysTopics {
    fn default() -> Self {
        Self { ids: Mutex::new(MessageIds::new()), last: Mutex::default() }
    }
}

impl SysTopics {
    /// What a new subscription gets.
    pub(crate) fn retained(&self, filter: &TopicFilter) -> VecDeque<Retained> {
        if !filter.starts_with("$SYS/") {
            return VecDeque::new();
        }
        let now = std::time::Instant::now();
        let last = self.last.lock();
        let wanted = last.iter().filter(|(topic, _)| matches(topic, filter));
        let retained = wanted.filter_map(|(topic, message)| {
            let mut bytes = Vec::new();
            encode_message(message, now, &mut bytes).ok()?;
            let message = Opaque::new(bytes);
            Some(Retained { topic: topic.clone(), message, expiry_at_ms: None })
        });
        retained.collect()
    }

    /// Keeps the value, or forgets the topic when it is empty.
    fn keep(&self, message: &Arc<Message>) {
        let mut last = self.last.lock();
        let topic: Arc<str> = message.topic.as_str().into();
        if message.payload.is_empty() {
            last.remove(&topic);
        } else if last.len() < TOPICS_MAX || last.contains_key(&topic) {
            last.insert(topic, message.clone());
        }
    }
}

/// Publishes until the runtime stops.
pub(crate) async fn publish(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(shared.config.sys_interval);
    loop {
        interval.tick().await;
        send(&shared, numbers(&shared));
    }
}

impl BrokerHandle {
    /// How long this broker has been running.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.shared().started.elapsed()
    }

    /// How often `$SYS` topics are published; zero: never.
    #[must_use]
    pub fn sys_interval(&self) -> Duration {
        self.shared().config.sys_interval
    }

    /// Publishes values below `$SYS/brokers/NODE/` to the clients of this node. An empty value ends a
    /// topic.
    pub fn publish_sys(&self, values: Vec<(String, String)>) {
        if !self.sys_interval().is_zero() {
            send(self.shared(), values);
        }
    }
}

fn send(shared: &Shared, values: Vec<(String, String)>) {
    let node = &shared.ports.identity.name;
    let messages = values.into_iter().filter_map(|(name, value)| {
        let topic = TopicName::new(format!("$SYS/brokers/{node}/{name}")).ok()?;
        let message = Arc::new(message(topic, value, &mut shared.sys.ids.lock()));
        shared.sys.keep(&message);
        Some(Forward { message, plain: true, groups: Vec::new(), lane: 0 })
    });
    let batch: Vec<Forward> = messages.collect();
    let bytes = batch.iter().map(|forward| forward.message.payload.len()).sum();
    // Like a batch from a peer: delivered to sessions of this node, never routed further.
    if let Some(worker) = shared.workers.first()
        && worker.reserve(batch.len(), bytes)
    {
        let from = shared.ports.identity.node;
        worker.send(Mail::FromPeer { from, batch, done: Done::ignore() });
    }
}

fn numbers(shared: &Shared) -> Vec<(String, String)> {
    let metrics = &shared.metrics;
    let uptime = shared.started.elapsed().as_secs();
    let values = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("uptime", uptime.to_string()),
        ("clients/connected", metrics.clients.get().to_string()),
        ("clients/total", metrics.sessions.get().to_string()),
        ("subscriptions/count", metrics.subscriptions.get().to_string()),
        ("messages/received", metrics.publishes_received.get().to_string()),
        ("messages/sent", metrics.messages_sent.get().to_string()),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn message(topic: TopicName, value: String, ids: &mut MessageIds) -> Message {
    Message {
        id: ids.next(),
        topic,
        payload: Bytes::from(value),
        qos: QoS::AtMostOnce,
        retain: true,
        properties: Properties::default(),
        from: "$SYS".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: wall_ms(),
        received: std::time::Instant::now(),
        origin: Origin::Local,
        repeated: false,
    }
}
