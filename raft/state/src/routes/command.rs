//! Commands about routes: which node wants which topic filter.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Incarnation, NodeId};

/// One change of what one node wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteChange {
    /// The node has its first plain subscription to the filter.
    Add(Arc<str>),
    /// The node lost its last plain subscription to the filter.
    Remove(Arc<str>),
    /// The node now has `members` members of the shared group on the filter; 0 removes the entry.
    Shared {
        /// Group name.
        group: Arc<str>,
        /// The filter without `$share/group/`.
        filter: Arc<str>,
        /// Members on this node.
        members: u32,
    },
}

/// Changes of the route table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteCommand {
    /// Changes of a node that has announced this run with [`RouteCommand::ReplaceNode`].
    RouteBatch {
        /// Whose.
        node: NodeId,
        /// Which run of the node.
        incarnation: Incarnation,
        /// Applied in order; applying twice is the same as once.
        changes: Vec<RouteChange>,
    },
    /// The node's lease has ended: its routes go. Until it replaces its set, its batches are
    /// refused with [`RouteReply::NeedReplace`], so a node that comes back cannot have lost routes
    /// (CHAOS P5).
    NodeGone {
        /// Whose.
        node: NodeId,
        /// The run that ended; a later run is not touched.
        incarnation: Incarnation,
    },
    /// The full set of a node that starts or comes back, in parts small enough for a log entry.
    /// Routes present already stay matched throughout; those not named by any part go with the
    /// last part.
    ReplaceNode {
        /// Whose.
        node: NodeId,
        /// The run that speaks; older ones are void from part 0 on.
        incarnation: Incarnation,
        /// 0, 1, 2, … Part 0 starts over.
        part: u32,
        /// Whether this is the last part.
        last: bool,
        /// Adds and shared groups (a `Remove` here is ignored).
        routes: Vec<RouteChange>,
    },
}

/// Answers to [`RouteCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteReply {
    /// Applied. Filters that are not valid are left out and counted.
    Done {
        /// Entries added or changed.
        changed: u32,
        /// Entries removed.
        removed: u32,
        /// Changes with a text that is no topic filter.
        invalid: u32,
    },
    /// The node was collected or never announced itself: send the full set first.
    NeedReplace,
    /// A part of a replacement came out of order: start over with part 0.
    PartOutOfOrder {
        /// The part expected.
        expected: u32,
    },
    /// A later run of that node has spoken; nothing was changed.
    StaleIncarnation {
        /// The one known.
        stored: Incarnation,
    },
}
