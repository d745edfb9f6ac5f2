//! Sizes of encoded packets, without encoding them: a packet above the client's maximum must not
//! be sent [MQTT-3.1.2-24].

use crate::{Message, ProtocolVersion};

/// Bytes of a variable byte integer (MQTT 5.0 §1.5.5).
#[must_use]
pub const fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Bytes of a PUBLISH with the whole topic and a topic alias if `with_alias`.
///
/// `ids_len` are the bytes of its subscription identifiers. Cost: no allocation.
#[must_use]
pub fn publish_len(
    version: ProtocolVersion,
    message: &Message,
    has_packet_id: bool,
    with_alias: bool,
    ids_len: usize,
) -> usize {
    let plain = 2
        + message.topic.as_str().len()
        + if has_packet_id { 2 } else { 0 }
        + message.payload.len();
    let remaining = if version.is_v5() {
        let block = message.properties.wire_len() + ids_len + if with_alias { 3 } else { 0 };
        plain + varint_len(block) + block
    } else {
        plain
    };
    1 + varint_len(remaining) + remaining
}
