//! openraft glue: log and snapshot files, membership, peers, leases, views.
//!
//! [`RaftNode`] is what the rest of the broker holds: propose, read, watch, change the membership,
//! talk to the other nodes. It lives on a tokio runtime of its own (threads `raft`), with one plain
//! thread for the log (`raft-log`), so that nothing on the publish path shares a thread with it.
//!
//! Where the decisions are, all pure: who is let in and who votes (`join`), who may acknowledge
//! (`lease`), what goes into one entry (`batcher`), what a command does (`spanmq-state`). The rest
//! carries them out: `log` and `machine` under openraft, `network` and `transfer` between nodes,
//! `formation` from an empty directory to a member, `leader` for what only the leader can do.
//!
//! *Invariants:* the log and the vote are fsynced before anybody hears of them (CHAOS §1); a node
//! without its Raft data never speaks under its old id (J4); a lease never outlives what its
//! leader knew of its quorum (`lease`).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]
// openraft's traits return its large errors; they occur when the node stops.
#![allow(clippy::result_large_err)]

mod batcher;
mod codec;
mod core;
mod fatal;
mod formation;
mod handlers;
mod identity;
mod join;
mod kinds;
mod leader;
mod leading;
mod lease;
mod log;
mod machine;
mod members;
mod network;
mod node;
mod options;
mod peers;
mod propose;
mod start;
mod status;
mod transfer;
mod types;

pub use batcher::BatchLimits;
pub use core::Phase;
pub use fatal::{FatalCause, FatalHook};
pub use formation::FormationError;
pub use identity::IdentityError;
pub use kinds::APPLICATION_KINDS;
pub use lease::{HeldLease, LAG_MAX, LEASE, LeaseTime};
pub use machine::{AppliedEvents, StateRef};
pub use node::{MembershipError, RaftNode};
pub use options::{Announcement, Formation, PortSecurity, RaftOptions};
pub use peers::Peers;
pub use propose::{ProposeError, Proposed};
pub use start::StartError;
pub use status::{MemberStatus, Role, Status};
pub use types::NodeId;

/// What peers' answers and wires are made of.
pub use spanmq_port::{
    Credentials, DialMap, GivenFiles, JoinToken, PeerId, PeerState, PortTuning, RequestError, Wire,
    WireHandler, WireInbound,
};
