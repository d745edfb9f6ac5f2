//! Cuts frames and turns checked packets into values with the library's codecs.

use std::num::NonZeroU16;

use bytes::Bytes;
use ntex_bytes::BytesMut;
use ntex_codec::Decoder;
use ntex_mqtt::{QoS as NtexQoS, v3::codec as v3, v5::codec as v5};
use spanmq_session::{Properties, QoS, RetainHandling, SubscriptionOptions};

use super::packet::{Ack, Connect, Packet, Password, Subscribe, Will};
use super::reader::{Reader, varint};
use super::{BadPacket, Version, check, kind};

/// Where the next packet lies in the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    /// Bytes of the fixed header.
    pub(crate) header: usize,
    /// Bytes of the whole packet.
    pub(crate) total: usize,
}

impl Frame {
    pub(crate) fn kind(self) -> u8 {
        self.first >> 4
    }

    /// Whether all of it has arrived.
    pub(crate) fn is_complete(self, buffered: usize) -> bool {
        buffered >= self.total
    }
}

/// Reads the fixed header; `None` while it is incomplete.
///
/// # Errors
/// [`BadPacket::TooLarge`] before a byte of the body is waited for (SECURITY-REQUIREMENTS L1).
pub(crate) fn cut(bytes: &[u8], limit: u32) -> Result<Option<Frame>, BadPacket> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((remaining, len)) = varint(rest)? else { return Ok(None) };
    let total = 1 + len + remaining as usize;
    if total > limit as usize {
        let announced = u32::try_from(total).unwrap_or(u32::MAX);
        return Err(BadPacket::TooLarge { announced, limit });
    }
    Ok(Some(Frame { first, header: 1 + len, total }))
}

/// The version that the CONNECT in `body` speaks.
///
/// # Errors
/// See [`check::connect_version`].
pub(crate) fn peek_version(body: &[u8]) -> Result<Version, BadPacket> {
    check::connect_version(body)
}

/// Checks and decodes one whole packet that is not a PUBLISH.
///
/// # Errors
/// [`BadPacket`] with the code the client is told.
pub(crate) fn decode(version: Version, frame: Frame, bytes: &[u8]) -> Result<Packet, BadPacket> {
    let body = bytes.get(frame.header..).unwrap_or_default();
    check::check(version, frame.first, body)?;
    match frame.kind() {
        kind::PUBACK => Ok(Packet::PubAck(ack(body)?)),
        kind::PUBREC => Ok(Packet::PubRec(ack(body)?)),
        kind::PUBREL => Ok(Packet::PubRel(ack(body)?)),
        kind::PUBCOMP => Ok(Packet::PubComp(ack(body)?)),
        kind::PINGREQ => Ok(Packet::PingReq),
        kind::AUTH => Ok(Packet::Auth),
        kind::CONNECT if version.is_v5() => decode_connect_v5(frame, bytes),
        _ if version.is_v5() => decode_v5(bytes),
        _ => decode_v3(bytes),
    }
}

fn ack(body: &[u8]) -> Result<Ack, BadPacket> {
    let mut reader = Reader::new(body);
    let id = reader.packet_id()?;
    let code = if reader.is_empty() { 0 } else { reader.u8()? };
    Ok(Ack { id, code })
}

fn decode_v3(bytes: &[u8]) -> Result<Packet, BadPacket> {
    let decoded = v3::Codec::new()
        .decode(&mut BytesMut::copy_from_slice(bytes))
        .map_err(|_| BadPacket::Malformed("not a 3.1.1 packet"))?;
    match decoded {
        Some(v3::Decoded::Packet(v3::Packet::Connect(connect), _)) => {
            Ok(Packet::Connect(Box::new(connect_v3(*connect))))
        }
        Some(v3::Decoded::Packet(v3::Packet::Subscribe { packet_id, topic_filters }, _)) => {
            let filters = topic_filters.into_iter().map(|(filter, level)| {
                let options = SubscriptionOptions { qos: qos(level), ..Default::default() };
                (filter.as_str().to_owned(), options)
            });
            Ok(Packet::Subscribe(Subscribe { id: packet_id, filters: filters.collect() }))
        }
        Some(v3::Decoded::Packet(v3::Packet::Unsubscribe { packet_id, topic_filters }, _)) => {
            Ok(unsubscribe(packet_id, topic_filters))
        }
        Some(v3::Decoded::Packet(v3::Packet::Disconnect, _)) => {
            Ok(Packet::Disconnect { code: 0, session_expiry_secs: None })
        }
        _ => Err(BadPacket::Malformed("not a packet of a client")),
    }
}

/// The library refuses a will with message expiry 0, which the specification allows (MQTT 5.0
/// §3.1.3.2.4 names no exception). It reads 1 instead.
fn decode_connect_v5(frame: Frame, bytes: &[u8]) -> Result<Packet, BadPacket> {
    let body = bytes.get(frame.header..).unwrap_or_default();
    let Some(at) = check::zero_will_expiry(body) else { return decode_v5(bytes) };
    let mut changed = bytes.to_vec();
    if let Some(last) = changed.get_mut(frame.header + at + 3) {
        *last = 1;
    }
    let mut packet = decode_v5(&changed)?;
    if let Packet::Connect(connect) = &mut packet
        && let Some(will) = &mut connect.will
    {
        will.properties.message_expiry = Some(0);
    }
    Ok(packet)
}

fn decode_v5(bytes: &[u8]) -> Result<Packet, BadPacket> {
    let decoded = v5::Codec::new()
        .decode(&mut BytesMut::copy_from_slice(bytes))
        .map_err(|_| BadPacket::Malformed("not a 5.0 packet"))?;
    match decoded {
        Some(v5::Decoded::Packet(v5::Packet::Connect(connect), _)) => {
            Ok(Packet::Connect(Box::new(connect_v5(*connect))))
        }
        Some(v5::Decoded::Packet(v5::Packet::Subscribe(subscribe), _)) => {
            Ok(Packet::Subscribe(subscribe_v5(subscribe)))
        }
        Some(v5::Decoded::Packet(v5::Packet::Unsubscribe(packet), _)) => {
            Ok(unsubscribe(packet.packet_id, packet.topic_filters))
        }
        Some(v5::Decoded::Packet(v5::Packet::Disconnect(packet), _)) => Ok(Packet::Disconnect {
            code: packet.reason_code.into(),
            session_expiry_secs: packet.session_expiry_interval_secs,
        }),
        _ => Err(BadPacket::Malformed("not a packet of a client")),
    }
}

fn unsubscribe(id: NonZeroU16, filters: Vec<ntex_bytes::ByteString>) -> Packet {
    let filters = filters.iter().map(|filter| filter.as_str().to_owned()).collect();
    Packet::Unsubscribe { id, filters }
}

fn subscribe_v5(packet: v5::Subscribe) -> Subscribe {
    let id = packet.id.map(std::num::NonZeroU32::get);
    let filters = packet.topic_filters.into_iter().map(|(filter, wanted)| {
        let options = SubscriptionOptions {
            qos: qos(wanted.qos),
            no_local: wanted.no_local,
            retain_as_published: wanted.retain_as_published,
            retain_handling: match wanted.retain_handling {
                v5::RetainHandling::AtSubscribe => RetainHandling::Send,
                v5::RetainHandling::AtSubscribeNew => RetainHandling::SendIfNew,
                v5::RetainHandling::NoAtSubscribe => RetainHandling::Skip,
            },
            id,
        };
        (filter.as_str().to_owned(), options)
    });
    Subscribe { id: packet.packet_id, filters: filters.collect() }
}

fn connect_v3(packet: v3::Connect) -> Connect {
    Connect {
        version: Version::V311,
        clean_start: packet.clean_session,
        keep_alive: packet.keep_alive,
        client_id: packet.client_id.as_str().to_owned(),
        username: packet.username.map(|name| name.as_str().to_owned()),
        password: packet.password.map(|bytes| Password(Bytes::copy_from_slice(&bytes))),
        will: packet.last_will.map(|will| Will {
            topic: will.topic.as_str().to_owned(),
            payload: Bytes::copy_from_slice(&will.message),
            qos: qos(will.qos),
            retain: will.retain,
            delay_secs: 0,
            properties: Properties::default(),
        }),
        session_expiry_secs: if packet.clean_session { 0 } else { u32::MAX },
        receive_max: None,
        max_packet_size: None,
        topic_alias_max: 0,
        request_problem_info: false,
        request_response_info: false,
        has_auth_method: false,
    }
}

fn connect_v5(packet: v5::Connect) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: packet.clean_start,
        keep_alive: packet.keep_alive,
        client_id: packet.client_id.as_str().to_owned(),
        username: packet.username.map(|name| name.as_str().to_owned()),
        password: packet.password.map(|bytes| Password(Bytes::copy_from_slice(&bytes))),
        will: packet.last_will.map(will_v5),
        session_expiry_secs: packet.session_expiry_interval_secs,
        receive_max: packet.receive_max.map(NonZeroU16::get),
        max_packet_size: packet.max_packet_size.map(std::num::NonZeroU32::get),
        topic_alias_max: packet.topic_alias_max,
        request_problem_info: packet.request_problem_info,
        request_response_info: packet.request_response_info,
        has_auth_method: packet.auth_method.is_some(),
    }
}

fn will_v5(will: v5::LastWill) -> Will {
    Will {
        topic: will.topic.as_str().to_owned(),
        payload: Bytes::copy_from_slice(&will.message),
        qos: qos(will.qos),
        retain: will.retain,
        delay_secs: will.will_delay_interval_sec.unwrap_or(0),
        properties: Properties {
            payload_is_utf8: will.is_utf8_payload,
            message_expiry: will.message_expiry_interval.map(std::num::NonZeroU32::get),
            content_type: will.content_type.map(|text| text.as_str().into()),
            response_topic: will.response_topic.map(|text| text.as_str().into()),
            correlation_data: will.correlation_data.map(|data| Bytes::copy_from_slice(&data)),
            user: will
                .user_properties
                .iter()
                .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                .collect(),
        },
    }
}

fn qos(level: NtexQoS) -> QoS {
    match level {
        NtexQoS::AtMostOnce => QoS::AtMostOnce,
        NtexQoS::AtLeastOnce => QoS::AtLeastOnce,
        NtexQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: Version, bytes: &[u8]) -> Result<Packet, BadPacket> {
        let frame = cut(bytes, 1 << 20)?.unwrap();
        decode(version, frame, bytes)
    }

    #[test]
    fn a_packet_above_the_limit_is_refused_by_its_header_alone() {
        let header = [0x30, 0x80, 0x80, 0x80, 0x01];
        assert!(matches!(cut(&header, 1 << 20), Err(BadPacket::TooLarge { .. })));
        assert_eq!(cut(&[0x30], 1 << 20), Ok(None));
        assert_eq!(cut(&[0x30, 0x85], 1 << 20), Ok(None));
    }

    #[test]
    fn a_v5_connect_is_decoded_with_its_properties_and_will() {
        let mut body = b"\x00\x04MQTT\x05\xc6\x00\x3c".to_vec();
        body.extend(b"\x05\x11\x00\x00\x00\x0a\x00\x01c");
        body.extend(b"\x05\x18\x00\x00\x00\x05\x00\x01t\x00\x02hi");
        body.extend(b"\x00\x01u\x00\x01p");
        let mut bytes = vec![0x10, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        let Ok(Packet::Connect(connect)) = packet(Version::V5, &bytes) else { panic!() };
        assert_eq!((connect.session_expiry_secs, connect.keep_alive), (10, 60));
        assert_eq!(connect.will.as_ref().unwrap().delay_secs, 5);
        assert_eq!(connect.username.as_deref(), Some("u"));
        assert!(!format!("{connect:?}").contains("Password(b"));
    }

    #[test]
    fn a_will_may_expire_at_once() {
        let will = |properties: &[u8]| {
            let mut body = b"\x00\x04MQTT\x05\x06\x00\x3c".to_vec();
            body.extend(b"\x05\x11\x00\x00\x00\x0a\x00\x01c");
            body.push(u8::try_from(properties.len()).unwrap());
            body.extend(properties);
            body.extend(b"\x00\x01t\x00\x02hi");
            let mut bytes = vec![0x10, u8::try_from(body.len()).unwrap()];
            bytes.extend(body);
            let Ok(Packet::Connect(connect)) = packet(Version::V5, &bytes) else { panic!() };
            connect.will.unwrap()
        };
        let properties =
            b"\x26\x00\x01k\x00\x02\x02v\x03\x00\x01x\x02\x00\x00\x00\x00\x18\x00\x00\x00\x05";
        let read = will(properties);
        assert_eq!((read.properties.message_expiry, read.delay_secs), (Some(0), 5));
        assert_eq!(&*read.properties.user[0].1, "\u{2}v");
        assert_eq!(read.properties.content_type.as_deref(), Some("x"));
        assert_eq!(will(b"\x02\x00\x00\x00\x07").properties.message_expiry, Some(7));
        assert_eq!(will(b"").properties.message_expiry, None);
    }

    #[test]
    fn acknowledgements_carry_their_code() {
        let ack = Ack { id: NonZeroU16::new(1).unwrap(), code: 0x80 };
        assert_eq!(packet(Version::V5, &[0x50, 3, 0, 1, 0x80]), Ok(Packet::PubRec(ack)));
        let ack = Ack { id: NonZeroU16::new(1).unwrap(), code: 0 };
        assert_eq!(packet(Version::V311, &[0x40, 2, 0, 1]), Ok(Packet::PubAck(ack)));
        assert!(packet(Version::V311, &[0x40, 3, 0, 1, 0]).is_err());
    }
}
