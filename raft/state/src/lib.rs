//! The replicated state of a cluster: members, links, routes, session directory, learnt remote
//! routes, retained messages, users, alarms. Pure: no clock, no I/O, no randomness.
//!
//! - [`command`]: what can be proposed and what comes back; the log's content.
//! - [`State::apply`]: one log entry; the same entries give the same state, replies and digest
//!   everywhere.
//! - [`view`]: what publishers match against, fed by the changes of each apply, without locks.
//! - [`Snapshot`] and [`SnapshotDecoder`]: the state as a stream of checked chunks.
//!
//! *Invariant:* nothing here decides by time. Leaders find what is due with the `due…` functions and
//! propose it; the command names the revision or epoch they saw, so a late proposal changes nothing.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod access;
mod alarms;
mod changes;
mod cluster;
mod codec;
pub mod command;
mod digest;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod links;
mod remote;
mod retained;
mod routes;
mod sessions;
mod shards;
mod slots;
mod snapshot;
mod state;
mod types;
pub mod view;

pub use access::command::AccessKind;
pub use access::{Access, AccessRecord};
pub use alarms::{Alarm, Alarms};
pub use changes::{Changes, Event};
pub use cluster::{Cluster, Identity, Setting};
pub use codec::{
    CodecError, ENCODED_MAX, decode_applied, decode_batch, encode_applied, encode_batch,
};
pub use command::{Applied, Batch, COMMAND_VERSION, Command, Reply};
pub use digest::Digest;
pub use links::{Link, Links};
pub use remote::Remotes;
pub use remote::peer::{Actor, LearntRoute, Peer};
pub use retained::{Retained, RetainedMessage};
pub use routes::Routes;
pub use routes::entry::{RouteEntry, SharedGroup};
pub use routes::replace::NodeRun;
pub use sessions::Sessions;
pub use sessions::session::{NEVER_EXPIRES, PendingClaim, PendingWill, Session};
pub use snapshot::{SNAPSHOT_VERSION, Snapshot, SnapshotDecoder, SnapshotError};
pub use state::State;
pub use types::{Epoch, Incarnation, Millis, NodeId, Opaque, Revision, SecretText};
