//! Who asks, and for what.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What rules may ask about a connected client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    pub client_id: Arc<str>,
    pub username: Option<Arc<str>>,
    pub peer_ip: IpAddr,
    /// Of a verified client certificate.
    pub cert_common_name: Option<Arc<str>>,
    pub client_attrs: BTreeMap<String, String>,
    /// Name of the listener, such as `tcp:default`.
    pub listener: Arc<str>,
    pub zone: Arc<str>,
    /// A superuser is asked nothing.
    pub is_superuser: bool,
}

/// What a client wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Publish { qos: u8, retain: bool },
    Subscribe { qos: u8 },
}
