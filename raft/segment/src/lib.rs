//! Append-only segment files, used by the Raft log, the session journal and the spools.
//!
//! A [`SegmentLog`] is a directory of files. Each holds a run of records with consecutive
//! sequence numbers; the name of a file is the sequence of its first record. One writer appends,
//! any number of [`SegmentReader`]s read at the same time without waiting for its syncs.
//!
//! What is promised (CHAOS.md P11, N8, N11–N13):
//! - a batch is one `write(2)`; a batch that fails leaves the log as it was;
//! - what [`SegmentLog::sync`] answered for is there after a power loss;
//! - a tail that was torn before it was synced is cut when the log is opened, with a report;
//! - damage anywhere else is refused with the file, the offset and what to do.
//!
//! What is left to others: what a record means, when to sync, how far to purge.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod error;
mod fault;
mod files;
mod index;
mod log;
mod options;
mod reader;
mod record;
mod salvage;
mod scan;

pub use error::SegmentError;
pub use fault::{Faults, NoFaults, WriteFault};
pub use files::{create_private_dir, replace_file, sync_dir};
pub use log::SegmentLog;
pub use options::{SegmentOptions, Verify};
pub use reader::{Records, SegmentReader};
pub use salvage::{Damage, Inspection, inspect, salvage};
pub use scan::{OpenReport, TornTail};

#[cfg(test)]
mod tests;
