//! Which lane and connection a message takes (W-31).

use crate::config::DispatchStrategy;

/// How many buffer lanes and pool connections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    pub workers: u32,
    pub connections: u32,
}

impl Lanes {
    /// The buffer lane for a hash.
    pub fn worker(self, hash: u64) -> u32 {
        index(hash, self.workers)
    }

    /// The pool connection for a hash, counted from 0. One hash always takes one connection, so a
    /// publisher's messages keep their order.
    pub fn connection(self, hash: u64) -> u32 {
        index(hash, self.connections)
    }
}

/// Scales by the high bits, which are the well mixed ones. When one count divides the other, each
/// lane feeds exactly one connection.
fn index(hash: u64, count: u32) -> u32 {
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    u32::try_from((mixed * u64::from(count)) >> 32).unwrap_or(0)
}

/// What decides the lane: the publishing connection, or chance. Stable over restarts, because
/// buffered messages carry it.
pub fn lane_hash(strategy: DispatchStrategy, client_id: &str, random: u64) -> u64 {
    match strategy {
        DispatchStrategy::Random => random,
        // FNV-1a: stable, and good enough to spread client ids.
        DispatchStrategy::PerClientId => {
            client_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
        }
    }
}
