//! Everything this crate stores or sends, in bytes: the only place that knows bincode.
//!
//! Each record begins with its format version, then bincode's standard configuration. A change of
//! any encoded type is a new version; the golden bytes in the tests notice one that is not meant.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod error;
mod export;
mod message;
mod op;

use serde::{Deserialize, Serialize};

pub use self::{
    error::CodecError,
    export::{decode_export, encode_export},
    message::{decode_message, encode_message},
    op::{decode_op, encode_op},
};

/// Bytes of the largest record but an export, which is bounded by the caller. Messages near this size do
/// not fit the frames of the cluster port either.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The version of each record of this release.
const VERSION: u8 = 1;

/// Appends a record to `out`; on an error `out` is as before.
fn encode(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    out.push(VERSION);
    let result = bincode::serde::encode_into_std_write(value, out, bincode::config::standard());
    let bytes = out.len() - start;
    let outcome = match result {
        Ok(_) if bytes <= RECORD_BYTES_MAX => return Ok(()),
        Ok(_) => CodecError::TooLarge { bytes, max: RECORD_BYTES_MAX },
        Err(source) => CodecError::Encode { source },
    };
    out.truncate(start);
    Err(outcome)
}

/// Reads a record that fills `bytes`.
fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();
    let (version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::Version { version: *version });
    }
    let (value, used) = bincode::serde::borrow_decode_from_slice(body, config)
        .map_err(|source| CodecError::Decode { source })?;
    match body.len() - used {
        0 => Ok(value),
        bytes => Err(CodecError::Trailing { bytes }),
    }
}
