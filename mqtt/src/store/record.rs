//! The journal's records: a version, a kind, and the wall clock of their writing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmq_session::codec::{CodecError, decode_message, decode_op, encode_message, encode_op};
use spanmq_session::{JournalOp, Message};

const VERSION: u8 = 1;
const BODY: u8 = 0;
const OP: u8 = 1;
const FORGET: u8 = 2;
/// The session's ops begin anew behind this record.
const RESET: u8 = 3;

/// A record as read.
#[derive(Debug)]
pub(super) enum Read {
    Body(Box<Message>),
    Op { client_id: Arc<str>, op: JournalOp },
    Forget { client_id: Arc<str> },
    Reset { client_id: Arc<str> },
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Cut off, or of another release.
    #[error("a record of the session journal has an unknown form")]
    Form,
    /// Its content.
    #[error("a record of the session journal cannot be read")]
    Content(#[from] CodecError),
}

/// Encodes a body.
///
/// # Errors
/// It is above its limit.
pub(super) fn body(message: &Message, now: Instant, wall_ms: u64) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![VERSION, BODY];
    out.extend(wall_ms.to_be_bytes());
    encode_message(message, now, &mut out)?;
    Ok(out)
}

/// Encodes a change of a session.
///
/// # Errors
/// It is above its limit.
pub(super) fn op(client_id: &str, op: &JournalOp) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![VERSION, OP];
    put_client(client_id, &mut out);
    encode_op(op, &mut out)?;
    Ok(out)
}

/// Encodes the end of a session.
pub(super) fn forget(client_id: &str) -> Vec<u8> {
    let mut out = vec![VERSION, FORGET];
    put_client(client_id, &mut out);
    out
}

/// Encodes the new beginning of a session's ops.
pub(super) fn reset(client_id: &str) -> Vec<u8> {
    let mut out = vec![VERSION, RESET];
    put_client(client_id, &mut out);
    out
}

fn put_client(client_id: &str, out: &mut Vec<u8>) {
    let len = u16::try_from(client_id.len()).expect("client ids come from MQTT strings");
    out.extend(len.to_be_bytes());
    out.extend(client_id.as_bytes());
}

/// Decodes a record. `wall_ms` is the present time; what passed since it was written counts as
/// the message's waiting.
///
/// # Errors
/// [`RecordError`].
pub(super) fn decode(bytes: &[u8], now: Instant, wall_ms: u64) -> Result<Read, RecordError> {
    let (&[version, kind], rest) = bytes.split_first_chunk::<2>().ok_or(RecordError::Form)?;
    if version != VERSION {
        return Err(RecordError::Form);
    }
    match kind {
        BODY => {
            let (written, rest) = rest.split_first_chunk::<8>().ok_or(RecordError::Form)?;
            let waited = wall_ms.saturating_sub(u64::from_be_bytes(*written));
            let message = decode_message(rest, now, Duration::from_millis(waited))?;
            Ok(Read::Body(Box::new(message)))
        }
        OP => {
            let (client_id, rest) = take_client(rest)?;
            Ok(Read::Op { client_id, op: decode_op(rest)? })
        }
        FORGET => Ok(Read::Forget { client_id: take_client(rest)?.0 }),
        RESET => Ok(Read::Reset { client_id: take_client(rest)?.0 }),
        _ => Err(RecordError::Form),
    }
}

fn take_client(bytes: &[u8]) -> Result<(Arc<str>, &[u8]), RecordError> {
    let (len, rest) = bytes.split_first_chunk::<2>().ok_or(RecordError::Form)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (client_id, rest) = rest.split_at_checked(len).ok_or(RecordError::Form)?;
    let client_id = std::str::from_utf8(client_id).map_err(|_| RecordError::Form)?;
    Ok((client_id.into(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_cut_one_is_refused() {
        let op = JournalOp::Dropped { seq: 9 };
        let bytes = super::op("c", &op).unwrap();
        match decode(&bytes, Instant::now(), 5).unwrap() {
            Read::Op { client_id, op: read } => assert_eq!((&*client_id, read), ("c", op)),
            other => panic!("{other:?}"),
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], Instant::now(), 5).is_err(), "{len}");
        }
    }
}
