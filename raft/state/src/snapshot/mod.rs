//! Snapshots: the state as a stream of chunks, each with its length and checksum.
//!
//! ```text
//! chunk  = length of body u32 | kind u8 | crc32 of kind and body u32 | body      (little endian)
//! header = "SPANMQST" | format version u16 | applied index u64                   kind 1, first
//! part   = records, one after another                                            kind 2, any number
//! end    = number of records u64 | digest                                        kind 3, last
//! ```
//! A record is one entity, so no record outgrows what its commands allow. Records that belong to an
//! entity (subscriptions of a session) follow it.

mod decoder;
mod encode;
mod record;
#[cfg(test)]
mod tests;

pub use decoder::{SnapshotDecoder, SnapshotError};

use crate::digest::Digest;
use crate::state::State;

/// The format written and read.
pub const SNAPSHOT_VERSION: u16 = 1;

pub(crate) const MAGIC: &[u8; 8] = b"SPANMQST";
pub(crate) const CHUNK_HEAD: usize = 9;
/// A body is closed when it has reached this size.
pub(crate) const BODY_TARGET: usize = 256 << 10;
/// A body announced larger than this is refused before anything is allocated: one record of the
/// largest size after an almost full body.
pub(crate) const BODY_MAX: usize = BODY_TARGET + crate::codec::ENCODED_MAX;

pub(crate) const KIND_HEADER: u8 = 1;
pub(crate) const KIND_RECORDS: u8 = 2;
pub(crate) const KIND_END: u8 = 3;

/// A state at rest, sharing its tables with the one that goes on.
#[derive(Debug, Clone)]
pub struct Snapshot {
    state: State,
}

impl Snapshot {
    pub(crate) fn new(state: State) -> Self {
        Self { state }
    }

    /// The raft index it stands at.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.state.applied()
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.state.digest()
    }

    /// The state itself, for reading without a lock.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The stream, chunk by chunk of about 256 KiB; made while it is read, so memory stays small.
    pub fn encode_chunks(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        encode::Chunks::new(&self.state)
    }
}

pub(crate) fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHUNK_HEAD + body.len());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&checksum(kind, body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

pub(crate) fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(body);
    hasher.finalize()
}
