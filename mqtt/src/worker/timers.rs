//! Time on a worker: keep-alive, slow readers, session ends, delayed wills.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::close::Close;
use super::{Worker, WorkerCell};
use crate::mail::SlotKey;

/// Pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(200);
/// All connections are looked at every so many ticks.
const SCAN_EVERY: u32 = 5;
/// Sessions are swept for expired messages every so many ticks.
const SWEEP_EVERY: u32 = 300;
/// How long a full output may stay full (L9).
const SLOW_READER_MAX: Duration = Duration::from_secs(30);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Will,
    SessionEnd,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at: Instant,
    due: Due,
    index: u32,
    generation: u32,
}

/// Timers that are looked at when they are due and checked against the session then: a cancelled
/// one simply finds nothing to do.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    ticks: u32,
}

impl Timers {
    pub(super) fn add(&mut self, at: Instant, key: SlotKey, due: Due) {
        let SlotKey { index, generation } = key;
        self.heap.push(Reverse(Timer { at, due, index, generation }));
    }

    fn next_due(&mut self, now: Instant) -> Option<(SlotKey, Due)> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        let Reverse(Timer { due, index, generation, .. }) = self.heap.pop()?;
        Some((SlotKey { index, generation }, due))
    }
}

/// The clock task of a worker.
pub(super) async fn tick(worker: WorkerCell) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        worker.borrow_mut().survive(Worker::on_tick);
    }
}

impl Worker {
    fn on_tick(&mut self) {
        self.begin();
        let now = self.now;
        self.unpark(now);
        while let Some((key, due)) = self.timers.next_due(now) {
            self.guarded(key, |worker| worker.on_due(key, due, now));
        }
        self.timers.ticks = self.timers.ticks.wrapping_add(1);
        if self.timers.ticks.is_multiple_of(SCAN_EVERY) {
            self.scan_connections(now);
        }
        if self.timers.ticks.is_multiple_of(SWEEP_EVERY) {
            self.sweep(now);
        }
    }

    fn on_due(&mut self, key: SlotKey, due: Due, now: Instant) {
        let Some(slot) = self.slots.get(key) else { return };
        match due {
            Due::Will if slot.will_due.is_some_and(|at| at <= now) => {
                self.publish_will(key);
                self.will_done(key);
            }
            Due::SessionEnd if slot.conn.is_none() && slot.ends_at.is_some_and(|at| at <= now) => {
                self.end_session(key);
            }
            Due::Will | Due::SessionEnd => {}
        }
    }

    /// Ends connections that are silent for too long (L5) or do not read (L9), and forgets QoS 2 ids
    /// that are not released (L7).
    fn scan_connections(&mut self, now: Instant) {
        let (mut ended, mut unreleased) = (Vec::new(), Vec::new());
        for (key, slot) in self.slots.iter() {
            let Some(conn) = &slot.conn else { continue };
            if now.saturating_duration_since(conn.last_seen) >= conn.silence_max {
                ended.push((key, Close::keep_alive()));
            } else if self.stalled_for(key, now).is_some_and(|time| time >= SLOW_READER_MAX) {
                ended.push((key, Close::slow()));
            } else if slot.session.awaits_release() {
                unreleased.push(key);
            }
        }
        for key in unreleased {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.session.forget_unreleased(now, &mut self.scratch.ops);
            }
            self.journal(key);
        }
        for (key, close) in ended {
            self.guarded(key, |worker| worker.close(key, close));
        }
    }

    /// Drops expired messages of sessions whose clients are away.
    fn sweep(&mut self, now: Instant) {
        let keys: Vec<SlotKey> =
            self.slots.iter().filter(|(_, slot)| slot.conn.is_none()).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.session.sweep(now, &mut self.scratch.ops);
                self.shared.metrics.count_drops(&slot.session.take_drops());
            }
            self.journal(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_the_order_of_their_time() {
        let now = Instant::now();
        let key = |index| SlotKey { index, generation: 0 };
        let mut timers = Timers::default();
        timers.add(now + Duration::from_secs(2), key(2), Due::Will);
        timers.add(now + Duration::from_secs(1), key(1), Due::SessionEnd);
        assert_eq!(timers.next_due(now), None);
        let later = now + Duration::from_secs(2);
        assert_eq!(timers.next_due(later), Some((key(1), Due::SessionEnd)));
        assert_eq!(timers.next_due(later), Some((key(2), Due::Will)));
        assert_eq!(timers.next_due(later), None);
    }
}
