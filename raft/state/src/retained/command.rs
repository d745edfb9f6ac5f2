//! Commands about retained messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Millis, Opaque, Revision};

/// One retained message as the leader saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedRef {
    /// Topic name.
    pub topic: Arc<str>,
    /// A later write has another revision and is left alone.
    pub revision: Revision,
}

/// Changes of the retained messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetainedCommand {
    /// Keeps a message as the topic's value.
    Set {
        /// Topic name.
        topic: Arc<str>,
        /// The encoded message.
        message: Opaque,
        /// When it expires, by the proposer's clock.
        expiry_at_ms: Option<Millis>,
    },
    /// Forgets the topic's value (a retained PUBLISH with an empty payload).
    Clear {
        /// Topic name.
        topic: Arc<str>,
    },
    /// The leader found these expired; there is no clock in `apply`.
    Expire {
        /// Which.
        messages: Vec<RetainedRef>,
    },
}

/// Answers to [`RetainedCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetainedReply {
    /// Applied.
    Done {
        /// The message's revision, or the raft index.
        revision: Revision,
        /// Messages removed or replaced.
        replaced: u32,
    },
    /// Over the count or byte cap (SECURITY L8); the topic's old value stays.
    Full {
        /// Messages held.
        count: u64,
        /// Bytes held.
        bytes: u64,
    },
    /// The message alone is over its cap (SECURITY L8).
    TooLarge {
        /// The cap.
        limit: u64,
    },
    /// The text is no topic name.
    InvalidTopic,
}
