//! REST: handlers, and the status of all nodes in one answer.
//!
//! Any node takes any call. Writes are commands of the replicated state; reads wait until this
//! node has applied what the leader had (`?consistency=local` leaves that out); what only a node
//! itself knows is asked from all nodes at once, and one that does not answer in 5 s is marked
//! (LINK-SPEC section 4).
//!
//! *Invariants*: only `/livez`, `/readyz` and `/login` answer without credentials; every endpoint is
//! declared once, in a table from which server and OpenAPI document are made.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod access;
mod audit;
mod auth;
mod body;
mod clients;
mod dashboard;
#[cfg(feature = "testing")]
mod debug;
mod error;
mod health;
mod links;
mod live;
mod messages;
mod metrics;
mod nodes;
mod openapi;
mod operations;
mod paging;
pub mod ports;
mod prometheus;
mod question;
mod records;
mod server;
mod table;

pub use access::{BootstrapError, FirstAdmin, bootstrap_admin};
pub use audit::AuditLog;
pub use openapi::openapi_json;
pub use question::{
    answer,
    links::{LinkValues, link_values},
};
pub use records::mqtt_user;
pub use server::{Api, ApiConfig, HttpsConfig, serve};
