//! The compressed form: 131, 80, size, zlib stream (W-50). The declared size is a claim (K3).

use super::{DecodeLimits, TermError};
use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

const COMPRESSED_TAG: u8 = 80;
const VERSION: u8 = 131;
/// Version, tag and size before the zlib stream.
const HEADER_BYTES: usize = 6;
/// First allocation for an inflated payload; it grows with what really comes out.
const FIRST_CHUNK_BYTES: usize = 16 * 1024;

/// Returns the payload in its plain form: itself, or inflated when it is compressed. Memory grows
/// with the bytes that really come out, never with the size that the payload claims.
///
/// # Errors
/// [`TermError::InflatedTooLarge`] past `limits.inflated_bytes`, claimed or real;
/// [`TermError::BadCompression`] for a damaged stream or a wrong size.
pub fn unwrap_payload(payload: Bytes, limits: DecodeLimits) -> Result<Bytes, TermError> {
    let Some((&[VERSION, COMPRESSED_TAG, a, b, c, d], stream)) =
        payload.split_first_chunk::<HEADER_BYTES>()
    else {
        return Ok(payload);
    };
    let claimed = usize::try_from(u32::from_be_bytes([a, b, c, d]))
        .map_err(|_| TermError::InflatedTooLarge)?;
    if claimed > limits.inflated_bytes {
        return Err(TermError::InflatedTooLarge);
    }
    inflate(stream, claimed)
}

fn inflate(stream: &[u8], claimed: usize) -> Result<Bytes, TermError> {
    let mut zlib = Decompress::new(true);
    let mut plain = BytesMut::with_capacity(claimed.saturating_add(1).min(FIRST_CHUNK_BYTES));
    plain.put_u8(VERSION);
    let mut chunk = vec![0_u8; FIRST_CHUNK_BYTES.min(claimed.max(64))];
    let mut rest = stream;
    loop {
        let (in_before, out_before) = (zlib.total_in(), zlib.total_out());
        let status = zlib
            .decompress(rest, &mut chunk, FlushDecompress::None)
            .map_err(|_| TermError::BadCompression)?;
        let consumed = delta(in_before, zlib.total_in());
        let produced = delta(out_before, zlib.total_out());
        plain.put_slice(chunk.get(..produced).ok_or(TermError::BadCompression)?);
        if plain.len() > claimed.saturating_add(1) {
            return Err(TermError::InflatedTooLarge);
        }
        rest = rest.get(consumed..).ok_or(TermError::BadCompression)?;
        match status {
            Status::StreamEnd => break,
            _ if consumed == 0 && produced == 0 => return Err(TermError::BadCompression),
            _ => {}
        }
    }
    if plain.len() != claimed.saturating_add(1) {
        return Err(TermError::BadCompression);
    }
    Ok(plain.freeze())
}

fn delta(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}
