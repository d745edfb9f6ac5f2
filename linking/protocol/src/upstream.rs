//! The upstream half, per inbound connection: what a remote's control packets lead to.
//!
//! Decides the checks of W-21 in their order, protocol errors (W-25), the rules for answers (W-27)
//! and identity. Leaves the replicated actors and routes to the state machine: commands ask
//! for a change, its outcome comes back as an event, and only then is the packet acknowledged.

mod machine;
#[cfg(test)]
mod tests;

pub use machine::UpstreamConnection;

use crate::binding::{InboundRule, Principal};
use crate::message::RouteOp;
use bytes::Bytes;
use std::fmt;

/// Names the inbound PUBLISH that a command belongs to; chosen by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishToken(pub u64);

/// What is known about the link named in the topic, at the moment of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFacts {
    pub enabled: bool,
    pub inbound: InboundRule,
    /// Principal of the remote's living actors.
    pub holder: Option<Principal>,
}

/// A PUBLISH on `$LINK/cluster/route/<cluster>`. `Debug` shows the size of the payload only.
#[derive(Clone, PartialEq, Eq)]
pub struct RoutePublish {
    pub token: PublishToken,
    /// The name in the topic: who the publisher says it is.
    pub cluster: String,
    /// `None`: no link has this name.
    pub link: Option<LinkFacts>,
    pub payload: Bytes,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Bytes>,
}

impl fmt::Debug for RoutePublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutePublish")
            .field("token", &self.token)
            .field("cluster", &self.cluster)
            .field("link", &self.link)
            .field("payload_bytes", &self.payload.len())
            .field("response_topic", &self.response_topic)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one event lives at a time")]
pub enum Event {
    Publish(RoutePublish),
    /// Outcome of [`Command::ActorInit`].
    InitDone {
        token: PublishToken,
        outcome: InitOutcome,
    },
    /// Outcome of [`Command::RouteOps`].
    RoutesDone {
        token: PublishToken,
        outcome: RoutesOutcome,
    },
}

/// The rows of W-13, and what the link or the cluster may say when the entry is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitOutcome {
    Accepted {
        need_bootstrap: bool,
    },
    /// A newer incarnation is stored.
    Stale,
    /// The link was deleted or disabled meanwhile.
    UnknownCluster,
    LinkDisabled,
    /// The remote has as many actors as it may (K6).
    TooManyActors,
    /// Somebody else holds the remote's name.
    HeldByOther,
    NoQuorum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutesOutcome {
    /// `invalid` entries were no topic filters and were left out.
    Applied {
        invalid: u32,
    },
    /// The stored incarnation is not this connection's (W-16), or the link is gone.
    Stale,
    /// The remote's routes are at their cap; nothing was applied (K6).
    OverCap,
    NoQuorum,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Propose the handshake; answer with [`Event::InitDone`].
    ActorInit { token: PublishToken, actor: ActorKey, incarnation: u64, principal: Principal },
    /// Propose the batch; answer with [`Event::RoutesDone`].
    RouteOps { token: PublishToken, actor: ActorKey, incarnation: u64, ops: Vec<RouteOp> },
    /// The actor lives. Kept on this node and reported in batches (W-28).
    Heartbeat { actor: ActorKey, incarnation: u64 },
    /// Publish the handshake answer through the broker, QoS 1 (W-2).
    Answer { topic: String, correlation_data: Bytes, payload: Bytes },
    /// Acknowledge the packet: PUBACK or PUBREC, nothing for QoS 0.
    Ack { token: PublishToken, code: u8 },
    /// DISCONNECT with this code; nothing on this connection counts any more.
    Disconnect { code: u8, cause: String },
    /// Count and log, at most once a minute per link and word.
    Note(Note),
}

/// Something an operator may want to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// `cluster_link_actor_init_rejected` (O-4).
    InitRejected {
        cluster: String,
        word: String,
        known_as: String,
    },
    /// Another client speaks for this name.
    IdentityMismatch {
        cluster: String,
        holder: Option<Principal>,
    },
    /// Entries of a batch that are no filters we may learn.
    BadFilters {
        cluster: String,
        count: usize,
    },
    TrailingBytes {
        cluster: String,
        count: usize,
    },
    OverCap {
        cluster: String,
        what: &'static str,
    },
}

/// An actor of a remote: actor names mean nothing without the remote's name (K4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorKey {
    pub cluster: String,
    pub actor: String,
}

/// Reason codes of MQTT 5 that the upstream uses.
pub mod code {
    pub const SUCCESS: u8 = 0x00;
    pub const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
    pub const IMPLEMENTATION_SPECIFIC_ERROR: u8 = 0x83;
    pub const NOT_AUTHORIZED: u8 = 0x87;
    pub const SERVER_BUSY: u8 = 0x89;
    pub const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
    pub const QUOTA_EXCEEDED: u8 = 0x97;
}
