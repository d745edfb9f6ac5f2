//! One link, checked (1.1).

use super::{BufferConfig, ResourceOpts, Secret, Servers, Span, SslConfig, TcpOpts, TopicList};
use crate::binding::InboundRule;

/// A valid link. Made by [`super::parse_create`], [`super::parse_update`] or
/// [`super::parse_stored`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// Name of the link and of the remote cluster.
    pub name: String,
    /// Default: true.
    pub enable: bool,
    pub server: Servers,
    /// Prefix of all client ids (W-4). Default: name of this cluster.
    pub clientid: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ssl: SslConfig,
    /// What this cluster wants to receive; empty = nothing.
    pub topics: TopicList,
    /// Forwarding connections per node. Default: 8.
    pub pool_size: u32,
    /// Default: 15 s. Used as C-13 says.
    pub retry_interval: Span,
    /// Unacknowledged messages per forwarding connection; 0 works as 1. Default: 32.
    pub max_inflight: u32,
    pub tcp_opts: Option<TcpOpts>,
    pub resource_opts: ResourceOpts,
    pub buffer: BufferConfig,
    /// Who may speak for the remote.
    pub inbound: InboundRule,
    /// Send the publisher's address along (W-55). Default: true.
    pub share_client_address: bool,
    /// Incarnation of the durable actor (C-12). Kept by the server.
    pub ps_actor_incarnation: u64,
}

impl LinkConfig {
    /// The window of one forwarding connection before the remote's own limit.
    pub fn effective_inflight(&self) -> u16 {
        u16::try_from(self.max_inflight).unwrap_or(u16::MAX).max(1)
    }
}
