//! When a remote's actor is gone (W-14 with the hold rule of LINK-SPEC 0.1).
//!
//! Runs on the leader, by the monotonic time of receipt. Decides which actors expire, which old
//! routes of a restarted actor are swept, and when a remote's routes are only held. The state
//! machine performs it.

mod machine;
#[cfg(test)]
mod tests;

pub use machine::Expiry;

use crate::upstream::ActorKey;
use std::time::Duration;

/// Silence after which an actor may expire.
pub const ACTOR_TTL: Duration = Duration::from_secs(30);
/// Default of `links.route_hold`.
pub const ROUTE_HOLD: Duration = Duration::from_secs(24 * 3600);
/// Default of `links.gc_interval`.
pub const GC_INTERVAL: Duration = Duration::from_secs(1);
/// A bootstrap is over when no batch came for this long.
pub const BOOTSTRAP_QUIET: Duration = Duration::from_secs(10);
/// A batch that was received and is not applied after this long never will be.
pub(crate) const SWEEP_WAIT_MAX: Duration = Duration::from_secs(30);
/// A heartbeat this long after the last batch ends a bootstrap early.
pub const BATCH_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpirySettings {
    pub ttl: Duration,
    /// Zero: expire by the TTL alone, as EMQX does.
    pub route_hold: Duration,
    /// Pause between two collections; ticks in between decide nothing.
    pub gc_interval: Duration,
}

impl Default for ExpirySettings {
    fn default() -> Self {
        ExpirySettings { ttl: ACTOR_TTL, route_hold: ROUTE_HOLD, gc_interval: GC_INTERVAL }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This node leads now; these actors are stored. Each gets a fresh TTL. `sweeping`: it has
    /// routes of an older incarnation.
    Lead {
        actors: Vec<StoredActor>,
        /// Remotes whose routes are held as stale.
        held: Vec<String>,
    },
    /// Another node leads; nothing expires here.
    Follow,
    /// A handshake was applied. `replaced`: old routes were marked and wait for the sweep.
    Init {
        actor: ActorKey,
        incarnation: u64,
        replaced: bool,
    },
    /// A batch of this actor was received, or applied; both calls are needed (see [`Expiry`]).
    BatchReceived {
        actor: ActorKey,
        incarnation: u64,
    },
    BatchApplied {
        actor: ActorKey,
        incarnation: u64,
    },
    /// A heartbeat was received, here or at another node.
    Heartbeat {
        actor: ActorKey,
        incarnation: u64,
    },
    /// The actor, or all actors of a remote, were removed by someone else.
    ActorRemoved(ActorKey),
    RemoteRemoved {
        cluster: String,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredActor {
    pub actor: ActorKey,
    pub incarnation: u64,
    pub sweeping: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Remove the actor and exactly its contributions, if this incarnation is still stored.
    Expire { actor: ActorKey, incarnation: u64 },
    /// Remove what older incarnations of this actor added and this one did not.
    Sweep { actor: ActorKey, incarnation: u64 },
    /// All actors of the remote are silent: its routes are held as stale.
    Hold { cluster: String },
    /// An actor of a held remote speaks again.
    Release { actor: ActorKey, incarnation: u64 },
    /// The hold has lasted long enough: forget all actors and routes of the remote.
    Forget { cluster: String },
}
