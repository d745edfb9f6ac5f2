//! Socket options, health checks and buffers (1.1 `tcp_opts`, 1.3, LINK-SPEC 0.1 "Buffers").

use super::{ByteSize, DurationOrInfinity, Span};

/// Unset = the system's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TcpOpts {
    /// Accepted and ignored.
    pub active_n: Option<u32>,
    pub nodelay: Option<bool>,
    pub sndbuf: Option<ByteSize>,
    pub recbuf: Option<ByteSize>,
    pub buffer: Option<ByteSize>,
    pub keepalive: Option<bool>,
    pub delay_send: Option<bool>,
}

/// `resource_opts`. `request_ttl` and `max_buffer_bytes` live in [`BufferConfig`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceOpts {
    /// Buffer lanes per node and link, 1…1024. Default: 16.
    pub worker_pool_size: u32,
    pub dispatch_strategy: DispatchStrategy,
    /// Period of the status probe, 1 ms…1 h. Default: 15 s.
    pub health_check_interval: Span,
    /// Default: 0.
    pub health_check_interval_jitter: Span,
    /// Default: 60 s.
    pub health_check_timeout: DurationOrInfinity,
    /// How long create and update wait for the pool. Default: 5 s.
    pub start_timeout: Span,
    /// Unacknowledged messages per lane. Default: 100.
    pub inflight_window: u32,
    /// Accepted and shown; what counts is [`BufferConfig::mode`].
    pub buffer_mode: HopBufferMode,
    /// Hidden fields, accepted and stored.
    pub buffer_seg_bytes: Option<ByteSize>,
    pub resume_interval: Option<Span>,
    pub metrics_flush_interval: Option<Span>,
}

impl Default for ResourceOpts {
    fn default() -> Self {
        ResourceOpts {
            worker_pool_size: 16,
            dispatch_strategy: DispatchStrategy::PerClientId,
            health_check_interval: Span::from_ms(15_000),
            health_check_interval_jitter: Span::from_ms(0),
            health_check_timeout: DurationOrInfinity::Finite(Span::from_ms(60_000)),
            start_timeout: Span::from_ms(5_000),
            inflight_window: 100,
            buffer_mode: HopBufferMode::MemoryOnly,
            buffer_seg_bytes: None,
            resume_interval: None,
            metrics_flush_interval: None,
        }
    }
}

/// W-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchStrategy {
    PerClientId,
    Random,
}

/// `resource_opts.buffer_mode` of EMQX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopBufferMode {
    MemoryOnly,
    VolatileOffload,
}

/// Messages that wait for the remote, per link and node (LINK-SPEC 0.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferConfig {
    /// Default: disk.
    pub mode: BufferMode,
    /// Default: 1 GB. `resource_opts.max_buffer_bytes` sets it too.
    pub disk_max_bytes: ByteSize,
    /// Default: 64 MB.
    pub memory_max_bytes: ByteSize,
    /// Default: infinity. `resource_opts.request_ttl` sets it too.
    pub max_age: DurationOrInfinity,
    /// Default: drop the oldest.
    pub overflow: Overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferMode {
    Disk,
    Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    DropOldest,
    DropNewest,
    /// QoS 1 and 2 get 0x97; for 3.1.1 no acknowledgement.
    RejectQos1,
}

impl Default for BufferConfig {
    fn default() -> Self {
        BufferConfig {
            mode: BufferMode::Disk,
            disk_max_bytes: ByteSize::from_bytes(1 << 30),
            memory_max_bytes: ByteSize::from_bytes(64 << 20),
            max_age: DurationOrInfinity::Infinity,
            overflow: Overflow::DropOldest,
        }
    }
}
