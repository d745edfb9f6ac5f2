//! openraft glue: log and snapshot files, membership, peers, leases, views.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod batcher;
mod codec;
mod fatal;
mod identity;
mod lease;
mod log;
mod machine;
mod types;
