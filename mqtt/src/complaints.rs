//! Log lines about what clients do wrong: one for each, but not as many as they like.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Lines per second, and at once after a pause.
const LINES: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Complaints {
    rate: DefaultDirectRateLimiter,
    suppressed: AtomicU64,
}

impl Default for Complaints {
    fn default() -> Self {
        let rate = RateLimiter::direct(Quota::per_second(LINES));
        Self { rate, suppressed: AtomicU64::new(0) }
    }
}

impl Complaints {
    /// `Some`: write the line, with how many were left out before it.
    pub(crate) fn turn(&self) -> Option<u64> {
        if self.rate.check().is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_for_the_next_line() {
        let complaints = Complaints::default();
        let turns: Vec<_> = (0..1_000).map(|_| complaints.turn()).collect();
        let written = turns.iter().flatten().count();
        assert!((10..1_000).contains(&written), "{written}");
        let told: u64 = turns.iter().flatten().sum();
        assert_eq!(told + complaints.suppressed.load(Ordering::Relaxed), 1_000 - written as u64);
    }
}
