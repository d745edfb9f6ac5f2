//! PUBLISH, the hot path: parsed from raw bytes and written into the output pages by hand.
//!
//! The library's PUBLISH decoder trusts the topic length before the remaining length and takes
//! ownership of several small buffers per message; this one borrows and checks everything.

use std::num::NonZeroU16;

use ntex_bytes::{BufMut, BytePages};

use super::Version;
use super::bad::BadPacket;
use super::check::topic_name;
use super::property::{Place, Value, properties};
use super::reader::Reader;

/// A PUBLISH as it lies in the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishIn<'a> {
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    /// 0…2.
    pub(crate) qos: u8,
    /// Empty only when a topic alias stands for it.
    pub(crate) topic: &'a str,
    /// Present when `qos` > 0.
    pub(crate) packet_id: Option<NonZeroU16>,
    pub(crate) properties: PublishProperties<'a>,
    pub(crate) payload: &'a [u8],
}

/// The properties of a PUBLISH. User properties stay encoded: most subscribers get them unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PublishProperties<'a> {
    pub(crate) payload_is_utf8: Option<bool>,
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) topic_alias: Option<u16>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) response_topic: Option<&'a str>,
    pub(crate) correlation_data: Option<&'a [u8]>,
    /// The whole property list when it has user properties, to be walked by [`user_properties`].
    list_with_user: Option<&'a [u8]>,
}

impl<'a> PublishProperties<'a> {
    /// The user properties in their order.
    pub(crate) fn user_properties(&self) -> Vec<(&'a str, &'a str)> {
        let mut pairs = Vec::new();
        if let Some(list) = self.list_with_user {
            // The list was checked when the packet was parsed, so this never fails.
            let _ = properties(&mut Reader::new(list), Place::PUBLISH, |_, value| {
                if let Value::Pair(key, value) = value {
                    pairs.push((key, value));
                }
                Ok(())
            });
        }
        pairs
    }
}

/// Parses the body of a PUBLISH (MQTT 5.0 §3.3).
///
/// # Errors
/// Everything SECURITY-REQUIREMENTS L3 names for PUBLISH.
pub(crate) fn parse(version: Version, first: u8, body: &[u8]) -> Result<PublishIn<'_>, BadPacket> {
    let (dup, qos, retain) = (first & 0x08 != 0, first >> 1 & 3, first & 1 != 0);
    if qos == 3 {
        return Err(BadPacket::Malformed("QoS 3"));
    }
    if dup && qos == 0 {
        return Err(BadPacket::Malformed("DUP with QoS 0"));
    }
    let mut reader = Reader::new(body);
    let topic = reader.string()?;
    let packet_id = if qos == 0 { None } else { Some(reader.packet_id()?) };
    let mut found = PublishProperties::default();
    if version.is_v5() {
        read_properties(&mut reader, &mut found)?;
    }
    if !(topic.is_empty() && found.topic_alias.is_some()) {
        topic_name(topic)?;
    }
    if let Some(response) = found.response_topic {
        topic_name(response)?;
    }
    let payload = reader.rest();
    Ok(PublishIn { dup, retain, qos, topic, packet_id, properties: found, payload })
}

fn read_properties<'a>(
    reader: &mut Reader<'a>,
    found: &mut PublishProperties<'a>,
) -> Result<(), BadPacket> {
    let list = reader.rest();
    let mut has_user = false;
    properties(reader, Place::PUBLISH, |id, value| {
        match (id, value) {
            (0x01, Value::Byte(flag)) => found.payload_is_utf8 = Some(flag == 1),
            (0x02, Value::Four(secs)) => found.expiry_secs = Some(secs),
            (0x03, Value::Text(text)) => found.content_type = Some(text),
            (0x08, Value::Text(topic)) => found.response_topic = Some(topic),
            (0x09, Value::Binary(data)) => found.correlation_data = Some(data),
            (0x23, Value::Two(0)) => return Err(BadPacket::TopicAlias(0)),
            (0x23, Value::Two(alias)) => found.topic_alias = Some(alias),
            (_, Value::Pair(..)) => has_user = true,
            _ => {}
        }
        Ok(())
    })?;
    if has_user {
        found.list_with_user = Some(list);
    }
    Ok(())
}

/// What one subscriber is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishOut<'a> {
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) qos: u8,
    pub(crate) topic: &'a str,
    pub(crate) packet_id: Option<NonZeroU16>,
    /// Encoded properties without their length (5.0 only).
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl PublishOut<'_> {
    /// Bytes after the fixed header.
    fn remaining(&self, version: Version) -> usize {
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let list = if version.is_v5() {
            varint_len(self.properties.len()) + self.properties.len()
        } else {
            0
        };
        2 + self.topic.len() + id + list + self.payload.len()
    }

    /// Appends the packet to the output of a connection.
    pub(crate) fn write(&self, version: Version, out: &mut BytePages) {
        let first = 0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        let mut head = [0u8; 5];
        let len = put_fixed_header(&mut head, first, self.remaining(version));
        out.put_slice(head.get(..len).unwrap_or(&head));
        let topic_len = u16::try_from(self.topic.len()).expect("topics are limited to 65,535");
        out.put_slice(&topic_len.to_be_bytes());
        out.put_slice(self.topic.as_bytes());
        if let Some(id) = self.packet_id {
            out.put_slice(&id.get().to_be_bytes());
        }
        if version.is_v5() {
            let len = put_varint(&mut head, self.properties.len());
            out.put_slice(head.get(..len).unwrap_or(&head));
            out.put_slice(self.properties);
        }
        out.put_slice(self.payload);
    }
}

fn put_fixed_header(into: &mut [u8; 5], first: u8, remaining: usize) -> usize {
    let mut tail = [0u8; 5];
    let len = put_varint(&mut tail, remaining);
    into[0] = first;
    for (to, from) in into.iter_mut().skip(1).zip(tail.iter().take(len)) {
        *to = *from;
    }
    1 + len
}

fn put_varint(into: &mut [u8; 5], mut value: usize) -> usize {
    for (index, byte) in into.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return index + 1;
        }
        *byte |= 0x80;
    }
    into.len()
}

pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends a variable byte integer, for property lists built by hand.
pub(crate) fn push_varint(out: &mut Vec<u8>, value: usize) {
    let mut bytes = [0u8; 5];
    let len = put_varint(&mut bytes, value);
    out.extend(bytes.iter().take(len));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_that_was_written_parses_to_the_same() {
        let out = PublishOut {
            dup: true,
            retain: true,
            qos: 1,
            topic: "a/b",
            packet_id: NonZeroU16::new(7),
            properties: &[0x02, 0, 0, 0, 9],
            payload: b"hello",
        };
        let mut pages = BytePages::default();
        out.write(Version::V5, &mut pages);
        let bytes = pages.freeze();
        assert_eq!(bytes.len(), 2 + out.remaining(Version::V5));
        let parsed = parse(Version::V5, bytes[0], &bytes[2..]).unwrap();
        assert_eq!((parsed.topic, parsed.qos, parsed.payload), ("a/b", 1, &b"hello"[..]));
        assert_eq!(parsed.properties.expiry_secs, Some(9));
        assert_eq!(parsed.packet_id, NonZeroU16::new(7));
    }

    #[test]
    fn hostile_publishes_are_refused() {
        let bad = |first: u8, body: &[u8]| parse(Version::V5, first, body).is_err();
        assert!(bad(0x36, b"\x00\x01a\x00\x01\x00"), "QoS 3");
        assert!(bad(0x38, b"\x00\x01a\x00"), "DUP with QoS 0");
        assert!(bad(0x30, b"\x00\x00\x00"), "empty topic, no alias");
        assert!(bad(0x30, b"\x00\x01#\x00"), "wildcard");
        assert!(bad(0x30, b"\x00\x02a\x00\x00"), "U+0000");
        assert!(bad(0x30, b"\x00\xffa"), "topic longer than the packet");
        assert!(bad(0x32, b"\x00\x01a\x00\x00\x00"), "packet id 0");
        assert!(bad(0x30, b"\x00\x01a\x03\x23\x00\x00"), "alias 0");
        assert!(bad(0x30, b"\x00\x01a\x02\x0b\x01"), "subscription id from a client");
        assert!(bad(0x30, b"\x00\x01a\x06\x08\x00\x03a/#"), "response topic with wildcard");
    }

    #[test]
    fn user_properties_keep_their_order() {
        let body = b"\x00\x01a\x0e\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w";
        let parsed = parse(Version::V5, 0x30, body).unwrap();
        assert_eq!(parsed.properties.user_properties(), [("k", "v"), ("k", "w")]);
    }
}
