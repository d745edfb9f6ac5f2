//! The Raft log on disk: entries in segments, and four small marks beside them.
//!
//! What is decided here: when something is durable (always before openraft hears of it; CHAOS §1),
//! what a full disk does (writes wait, reads go on; P11), and when the log may not be trusted
//! (a synced entry is gone, an entry cannot be read back: the node stops, openraft issue 1795).
//!
//! ```text
//! raft/log/*.seg   entries, sequence = log index
//! raft/vote        the vote, replaced as a whole, synced
//! raft/purged      the last purged log id, replaced as a whole, synced before entries go
//! raft/committed   the last committed log id; a hint, not synced
//! raft/synced      the last entry known to be synced; a hint, synced before entries are cut off
//! ```

mod marks;
mod open;
mod reader;
mod store;
mod view;
mod writer;

pub(crate) use open::{LogOpenError, LogOptions};
pub(crate) use store::LogStore;

#[cfg(test)]
mod tests;
