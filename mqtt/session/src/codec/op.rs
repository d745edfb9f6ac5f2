use super::{CodecError, decode, encode};
use crate::JournalOp;

/// Appends an op to `out`.
///
/// # Errors
/// [`CodecError::TooLarge`]; `out` is unchanged then.
pub fn encode_op(op: &JournalOp, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode(op, out)
}

/// Reads an op.
///
/// # Errors
/// [`CodecError`] for anything but one whole record.
pub fn decode_op(bytes: &[u8]) -> Result<JournalOp, CodecError> {
    decode(bytes)
}
