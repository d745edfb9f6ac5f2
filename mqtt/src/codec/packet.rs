//! Packets from clients as plain values, the same for 3.1.1 and 5.0.

use std::fmt;
use std::num::NonZeroU16;

use bytes::Bytes;
use spanmq_session::{Properties, QoS, SubscriptionOptions};

use super::Version;

/// Everything but PUBLISH, which stays borrowed (see `publish`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Packet {
    Connect(Box<Connect>),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    Subscribe(Subscribe),
    Unsubscribe { id: NonZeroU16, filters: Vec<String> },
    PingReq,
    Disconnect { code: u8, session_expiry_secs: Option<u32> },
    Auth,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) id: NonZeroU16,
    pub(crate) code: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscribe {
    pub(crate) id: NonZeroU16,
    /// Filters as sent; whether they are valid is the topic crate's business. Each carries the
    /// subscription identifier of the packet.
    pub(crate) filters: Vec<(String, SubscriptionOptions)>,
}

/// A password: never printed (SECURITY-REQUIREMENTS A9).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(pub(crate) Bytes);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) clean_start: bool,
    /// Seconds; 0 turns it off.
    pub(crate) keep_alive: u16,
    /// Empty: the server assigns one.
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Password>,
    pub(crate) will: Option<Will>,
    /// `None`: absent. For 3.1.1 the caller derives it from `clean_start`.
    pub(crate) session_expiry_secs: u32,
    pub(crate) receive_max: Option<u16>,
    pub(crate) max_packet_size: Option<u32>,
    pub(crate) topic_alias_max: u16,
    pub(crate) request_problem_info: bool,
    pub(crate) request_response_info: bool,
    /// Enhanced authentication is not offered; a method is answered 0x8C.
    pub(crate) has_auth_method: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) delay_secs: u32,
    pub(crate) properties: Properties,
}
