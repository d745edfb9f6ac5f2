//! Messages to other nodes of the cluster (ARCHITECTURE §3 step 5, §4 "acknowledged means kept").
//!
//! Decides when a message to a peer counts as held, what is sent again after a broken wire, what
//! goes to the spool on disk, and which repeats a receiver drops. Leaves wires, files and clocks to
//! the shell, and does not look into messages.
//!
//! *Invariants*: items of one stream are delivered in the order of their sequence numbers, each at
//! most once per run of the receiver; an item is answered exactly once; what waits is bounded.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod frame;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use frame::{BadFrame, Frame, Item, Outcome};
pub use receiver::{Received, Receiver};
pub use sender::{Command, Event, Limits, Sender, Stats, first_sequence};
