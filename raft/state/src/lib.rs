//! The replicated state of a cluster: members, links, routes, session directory, learnt remote
//! routes, retained messages, users, alarms. Pure: no clock, no I/O, no randomness.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod access;
mod alarms;
mod cluster;
pub mod command;
mod links;
mod remote;
mod retained;
mod routes;
mod sessions;
mod types;

pub use access::command::AccessKind;
pub use command::{Applied, Batch, COMMAND_VERSION, Command, Reply};
pub use types::{Epoch, Incarnation, Millis, NodeId, Opaque, Revision, SecretText};
