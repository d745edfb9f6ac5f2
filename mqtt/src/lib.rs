//! Listeners, client connections, workers: the I/O shell of the broker.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod codec;
pub mod config;
mod interest;
mod mailbox;
pub mod metrics;
pub mod ports;
pub mod query;

pub use interest::{InterestChange, InterestEvent, InterestStream};
