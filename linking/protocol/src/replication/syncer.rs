//! Changes that wait for the remote: the last operation per key, sent in batches (W-23).

use crate::message::{BatchLimits, RouteAction, RouteKey, RouteOp, entry_bytes};
use std::collections::BTreeSet;

/// The change map of one actor. A newer operation replaces the older one of the same key and never
/// cancels it: the remote may or may not have seen the older one. Ordered, so that a schedule
/// replays exactly.
#[derive(Debug, Default)]
pub struct Syncer {
    adds: BTreeSet<RouteKey>,
    deletes: BTreeSet<RouteKey>,
    /// Sent and not yet acknowledged.
    outstanding: Vec<RouteOp>,
}

impl Syncer {
    pub fn push(&mut self, op: RouteOp) {
        match op.action {
            RouteAction::Add => {
                self.deletes.remove(&op.key);
                self.adds.insert(op.key);
            }
            RouteAction::Delete => {
                self.adds.remove(&op.key);
                self.deletes.insert(op.key);
            }
        }
    }

    /// Operations that wait, the unacknowledged ones included.
    pub fn len(&self) -> usize {
        self.waiting().saturating_add(self.outstanding.len())
    }

    fn waiting(&self) -> usize {
        self.adds.len().saturating_add(self.deletes.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Something can be sent now.
    pub fn has_work(&self) -> bool {
        self.outstanding.is_empty() && self.waiting() > 0
    }

    pub fn clear(&mut self) {
        *self = Syncer::default();
    }

    /// Forgets the adds that wait: a snapshot taken now has them.
    pub fn forget_adds(&mut self) {
        self.adds.clear();
    }

    /// Takes the next batch: all adds before any delete, so that a route that moves from one id to
    /// another is never missing in between. Empty while one is outstanding.
    pub fn next_batch(&mut self, actor_bytes: usize, limits: BatchLimits) -> &[RouteOp] {
        if !self.outstanding.is_empty() {
            return &[];
        }
        let mut room = limits.bytes.saturating_sub(actor_bytes.saturating_add(64));
        while self.outstanding.len() < limits.entries {
            let (set, action) = if self.adds.is_empty() {
                (&mut self.deletes, RouteAction::Delete)
            } else {
                (&mut self.adds, RouteAction::Add)
            };
            let Some(key) = set.pop_first() else { break };
            let op = RouteOp { action, key };
            let bytes = entry_bytes(&op);
            if bytes > room && !self.outstanding.is_empty() {
                set.insert(op.key);
                break;
            }
            room = room.saturating_sub(bytes);
            self.outstanding.push(op);
        }
        &self.outstanding
    }

    /// The outstanding batch arrived. Returns how many adds and deletes it held.
    pub fn acknowledged(&mut self) -> (u64, u64) {
        let counts = count(&self.outstanding);
        self.outstanding.clear();
        counts
    }

    /// The outstanding batch may or may not have arrived: it waits again, below newer operations.
    pub fn unsent(&mut self) {
        for op in std::mem::take(&mut self.outstanding) {
            if !self.adds.contains(&op.key) && !self.deletes.contains(&op.key) {
                self.push(op);
            }
        }
    }
}

/// Adds and deletes in a batch.
pub(super) fn count(ops: &[RouteOp]) -> (u64, u64) {
    let adds = ops.iter().filter(|op| op.action == RouteAction::Add).count() as u64;
    (adds, (ops.len() as u64).saturating_sub(adds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(entries: usize) -> BatchLimits {
        BatchLimits { entries, bytes: 1 << 20 }
    }

    #[test]
    fn a_newer_operation_replaces_the_older_and_is_still_sent() {
        let mut syncer = Syncer::default();
        syncer.push(RouteOp::add("t", "t"));
        syncer.push(RouteOp::delete("t", "t"));
        assert_eq!(syncer.next_batch(4, limits(10)), [RouteOp::delete("t", "t")]);
    }

    #[test]
    fn adds_leave_before_deletes_when_a_batch_splits() {
        let mut syncer = Syncer::default();
        syncer.push(RouteOp::delete("a", "a"));
        syncer.push(RouteOp::add("b", "b"));
        syncer.push(RouteOp::add("c", "c"));
        let first = syncer.next_batch(4, limits(2)).to_vec();
        assert_eq!(first, [RouteOp::add("b", "b"), RouteOp::add("c", "c")]);
        assert_eq!(syncer.next_batch(4, limits(2)), [], "one packet is outstanding");
        assert_eq!(syncer.acknowledged(), (2, 0));
        assert_eq!(syncer.next_batch(4, limits(2)), [RouteOp::delete("a", "a")]);
    }

    #[test]
    fn a_batch_that_may_be_lost_waits_again_below_newer_operations() {
        let mut syncer = Syncer::default();
        syncer.push(RouteOp::add("a", "a"));
        syncer.push(RouteOp::add("b", "b"));
        assert_eq!(syncer.next_batch(4, limits(10)).len(), 2);
        syncer.push(RouteOp::delete("a", "a"));
        syncer.unsent();
        let again = syncer.next_batch(4, limits(10));
        assert_eq!(again, [RouteOp::add("b", "b"), RouteOp::delete("a", "a")]);
    }

    #[test]
    fn bytes_bound_a_batch_but_one_large_operation_goes_alone() {
        let mut syncer = Syncer::default();
        let large = "x".repeat(2000);
        syncer.push(RouteOp::add(&large, "1"));
        syncer.push(RouteOp::add(&large, "2"));
        let tight = BatchLimits { entries: 10, bytes: 512 };
        assert_eq!(syncer.next_batch(4, tight).len(), 1);
        syncer.acknowledged();
        assert_eq!(syncer.next_batch(4, tight).len(), 1);
        syncer.acknowledged();
        assert!(syncer.is_empty());
    }
}
