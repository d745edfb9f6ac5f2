use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{CodecError, VERSION, decode, decode_message, encode, encode_message};
use super::{decode_op, encode_op};
use crate::SessionExport;

/// A session in bytes: version, then records of the client id, the ops and the messages, each after
/// its length (four bytes, big-endian); the lists after their counts.
///
/// # Errors
/// [`CodecError`] if a part is above its limit.
pub fn encode_export(export: &SessionExport, now: Instant) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![VERSION];
    framed(&mut out, |out| encode(&&*export.client_id, out))?;
    count(&mut out, export.ops.len())?;
    for op in &export.ops {
        framed(&mut out, |out| encode_op(op, out))?;
    }
    count(&mut out, export.messages.len())?;
    for message in &export.messages {
        framed(&mut out, |out| encode_message(message, now, out))?;
    }
    Ok(out)
}

/// Reads a session. Memory: in proportion to `bytes`, whatever they say.
///
/// # Errors
/// [`CodecError`] for anything but one whole export.
pub fn decode_export(bytes: &[u8], now: Instant) -> Result<SessionExport, CodecError> {
    let (version, mut rest) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::Version { version: *version });
    }
    let client_id: Arc<str> = Arc::from(decode::<&str>(next_frame(&mut rest)?)?);
    let mut ops = Vec::new();
    for _ in 0..next_number(&mut rest)? {
        ops.push(decode_op(next_frame(&mut rest)?)?);
    }
    let mut messages = Vec::new();
    for _ in 0..next_number(&mut rest)? {
        let message = decode_message(next_frame(&mut rest)?, now, Duration::ZERO)?;
        messages.push(Arc::new(message));
    }
    match rest.len() {
        0 => Ok(SessionExport { client_id, ops, messages }),
        bytes => Err(CodecError::Trailing { bytes }),
    }
}

fn framed(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let mut record = Vec::new();
    write(&mut record)?;
    count(out, record.len())?;
    out.extend_from_slice(&record);
    Ok(())
}

fn count(out: &mut Vec<u8>, count: usize) -> Result<(), CodecError> {
    let max = u32::MAX as usize;
    let number = u32::try_from(count).map_err(|_| CodecError::TooLarge { bytes: count, max })?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

fn next_number(rest: &mut &[u8]) -> Result<u32, CodecError> {
    let short = CodecError::Invalid { field: "length" };
    let (number, tail) = rest.split_first_chunk::<4>().ok_or(short)?;
    *rest = tail;
    Ok(u32::from_be_bytes(*number))
}

fn next_frame<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let len = next_number(rest)? as usize;
    let short = CodecError::Invalid { field: "length" };
    let (frame, tail) = rest.split_at_checked(len).ok_or(short)?;
    *rest = tail;
    Ok(frame)
}
