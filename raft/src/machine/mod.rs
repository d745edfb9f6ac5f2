//! The state machine: `spanmq_state::State` behind openraft, its views, and its snapshots.
//!
//! What is decided here: when readers see a change (after the whole entry, before its proposer is
//! told), how a snapshot is taken (pointers under the lock, bytes outside of it), and which
//! snapshot a node starts from. What a command does is `spanmq-state`'s matter.

mod build;
mod dir;
mod file;
mod replica;
mod store;

pub(crate) use dir::SnapshotDir;
pub(crate) use file::{SnapshotError, SnapshotFile, create_private};
pub(crate) use replica::Replica;
pub use replica::{AppliedEvents, StateRef};
pub(crate) use store::{SNAPSHOT_BYTES_MAX, StateMachine, load_newest, read_state};

#[cfg(test)]
mod tests;
