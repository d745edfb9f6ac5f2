use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use spanmq_topic::TopicName;

use super::{CodecError, decode, encode};
use crate::{Message, MessageId, Origin, Properties, ProtocolVersion, Publisher, QoS};

/// A message as it is stored. The order of the fields is the format of version 1.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    id: [u8; 16],
    #[serde(borrow)]
    topic: &'a str,
    #[serde(borrow)]
    payload: Raw<'a>,
    /// Bits 0 and 1: the QoS; bit 3 (DUP in a PUBLISH): [`Message::repeated`].
    qos: u8,
    retain: bool,
    properties: std::borrow::Cow<'a, Properties>,
    #[serde(borrow)]
    from: &'a str,
    #[serde(borrow)]
    username: Option<&'a str>,
    peer: Option<SocketAddr>,
    version: u8,
    timestamp_ms: u64,
    /// Milliseconds since receipt, because a monotonic clock means nothing elsewhere.
    age_ms: u64,
    /// Remote cluster of the link it came over.
    #[serde(borrow)]
    link: Option<&'a str>,
}

const REPEATED: u8 = 1 << 3;

/// Bytes that are written in one piece; a plain slice would go byte by byte.
#[derive(Deserialize)]
struct Raw<'a>(#[serde(borrow)] &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Appends a message to `out`, with its age at `now`.
///
/// # Errors
/// [`CodecError::TooLarge`]; `out` is unchanged then.
pub fn encode_message(
    message: &Message,
    now: Instant,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let age = now.saturating_duration_since(message.received).as_millis();
    out.reserve(message.weight());
    let record = Record {
        id: message.id.0,
        topic: &message.topic,
        payload: Raw(&message.payload),
        qos: message.qos.as_u8() | if message.repeated { REPEATED } else { 0 },
        retain: message.retain,
        properties: std::borrow::Cow::Borrowed(&message.properties),
        from: &message.from,
        username: message.publisher.username.as_deref(),
        peer: message.publisher.peer,
        version: message.publisher.version.level(),
        timestamp_ms: message.timestamp_ms,
        age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        link: match &message.origin {
            Origin::Local => None,
            Origin::Link(remote) => Some(remote),
        },
    };
    encode(&record, out)
}

/// Reads a message. `since_encoded` is the time that is known to have passed since it was written:
/// zero on a wire, the age of the file after a restart. The payload is copied, so that a small
/// message never keeps a large buffer.
///
/// # Errors
/// [`CodecError`] for anything but one whole record.
pub fn decode_message(
    bytes: &[u8],
    now: Instant,
    since_encoded: Duration,
) -> Result<Message, CodecError> {
    let invalid = |field| CodecError::Invalid { field };
    let record: Record<'_> = decode(bytes)?;
    let mut properties = record.properties.into_owned();
    let age = Duration::from_millis(record.age_ms).saturating_add(since_encoded);
    Ok(Message {
        id: MessageId(record.id),
        topic: TopicName::new(record.topic).map_err(|_| invalid("topic"))?,
        payload: Bytes::copy_from_slice(record.payload.0),
        qos: QoS::from_u8(record.qos & !REPEATED).ok_or(invalid("qos"))?,
        repeated: record.qos & REPEATED != 0,
        retain: record.retain,
        from: Arc::from(record.from),
        publisher: Publisher {
            username: record.username.map(Arc::from),
            peer: record.peer,
            version: ProtocolVersion::from_level(record.version).ok_or(invalid("version"))?,
        },
        timestamp_ms: record.timestamp_ms,
        received: received(now, age, &mut properties),
        properties,
        origin: record.link.map_or(Origin::Local, |remote| Origin::Link(Arc::from(remote))),
    })
}

/// When it was received by this machine's clock. A clock that is younger than the message (it may
/// start at boot) cannot say so: then the waiting time is taken off the interval instead.
fn received(now: Instant, age: Duration, properties: &mut Properties) -> Instant {
    if let Some(received) = now.checked_sub(age) {
        return received;
    }
    let waited = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
    properties.message_expiry = properties.message_expiry.map(|left| left.saturating_sub(waited));
    now
}
