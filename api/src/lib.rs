//! REST: handlers, and the status of all nodes in one answer.
//!
//! Any node takes any call. Writes are commands of the replicated state; reads wait until this
//! node has applied what the leader had (`?consistency=local` leaves that out); what only a node
//! itself knows is asked from all nodes at once, and one that does not answer in 5 s is marked
//! (LINK-SPEC section 4).
//!
//! *Invariant*: only `/livez` and `/readyz` answer without credentials.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod auth;
mod error;
mod health;
mod links;
mod nodes;
pub mod ports;
mod question;
mod server;

pub use question::{Question, Reply, answer};
pub use server::{Api, ApiConfig, serve};
