//! `$SYS`: this node's own numbers, published to its own clients only.

use std::sync::Arc;

use bytes::Bytes;
use spanmq_session::{Message, Origin, Properties, ProtocolVersion, Publisher, QoS};
use spanmq_topic::TopicName;

use crate::mail::Mail;
use crate::ports::{Done, Forward};
use crate::shared::{MessageIds, Shared, wall_ms};

/// Publishes until the runtime stops.
pub(crate) async fn publish(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(shared.config.sys_interval);
    let mut ids = MessageIds::new();
    loop {
        interval.tick().await;
        let batch = round(&shared, &mut ids);
        let bytes = batch.iter().map(|forward| forward.message.payload.len()).sum();
        // Like a batch from a peer: delivered to sessions of this node, never routed further.
        if let Some(worker) = shared.workers.first()
            && worker.reserve(batch.len(), bytes)
        {
            let from = shared.ports.identity.node;
            worker.send(Mail::FromPeer { from, batch, done: Done::ignore() });
        }
    }
}

fn round(shared: &Shared, ids: &mut MessageIds) -> Vec<Forward> {
    let node = &shared.ports.identity.name;
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
    let messages = values.into_iter().filter_map(|(name, value)| {
        let topic = TopicName::new(format!("$SYS/brokers/{node}/{name}")).ok()?;
        let message = Arc::new(message(topic, value, ids));
        Some(Forward { message, plain: true, groups: Vec::new(), lane: 0 })
    });
    messages.collect()
}

fn message(topic: TopicName, value: String, ids: &mut MessageIds) -> Message {
    Message {
        id: ids.next(),
        topic,
        payload: Bytes::from(value),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::default(),
        from: "$SYS".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: wall_ms(),
        received: std::time::Instant::now(),
        origin: Origin::Local,
        repeated: false,
    }
}
