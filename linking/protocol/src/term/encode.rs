//! The encoder: typed writes, no tree in between. Only the forms of W-51 come out.

use super::Atom;
use bytes::Bytes;
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write;

/// Payloads below this size are sent as they are (W-50).
const COMPRESS_FROM_BYTES: usize = 128;

/// Writes one term. Collections are written as a header with the count, then that many terms;
/// a list ends with [`Encoder::end_list`].
#[derive(Debug)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder::with_capacity(256)
    }
}

impl Encoder {
    pub fn with_capacity(bytes: usize) -> Encoder {
        let mut out = Vec::with_capacity(bytes);
        out.push(131);
        Encoder { out }
    }

    pub fn int(&mut self, value: i64) {
        if let Ok(small) = u8::try_from(value) {
            self.out.extend_from_slice(&[97, small]);
        } else if let Ok(word) = i32::try_from(value) {
            self.out.push(98);
            self.out.extend_from_slice(&word.to_be_bytes());
        } else {
            let magnitude = value.unsigned_abs().to_le_bytes();
            let zeros = magnitude.iter().rev().take_while(|byte| **byte == 0).count();
            let used = magnitude.len().saturating_sub(zeros);
            self.out.push(110);
            self.out.push(u8::try_from(used).unwrap_or(8));
            self.out.push(u8::from(value < 0));
            self.out.extend(magnitude.iter().take(used));
        }
    }

    pub fn atom(&mut self, atom: Atom) {
        let text = atom.as_str().as_bytes();
        self.out.push(119);
        self.out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.out.extend_from_slice(text);
    }

    /// Writes a binary. A binary past 4 GiB cannot come from an MQTT packet.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.out.push(109);
        self.count32(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.binary(text.as_bytes());
    }

    /// Opens a tuple of `arity` terms.
    pub fn tuple(&mut self, arity: u8) {
        self.out.extend_from_slice(&[104, arity]);
    }

    /// Opens a list of `count` terms. Finish it with [`Encoder::end_list`], also when empty.
    pub fn list(&mut self, count: usize) {
        if count > 0 {
            self.out.push(108);
            self.count32(count);
        }
    }

    pub fn end_list(&mut self) {
        self.out.push(106);
    }

    /// Opens a map of `count` pairs.
    pub fn map(&mut self, count: usize) {
        self.out.push(116);
        self.count32(count);
    }

    fn count32(&mut self, count: usize) {
        self.out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }

    /// The payload in its plain form.
    pub fn finish(self) -> Bytes {
        self.out.into()
    }
}

/// Compresses a plain payload of 128 bytes or more when that makes it smaller (W-50).
pub fn compress_when_smaller(plain: Bytes) -> Bytes {
    let Some((_, term)) = plain.split_first() else { return plain };
    let Ok(size) = u32::try_from(term.len()) else { return plain };
    if plain.len() < COMPRESS_FROM_BYTES {
        return plain;
    }
    let mut out = Vec::with_capacity(plain.len());
    out.extend_from_slice(&[131, 80]);
    out.extend_from_slice(&size.to_be_bytes());
    let mut zlib = ZlibEncoder::new(out, Compression::new(6));
    match zlib.write_all(term).and_then(|()| zlib.finish()) {
        Ok(packed) if packed.len() < plain.len() => packed.into(),
        _ => plain,
    }
}
