use std::{net::SocketAddr, sync::Arc};

use crate::ProtocolVersion;

/// What else is known of the client that published; for rules, traces and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// The name it logged in with.
    pub username: Option<Arc<str>>,
    /// Where it connected from.
    pub peer: Option<SocketAddr>,
    /// What it speaks.
    pub version: ProtocolVersion,
}
