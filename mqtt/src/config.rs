//! Settings of listeners and connections. Plain values; parsing is `node/config`'s.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spanmq_session::{Limits, SharedStrategy};

use crate::rules::ClientRules;

/// Everything the broker is started with.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Where clients connect.
    pub listeners: Vec<ListenerConfig>,
    /// Worker threads. Default: the number of cores.
    pub workers: usize,
    /// Limits of topics, sessions and queues.
    pub limits: Limits,
    /// What clients may use of MQTT.
    pub rules: ClientRules,
    /// Limits of connections, for all listeners together.
    pub connections: ConnectionLimits,
    /// Where and how sessions are kept.
    pub store: StoreConfig,
    /// Pause between two rounds of `$SYS` messages; zero turns them off. Default: 60 s.
    pub sys_interval: Duration,
    /// When a SUBACK may leave. Default: [`Visibility::Cluster`].
    pub subscribe_visibility: Visibility,
    /// What becomes of QoS 1/2 publishes without a lease. Default: [`Minority::Available`].
    pub minority: Minority,
    /// What becomes of a persistent session whose node cannot be reached. Default:
    /// [`Orphans::Resume`].
    pub orphans: Orphans,
    /// What a refused publish means to the client. Default: [`DenyAction::Ignore`].
    pub deny_action: DenyAction,
    /// How a member of a shared group is picked. Default: [`SharedStrategy::RoundRobin`].
    pub shared_strategy: SharedStrategy,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            limits: Limits::default(),
            rules: ClientRules::default(),
            connections: ConnectionLimits::default(),
            store: StoreConfig::default(),
            sys_interval: Duration::from_secs(60),
            subscribe_visibility: Visibility::Cluster,
            minority: Minority::Available,
            orphans: Orphans::Resume,
            deny_action: DenyAction::Ignore,
            shared_strategy: SharedStrategy::RoundRobin,
        }
    }
}

/// `cluster.subscribe_visibility` (ARCHITECTURE §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// SUBACK when every member with a lease sees the route.
    Cluster,
    /// SUBACK when this node does.
    Local,
}

/// `cluster.minority` (ARCHITECTURE §4, without quorum).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minority {
    /// After a second they go to all targets of the last known view.
    Available,
    /// After a second they are refused (0x83; 3.1.1: no acknowledgement).
    Strict,
}

/// `session.orphan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// The client goes on here; what waits at the other node follows when it returns.
    Resume,
    /// The client is refused (0x88) until that node is back, or no member any more.
    Refuse,
}

/// `authorization.deny_action` (LINK-SPEC A-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyAction {
    /// QoS 1/2: acknowledged with 0x87; QoS 0: silence.
    Ignore,
    /// DISCONNECT 0x87.
    Disconnect,
}

/// Limits of connections (SECURITY-REQUIREMENTS L4).
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections in all; keep it below the descriptor limit. Default: 1,048,576.
    pub total_max: usize,
    /// Connections that have not been authenticated yet. Default: 4,096.
    pub pending_max: usize,
    /// Connections per address; 0 = off, as fleets sit behind one NAT. Default: 0.
    pub per_address_max: usize,
    /// Connections accepted per second, of all listeners together; further ones wait in the
    /// backlog. 0 = off. Default: 0.
    pub accept_per_second: u32,
    /// Refuse new connections while this returns true: the memory high-water mark (L10).
    pub memory_is_high: MemoryGauge,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total_max: 1_048_576,
            pending_max: 4_096,
            per_address_max: 0,
            accept_per_second: 0,
            memory_is_high: MemoryGauge::default(),
        }
    }
}

/// A switch that whoever watches memory turns on above the high-water mark.
#[derive(Debug, Clone, Default)]
pub struct MemoryGauge(Arc<(std::sync::atomic::AtomicBool, std::sync::atomic::AtomicU64)>);

impl MemoryGauge {
    /// Says whether memory is above its mark; each look at it counts.
    pub fn set(&self, high: bool) {
        self.0.0.store(high, std::sync::atomic::Ordering::Relaxed);
        self.0.1.fetch_add(u64::from(high), std::sync::atomic::Ordering::Relaxed);
    }

    /// How many looks found it above.
    #[must_use]
    pub fn looks_above(&self) -> u64 {
        self.0.1.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether memory is above its mark.
    #[must_use]
    pub fn is_high(&self) -> bool {
        self.0.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// How a listener carries MQTT.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// Plain TCP.
    #[default]
    Tcp,
    /// TLS.
    Tls(TlsConfig),
    /// WebSocket with subprotocol `mqtt`.
    Ws(WsConfig),
    /// WebSocket over TLS.
    Wss(TlsConfig, WsConfig),
}

impl Transport {
    /// `tcp`, `tls`, `ws` or `wss`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls(_) => "tls",
            Self::Ws(_) => "ws",
            Self::Wss(..) => "wss",
        }
    }
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Its name, for logs, metrics and ACL rules `{listener, …}`.
    pub name: Arc<str>,
    /// Where it binds; port 0 takes a free one.
    pub bind: SocketAddr,
    /// TCP, TLS, WebSocket.
    pub transport: Transport,
    /// Largest packet accepted, in bytes, 256–268,435,455. Default: 1 MiB (L1).
    pub packet_bytes_max: u32,
    /// Time for TLS, WebSocket and CONNECT together. Default: 5 s (L2).
    pub connect_timeout: Duration,
    /// Longest keep-alive granted, in seconds; 0 = no cap (L5). Default: 0.
    pub keep_alive_max_s: u16,
    /// Without keep-alive, a silent connection ends after this. Default: 24 h (L5).
    pub idle_timeout: Duration,
    /// Connections on this listener; 0 = only the limit of all. Default: 0.
    pub connections_max: usize,
    /// Where the user name comes from. Default: [`UsernameSource::Connect`].
    pub username_from: UsernameSource,
    /// The `{zone, X}` of ACL rules. Default: `default`.
    pub zone: Arc<str>,
    /// Connections that the system completes before they are accepted; it may have a lower limit.
    /// Default: 4,096.
    pub backlog: u32,
    /// Whether small packets are sent at once. Default: yes.
    pub nodelay: bool,
    /// A proxy in front tells the client's address (PROXY protocol 1 or 2) within this time.
    /// Default: none does.
    pub proxy_timeout: Option<Duration>,
}

impl ListenerConfig {
    /// A listener with all defaults.
    #[must_use]
    pub fn new(name: &str, bind: SocketAddr, transport: Transport) -> Self {
        Self {
            name: name.into(),
            bind,
            transport,
            packet_bytes_max: 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            keep_alive_max_s: 0,
            idle_timeout: Duration::from_secs(24 * 60 * 60),
            connections_max: 0,
            username_from: UsernameSource::Connect,
            zone: "default".into(),
            backlog: 4_096,
            nodelay: true,
            proxy_timeout: None,
        }
    }
}

/// Where a listener takes the user name from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsernameSource {
    /// CONNECT.
    Connect,
    /// Common name of the client certificate; CONNECT's is ignored.
    CertificateCn,
    /// Distinguished name of the client certificate; CONNECT's is ignored.
    CertificateDn,
}

/// Certificates of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Chain in PEM, leaf first.
    pub certificate: PathBuf,
    /// Private key in PEM.
    pub key: PathBuf,
    /// CAs whose client certificates are accepted, in PEM; without it no certificate is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client must show a certificate.
    pub client_required: bool,
    /// Versions that are accepted; at least one.
    pub versions: Vec<TlsVersion>,
    /// Longest time for the handshake.
    pub handshake_timeout: Duration,
}

/// A version of TLS. Older ones are not offered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246).
    V1_2,
    /// 1.3 (RFC 8446).
    V1_3,
}

/// A WebSocket endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WsConfig {
    /// Path of the endpoint. Default: `/mqtt`.
    pub path: String,
    /// Origins, `https://example.org`, whose pages may connect; empty = all. Clients that are no
    /// browsers name none and may connect. Default: all.
    pub allowed_origins: Vec<String>,
    /// Whether a client must ask for the subprotocol `mqtt` [MQTT-6.0.0-3]. Default: yes.
    pub needs_subprotocol: bool,
    /// Bytes of one frame. Default: no limit but that of packets.
    pub frame_bytes_max: Option<u64>,
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            path: "/mqtt".into(),
            allowed_origins: Vec::new(),
            needs_subprotocol: true,
            frame_bytes_max: None,
        }
    }
}

/// When an acknowledged message of a persistent session is safe (CHAOS §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// In memory only.
    Memory,
    /// Written to a file of ours before the answer: survives kill -9 of the node.
    #[default]
    Local,
    /// And synced: survives power loss.
    LocalFsync,
}

/// The session store.
#[derive(Debug, Clone, Default)]
pub struct StoreConfig {
    /// When a message counts as held.
    pub durability: Durability,
    /// Folder of the journal; needed unless `durability` is `memory`.
    pub dir: Option<PathBuf>,
}
