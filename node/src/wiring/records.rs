//! Messages as the broker holds them, and as they cross a link.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use spanmq_link_protocol::message::{
    MessageProperties, MessageRecord, Publisher as LinkPublisher, Qos, Sender,
};
use spanmq_session::{Message, MessageId, Origin, Properties, ProtocolVersion, Publisher, QoS};
use spanmq_topic::TopicName;

/// The record of a message of this cluster (W-54).
pub(crate) fn to_record(message: &Message) -> MessageRecord {
    let properties = &message.properties;
    MessageRecord {
        id: message.id.0,
        qos: match message.qos {
            QoS::AtMostOnce => Qos::AtMostOnce,
            QoS::AtLeastOnce => Qos::AtLeastOnce,
            QoS::ExactlyOnce => Qos::ExactlyOnce,
        },
        from: Sender::Client(message.from.to_string()),
        retain: message.retain,
        dup: false,
        topic: message.topic.as_str().to_owned(),
        payload: message.payload.clone(),
        timestamp_ms: i64::try_from(message.timestamp_ms).unwrap_or(i64::MAX),
        publisher: LinkPublisher {
            username: message.publisher.username.as_deref().map(str::to_owned),
            address: message.publisher.peer,
            protocol_version: Some(match message.publisher.version {
                ProtocolVersion::V31 => 3,
                ProtocolVersion::V311 => 4,
                ProtocolVersion::V5 => 5,
            }),
            client_attrs: std::collections::BTreeMap::new(),
        },
        properties: MessageProperties {
            payload_format_indicator: properties.payload_is_utf8.map(u8::from),
            message_expiry_interval_s: properties.message_expiry,
            content_type: properties.content_type.as_deref().map(str::to_owned),
            response_topic: properties.response_topic.as_deref().map(str::to_owned),
            correlation_data: properties.correlation_data.clone(),
            user_properties: properties
                .user
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
        },
    }
}

/// The message of a record that came over `link`; none when its topic is no topic name. Expiry
/// counts from the publisher's timestamp, by our clock (W-43).
pub(crate) fn to_message(link: Arc<str>, record: MessageRecord) -> Option<Message> {
    let topic = TopicName::new(record.topic).ok()?;
    let timestamp_ms = u64::try_from(record.timestamp_ms).unwrap_or(0);
    let age = std::time::Duration::from_millis(now_ms().saturating_sub(timestamp_ms));
    let now = Instant::now();
    let properties = record.properties;
    Some(Message {
        id: MessageId(record.id),
        topic,
        payload: record.payload,
        qos: match record.qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
            Qos::ExactlyOnce => QoS::ExactlyOnce,
        },
        retain: record.retain,
        properties: Properties {
            payload_is_utf8: properties.payload_format_indicator.map(|value| value == 1),
            message_expiry: properties.message_expiry_interval_s,
            content_type: properties.content_type.map(String::into_boxed_str),
            response_topic: properties.response_topic.map(String::into_boxed_str),
            correlation_data: properties.correlation_data,
            user: properties
                .user_properties
                .into_iter()
                .map(|(key, value)| (key.into_boxed_str(), value.into_boxed_str()))
                .collect(),
        },
        from: record.from.as_str().into(),
        publisher: Publisher {
            username: record.publisher.username.map(Arc::from),
            peer: record.publisher.address,
            version: match record.publisher.protocol_version {
                Some(3) => ProtocolVersion::V31,
                Some(4) => ProtocolVersion::V311,
                _ => ProtocolVersion::V5,
            },
        },
        timestamp_ms,
        received: now.checked_sub(age).unwrap_or(now),
        origin: Origin::Link(link),
        repeated: false,
    })
}

/// An answer of the upstream, published like any message (W-2).
pub(crate) fn answer(
    topic: &str,
    correlation_data: bytes::Bytes,
    payload: bytes::Bytes,
    node: &str,
) -> Option<Message> {
    Some(Message {
        id: MessageId(rand::random()),
        topic: TopicName::new(topic).ok()?,
        payload,
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties {
            correlation_data: Some(correlation_data),
            ..Properties::default()
        },
        from: node.into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: now_ms(),
        received: Instant::now(),
        origin: Origin::Local,
        repeated: false,
    })
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_crosses_a_link_as_it_was_published() {
        let mut message = answer("t/1", "c".into(), "p".into(), "n1@h").unwrap();
        message.properties.user = vec![("k".into(), "1".into()), ("k".into(), "2".into())];
        message.properties.message_expiry = Some(60);
        let record = to_record(&message);
        let back = to_message("eu-west".into(), record).unwrap();
        assert_eq!(back.origin, Origin::Link("eu-west".into()));
        let expected = Message { origin: back.origin.clone(), received: back.received, ..message };
        assert_eq!(back, expected);
    }
}
