//! The reason codes that this crate's decisions lead to (MQTT 5.0 §2.4). The shell maps them to
//! its codec's types, and for 3.1.1 to a close or to silence.

/// 0x00: the normal answer.
pub const SUCCESS: u8 = 0x00;
/// 0x82: the peer broke the protocol.
pub const PROTOCOL_ERROR: u8 = 0x82;
/// 0x8E: another connection took this session over.
pub const SESSION_TAKEN_OVER: u8 = 0x8E;
/// 0x92: an answer to a packet id that is not in use.
pub const PACKET_ID_NOT_FOUND: u8 = 0x92;
/// 0x93: more unfinished QoS 1/2 PUBLISH than we allowed.
pub const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
/// 0x94: alias 0 or above the maximum we announced.
pub const TOPIC_ALIAS_INVALID: u8 = 0x94;
/// 0x95: a packet above the maximum size.
pub const PACKET_TOO_LARGE: u8 = 0x95;
/// 0x97: a limit of ours was reached.
pub const QUOTA_EXCEEDED: u8 = 0x97;

/// Whether a code reports a failure; such a PUBACK or PUBREC ends its flow [MQTT-4.4.0-2].
#[must_use]
pub const fn is_failure(code: u8) -> bool {
    code >= 0x80
}
