//! Cluster linking without I/O: term codec, messages, link config, link machines, reasons. Pure.
//!
//! What the modules decide:
//! - [`term`]: the Erlang term format, strict and bounded (LINK-SPEC 2.7).
//! - [`message`]: control operations and forwarded message records (2.4, W-54…W-56).
//! - [`topics`], [`ids`]: control topics, client ids, request ids (2.1, W-4, W-20).
//! - [`config`]: link configuration, its rules and texts (section 1, R-1, R-4, R-6).
//! - [`replication`], [`interest`]: the downstream half, our routes told to the remote.
//! - [`upstream`], [`expiry`], [`binding`]: the upstream half, routes learnt from the remote.
//! - [`forward`], [`inbound`], [`dedup`]: forwarded messages out and in.
//! - [`reason`], [`status`]: what people are told.
//!
//! *Invariants*: nothing here reads a clock, a socket, a file or a random source. Time arrives as
//! an argument of `handle`, randomness as an [`Entropy`] function given at construction.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod binding;
pub mod config;
pub mod dedup;
pub mod expiry;
pub mod forward;
pub mod fuzz;
pub mod ids;
pub mod inbound;
pub mod interest;
pub mod message;
pub mod reason;
pub mod replication;
mod retry;
pub mod skew;
pub mod status;
pub mod term;
pub mod topics;
pub mod upstream;

/// A source of random bits supplied by the caller: a CSPRNG in production, a seeded generator in
/// tests. Used for request ids (W-20) and retry jitter.
pub type Entropy = Box<dyn FnMut() -> u64 + Send>;
