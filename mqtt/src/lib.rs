//! Listeners, client connections, workers: the I/O shell of the broker.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod broker;
mod clients;
mod codec;
mod complaints;
pub mod config;
mod connect;
mod connection;
mod directory;
mod fetch;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz_transport;
mod handover;
mod interest;
mod left_behind;
mod listener;
mod local_routes;
mod mail;
mod mailbox;
pub mod metrics;
mod owners;
pub mod ports;
mod proxy;
pub mod query;
pub mod rules;
mod shared;
mod socket;
mod store;
mod sys;
mod tls;
mod transport;
mod turns;
mod view;
mod worker;
mod ws;

pub use broker::{BoundListener, Broker, BrokerHandle, StartError};
#[cfg(any(test, feature = "fuzz"))]
pub use codec::fuzz;
#[cfg(any(test, feature = "fuzz"))]
pub use fuzz_transport::{proxy_header, ws_frames};
pub use interest::{InterestChange, InterestEvent, InterestStream};
pub use store::StoreError;
pub use tls::TlsError;
