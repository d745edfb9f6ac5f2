//! Strict checks of everything but PUBLISH, on the raw body, before the library decodes it.
//!
//! ntex-mqtt 8 is lax (trailing bytes, U+0000, reserved bits, will flags, 3.1.1 option bits) and
//! its decode errors do not tell which reason code is due. What passes here is well formed; the
//! library then only turns it into values. PUBLISH, being the hot path, is parsed in `publish`.

use super::bad::BadPacket;
use super::property::{Place, Value, properties};
use super::reader::Reader;
use super::{Version, kind};

/// Checks one whole packet of an established connection, or the CONNECT that opens one.
pub(crate) fn check(version: Version, first: u8, body: &[u8]) -> Result<(), BadPacket> {
    let v5 = version.is_v5();
    flags(first)?;
    let mut reader = Reader::new(body);
    match first >> 4 {
        kind::CONNECT => connect(version, reader),
        kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP => ack(version, first, reader),
        kind::SUBSCRIBE => subscribe(version, reader),
        kind::UNSUBSCRIBE => unsubscribe(version, reader),
        kind::PINGREQ => reader.finish(),
        kind::DISCONNECT if v5 => disconnect(reader),
        kind::DISCONNECT => reader.finish(),
        kind::AUTH if v5 => {
            if !reader.is_empty() {
                reader.u8()?;
                properties(&mut reader, Place::AUTH, |_, _| Ok(()))?;
            }
            reader.finish()
        }
        0 | kind::AUTH => Err(BadPacket::Malformed("reserved packet type")),
        _ => Err(BadPacket::Protocol("only a server sends this packet")),
    }
}

/// The flags of the fixed header are fixed but for PUBLISH [MQTT-2.1.3-1].
fn flags(first: u8) -> Result<(), BadPacket> {
    let expected = match first >> 4 {
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => 0b0010,
        _ => 0,
    };
    if first & 0x0f == expected {
        Ok(())
    } else {
        Err(BadPacket::Malformed("reserved flags of the fixed header"))
    }
}

/// Reads name and level of the protocol; the only part that all versions share.
///
/// # Errors
/// [`BadPacket::Version`] for MQTT 3.1 and for levels that we do not know.
pub(crate) fn connect_version(body: &[u8]) -> Result<Version, BadPacket> {
    let mut reader = Reader::new(body);
    let name = reader.binary()?;
    let level = reader.u8()?;
    match (name, level) {
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT" | b"MQIsdp", level) => Err(BadPacket::Version(level)),
        _ => Err(BadPacket::Malformed("unknown protocol name")),
    }
}

fn connect(version: Version, mut reader: Reader<'_>) -> Result<(), BadPacket> {
    reader.binary()?;
    reader.u8()?;
    let flags = reader.u8()?;
    let (will, will_qos, will_retain) = (flags & 0x04 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    let (password, username) = (flags & 0x40 != 0, flags & 0x80 != 0);
    if flags & 1 != 0 {
        return Err(BadPacket::Malformed("reserved CONNECT flag"));
    }
    if will_qos == 3 || (!will && (will_qos != 0 || will_retain)) {
        return Err(BadPacket::Malformed("will flags contradict each other"));
    }
    if version == Version::V311 && password && !username {
        return Err(BadPacket::Malformed("a password without a user name"));
    }
    reader.u16()?;
    if version.is_v5() {
        connect_properties(&mut reader)?;
    }
    let client_id = reader.string()?;
    if version == Version::V311 && client_id.is_empty() && flags & 0x02 == 0 {
        return Err(BadPacket::ClientId("empty, and clean session is not set"));
    }
    if will {
        if version.is_v5() {
            properties(&mut reader, Place::WILL, |_, _| Ok(()))?;
        }
        topic_name(reader.string()?)?;
        reader.binary()?;
    }
    if username {
        reader.string()?;
    }
    if password {
        reader.binary()?;
    }
    reader.finish()
}

/// Where in the body of a checked 5.0 CONNECT the message expiry of its will stands, if it is 0.
pub(super) fn zero_will_expiry(body: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(body);
    reader.binary().ok()?;
    reader.u8().ok()?;
    if reader.u8().ok()? & 0x04 == 0 {
        return None;
    }
    reader.u16().ok()?;
    connect_properties(&mut reader).ok()?;
    reader.string().ok()?;
    let (mut len, mut found) = (0, None);
    properties(&mut reader, Place::WILL, |id, value| {
        if (id, value) == (0x02, Value::Four(0)) {
            found = Some(len + 1);
        }
        len += 1 + value.size();
        Ok(())
    })
    .ok()?;
    let list = body.len().checked_sub(reader.rest().len() + len)?;
    found.map(|at| list + at)
}

fn connect_properties(reader: &mut Reader<'_>) -> Result<(), BadPacket> {
    let (mut method, mut data) = (false, false);
    properties(reader, Place::CONNECT, |id, _| {
        method |= id == 0x15;
        data |= id == 0x16;
        Ok(())
    })?;
    match (method, data) {
        (false, true) => Err(BadPacket::Protocol("authentication data without a method")),
        _ => Ok(()),
    }
}

/// The name in a PUBLISH or will: not empty, no wildcard [MQTT-3.3.2-2] [MQTT-4.7.3-1].
pub(crate) fn topic_name(topic: &str) -> Result<(), BadPacket> {
    if topic.is_empty() {
        return Err(BadPacket::TopicName("empty"));
    }
    if topic.bytes().any(|byte| byte == b'+' || byte == b'#') {
        return Err(BadPacket::TopicName("contains a wildcard"));
    }
    Ok(())
}

fn ack(version: Version, first: u8, mut reader: Reader<'_>) -> Result<(), BadPacket> {
    reader.packet_id()?;
    if version.is_v5() && !reader.is_empty() {
        let code = reader.u8()?;
        let known = match first >> 4 {
            kind::PUBREL | kind::PUBCOMP => matches!(code, 0 | 0x92),
            _ => matches!(code, 0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99),
        };
        if !known {
            return Err(BadPacket::Malformed("unknown reason code"));
        }
        if !reader.is_empty() {
            properties(&mut reader, Place::ACK, |_, _| Ok(()))?;
        }
    }
    reader.finish()
}

fn subscribe(version: Version, mut reader: Reader<'_>) -> Result<(), BadPacket> {
    reader.packet_id()?;
    if version.is_v5() {
        properties(&mut reader, Place::SUBSCRIBE, |_, _| Ok(()))?;
    }
    if reader.is_empty() {
        return Err(BadPacket::Protocol("SUBSCRIBE without a topic filter"));
    }
    while !reader.is_empty() {
        let filter = reader.string()?;
        let options = reader.u8()?;
        subscribe_options(version, filter, options)?;
    }
    Ok(())
}

fn subscribe_options(version: Version, filter: &str, options: u8) -> Result<(), BadPacket> {
    let reserved = if version.is_v5() { 0xc0 } else { 0xfc };
    if options & reserved != 0 || options & 3 == 3 {
        return Err(BadPacket::Malformed("reserved bits or QoS 3 in subscription options"));
    }
    if options >> 4 & 3 == 3 {
        return Err(BadPacket::Protocol("retain handling 3"));
    }
    if options & 4 != 0 && filter.starts_with("$share/") {
        return Err(BadPacket::Protocol("no local on a shared subscription"));
    }
    Ok(())
}

fn unsubscribe(version: Version, mut reader: Reader<'_>) -> Result<(), BadPacket> {
    reader.packet_id()?;
    if version.is_v5() {
        properties(&mut reader, Place::UNSUBSCRIBE, |_, _| Ok(()))?;
    }
    if reader.is_empty() {
        return Err(BadPacket::Protocol("UNSUBSCRIBE without a topic filter"));
    }
    while !reader.is_empty() {
        reader.string()?;
    }
    Ok(())
}

fn disconnect(mut reader: Reader<'_>) -> Result<(), BadPacket> {
    if reader.is_empty() {
        return Ok(());
    }
    let code = reader.u8()?;
    if !matches!(code, 0 | 4 | 0x80..=0x83 | 0x90 | 0x93..=0x97 | 0x98 | 0x99) {
        return Err(BadPacket::Malformed("a client does not send this DISCONNECT code"));
    }
    if !reader.is_empty() {
        properties(&mut reader, Place::DISCONNECT, |_, _| Ok(()))?;
    }
    reader.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v5(first: u8, body: &[u8]) -> Result<(), BadPacket> {
        check(Version::V5, first, body)
    }

    #[test]
    fn mqtt_3_1_is_told_that_its_level_is_not_supported() {
        assert_eq!(connect_version(b"\x00\x06MQIsdp\x03"), Err(BadPacket::Version(3)));
        assert_eq!(connect_version(b"\x00\x04MQTT\x06"), Err(BadPacket::Version(6)));
        assert_eq!(connect_version(b"\x00\x04MQTT\x04"), Ok(Version::V311));
        assert!(matches!(connect_version(b"\x00\x04HTTP\x04"), Err(BadPacket::Malformed(_))));
    }

    #[test]
    fn contradictory_connect_flags_are_refused() {
        let connect = |flags: u8, tail: &[u8]| {
            let mut body = b"\x00\x04MQTT\x04".to_vec();
            body.extend([flags, 0, 60]);
            body.extend(tail);
            check(Version::V311, 0x10, &body)
        };
        assert_eq!(connect(0x02, b"\x00\x01c"), Ok(()));
        assert!(connect(0x03, b"\x00\x01c").is_err(), "reserved bit");
        assert!(connect(0x0a, b"\x00\x01c").is_err(), "will QoS without will");
        assert!(connect(0x1e, b"\x00\x01c\x00\x01t\x00\x00").is_err(), "will QoS 3");
        assert!(connect(0x42, b"\x00\x01c\x00\x01p").is_err(), "password without user name");
        assert!(connect(0x02, b"\x00\x01cXX").is_err(), "trailing bytes");
        assert!(matches!(connect(0x00, b"\x00\x00"), Err(BadPacket::ClientId(_))));
        assert!(connect(0x06, b"\x00\x01c\x00\x01#\x00\x00").is_err(), "will topic wildcard");
    }

    #[test]
    fn option_bits_are_checked_by_version() {
        assert_eq!(v5(0x82, b"\x00\x01\x00\x00\x01a\x2c"), Ok(()));
        assert!(check(Version::V311, 0x82, b"\x00\x01\x00\x01a\x04").is_err());
        assert!(v5(0x82, b"\x00\x01\x00\x00\x01a\x03").is_err(), "QoS 3");
        assert!(v5(0x82, b"\x00\x01\x00\x00\x01a\x30").is_err(), "retain handling 3");
        assert!(v5(0x82, b"\x00\x01\x00").is_err(), "no filter");
        assert!(v5(0x82, b"\x00\x00\x00\x00\x01a\x00").is_err(), "packet id 0");
        assert!(v5(0x80, b"\x00\x01\x00\x00\x01a\x00").is_err(), "flags");
        assert!(v5(0x82, b"\x00\x01\x00\x00\x0a$share/g/a\x04").is_err(), "shared and no local");
    }

    #[test]
    fn packets_of_a_server_are_refused_from_a_client() {
        for first in [0x20, 0x90, 0xb0, 0xd0] {
            assert!(matches!(v5(first, b"\x00\x01\x00\x00"), Err(BadPacket::Protocol(_))));
        }
        assert!(matches!(v5(0x00, b""), Err(BadPacket::Malformed(_))));
        assert!(matches!(check(Version::V311, 0xf0, b""), Err(BadPacket::Malformed(_))));
    }
}
