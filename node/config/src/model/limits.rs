//! Limits that protect the node (SECURITY-REQUIREMENTS L4–L10).

use std::time::Duration;

use crate::declare::{choice, settings};
use crate::types::{ByteSize, OrInfinity};

choice! {
    /// What gives way when the queue of a session is full.
    pub enum SessionOverflow {
        DropOldest = "drop_oldest",
        DropNewest = "drop_newest",
    }
}

settings! {
    /// Limits that protect the node. Those that EMQX has are under `mqtt` and `retainer`.
    pub struct LimitsConfig {
        /// Connections over all listeners; infinity = descriptor limit − 256.
        "max_connections" => max_connections: OrInfinity<u32> = OrInfinity::Infinity,
        /// Connections that have not yet been authenticated.
        "pending_connections" => pending_connections: u32 = 4_096 => 1..=u32::MAX,
        /// Connections from one address.
        "connections_per_address" => connections_per_address: OrInfinity<u32> = OrInfinity::Infinity,
        /// Connections accepted per second over all listeners; further ones wait in the backlog.
        "accept_rate" => accept_per_second: OrInfinity<u32> = OrInfinity::Infinity
            => OrInfinity::Finite(1)..=OrInfinity::Infinity,
        /// Silence after which a client with keep-alive 0 is closed.
        "idle_connection" => idle_connection: Duration = Duration::from_secs(86_400),
        /// Longest topic or filter, in bytes.
        "topic_bytes" => topic_bytes: u32 = 65_535 => 1..=65_535,
        /// Filters in one SUBSCRIBE.
        "filters_per_subscribe" => filters_per_subscribe: u32 = 1_000 => 1..=65_535,
        /// Unsent bytes in memory per session.
        "session_memory_bytes" => session_memory: ByteSize = ByteSize(8 << 20),
        /// Unsent messages in the store per persistent session.
        "session_stored_messages" => session_stored_messages: u32 = 100_000,
        /// Unsent bytes in the store per persistent session.
        "session_stored_bytes" => session_stored: ByteSize = ByteSize(64 << 20),
        /// What gives way when these are full: drop_newest (a persistent session refuses QoS 1/2, and
        /// the publisher hears it: 0x97) or drop_oldest (what was acknowledged may be lost).
        "session_overflow" => session_overflow: SessionOverflow = SessionOverflow::DropNewest,
        /// Largest will payload.
        "will_bytes" => will: ByteSize = ByteSize(64 << 10),
        /// Longest session expiry that clients may ask for.
        "session_expiry" => session_expiry: Duration = Duration::from_secs(7 * 86_400),
        /// Longest message expiry; longer ones are cut to this.
        "message_expiry" => message_expiry: Duration = Duration::from_secs(7 * 86_400),
        /// Unsent bytes per connection; then QoS 0 is dropped, then the client (SECURITY L9).
        "output_buffer_bytes" => output_buffer: ByteSize = ByteSize(1 << 20),
        /// Memory for the node; infinity = that of the machine or container.
        "memory_bytes" => memory: OrInfinity<ByteSize> = OrInfinity::Infinity,
        /// Percent of that memory above which new work is refused (SECURITY L10).
        "memory_high_percent" => memory_high_percent: u8 = 75 => 1..=100,
        /// Bytes of messages waiting for an unreachable member, in memory and, for QoS 1/2, on disk;
        /// then QoS 1/2 is refused (0x97).
        "peer_spool_bytes" => peer_spool: ByteSize = ByteSize(64 << 20)
            => ByteSize(1 << 20)..=ByteSize(64 << 30),
    }
}
