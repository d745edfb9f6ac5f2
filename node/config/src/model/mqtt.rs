//! MQTT rules, sessions and retained messages.

use std::time::Duration;

use crate::declare::{choice, settings};
use crate::types::{ByteSize, OrDisabled, OrInfinity};

choice! {
    /// How a member of a shared group is picked.
    pub enum SharedStrategy {
        Random = "random",
        RoundRobin = "round_robin",
        RoundRobinPerGroup = "round_robin_per_group",
        Local = "local",
        Sticky = "sticky",
        HashClientid = "hash_clientid",
        HashTopic = "hash_topic",
    }
}

choice! {
    /// Where listeners with TLS take the user name from.
    pub enum PeerCertAsUsername {
        Disabled = "disabled",
        Cn = "cn",
        Dn = "dn",
    }
}

settings! {
    /// Rules of the MQTT protocol and of sessions.
    pub struct MqttConfig {
        /// Time until the CONNECT must have come (SECURITY L2).
        "idle_timeout" => idle_timeout: Duration = Duration::from_secs(5)
            => Duration::from_millis(100)..=Duration::from_secs(600),
        /// Largest packet, checked on its fixed header (SECURITY L1).
        "max_packet_size" => max_packet_size: ByteSize = ByteSize(1 << 20)
            => ByteSize(64)..=ByteSize(268_435_455),
        /// User name from the client's certificate, on listeners with `verify = verify_peer`: its
        /// common name (cn), its whole subject (dn, `O=Works, CN=sensor-7`), or as CONNECT says.
        "peer_cert_as_username" => peer_cert_as_username: PeerCertAsUsername =
            PeerCertAsUsername::Disabled,
        /// Longest client id, in bytes.
        "max_clientid_len" => max_clientid_len_bytes: u32 = 65_535 => 23..=65_535,
        /// Most levels of a topic or filter.
        "max_topic_levels" => max_topic_levels: u32 = 128 => 1..=65_535,
        /// Most topic aliases of a client.
        "max_topic_alias" => max_topic_alias: u16 = 64 => 0..=65_535,
        /// Highest QoS that clients may publish with (0x9B) and are granted.
        "max_qos_allowed" => max_qos_allowed: u8 = 2 => 0..=2,
        /// Unacknowledged QoS 1/2 messages per session and direction, also the Receive Maximum.
        "max_inflight" => max_inflight: u16 = 32 => 1..=65_535,
        /// Messages that wait in memory per session (SECURITY L8).
        "max_mqueue_len" => max_mqueue_len: OrInfinity<u32> = OrInfinity::Finite(1_000),
        /// Whether QoS 0 messages wait for a client that is away.
        "mqueue_store_qos0" => mqueue_store_qos0: bool = true,
        /// Most filters of one session.
        "max_subscriptions" => max_subscriptions: OrInfinity<u32> = OrInfinity::Finite(10_000),
        /// QoS 2 ids that a client may leave unreleased; one more PUBLISH is refused (0x97; 3.1.1: closed).
        "max_awaiting_rel" => max_awaiting_rel: u32 = 100 => 1..=65_535,
        /// Time after which the QoS 2 id that a connected client does not release is forgotten.
        "await_rel_timeout" => await_rel_timeout: Duration = Duration::from_secs(300)
            => Duration::from_secs(1)..=Duration::from_secs(86_400),
        /// Whether retained messages are accepted; others end the connection (0x9A).
        "retain_available" => retain_available: bool = true,
        /// Whether filters may hold wildcards (SUBACK 0xA2).
        "wildcard_subscription" => wildcard_subscription: bool = true,
        /// Whether `$share/…` is accepted (SUBACK 0x9E).
        "shared_subscription" => shared_subscription: bool = true,
        /// How a member of a shared group is picked.
        "shared_subscription_strategy" => shared_subscription_strategy: SharedStrategy =
            SharedStrategy::RoundRobin,
        /// Expiry of sessions of MQTT 3.1.1 clients without clean session.
        "session_expiry_interval" => session_expiry_interval: Duration = Duration::from_secs(7_200),
        /// Life of a message whose publisher names none; infinity = as long as `limits.message_expiry`.
        "message_expiry_interval" => message_expiry_interval: OrInfinity<Duration> =
            OrInfinity::Infinity,
        /// Keep-alive in seconds that v5 clients are told; disabled = the client's own.
        "server_keepalive" => server_keepalive_s: OrDisabled<u16> = OrDisabled::Disabled,
        /// Silence, in keep-alives, after which a client counts as gone.
        "keepalive_multiplier" => keepalive_multiplier: f64 = 1.5 => 1.0..=10.0,
        /// Whether a 3.1.1 client does not get what it published itself (v5 has No Local).
        "ignore_loop_deliver" => ignore_loop_deliver: bool = false,
        /// Response Information for v5 clients that ask for it; empty = none.
        "response_information" => response_information: String = String::new(),
    }
}

choice! {
    /// What becomes of the queue of a persistent session whose node is gone.
    pub enum OrphanMode {
        /// The client goes on elsewhere; the old queue follows when the node returns.
        Resume = "resume",
        /// The client is refused until the node returns.
        Refuse = "refuse",
    }
}

settings! {
    /// What becomes of sessions when their node is gone.
    pub struct SessionConfig {
        /// resume or refuse; refused clients get CONNACK 0x88.
        "orphan" => orphan: OrphanMode = OrphanMode::Resume,
    }
}

settings! {
    /// Retained messages.
    pub struct RetainerConfig {
        /// Off = retained messages are delivered but neither stored nor sent to new subscribers.
        "enable" => enable: bool = true,
        /// Life of a retained message without its own expiry; 0s = for ever.
        "msg_expiry_interval" => msg_expiry_interval: Duration = Duration::ZERO,
        /// Pause between two clean-ups of expired messages.
        "msg_clear_interval" => msg_clear_interval: Duration = Duration::from_secs(60)
            => Duration::from_secs(1)..=Duration::from_secs(86_400),
        /// Largest payload that is retained.
        "max_payload_size" => max_payload_size: ByteSize = ByteSize(1 << 20),
        /// Whether the empty message that deletes a retained one is hidden from subscribers.
        "stop_publish_clear_msg" => stop_publish_clear_msg: bool = false,
        /// Limits of the store.
        "backend" => backend: RetainerBackendConfig = RetainerBackendConfig::default(),
    }
}

settings! {
    /// The node's own numbers below `$SYS/brokers/NODE/`; kept for late subscribers.
    pub struct SysTopicsConfig {
        /// Pause between two publications; states of links are also published when they change.
        /// 0s = no `$SYS` topics.
        "sys_msg_interval" => sys_msg_interval: Duration = Duration::from_secs(60)
            => Duration::ZERO..=Duration::from_secs(86_400),
    }
}

settings! {
    /// Limits of the retained store.
    pub struct RetainerBackendConfig {
        /// Most retained messages.
        "max_retained_messages" => max_retained_messages: u64 = 1_000_000,
        /// Most bytes of retained messages.
        "max_retained_bytes" => max_retained_bytes: ByteSize = ByteSize(1 << 30),
    }
}
