//! The limits and times of the cluster port, with their defaults.

use std::time::Duration;

/// Limits and times of the cluster port. All have defaults that suit a local network.
#[derive(Debug, Clone, PartialEq)]
pub struct PortTuning {
    /// Longest wait for a TCP connection. Default: 3 s.
    pub connect_timeout: Duration,
    /// TLS and handshake together, on both sides. Default: 5 s.
    pub handshake_timeout: Duration,
    /// Pause between two pings. Default: 1 s.
    pub ping_every: Duration,
    /// A connection without a byte for so long is dead. Default: 3 s.
    pub dead_after: Duration,
    /// First pause before dialling again; doubles, with jitter. Default: 50 ms.
    pub backoff_min: Duration,
    /// Longest pause before dialling again. Default: 1 s.
    pub backoff_max: Duration,
    /// Connections whose handshake has not ended; the oldest gives way. Default: 256.
    pub pending_max: u32,
    /// Connections past the handshake. Default: 4,096.
    pub established_max: u32,
    /// Largest frame, both ways; never above [`crate::FRAME_BYTES_MAX`]. Default: 16 MiB.
    pub frame_bytes_max: u32,
    /// Frames waiting to be written or taken, per connection and direction. Default: 1,024.
    pub queue_frames_max: u32,
    /// Bytes waiting to be written or taken, per connection and direction. Default: 16 MiB.
    pub queue_bytes_max: u32,
    /// Frames up to this size overtake larger ones on request streams. Default: 32 KiB.
    pub small_frame_bytes_max: u32,
    /// Raft requests in work per connection; more are answered "overloaded". Default: 256.
    pub raft_requests_max: u32,
    /// Queries (and joins) in work per connection. Default: 64.
    pub query_requests_max: u32,
}

impl Default for PortTuning {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(5),
            ping_every: Duration::from_secs(1),
            dead_after: Duration::from_secs(3),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            pending_max: 256,
            established_max: 4_096,
            frame_bytes_max: crate::FRAME_BYTES_MAX,
            queue_frames_max: 1_024,
            queue_bytes_max: 16 * 1024 * 1024,
            small_frame_bytes_max: 32 * 1024,
            raft_requests_max: 256,
            query_requests_max: 64,
        }
    }
}
