//! The one place that knows how commands and snapshot records become bytes: bincode 2, standard
//! configuration, with a limit on reading. Golden bytes in `tests/golden.rs` pin it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::command::{Applied, Batch};

/// Largest encoded batch or snapshot record accepted (the frame cap of SECURITY C3).
pub const ENCODED_MAX: usize = 16 << 20;

/// Why bytes are no batch, reply or record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Too short, too long, or of another shape.
    #[error("the bytes do not decode")]
    Malformed(#[source] bincode::error::DecodeError),
    /// More bytes than the value needs.
    #[error("{extra} bytes follow the value")]
    Trailing {
        /// How many.
        extra: usize,
    },
}

/// A batch as it lies in the log.
#[must_use]
pub fn encode_batch(batch: &Batch) -> Vec<u8> {
    encode(batch)
}

/// The batch in `bytes`.
///
/// # Errors
/// [`CodecError`] when the bytes are anything else. Look at [`Batch::is_supported`] afterwards.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, CodecError> {
    decode(bytes)
}

/// Replies as they travel from the leader to the proposer.
#[must_use]
pub fn encode_applied(applied: &Applied) -> Vec<u8> {
    encode(applied)
}

/// The replies in `bytes`.
///
/// # Errors
/// [`CodecError`] when the bytes are anything else.
pub fn decode_applied(bytes: &[u8]) -> Result<Applied, CodecError> {
    decode(bytes)
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, &mut out);
    out
}

pub(crate) fn encode_into(value: &impl Serialize, out: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, out, bincode::config::standard())
        .expect("writing to memory, and our types have no sequence of unknown length");
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_prefix(bytes)?;
    match bytes.len() - used {
        0 => Ok(value),
        extra => Err(CodecError::Trailing { extra }),
    }
}

/// A value at the start of `bytes`, and how long it was.
pub(crate) fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    let config = bincode::config::standard().with_limit::<ENCODED_MAX>();
    bincode::serde::decode_from_slice(bytes, config).map_err(CodecError::Malformed)
}
