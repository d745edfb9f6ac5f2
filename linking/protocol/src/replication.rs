//! The downstream half of route replication: one actor tells the remote which filters are wanted.
//!
//! Decides when to connect, introduce itself, bootstrap, send changes and heartbeats (W-7,
//! W-20…W-26). Leaves sockets, timers, the set of local routes ([`crate::interest`]) and the
//! persistence of incarnations to the shell.
//!
//! *Invariants*: at most one route batch is unacknowledged; a delete is forgotten only when it was
//! acknowledged or a new incarnation replaced it; outside of an accepted handshake no route leaves.

mod bootstrap;
mod machine;
mod state;
mod syncer;
#[cfg(test)]
mod tests;

pub use machine::Replication;
pub use syncer::Syncer;

use crate::message::{RouteKey, RouteOp};
use crate::reason::Reason;
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// Heartbeat period (2.9), also the age of the last acknowledged traffic that forces a bootstrap.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// TCP, TLS, CONNECT and CONNACK together (W-5).
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// SUBACK, then the handshake answer and its PUBACK (W-20).
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// PUBACK of one route batch.
pub const BATCH_ACK_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two attempts before jitter, from start to start: with +10 % still below 5 s.
pub const RETRY_BASE: Duration = Duration::from_millis(4_500);
/// Default of `links.resync_interval` (8.2).
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(600);
/// Keys that may wait for the remote; past this the actor starts over (W-23).
pub const PENDING_KEYS_MAX: usize = 1_000_000;

/// What one actor of one link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationSettings {
    /// Name of this cluster.
    pub local_cluster: String,
    /// Name of the remote cluster, the target of the handshake.
    pub remote_cluster: String,
    /// Node name, or [`PERSISTENT_ACTOR`].
    pub actor: String,
    /// Period of a harmless re-bootstrap; `None` = off.
    pub resync_interval: Option<Duration>,
    /// Period of heartbeats: a third of the remote's TTL. Default: [`HEARTBEAT_INTERVAL`].
    pub heartbeat_interval: Duration,
    /// Limit of the change map. Default: [`PENDING_KEYS_MAX`].
    pub pending_keys_max: usize,
}

/// The actor of durable sessions (W-12).
pub const PERSISTENT_ACTOR: &str = "ps-routes-v1";

/// Names a packet that the machine waits for; the shell returns it with the acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketToken(pub u64);

/// What happened. Events of an older connection must not be fed after `Connect` was commanded
/// again; the shell drops them by the attempt number.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A deadline passed, see [`Replication::next_deadline`].
    Tick,
    /// CONNACK 0 arrived.
    Connected { maximum_packet_size: Option<u32> },
    /// SUBACK with its reason code; 0x80 and more are refusals.
    SubAck { code: u8 },
    /// PUBACK of a packet.
    PubAck { token: PacketToken, code: u8 },
    /// A PUBLISH on our answer topic.
    Answer { correlation_data: Bytes, payload: Bytes },
    /// The connection attempt failed, or the connection is gone.
    Lost(Reason),
    /// Local routes changed.
    Routes(Vec<RouteOp>),
    /// The set asked for with [`Command::TakeSnapshot`].
    Snapshot(Vec<RouteKey>),
    /// The incarnation asked for with [`Command::RenewIncarnation`].
    Incarnation(u64),
    /// The link is paused, disabled or deleted; nothing follows but `Close`.
    Stop,
}

/// What to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Open a new connection; the attempt number grows with each.
    Connect {
        attempt: u64,
    },
    /// SUBSCRIBE, QoS 1.
    Subscribe {
        topic: String,
    },
    Publish(Packet),
    /// Answer with [`Event::Snapshot`] of the current local routes, before any later change.
    TakeSnapshot,
    /// Answer with [`Event::Incarnation`]: max(now, last used + 1), persisted first (W-11).
    RenewIncarnation,
    /// Close the connection.
    Close,
    /// The phase or its reason changed. `loud` false: log at debug level, it repeats itself.
    Report {
        phase: Phase,
        reason: Option<Reason>,
        loud: bool,
    },
}

/// A PUBLISH to the route topic. `Debug` shows the size of the payload only.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// `None` for QoS 0, which has no acknowledgement.
    pub token: Option<PacketToken>,
    pub topic: String,
    pub payload: Bytes,
    /// Response-Topic and Correlation-Data.
    pub answer: Option<(String, String)>,
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("token", &self.token)
            .field("topic", &self.topic)
            .field("payload_bytes", &self.payload.len())
            .field("answer", &self.answer)
            .finish()
    }
}

/// Where the actor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Connecting,
    Handshaking,
    Bootstrapping,
    Online,
    /// The remote answered and said no.
    Rejected,
    Disconnected,
    Disabled,
}

impl Phase {
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Connecting => "connecting",
            Phase::Handshaking => "handshaking",
            Phase::Bootstrapping => "bootstrapping",
            Phase::Online => "online",
            Phase::Rejected => "rejected",
            Phase::Disconnected => "disconnected",
            Phase::Disabled => "disabled",
        }
    }
}

/// Counters of one actor. `pending` is a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplicationCounters {
    pub sent_adds: u64,
    pub sent_deletes: u64,
    pub batches: u64,
    pub bootstraps: u64,
    pub last_bootstrap_ms: u64,
    pub pending: u64,
}
