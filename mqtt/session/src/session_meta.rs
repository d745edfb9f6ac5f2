use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::SessionExpiry;

/// What is known of a session besides its subscriptions and messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMeta {
    /// Grows with each take-over in the cluster; a session with a lower one is void.
    pub epoch: u64,
    /// The principal that made it; only the same may take it over (A6). `None`: anonymous.
    pub owner: Option<Arc<str>>,
    /// How long it stays after its connection ended.
    pub expiry: SessionExpiry,
    /// Wall clock when its connection ended, in milliseconds since 1970; `None` while connected.
    pub offline_since_ms: Option<u64>,
}
