use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use spanmq_topic::TopicName;

use crate::{
    CloseCause, Limits, Message, MessageId, Origin, Properties, Publisher, QoS, SessionExpiry,
    WillVerdict,
};

/// What a client wants published when it goes (MQTT 5.0 §3.1.2.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Will {
    /// Where to publish.
    pub topic: TopicName,
    /// What to publish.
    pub payload: Bytes,
    /// How.
    pub qos: QoS,
    /// Whether it becomes the retained message.
    pub retain: bool,
    /// Its PUBLISH properties.
    pub properties: Properties,
    /// Seconds between the end of the connection and the will.
    pub delay_s: u32,
}

impl Will {
    /// Whether the payload is within its limit.
    #[must_use]
    pub fn fits(&self, limits: &Limits) -> bool {
        self.payload.len() <= limits.will_bytes_max as usize
    }

    /// What becomes of the will now that the connection has ended: it is published at the end of
    /// its delay or of the session, whichever comes first [MQTT-3.1.2-8].
    #[must_use]
    pub fn on_close(
        &self,
        now: Instant,
        cause: CloseCause,
        expiry: SessionExpiry,
        limits: &Limits,
    ) -> WillVerdict {
        let delay = Duration::from_secs(u64::from(self.delay_s.min(limits.will_delay_max_s)));
        match cause {
            CloseCause::Disconnect => WillVerdict::Discard,
            CloseCause::TakenOver if !delay.is_zero() => WillVerdict::Discard,
            CloseCause::TakenOver | CloseCause::TakenOverClean => WillVerdict::Publish,
            CloseCause::DisconnectWithWill | CloseCause::Broken => {
                let after_delay = now.checked_add(delay);
                match after_delay.into_iter().chain(expiry.ends_at(now)).min() {
                    Some(due) if due > now => WillVerdict::PublishAt(due),
                    _ => WillVerdict::Publish,
                }
            }
        }
    }

    /// The message to publish. Its time of receipt is now: expiry counts from publication.
    #[must_use]
    pub fn into_message(
        self,
        now: Instant,
        timestamp_ms: u64,
        id: MessageId,
        from: Arc<str>,
        publisher: Publisher,
    ) -> Message {
        Message {
            id,
            topic: self.topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,
            properties: self.properties,
            from,
            publisher,
            timestamp_ms,
            received: now,
            origin: Origin::Local,
            repeated: false,
        }
    }
}
