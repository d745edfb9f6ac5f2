//! What travels on a link: control operations and message records (2.4, 2.6).
//!
//! Decides which terms are valid messages and how ours are written. Leaves to the machines what
//! an operation means for their state.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod batch;
mod control;
mod headers;
mod record;
#[cfg(test)]
mod tests;

pub use batch::{BATCH_ENTRIES_MAX, BatchLimits, Batches};
pub(crate) use batch::{encode as encode_batch, entry_bytes};
pub use control::{ActorInit, ActorInitAck, ControlOp, Heartbeat, InitResult, RouteBatch};
pub use headers::{MessageProperties, Publisher};
pub use record::{MessageRecord, Qos, Sender};

use crate::term::TermError;
use std::sync::Arc;

/// Version of the link protocol that we speak (key 14).
pub const PROTOCOL_VERSION: i64 = 1;
/// Most entries of one route batch that we accept (K2).
pub const BATCH_ENTRIES_ACCEPTED_MAX: usize = 10_000;
/// Longest actor name that we accept, in bytes: a node name, or `ps-routes-v1`.
pub const ACTOR_BYTES_MAX: usize = 512;

/// A decoded message and what was odd about its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<T> {
    pub message: T,
    /// Bytes after the term: ignored, but worth a warning (W-52).
    pub trailing_bytes: usize,
}

/// One entry of the replicated routes: the filter wanted, and the id that says why (2.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// Intersection of the subscription with the link's topics.
    pub filter: Arc<str>,
    /// Opaque for the upstream.
    pub id: Arc<str>,
}

impl RouteKey {
    pub fn new(filter: &str, id: &str) -> RouteKey {
        RouteKey { filter: filter.into(), id: id.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteAction {
    Add,
    Delete,
}

/// One route operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteOp {
    pub action: RouteAction,
    pub key: RouteKey,
}

impl RouteOp {
    pub fn add(filter: &str, id: &str) -> RouteOp {
        RouteOp { action: RouteAction::Add, key: RouteKey::new(filter, id) }
    }

    pub fn delete(filter: &str, id: &str) -> RouteOp {
        RouteOp { action: RouteAction::Delete, key: RouteKey::new(filter, id) }
    }
}

/// Why a payload is not a valid message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("the payload is not an acceptable term")]
    Term(#[from] TermError),
    #[error("the payload is not a map")]
    NotAMap,
    #[error("the operation is missing or not text")]
    NoOperation,
    #[error("operation {0:?} is not known")]
    UnknownOperation(String),
    #[error("field {0} is missing or has the wrong type")]
    BadField(&'static str),
    #[error("a route entry is malformed")]
    BadRoute,
    #[error("a batch has more than {BATCH_ENTRIES_ACCEPTED_MAX} routes")]
    TooManyRoutes,
    #[error("the payload is not a message record")]
    NotARecord,
}
