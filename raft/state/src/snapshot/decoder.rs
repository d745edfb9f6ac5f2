//! Reads a snapshot from bytes that may be cut anywhere and come from anyone (SECURITY C3).

use crate::codec::{self, CodecError};
use crate::digest::Digest;
use crate::snapshot::record::Record;
use crate::snapshot::{
    BODY_MAX, CHUNK_HEAD, KIND_END, KIND_HEADER, KIND_RECORDS, MAGIC, SNAPSHOT_VERSION, checksum,
};
use crate::state::State;

mod restore;

use restore::Restore;

/// Why a snapshot was refused. Nothing of it is to be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The stream does not begin like one of ours.
    #[error("this is no snapshot")]
    NotASnapshot,
    /// Written by another build.
    #[error(
        "snapshot format {found} is not supported, only {SNAPSHOT_VERSION}; use a build that knows it"
    )]
    UnsupportedVersion {
        /// The version found.
        found: u16,
    },
    /// More bytes than allowed in all.
    #[error("the snapshot has more than {limit} bytes; raise the limit if it is to be trusted")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A chunk announces more than any chunk may have.
    #[error("chunk {number} announces {bytes} bytes")]
    ChunkTooLarge {
        /// Which, from 0.
        number: u64,
        /// What it announces.
        bytes: u64,
    },
    /// A chunk was damaged on its way.
    #[error("chunk {number} has a wrong checksum")]
    Checksum {
        /// Which, from 0.
        number: u64,
    },
    /// A chunk of an unknown kind, or at a place where it must not be.
    #[error("chunk {number} of kind {kind} is out of place")]
    OutOfPlace {
        /// Which, from 0.
        number: u64,
        /// Its kind.
        kind: u8,
    },
    /// A record does not decode.
    #[error("a record in chunk {number} does not decode")]
    Record {
        /// Which chunk, from 0.
        number: u64,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// A record contradicts those before it.
    #[error("a record in chunk {number} is inconsistent: {what}")]
    Inconsistent {
        /// Which chunk, from 0.
        number: u64,
        /// The contradiction.
        what: &'static str,
    },
    /// The stream ended early.
    #[error("the snapshot is cut off after {chunks} chunks")]
    CutOff {
        /// Whole chunks read.
        chunks: u64,
    },
    /// What was read is not what was written.
    #[error("the snapshot's digest differs from that of its content")]
    DigestMismatch,
}

/// Fed with bytes in any portions; gives the state when all of them were good.
pub struct SnapshotDecoder {
    pending: Vec<u8>,
    bytes: u64,
    bytes_max: u64,
    number: u64,
    records: u64,
    stage: Stage,
    restore: Restore,
}

#[derive(PartialEq)]
enum Stage {
    Header,
    Records,
    Over(Digest),
}

impl SnapshotDecoder {
    /// Reads at most `bytes_max` in all.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            pending: Vec::new(),
            bytes: 0,
            bytes_max,
            number: 0,
            records: 0,
            stage: Stage::Header,
            restore: Restore::default(),
        }
    }

    /// Takes the next bytes. Memory grows with what has come, never with what is announced.
    ///
    /// # Errors
    /// [`SnapshotError`]; the decoder is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.bytes_max {
            return Err(SnapshotError::TooLarge { limit: self.bytes_max });
        }
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest: &[u8] = &pending;
        while let Some((kind, body, after)) = self.split(rest)? {
            self.chunk(kind, body)?;
            self.number += 1;
            rest = after;
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    /// The state, when the end was reached and all agrees.
    ///
    /// # Errors
    /// [`SnapshotError::CutOff`], [`SnapshotError::Inconsistent`] or
    /// [`SnapshotError::DigestMismatch`].
    pub fn finish(self) -> Result<State, SnapshotError> {
        let Stage::Over(digest) = self.stage else {
            return Err(SnapshotError::CutOff { chunks: self.number });
        };
        if !self.pending.is_empty() {
            return Err(SnapshotError::OutOfPlace { number: self.number, kind: 0 });
        }
        let number = self.number;
        let state =
            self.restore.finish().map_err(|what| SnapshotError::Inconsistent { number, what })?;
        if state.digest() == digest { Ok(state) } else { Err(SnapshotError::DigestMismatch) }
    }

    /// The state of what was read, with or without an end; a fuzzer cannot guess the digest.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn finish_unsealed(self) -> Result<State, &'static str> {
        self.restore.finish()
    }

    /// The first whole chunk of `bytes` and what follows it; none when more is needed.
    fn split<'a>(&self, bytes: &'a [u8]) -> Result<Option<Chunk<'a>>, SnapshotError> {
        let number = self.number;
        let Some((head, rest)) = bytes.split_first_chunk::<CHUNK_HEAD>() else { return Ok(None) };
        let [a, b, c, d, kind, e, f, g, h] = *head;
        let length = u32::from_le_bytes([a, b, c, d]);
        // Told by its first chunk, so that a stranger's file is named as such, not as too large.
        if number == 0 && kind != KIND_HEADER {
            return Err(SnapshotError::NotASnapshot);
        }
        if length as usize > BODY_MAX {
            return Err(SnapshotError::ChunkTooLarge { number, bytes: u64::from(length) });
        }
        let Some((body, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
        if checksum(kind, body) != u32::from_le_bytes([e, f, g, h]) {
            return Err(SnapshotError::Checksum { number });
        }
        Ok(Some((kind, body, rest)))
    }

    fn chunk(&mut self, kind: u8, body: &[u8]) -> Result<(), SnapshotError> {
        let number = self.number;
        match (&self.stage, kind) {
            (Stage::Header, KIND_HEADER) => {
                self.restore.applied(header(body)?);
                self.stage = Stage::Records;
                Ok(())
            }
            (Stage::Records, KIND_RECORDS) => self.records(body),
            (Stage::Records, KIND_END) => {
                let (records, digest): (u64, Digest) = codec::decode(body)
                    .map_err(|source| SnapshotError::Record { number, source })?;
                if records != self.records {
                    return Err(SnapshotError::Inconsistent { number, what: "number of records" });
                }
                self.stage = Stage::Over(digest);
                Ok(())
            }
            _ => Err(SnapshotError::OutOfPlace { number, kind }),
        }
    }

    fn records(&mut self, mut body: &[u8]) -> Result<(), SnapshotError> {
        let number = self.number;
        while !body.is_empty() {
            let (record, used) = codec::decode_prefix::<Record>(body)
                .map_err(|source| SnapshotError::Record { number, source })?;
            self.restore
                .record(record)
                .map_err(|what| SnapshotError::Inconsistent { number, what })?;
            self.records += 1;
            body = body.get(used..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Kind, body, what follows.
type Chunk<'a> = (u8, &'a [u8], &'a [u8]);

fn header(body: &[u8]) -> Result<u64, SnapshotError> {
    let rest = body.strip_prefix(MAGIC).ok_or(SnapshotError::NotASnapshot)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(SnapshotError::NotASnapshot)?;
    let found = u16::from_le_bytes(*version);
    if found != SNAPSHOT_VERSION {
        return Err(SnapshotError::UnsupportedVersion { found });
    }
    let applied = <[u8; 8]>::try_from(rest).map_err(|_| SnapshotError::NotASnapshot)?;
    Ok(u64::from_le_bytes(applied))
}
