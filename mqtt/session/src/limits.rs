use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds in the default cap of every expiry.
const WEEK_S: u32 = 7 * 24 * 60 * 60;
const MIB: u64 = 1024 * 1024;

/// What gives way when the queue of a session is full (L8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overflow {
    /// The new message. Of QoS 1 and 2 the publisher hears it from a persistent session, so that
    /// what was acknowledged stays.
    DropNewest,
    /// The message that waits longest, acknowledged or not. Shared messages go to another member
    /// instead, as long as one has room.
    DropOldest,
}

/// All limits on topics, sessions, retained messages and output (L6–L9 of the security page).
///
/// Every hit is counted by its reason. Bytes of queues are [`crate::Message::weight`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a topic name or filter, 1–65,535. Default: 65,535.
    pub topic_bytes_max: u16,
    /// Levels of a topic name or filter, 1–65,535. Default: 128.
    pub topic_levels_max: u16,
    /// Subscriptions of one session, ≥ 1; one more is answered 0x97. Default: 10,000.
    pub filters_per_session_max: u32,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE, ≥ 1. Default: 1,000.
    pub filters_per_subscribe_max: u32,
    /// Topic aliases per connection and direction; 0 turns them off. Default: 64.
    pub topic_aliases_max: u16,
    /// Unfinished QoS 1 and 2 PUBLISH that a v5 client may have, told to it in CONNACK;
    /// one more ends the connection (0x93). 1–65,535. Default: 32.
    pub receive_max: u16,
    /// The same for 3.1.1, which cannot be told: one more closes. 1–65,535. Default: 1,000.
    pub receive_v3_max: u16,
    /// QoS 2 ids of a client whose PUBREL has not come; one more PUBLISH is refused (0x97; 3.1.1:
    /// the connection ends). 1–65,535. Default: 100.
    pub awaiting_release_max: u32,
    /// How long a connected client may leave such an id, which is forgotten then. Default: 5 min.
    pub awaiting_release_time: Duration,
    /// Unacknowledged QoS 1 and 2 PUBLISH towards one client, also bounded by the client's own
    /// receive maximum. 1–65,535. Default: 100.
    pub in_flight_max: u16,
    /// Messages waiting in memory per session and class (QoS 0; QoS 1 and 2 together), ≥ 1.
    /// Default: 1,000.
    pub inbox_messages_max: u32,
    /// Bytes of all messages waiting in memory per session. Default: 8 MiB.
    pub inbox_bytes_max: u64,
    /// Messages of a persistent session that wait in the store after memory is full; 0 turns
    /// spilling off. Default: 100,000.
    pub spill_messages_max: u32,
    /// Bytes of these. Default: 64 MiB.
    pub spill_bytes_max: u64,
    /// What gives way when these are full. Default: the newest.
    pub overflow: Overflow,
    /// Whether QoS 0 messages wait (in memory) for a persistent session that is offline.
    /// Default: no [MQTT 5.0 §3.1.2.11.2 leaves the choice].
    pub store_offline_qos0: bool,
    /// Retained messages in all. Default: 1,000,000.
    pub retained_messages_max: u32,
    /// Bytes of all retained messages. Default: 1 GiB.
    pub retained_bytes_max: u64,
    /// Bytes of one retained message. Default: 1 MiB.
    pub retained_message_bytes_max: u32,
    /// Payload bytes of a will. Default: 64 KiB.
    pub will_bytes_max: u32,
    /// Seconds a session may stay after its connection ended; longer wishes are cut to it, also
    /// "never". `None`: no cap, and 3.1.1 clean=false means never. Default: 7 days.
    pub session_expiry_max_s: Option<u32>,
    /// Seconds a message may wait in a session, with or without an expiry of its own.
    /// `None`: no cap. Default: 7 days.
    pub message_expiry_max_s: Option<u32>,
    /// Seconds a will may be delayed. Default: 7 days.
    pub will_delay_max_s: u32,
    /// Bytes in the output buffer of one connection; above it nothing more is pumped. Default: 1 MiB.
    pub output_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            topic_bytes_max: u16::MAX,
            topic_levels_max: 128,
            filters_per_session_max: 10_000,
            filters_per_subscribe_max: 1_000,
            topic_aliases_max: 64,
            receive_max: 32,
            receive_v3_max: 1_000,
            awaiting_release_max: 100,
            awaiting_release_time: Duration::from_secs(5 * 60),
            in_flight_max: 100,
            inbox_messages_max: 1_000,
            inbox_bytes_max: 8 * MIB,
            spill_messages_max: 100_000,
            spill_bytes_max: 64 * MIB,
            overflow: Overflow::DropNewest,
            store_offline_qos0: false,
            retained_messages_max: 1_000_000,
            retained_bytes_max: 1024 * MIB,
            retained_message_bytes_max: 1024 * 1024,
            will_bytes_max: 64 * 1024,
            session_expiry_max_s: Some(WEEK_S),
            message_expiry_max_s: Some(WEEK_S),
            will_delay_max_s: WEEK_S,
            output_bytes_max: MIB,
        }
    }
}
