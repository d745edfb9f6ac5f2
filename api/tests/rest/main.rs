//! The API over HTTP, on one or two nodes with the real state machine, broker and linking, without
//! Raft: commands are applied to one shared state.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod access;
mod client;
mod clients;
mod document;
mod events;
mod https;
mod links;
mod links_errors;
mod messages;
mod operations;
mod refusals;
mod rig;
mod rig_ports;
