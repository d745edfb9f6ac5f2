use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The PUBLISH properties that travel with a message to its subscribers (MQTT 5.0 §3.3.2.3).
///
/// Topic alias and subscription identifiers belong to one connection or session and are not here.
/// The field order is the stored format of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Properties {
    /// Payload format indicator: `Some(true)` is UTF-8 text. Forwarded unaltered [MQTT-3.3.2-4].
    pub payload_is_utf8: Option<bool>,
    /// Message expiry interval in seconds, as received.
    pub message_expiry: Option<u32>,
    /// Forwarded unaltered [MQTT-3.3.2-20].
    pub content_type: Option<Box<str>>,
    /// Forwarded unaltered [MQTT-3.3.2-15].
    pub response_topic: Option<Box<str>>,
    /// Forwarded unaltered [MQTT-3.3.2-16].
    pub correlation_data: Option<Bytes>,
    /// In the order received [MQTT-3.3.2-18].
    pub user: Vec<(Box<str>, Box<str>)>,
}

impl Properties {
    /// Bytes in the property block of a PUBLISH, with `message_expiry` if it is set.
    ///
    /// Cost: one pass over the user properties, without allocation.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| 3 + text.len());
        let pair = |(name, value): &(Box<str>, Box<str>)| 5 + name.len() + value.len();
        self.payload_is_utf8.map_or(0, |_| 2)
            + self.message_expiry.map_or(0, |_| 5)
            + text(&self.content_type)
            + text(&self.response_topic)
            + self.correlation_data.as_ref().map_or(0, |data| 3 + data.len())
            + self.user.iter().map(pair).sum::<usize>()
    }
}
