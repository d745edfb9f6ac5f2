//! The configuration of a node: HOCON, environment and flags into checked values, each with its
//! origin. Pure: files are read by a function that the caller gives.
//!
//! Decides what keys exist, their defaults, ranges and cross rules. What a link may say is decided
//! by `spanmq_link_protocol::config`; what rule and user files say by `spanmq_access`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod check;
mod check_links;
mod declare;
mod env;
mod error;
mod flags;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod hocon;
mod legacy;
mod load;
mod model;
mod origin;
mod overlay;
mod render;
mod scalars;
mod setting;
mod types;
mod units;

pub use env::RESERVED_ENVIRONMENT;
pub use error::{ConfigError, ConfigErrors, Problem, Warning};
pub use flags::Flags;
pub use load::{Inputs, Loaded, load, schema};
pub use model::*;
pub use origin::{KeyPath, Origin};
pub use render::render;
pub use setting::Effective;
pub use spanmq_link_protocol::config::Secret;
pub use types::{BindAddr, ByteSize, ClusterName, HostPort, NodeName, OrDisabled, OrInfinity};
