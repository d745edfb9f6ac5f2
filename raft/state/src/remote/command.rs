//! Commands about what remote clusters have told us they want.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Incarnation, Millis};

/// One run of one actor of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActorRef {
    /// Actor name, scoped to the peer (SECURITY K4).
    pub actor: Arc<str>,
    /// Its run.
    pub incarnation: Incarnation,
}

/// One operation of a remote's actor (LINK-SPEC W-15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteOp {
    /// The actor holds the entry; no-op if it does already.
    Add {
        /// What the remote wants.
        filter: Arc<str>,
        /// Where it comes from; opaque (2.5).
        id: Arc<str>,
    },
    /// The actor holds the entry no more; no-op if it does not.
    Delete {
        /// What the remote wanted.
        filter: Arc<str>,
        /// Where it came from.
        id: Arc<str>,
    },
}

/// Changes of what was learnt. `peer` is the remote cluster's name, which is its link's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteCommand {
    /// A handshake (W-13, W-21).
    ActorInit {
        /// Remote cluster.
        peer: Arc<str>,
        /// Actor name.
        actor: Arc<str>,
        /// Its run.
        incarnation: Incarnation,
        /// When, by the proposer's clock; shown, never used to decide.
        at_ms: Millis,
    },
    /// One route batch (W-16).
    RouteOps {
        /// Remote cluster.
        peer: Arc<str>,
        /// Actor name.
        actor: Arc<str>,
        /// The run of its connection's handshake.
        incarnation: Incarnation,
        /// In order.
        ops: Vec<RemoteOp>,
    },
    /// The bootstrap of this run has gone quiet: routes of earlier runs that were not added again
    /// go (LINK-SPEC 0.1, outages).
    Sweep {
        /// Remote cluster.
        peer: Arc<str>,
        /// Actor name.
        actor: Arc<str>,
        /// The run whose bootstrap ended.
        incarnation: Incarnation,
    },
    /// Heartbeats gathered by the leader; ends a hold.
    ActorsSeen {
        /// Remote cluster.
        peer: Arc<str>,
        /// Who was heard.
        actors: Vec<ActorRef>,
        /// When, by the leader's clock.
        at_ms: Millis,
    },
    /// These actors were silent past their TTL while siblings speak: their contributions go. A run
    /// that is not the stored one is left alone.
    Expire {
        /// Remote cluster.
        peer: Arc<str>,
        /// Whose.
        actors: Vec<ActorRef>,
    },
    /// All actors of the remote are silent: keep the routes, marked stale.
    Hold {
        /// Remote cluster.
        peer: Arc<str>,
        /// Since when, by the leader's clock.
        since_ms: Millis,
    },
    /// Forget all actors and routes of the remote (`links.route_hold` passed, or by an operator).
    PeerForget {
        /// Remote cluster.
        peer: Arc<str>,
    },
    /// As `ActorInit`, by somebody who may speak for the remote only as long as nobody else does
    /// (LINK-SPEC 0.1 "Identity").
    ActorInitBy {
        /// Remote cluster.
        peer: Arc<str>,
        /// Actor name.
        actor: Arc<str>,
        /// Its run.
        incarnation: Incarnation,
        /// When, by the proposer's clock; shown, never used to decide.
        at_ms: Millis,
        /// Who speaks, as text.
        principal: Arc<str>,
    },
}

/// Answers to [`RemoteCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteReply {
    /// Handshake accepted.
    Accepted {
        /// As W-13 says.
        need_bootstrap: bool,
        /// Routes of an earlier run wait for a `Sweep`.
        sweep_pending: bool,
    },
    /// No link of that name: `unknown_cluster` (W-21).
    UnknownCluster,
    /// The link is disabled: `cluster_link_disabled` (W-21).
    LinkDisabled,
    /// The stored run is newer, or the actor is not known: protocol error (W-13, W-16, W-25).
    ProtocolError {
        /// The run stored, if any.
        stored: Option<Incarnation>,
    },
    /// More actors than the cap (K6).
    TooManyActors {
        /// The cap.
        limit: u32,
    },
    /// The batch would pass the cap; nothing of it was applied (K6).
    TooManyRoutes {
        /// The cap.
        limit: u64,
    },
    /// Applied.
    Done {
        /// Entries (filter, id) that appeared.
        added: u32,
        /// Entries that disappeared.
        removed: u32,
        /// Operations with a text that is no topic filter.
        invalid: u32,
    },
    /// Nothing of that name or run; nothing changed.
    Unknown,
    /// Somebody else speaks for the remote, whose actors live.
    HeldBy {
        /// Who.
        principal: Arc<str>,
    },
}
