//! A digest of the state that is cheap at each applied index (CHAOS P9).
//!
//! Each entry has a 64-bit hash; a shard's digest is the wrapping sum of its entries' hashes, so it
//! follows a change in constant time and does not depend on the order of entries. The hash is fixed
//! for ever (same on every node and build) and finds accidents, not attackers.

use serde::{Deserialize, Serialize};

const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd1b5_4a32_d192_ed03;

/// The digest of a whole state, with the parts that tell where two states differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Over all areas.
    pub total: u64,
    /// Cluster, routes, sessions, links, remote, retained, access, alarms.
    pub areas: [u64; 8],
}

impl Digest {
    pub(crate) fn of(areas: [u64; 8]) -> Self {
        Self { total: areas.iter().fold(EntryHash::new(0), |h, a| h.u64(*a)).finish(), areas }
    }
}

/// Builds the hash of one entry, or of a shard from its parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryHash(u64);

impl EntryHash {
    /// `kind` keeps equal contents of different tables apart.
    pub(crate) fn new(kind: u64) -> Self {
        Self(fold(kind ^ K2))
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        Self(fold(self.0 ^ value.wrapping_mul(K2)).wrapping_add(K1))
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut h = self.u64(bytes.len() as u64);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = <[u8; 8]>::try_from(chunk).map_or(0, u64::from_le_bytes);
            h = h.u64(word);
        }
        let tail = chunks.remainder();
        if tail.is_empty() {
            return h;
        }
        h.u64(tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Any value, by its stored encoding.
    pub(crate) fn value(self, value: &impl Serialize) -> Self {
        self.bytes(&crate::codec::encode(value))
    }

    pub(crate) fn finish(self) -> u64 {
        fold(self.0)
    }
}

/// One multiplication to 128 bits, folded: every input bit reaches every output bit.
fn fold(x: u64) -> u64 {
    let wide = u128::from(x ^ K1) * u128::from(K2 ^ x.rotate_left(32));
    (wide as u64) ^ ((wide >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_hash_is_fixed_for_ever() {
        assert_eq!(EntryHash::new(1).text("a/b").u64(7).finish(), FIXED);
    }

    const FIXED: u64 = 8_588_877_258_078_118_588;

    #[test]
    fn neighbouring_inputs_and_lengths_differ() {
        let (mut numbers, mut texts) = (HashSet::new(), HashSet::new());
        for kind in 0..4 {
            for n in 0..1000u64 {
                assert!(numbers.insert(EntryHash::new(kind).u64(n).finish()));
                assert!(texts.insert(EntryHash::new(kind).bytes(&vec![0; n as usize]).finish()));
            }
        }
    }
}
