//! Questions about clients and their answers, as plain values for REST.

use std::net::SocketAddr;
use std::sync::Arc;

use spanmq_session::ProtocolVersion;

/// Which clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientQuery {
    /// Only this client id.
    pub client_id: Option<Arc<str>>,
    /// Only this user name.
    pub username: Option<Arc<str>>,
    /// Only those connected (true) or not (false).
    pub connected: Option<bool>,
    /// At most so many, 0 = all.
    pub limit: usize,
}

/// One client or its waiting session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Client id.
    pub client_id: Arc<str>,
    /// User name.
    pub username: Option<Arc<str>>,
    /// Address, while connected.
    pub peer: Option<SocketAddr>,
    /// Listener, while connected.
    pub listener: Option<Arc<str>>,
    /// Version, while connected.
    pub version: Option<ProtocolVersion>,
    /// Whether it is connected.
    pub connected: bool,
    /// Wall clock of the present connection's CONNECT, in milliseconds since 1970.
    pub connected_at_ms: Option<u64>,
    /// Granted keep-alive in seconds.
    pub keep_alive_s: u16,
    /// Session expiry in seconds; `u32::MAX` = never.
    pub session_expiry_s: u32,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Messages waiting in memory.
    pub inbox_messages: usize,
    /// Messages waiting in the store.
    pub spilled_messages: usize,
    /// QoS 1/2 messages on their way to it.
    pub in_flight: usize,
    /// Epoch of the session (ARCHITECTURE §4).
    pub epoch: u64,
}

/// Which subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionQuery {
    /// Only of this client.
    pub client_id: Option<Arc<str>>,
    /// Only with this filter, as the client wrote it.
    pub filter: Option<Arc<str>>,
    /// At most so many, 0 = all.
    pub limit: usize,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// Whose.
    pub client_id: Arc<str>,
    /// The filter with its `$share/…`.
    pub filter: String,
    /// Highest QoS.
    pub qos: u8,
    /// Option "no local".
    pub no_local: bool,
    /// Option "retain as published".
    pub retain_as_published: bool,
    /// Subscription identifier.
    pub id: Option<u32>,
}
