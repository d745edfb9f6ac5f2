//! Packets as bytes, for tests that choose every field themselves.

use super::packet::{self, Property, Version};

/// A PUBLISH whose first byte is `first`; the id is written when it is given, whatever the QoS.
#[must_use]
pub fn publish(
    version: Version,
    first: u8,
    topic: &[u8],
    id: Option<u16>,
    properties: &[Property],
    payload: &[u8],
) -> Vec<u8> {
    let mut body = Vec::new();
    packet::binary(&mut body, topic);
    body.extend(id.map(u16::to_be_bytes).into_iter().flatten());
    if version == Version::V5 {
        packet::properties(&mut body, properties);
    }
    body.extend_from_slice(payload);
    framed(first, &body)
}

/// A SUBSCRIBE.
#[must_use]
pub fn subscribe(
    version: Version,
    id: u16,
    properties: &[Property],
    filters: &[(&[u8], u8)],
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        packet::properties(&mut body, properties);
    }
    for (filter, options) in filters {
        packet::binary(&mut body, filter);
        body.push(*options);
    }
    framed(0x82, &body)
}

/// An UNSUBSCRIBE.
#[must_use]
pub fn unsubscribe(version: Version, id: u16, filters: &[&[u8]]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    filters.iter().for_each(|filter| packet::binary(&mut body, filter));
    framed(0xa2, &body)
}

/// A CONNECT of MQTT 5.0 with these flags, property block (without its length) and payload.
#[must_use]
pub fn connect_v5(flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05".to_vec();
    body.extend([flags, 0, 0]);
    packet::variable(&mut body, properties.len());
    body.extend_from_slice(properties);
    body.extend_from_slice(payload);
    framed(0x10, &body)
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    packet::frame(&mut out, first, body);
    out
}
