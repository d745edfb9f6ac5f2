//! The bytes of a segment: its header and its records. Pure; nothing here touches a file.
//!
//! ```text
//! segment = magic "SPANMQSG" | version u32 | reserved u32 | base sequence u64 | crc32 u32 | 0 u32
//! record  = length u32 | crc32 u32 | sequence u64 | unsynced u32 | payload
//! ```
//! All numbers are little-endian. `length` counts what follows the checksum, so it is never 0 and
//! zeros from preallocation end the scan. `unsynced` says how many records just before this one
//! were not known to be synced when it was written: a bad record that a later one knew to be
//! synced is damage, any other bad record is a torn tail.

/// Format version of segment files.
pub(crate) const VERSION: u32 = 1;
/// Length of the segment header.
pub(crate) const HEADER_BYTES: u64 = 32;
/// What a record costs besides its payload.
pub(crate) const RECORD_HEAD_BYTES: usize = 20;

const MAGIC: &[u8; 8] = b"SPANMQSG";
/// The part of the record head that `length` counts: sequence and unsynced.
const COUNTED_HEAD: usize = 12;

/// What is wrong with a segment header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    NotASegment,
    Checksum,
    Version(u32),
}

/// The header of a segment whose first record has sequence `base`.
pub(crate) fn encode_header(base: u64) -> [u8; HEADER_BYTES as usize] {
    let mut head = [0; HEADER_BYTES as usize];
    let (magic, rest) = head.split_at_mut(8);
    magic.copy_from_slice(MAGIC);
    let (version, rest) = rest.split_at_mut(8);
    version.copy_from_slice(&u64::from(VERSION).to_le_bytes());
    rest.split_at_mut(8).0.copy_from_slice(&base.to_le_bytes());
    let crc = crc32fast::hash(head.split_at(24).0);
    head.split_at_mut(24).1.split_at_mut(4).0.copy_from_slice(&crc.to_le_bytes());
    head
}

/// Reads a segment header and returns its base sequence.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<u64, BadHeader> {
    if bytes.get(..8) != Some(MAGIC) {
        return Err(BadHeader::NotASegment);
    }
    let version = u32_at(bytes, 8).ok_or(BadHeader::NotASegment)?;
    let crc = bytes.get(..24).map(crc32fast::hash).ok_or(BadHeader::NotASegment)?;
    if u32_at(bytes, 24) != Some(crc) {
        return Err(BadHeader::Checksum);
    }
    if version != VERSION {
        return Err(BadHeader::Version(version));
    }
    u64_at(bytes, 16).ok_or(BadHeader::NotASegment)
}

/// Appends one record to `out`. The caller has checked the length of `payload`.
pub(crate) fn encode(sequence: u64, unsynced: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = (COUNTED_HEAD + payload.len()) as u32;
    let mut counted = [0; COUNTED_HEAD];
    let (first, second) = counted.split_at_mut(8);
    first.copy_from_slice(&sequence.to_le_bytes());
    second.copy_from_slice(&unsynced.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(length, &counted, payload).to_le_bytes());
    out.extend_from_slice(&counted);
    out.extend_from_slice(payload);
}

/// A record found in a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) sequence: u64,
    pub(crate) unsynced: u32,
    pub(crate) payload: &'a [u8],
}

impl Record<'_> {
    /// Length on disk.
    pub(crate) fn bytes(&self) -> usize {
        RECORD_HEAD_BYTES + self.payload.len()
    }
}

/// Reads the record at the start of `bytes`; `None` when there is no whole, sound one.
pub(crate) fn decode(bytes: &[u8], payload_bytes_max: u32) -> Option<Record<'_>> {
    let length = u32_at(bytes, 0)?;
    let payload_bytes = (length as usize).checked_sub(COUNTED_HEAD)?;
    if payload_bytes > payload_bytes_max as usize {
        return None;
    }
    let counted = bytes.get(8..RECORD_HEAD_BYTES)?;
    let payload = bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES.checked_add(payload_bytes)?)?;
    if u32_at(bytes, 4)? != checksum(length, counted, payload) {
        return None;
    }
    Some(Record { sequence: u64_at(bytes, 8)?, unsynced: u32_at(bytes, 16)?, payload })
}

/// The sequence a record at the start of `bytes` would have, sound or not.
pub(crate) fn peek_sequence(bytes: &[u8]) -> Option<u64> {
    u64_at(bytes, 8)
}

fn checksum(length: u32, counted: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length.to_le_bytes());
    crc.update(counted);
    crc.update(payload);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_record_stay_as_they_are_in_version_1() {
        let mut out = Vec::new();
        encode(7, 2, b"hi", &mut out);
        assert_eq!(out[..4], [14, 0, 0, 0]);
        assert_eq!(out[8..], [7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'h', b'i']);
        let record = decode(&out, 16).unwrap();
        assert_eq!(record, Record { sequence: 7, unsynced: 2, payload: b"hi" });
    }

    #[test]
    fn a_changed_bit_anywhere_in_a_record_is_noticed() {
        let mut out = Vec::new();
        encode(7, 2, b"payload", &mut out);
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad, 64), None, "bit {bit}");
        }
    }

    #[test]
    fn a_changed_bit_anywhere_in_a_header_is_noticed() {
        let head = encode_header(99);
        assert_eq!(decode_header(&head), Ok(99));
        for bit in 0..28 * 8 {
            let mut bad = head;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_header(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_not_a_record() {
        assert_eq!(decode(&[0; 64], 64), None);
    }

    #[test]
    fn a_record_over_the_limit_is_not_read() {
        let mut out = Vec::new();
        encode(0, 0, &[1; 100], &mut out);
        assert_eq!(decode(&out, 99), None);
        assert!(decode(&out, 100).is_some());
    }
}
