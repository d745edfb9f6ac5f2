//! What an apply changed, for those who act on it: operations for the publishers' view, and events
//! for the shell. Every node applies every entry, so every node sees every event.

use std::sync::Arc;

use crate::access::command::AccessKind;
use crate::sessions::command::Holder;
use crate::types::{Epoch, NodeId, Revision};
use crate::view::ViewOp;

/// Gathered by [`State::apply`](crate::State::apply); the caller empties it after each apply.
#[derive(Debug, Default)]
pub struct Changes {
    /// For [`ViewWriter::absorb`](crate::view::ViewWriter::absorb), in order.
    pub view: Vec<ViewOp>,
    /// For the shell, in order.
    pub events: Vec<Event>,
}

/// Something a node may have to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The member list changed.
    Members,
    /// A setting changed.
    Setting {
        /// Its path.
        key: Arc<str>,
    },
    /// The replicated caps or the feature level changed.
    Limits,
    /// A node's routes were collected; that node, if it lives, replaces its set.
    RoutesCollected {
        /// Whose.
        node: NodeId,
    },
    /// A client id was claimed. The previous owner closes the connection (0x8E) and, unless
    /// `installed`, keeps the state frozen for the claimant.
    SessionClaimed {
        /// Client id.
        client_id: Arc<str>,
        /// The claimant.
        claim: Holder,
        /// Who was installed before.
        previous: Option<Holder>,
        /// Whether the claim is the owner already.
        installed: bool,
        /// Whether the previous state is needed; if not, its owner deletes it.
        session_present: bool,
    },
    /// The claimant holds the state. The previous owner deletes its copy after a complete
    /// hand-over; after one without owner it owes the new owner its queue.
    SessionInstalled {
        /// Client id.
        client_id: Arc<str>,
        /// Who owns it now.
        owner: Holder,
        /// Who owned it before.
        previous: Holder,
        /// Whether `previous` gave the state itself.
        complete: bool,
    },
    /// A claim was given up: the owner goes on.
    SessionReturned {
        /// Client id.
        client_id: Arc<str>,
        /// Who owns it.
        owner: Holder,
    },
    /// The session is over; whoever holds state of it deletes that.
    SessionEnded {
        /// Client id.
        client_id: Arc<str>,
        /// The last owner.
        owner: Holder,
    },
    /// A will has to be published when due, by its node or by the leader's choice of survivor.
    WillPending {
        /// Client id.
        client_id: Arc<str>,
        /// The connection's epoch.
        epoch: Epoch,
    },
    /// A persistent session's subscriptions changed (`ps-routes-v1`, LINK-SPEC W-12). The present
    /// set is in the state.
    PersistentSubscribed {
        /// Client id.
        client_id: Arc<str>,
        /// The filter.
        filter: Arc<str>,
        /// Whether it is there now.
        present: bool,
    },
    /// A link was created, changed, paused or deleted.
    Link {
        /// Its name.
        name: Arc<str>,
    },
    /// The actors or the hold of a remote changed.
    Remote {
        /// The remote.
        peer: Arc<str>,
    },
    /// A topic's retained message changed; none = cleared or expired.
    Retained {
        /// Topic.
        topic: Arc<str>,
        /// The present message's revision.
        revision: Option<Revision>,
    },
    /// A user, key or rule changed (SECURITY A7: revoked rights end existing subscriptions).
    Access {
        /// Table.
        kind: AccessKind,
        /// Key.
        name: Arc<str>,
    },
    /// An alarm changed.
    Alarm {
        /// Its name.
        name: Arc<str>,
    },
}
