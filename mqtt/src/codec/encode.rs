//! Packets to clients. Acknowledgements are written by hand, the rest by the library's codecs.

use std::num::NonZeroU16;
use std::sync::Arc;

use ntex_bytes::{BufMut, BytePages, ByteString};
use ntex_codec::Encoder as _;
use ntex_mqtt::{v3::codec as v3, v5::codec as v5};
use spanmq_session::QoS;

use super::Version;
use super::kind;
use crate::rules::ClientRules;

/// What a CONNACK tells a 5.0 client about this server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnAck {
    /// 5.0 reason code; mapped for 3.1.1.
    pub(crate) code: u8,
    pub(crate) session_present: bool,
    pub(crate) assigned_client_id: Option<String>,
    pub(crate) session_expiry_secs: Option<u32>,
    pub(crate) receive_max: u16,
    pub(crate) max_packet_size: u32,
    pub(crate) topic_alias_max: u16,
    pub(crate) server_keep_alive: Option<u16>,
    pub(crate) response_info: Option<Arc<str>>,
    pub(crate) offers: Offers,
    pub(crate) reason: Option<&'static str>,
}

/// What the server does not take from anybody is said in CONNACK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offers {
    qos_max: QoS,
    retain: bool,
    wildcards: bool,
    shared: bool,
}

impl Default for Offers {
    fn default() -> Self {
        Self::from(&ClientRules::default())
    }
}

impl From<&ClientRules> for Offers {
    fn from(rules: &ClientRules) -> Self {
        let &ClientRules { qos_max, retain, wildcards, shared, .. } = rules;
        Self { qos_max, retain, wildcards, shared }
    }
}

/// Writes packets for one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoder {
    pub(crate) version: Version,
    /// The client asked for reason strings (MQTT 5.0 §3.1.2.11.7).
    pub(crate) problem_info: bool,
    /// The client takes no larger packets (MQTT 5.0 §3.1.2.11.4).
    pub(crate) packet_max: Option<u32>,
}

impl Encoder {
    pub(crate) fn connack(self, ack: &ConnAck, out: &mut BytePages) {
        if self.version.is_v5() {
            self.put_v5(v5::Packet::ConnectAck(Box::new(connack_v5(ack))), out);
        } else {
            let session_present = ack.session_present && ack.code == 0;
            out.put_slice(&[0x20, 2, u8::from(session_present), connack_code_v3(ack.code)]);
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP; 3.1.1 has no codes.
    pub(crate) fn ack(self, packet: u8, id: NonZeroU16, code: u8, out: &mut BytePages) {
        let flags = if packet == kind::PUBREL { 2 } else { 0 };
        let [high, low] = id.get().to_be_bytes();
        let first = packet << 4 | flags;
        if code == 0 || !self.version.is_v5() {
            out.put_slice(&[first, 2, high, low]);
        } else {
            out.put_slice(&[first, 3, high, low, code]);
        }
    }

    pub(crate) fn suback(self, id: NonZeroU16, codes: &[u8], out: &mut BytePages) {
        if self.version.is_v5() {
            let status = codes
                .iter()
                .map(|&code| code.try_into().unwrap_or(v5::SubscribeAckReason::UnspecifiedError));
            let packet = v5::SubscribeAck {
                packet_id: id,
                properties: Vec::new(),
                reason_string: None,
                status: status.collect(),
            };
            self.put_v5(v5::Packet::SubscribeAck(packet), out);
        } else {
            let status = codes.iter().map(|&code| match code {
                0 => v3::SubscribeReturnCode::Success(v3::QoS::AtMostOnce),
                1 => v3::SubscribeReturnCode::Success(v3::QoS::AtLeastOnce),
                2 => v3::SubscribeReturnCode::Success(v3::QoS::ExactlyOnce),
                _ => v3::SubscribeReturnCode::Failure,
            });
            self.put_v3(v3::Packet::SubscribeAck { packet_id: id, status: status.collect() }, out);
        }
    }

    pub(crate) fn unsuback(self, id: NonZeroU16, codes: &[u8], out: &mut BytePages) {
        if self.version.is_v5() {
            let status = codes
                .iter()
                .map(|&code| code.try_into().unwrap_or(v5::UnsubscribeAckReason::UnspecifiedError));
            let packet = v5::UnsubscribeAck {
                packet_id: id,
                properties: Vec::new(),
                reason_string: None,
                status: status.collect(),
            };
            self.put_v5(v5::Packet::UnsubscribeAck(packet), out);
        } else {
            self.put_v3(v3::Packet::UnsubscribeAck { packet_id: id }, out);
        }
    }

    pub(crate) fn pingresp(out: &mut BytePages) {
        out.put_slice(&[0xd0, 0]);
    }

    /// DISCONNECT with a reason, whose text is left out when the packet would be larger than the
    /// client takes [MQTT-3.14.2-3]; a 3.1.1 client is just closed.
    pub(crate) fn disconnect(self, code: u8, reason: Option<&'static str>, out: &mut BytePages) {
        if !self.version.is_v5() {
            return;
        }
        let code = code.try_into().unwrap_or(v5::DisconnectReasonCode::ImplementationSpecificError);
        let reason = reason.filter(|text| {
            self.problem_info && self.packet_max.is_none_or(|max| text_packet_len(text) <= max)
        });
        let packet = v5::Disconnect::new(code).reason_string(reason.map(ByteString::from_static));
        self.put_v5(v5::Packet::Disconnect(packet), out);
    }

    fn put_v5(self, packet: v5::Packet, out: &mut BytePages) {
        // Nothing that we build is longer than a packet can be, so the library does not refuse.
        if let Err(error) = v5::Codec::new().encodev(v5::Encoded::Packet(packet), out) {
            tracing::error!(?error, "a packet of ours could not be encoded");
        }
    }

    fn put_v3(self, packet: v3::Packet, out: &mut BytePages) {
        if let Err(error) = v3::Codec::new().encodev(v3::Encoded::Packet(packet), out) {
            tracing::error!(?error, "a packet of ours could not be encoded");
        }
    }
}

/// Most bytes of a DISCONNECT with a text: header 1 + 4, code 1, property length 4, property 1 + 2.
fn text_packet_len(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(13)
}

fn connack_v5(ack: &ConnAck) -> v5::ConnectAck {
    let refused = ack.code != 0;
    v5::ConnectAck {
        session_present: ack.session_present && !refused,
        reason_code: ack.code.try_into().unwrap_or(v5::ConnectAckReason::UnspecifiedError),
        session_expiry_interval_secs: ack.session_expiry_secs,
        receive_max: NonZeroU16::new(ack.receive_max).unwrap_or(NonZeroU16::MAX),
        max_packet_size: (ack.max_packet_size > 0).then_some(ack.max_packet_size),
        assigned_client_id: ack.assigned_client_id.as_deref().map(ByteString::from),
        topic_alias_max: ack.topic_alias_max,
        server_keepalive_sec: ack.server_keep_alive,
        max_qos: match ack.offers.qos_max {
            QoS::AtMostOnce => v5::QoS::AtMostOnce,
            QoS::AtLeastOnce => v5::QoS::AtLeastOnce,
            QoS::ExactlyOnce => v5::QoS::ExactlyOnce,
        },
        retain_available: ack.offers.retain,
        wildcard_subscription_available: ack.offers.wildcards,
        shared_subscription_available: ack.offers.shared,
        response_info: ack.response_info.as_deref().map(ByteString::from),
        reason_string: ack.reason.map(ByteString::from_static),
        ..Default::default()
    }
}

/// 3.1.1 knows five refusals (3.1.1 §3.2.2.3); the rest is "server unavailable".
fn connack_code_v3(code: u8) -> u8 {
    match code {
        0 => 0,
        0x84 => 1,
        0x85 => 2,
        0x86 => 4,
        0x87 | 0x8A => 5,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, write: impl Fn(Encoder, &mut BytePages)) -> Vec<u8> {
        let mut pages = BytePages::default();
        write(Encoder { version, problem_info: true, packet_max: None }, &mut pages);
        pages.freeze().to_vec()
    }

    #[test]
    fn refusals_are_mapped_for_3_1_1() {
        let ack = ConnAck { code: 0x86, session_present: true, ..Default::default() };
        assert_eq!(written(Version::V311, |e, out| e.connack(&ack, out)), [0x20, 2, 0, 4]);
        let ack = ConnAck { code: 0x97, ..Default::default() };
        assert_eq!(written(Version::V311, |e, out| e.connack(&ack, out)), [0x20, 2, 0, 3]);
    }

    #[test]
    fn acknowledgements_leave_out_a_zero_code() {
        let id = NonZeroU16::new(0x102).unwrap();
        assert_eq!(written(Version::V5, |e, out| e.ack(4, id, 0, out)), [0x40, 2, 1, 2]);
        assert_eq!(written(Version::V5, |e, out| e.ack(4, id, 0x10, out)), [0x40, 3, 1, 2, 0x10]);
        assert_eq!(written(Version::V311, |e, out| e.ack(6, id, 0x92, out)), [0x62, 2, 1, 2]);
    }

    #[test]
    fn a_refused_filter_is_0x80_in_3_1_1() {
        let id = NonZeroU16::new(1).unwrap();
        let bytes = written(Version::V311, |e, out| e.suback(id, &[1, 0x87], out));
        assert_eq!(bytes, [0x90, 4, 0, 1, 1, 0x80]);
        let bytes = written(Version::V5, |e, out| e.suback(id, &[1, 0x87], out));
        assert_eq!(bytes, [0x90, 5, 0, 1, 0, 1, 0x87]);
    }

    // [MQTT-3.14.2-3]
    #[test]
    fn a_text_that_makes_a_disconnect_too_large_is_left_out() {
        let disconnect = |packet_max| {
            let sized = |e: Encoder, out: &mut BytePages| {
                Encoder { packet_max, ..e }.disconnect(0x81, Some("twenty letters of it"), out);
            };
            written(Version::V5, sized).len()
        };
        assert!(disconnect(None) > 20);
        assert!(disconnect(Some(100)) > 20);
        assert!(disconnect(Some(20)) <= 4);
    }

    #[test]
    fn a_3_1_1_client_is_never_sent_a_disconnect() {
        assert!(written(Version::V311, |e, out| e.disconnect(0x8e, None, out)).is_empty());
        assert_eq!(written(Version::V5, |e, out| e.disconnect(0x8e, None, out))[0], 0xe0);
    }
}
