//! Gathers proposals into log entries. Pure: time comes in as an argument.
//!
//! openraft syncs once per entry, so throughput comes from batches, and latency from not waiting
//! when nothing is under way (ARCHITECTURE §5, §9).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// When a batch is full, due, or refused.
#[derive(Debug, Clone)]
pub struct BatchLimits {
    /// Commands in one entry. Default: 4,096.
    pub ops: usize,
    /// Encoded bytes in one entry, unless a single proposal is longer. Default: 1 MiB.
    pub bytes: usize,
    /// Encoded bytes of a single proposal. Default: 8 MiB.
    pub proposal_bytes: usize,
    /// Longest gathering while other entries are under way. Default: 2 ms.
    pub gather: Duration,
    /// Entries under way. Default: 8.
    pub in_flight: usize,
    /// Commands that wait. Default: 262,144.
    pub waiting_ops: usize,
    /// Bytes that wait. Default: 64 MiB.
    pub waiting_bytes: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            ops: 4_096,
            bytes: 1 << 20,
            proposal_bytes: 8 << 20,
            gather: Duration::from_millis(2),
            in_flight: 8,
            waiting_ops: 262_144,
            waiting_bytes: 64 << 20,
        }
    }
}

/// What one proposal weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    pub ops: usize,
    pub bytes: usize,
}

/// Why a proposal is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    TooLarge { bytes: usize, limit: usize },
    Full,
}

/// Proposals of type `P` that wait for their entry.
#[derive(Debug)]
pub(crate) struct Batcher<P> {
    limits: BatchLimits,
    waiting: VecDeque<(P, Weight, Instant)>,
    total: Weight,
    in_flight: usize,
}

impl<P> Batcher<P> {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), total: Weight { ops: 0, bytes: 0 }, in_flight: 0 }
    }

    /// Takes a proposal, or gives it back.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        proposal: P,
        weight: Weight,
    ) -> Result<(), (P, NotTaken)> {
        if weight.bytes > self.limits.proposal_bytes {
            let limit = self.limits.proposal_bytes;
            return Err((proposal, NotTaken::TooLarge { bytes: weight.bytes, limit }));
        }
        if self.total.ops + weight.ops > self.limits.waiting_ops
            || self.total.bytes + weight.bytes > self.limits.waiting_bytes
        {
            return Err((proposal, NotTaken::Full));
        }
        self.total.ops += weight.ops;
        self.total.bytes += weight.bytes;
        self.waiting.push_back((proposal, weight, now));
        Ok(())
    }

    /// The next batch, if one is due. Whoever takes it says [`Batcher::finished`] later.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Vec<P>> {
        if !self.is_due(now) {
            return None;
        }
        let mut batch = Vec::new();
        let mut sum = Weight { ops: 0, bytes: 0 };
        while let Some((_, weight, _)) = self.waiting.front() {
            sum.ops += weight.ops;
            sum.bytes += weight.bytes;
            if !batch.is_empty() && (sum.ops > self.limits.ops || sum.bytes > self.limits.bytes) {
                break;
            }
            self.total.ops -= weight.ops;
            self.total.bytes -= weight.bytes;
            batch.extend(self.waiting.pop_front().map(|(proposal, ..)| proposal));
        }
        self.in_flight += 1;
        Some(batch)
    }

    /// When to look again, if nothing else happens.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let (.., since) = self.waiting.front()?;
        (self.in_flight < self.limits.in_flight).then(|| *since + self.limits.gather)
    }

    /// Changes how many batches may be under way.
    pub(crate) fn set_in_flight_limit(&mut self, limit: usize) {
        self.limits.in_flight = limit;
    }

    /// A batch has its result.
    pub(crate) fn finished(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    fn is_due(&self, now: Instant) -> bool {
        let full = self.total.ops >= self.limits.ops || self.total.bytes >= self.limits.bytes;
        let idle = self.in_flight == 0 && !self.waiting.is_empty();
        idle || self.due_at().is_some_and(|due| full || now >= due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_millis(2);

    fn batcher() -> Batcher<u32> {
        Batcher::new(BatchLimits {
            ops: 10,
            bytes: 1_000,
            proposal_bytes: 5_000,
            gather: GATHER,
            in_flight: 2,
            waiting_ops: 30,
            waiting_bytes: 10_000,
        })
    }

    fn weight(ops: usize) -> Weight {
        Weight { ops, bytes: ops * 10 }
    }

    #[test]
    fn when_nothing_is_under_way_a_proposal_goes_at_once() {
        let (mut b, t0) = (batcher(), Instant::now());
        b.push(t0, 1, weight(1)).unwrap();
        assert_eq!(b.take(t0), Some(vec![1]));
        assert_eq!(b.take(t0), None);
    }

    #[test]
    fn while_a_batch_is_under_way_proposals_gather_until_the_time_is_up() {
        let (mut b, t0) = (batcher(), Instant::now());
        b.push(t0, 1, weight(1)).unwrap();
        b.take(t0);
        b.push(t0, 2, weight(1)).unwrap();
        b.push(t0 + GATHER / 2, 3, weight(1)).unwrap();
        assert_eq!(b.take(t0 + GATHER / 2), None);
        assert_eq!(b.due_at(), Some(t0 + GATHER));
        assert_eq!(b.take(t0 + GATHER), Some(vec![2, 3]));
    }

    #[test]
    fn a_full_batch_does_not_wait_and_leaves_the_rest() {
        let (mut b, t0) = (batcher(), Instant::now());
        b.push(t0, 1, weight(1)).unwrap();
        b.take(t0);
        for n in 2..5 {
            b.push(t0, n, weight(4)).unwrap();
        }
        assert_eq!(b.take(t0), Some(vec![2, 3]));
    }

    #[test]
    fn no_more_than_the_allowed_batches_are_under_way() {
        let (mut b, t0) = (batcher(), Instant::now());
        for n in 0..3 {
            b.push(t0, n, weight(10)).unwrap();
        }
        assert!(b.take(t0).is_some() && b.take(t0).is_some());
        assert_eq!((b.take(t0 + GATHER), b.due_at()), (None, None));
        b.finished();
        assert_eq!(b.take(t0), Some(vec![2]));
    }

    #[test]
    fn a_long_proposal_goes_alone_and_one_over_the_limit_is_refused() {
        let (mut b, t0) = (batcher(), Instant::now());
        b.push(t0, 1, Weight { ops: 1, bytes: 5_000 }).unwrap();
        b.push(t0, 2, weight(1)).unwrap();
        assert_eq!(b.take(t0), Some(vec![1]));
        let (_, why) = b.push(t0, 3, Weight { ops: 1, bytes: 5_001 }).unwrap_err();
        assert_eq!(why, NotTaken::TooLarge { bytes: 5_001, limit: 5_000 });
    }

    #[test]
    fn a_full_queue_gives_the_proposal_back() {
        let (mut b, t0) = (batcher(), Instant::now());
        b.push(t0, 1, weight(30)).unwrap();
        assert_eq!(b.push(t0, 2, weight(1)), Err((2, NotTaken::Full)));
    }
}
