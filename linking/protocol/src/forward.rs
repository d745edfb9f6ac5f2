//! One forwarding connection: what is sent when, what an answer means (2.6).
//!
//! Decides the in-flight window, the order of first sends and of re-sends, the meaning of reason
//! codes (W-33), the watchdog (C-13) and reconnects. The buffer is the source of truth; the shell
//! reads it when asked and trims it when told.
//!
//! *Invariants*: items leave in sequence order; a re-send starts at the oldest unacknowledged item;
//! an item is settled exactly once; the window is never larger than the remote allows.

mod dispatch;
mod machine;
#[cfg(test)]
mod tests;

pub use dispatch::{Lanes, lane_hash};
pub use machine::Forwarder;

use crate::message::Qos;
use crate::reason::Reason;
use bytes::Bytes;
use std::fmt;
use std::time::{Duration, Instant};

/// Pause between two attempts before jitter: with +10 % still below 1 s (LINK-SPEC 0.1).
pub const RETRY_BASE: Duration = Duration::from_millis(900);
/// Shortest patience of the watchdog (C-13).
pub const WATCHDOG_MIN: Duration = Duration::from_secs(30);
/// TCP, TLS, CONNECT and CONNACK together.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardSettings {
    /// `max_inflight` of the link; 0 means 1.
    pub max_inflight: u16,
    /// `retry_interval` of the link, for the watchdog.
    pub retry_interval: Duration,
    /// Topic of the carrier, for the packet size.
    pub topic: String,
}

/// One buffered message, encoded. `Debug` shows the size of the payload only.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// Grows with the order of publishing.
    pub seq: u64,
    /// QoS of the message; the carrier's is at most 1 (W-32).
    pub qos: Qos,
    pub payload: Bytes,
    /// When it is too old to be sent; `None` = never.
    pub expires_at: Option<Instant>,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("seq", &self.seq)
            .field("qos", &self.qos)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Tick,
    /// CONNACK 0.
    Connected {
        receive_maximum: Option<u16>,
        maximum_packet_size: Option<u32>,
    },
    /// The attempt failed, or the connection is gone.
    Lost(Reason),
    /// The buffer has items that were not fetched.
    Available,
    /// Answer to [`Command::Fetch`], in order; empty when there is nothing.
    Fetched(Vec<Item>),
    /// PUBACK, or PUBREC, of an item.
    Ack {
        seq: u64,
        code: u8,
    },
    /// Buffer, do not send.
    Pause,
    Resume,
    Stop,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Connect {
        attempt: u64,
    },
    /// Read up to `count` items after the last fetched one.
    Fetch {
        count: usize,
    },
    /// Send one item; `resend` when it was sent before.
    Publish {
        item: Item,
        carrier_qos: Qos,
        resend: bool,
    },
    /// This item is done, count it.
    Settle {
        seq: u64,
        outcome: Outcome,
    },
    /// Every item below this sequence number is done and can leave the buffer.
    Trim {
        below: u64,
    },
    Close,
    Report {
        state: ConnectionState,
        reason: Option<Reason>,
        loud: bool,
    },
}

/// How an item ended (W-33, R-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    /// The remote refused it with this code.
    Failed {
        code: u8,
    },
    /// Larger than the remote accepts; never sent.
    TooLarge,
    Expired,
}

/// State of one connection of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    Connecting,
    Connected,
    Disconnected,
    Stopped,
}

/// Counters of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardCounters {
    pub success: u64,
    pub failed: u64,
    pub expired: u64,
    pub retried: u64,
    pub late_reply: u64,
    pub bytes: u64,
    pub reconnects: u64,
}
