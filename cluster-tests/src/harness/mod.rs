//! Real nodes as child processes, the faults that befall them, and waiting without sleeping blindly.

pub mod links;
mod node;
mod proxy;
mod rest;
mod shared;
mod trio;

pub use node::{API_KEY, API_SECRET, Addresses, Node, NodeOptions, binary};
pub use proxy::{Fault, FaultProxy};
pub use rest::{Answer, Rest};
pub use shared::{Lease, SharedNode};
pub use trio::Cluster;

use std::time::{Duration, Instant};

/// Asks again every 20 ms until `probe` gives a value; after `limit` the last refusal is the error.
///
/// # Errors
/// The text of the last failed probe, with how long we waited.
pub fn eventually<T>(
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() > limit => {
                return Err(error.context(format!("still so after {limit:?}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
