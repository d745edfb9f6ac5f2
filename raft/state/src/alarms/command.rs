//! Commands about alarms.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Millis, NodeId};

/// Changes of the alarms. An alarm is known by its name and the node that raised it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmCommand {
    /// Raises it, or refreshes its details while it stands.
    Activate {
        /// Such as `retained_full`.
        name: Arc<str>,
        /// Who raises it; 0 = the cluster.
        node: NodeId,
        /// For people.
        message: Arc<str>,
        /// JSON text.
        details: Arc<str>,
        /// When, by the proposer's clock.
        at_ms: Millis,
    },
    /// Ends it and moves it to the history.
    Deactivate {
        /// Name.
        name: Arc<str>,
        /// Who raised it.
        node: NodeId,
        /// When, by the proposer's clock.
        at_ms: Millis,
    },
    /// Empties the history.
    ClearHistory,
}

/// Answers to [`AlarmCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmReply {
    /// Changed.
    Done,
    /// It stood already (or was not there); nothing new happened.
    Unchanged,
    /// More standing alarms than the cap of 10,000.
    TooMany,
}
