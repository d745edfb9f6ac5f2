//! What a snapshot consists of. The order of the variants and fields is the stored format.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::AccessRecord;
use crate::access::command::AccessKind;
use crate::alarms::Alarm;
use crate::cluster::{Identity, Setting};
use crate::command::{Limits, Member};
use crate::links::Link;
use crate::remote::peer::Actor;
use crate::retained::RetainedMessage;
use crate::sessions::command::{Holder, Subscription, Will};
use crate::sessions::session::{PendingClaim, PendingWill};
use crate::types::{Epoch, Incarnation, Millis, NodeId, Revision};

/// Group, and members per node.
pub(crate) type GroupMembers = (Arc<str>, Vec<(NodeId, u32)>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record {
    Cluster {
        identity: Option<Identity>,
        features: u32,
        limits: Limits,
    },
    Member(Member),
    Setting {
        key: Arc<str>,
        setting: Setting,
    },
    /// Before the routes, as these count per node.
    Node {
        node: NodeId,
        incarnation: Incarnation,
        live: bool,
        /// The next part of a replacement under way.
        replacing: Option<u32>,
    },
    /// Of the last `Node`.
    Seen {
        group: Option<Arc<str>>,
        filter: Arc<str>,
    },
    Route {
        filter: Arc<str>,
        nodes: Vec<NodeId>,
        groups: Vec<GroupMembers>,
    },
    Epochs {
        shard: u32,
        last: Epoch,
    },
    Session {
        client_id: Arc<str>,
        principal: Arc<str>,
        owner: Holder,
        persistent: bool,
        expiry_s: u32,
        detached_at_ms: Option<Millis>,
        will: Option<Will>,
        claim: Option<PendingClaim>,
        orphans: Vec<Holder>,
    },
    /// Of the last `Session`.
    SessionSubscription(Subscription),
    Will {
        client_id: Arc<str>,
        epoch: Epoch,
        will: PendingWill,
    },
    LinkList {
        revision: Revision,
    },
    LinkCounter {
        name: Arc<str>,
        counter: u64,
    },
    Link(Link),
    Peer {
        name: Arc<str>,
        view_slot: u16,
        held_since_ms: Option<Millis>,
    },
    /// Of the last `Peer`, before its routes.
    Actor {
        name: Arc<str>,
        actor: Actor,
    },
    /// Of the last `Peer`.
    Learnt {
        filter: Arc<str>,
        /// None = equal to the filter.
        id: Option<Arc<str>>,
        slots: Vec<u16>,
    },
    Retained {
        topic: Arc<str>,
        message: RetainedMessage,
    },
    Access {
        kind: AccessKind,
        name: Arc<str>,
        record: AccessRecord,
    },
    /// Standing, or of the history in its order.
    Alarm(Alarm),
    /// Of the last `Peer`, before its routes.
    Speaker {
        principal: Arc<str>,
    },
}
