use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use spanmq_topic::TopicName;

use crate::{MessageId, Origin, Properties, Publisher, QoS};

/// Counted for each message besides its texts and payload, so that empty ones are not free.
const FIXED_WEIGHT: usize = 192;

/// An application message in memory, shared by all that wait for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Names this message in the cluster.
    pub id: MessageId,
    /// Where it was published.
    pub topic: TopicName,
    /// The application's bytes.
    pub payload: Bytes,
    /// As published; a delivery may be lower.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// What travels with it.
    pub properties: Properties,
    /// Client id of the publisher.
    pub from: Arc<str>,
    /// More about the publisher.
    pub publisher: Publisher,
    /// Wall clock at receipt, in milliseconds since 1970. For people and rules, never for expiry.
    pub timestamp_ms: u64,
    /// Monotonic clock at receipt (here, or what a codec worked out); expiry counts from it.
    pub received: Instant,
    /// How it came into the cluster.
    pub origin: Origin,
    /// It was routed before under this id and not answered, so some destinations may have had it.
    pub repeated: bool,
}

impl Message {
    /// Bytes that a queue counts for it.
    #[must_use]
    pub fn weight(&self) -> usize {
        FIXED_WEIGHT
            + self.topic.as_str().len()
            + self.payload.len()
            + self.properties.wire_len()
            + self.from.len()
    }

    /// When it is no longer to be delivered, if ever (MQTT 5.0 §3.3.2.3.3).
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let seconds = self.properties.message_expiry?;
        self.received.checked_add(Duration::from_secs(u64::from(seconds)))
    }

    /// Whether its expiry interval has passed.
    #[must_use]
    pub fn is_expired(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// The expiry interval to forward: what was received minus the time it waited here
    /// [MQTT-3.3.2-6]. Parts of a second do not count as waiting.
    #[must_use]
    pub fn remaining_expiry(&self, now: Instant) -> Option<u32> {
        let interval = self.properties.message_expiry?;
        let waited = now.saturating_duration_since(self.received).as_secs();
        Some(interval.saturating_sub(u32::try_from(waited).unwrap_or(u32::MAX)))
    }
}
