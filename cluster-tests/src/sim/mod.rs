//! T0: the broker's pure machines over a simulated network, disk and clock, on one thread.
//!
//! A seed fixes every choice, so a schedule replays exactly; its trace is folded into one number.
//! Simulated so far: the queue between two nodes with its spool (`mqtt/forward`), and the replicated
//! route table with leases and snapshots (`raft/state`). Raft itself is outside, as are sessions
//! and links: their machines have model tests of their own.

pub mod queue;
pub mod routes;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What a schedule did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// All events, folded; equal schedules have equal ones.
    pub fold: u64,
    pub events: u64,
    /// Abstract states that were reached.
    pub states: BTreeSet<u64>,
}

impl Trace {
    /// One event of the schedule.
    pub(crate) fn event(&mut self, parts: &[u64]) {
        self.events += 1;
        // FNV-1a, as everywhere where only equality matters.
        for part in parts {
            self.fold = (self.fold ^ part).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn state(&mut self, state: u64) {
        self.states.insert(state);
    }
}

/// What all schedules of a run of T0 did.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub schedules: u64,
    pub events: u64,
    pub states: BTreeSet<u64>,
    /// Seed and what broke.
    pub broken: Vec<(u64, String)>,
}

/// Runs seeds from `first` on until the time is over.
#[must_use]
pub fn run(first: u64, time: Duration) -> Summary {
    let begun = Instant::now();
    let mut summary = Summary::default();
    for seed in first.. {
        if begun.elapsed() >= time || summary.broken.len() >= 5 {
            break;
        }
        for (kind, result) in [(0, queue::schedule(seed)), (1, routes::schedule(seed))] {
            summary.schedules += 1;
            match result {
                Ok(trace) => {
                    summary.events += trace.events;
                    summary.states.extend(trace.states.iter().map(|state| state << 1 | kind));
                }
                Err(broken) => summary.broken.push((seed, broken)),
            }
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace_and_another_one_another() {
        for schedule in [queue::schedule, routes::schedule] {
            let first = schedule(7).expect("keeps its promises");
            assert_eq!(first, schedule(7).expect("keeps its promises"));
            assert_ne!(first.fold, schedule(8).expect("keeps its promises").fold);
        }
    }

    #[test]
    fn three_hundred_schedules_keep_their_promises() {
        for seed in 0..300 {
            for schedule in [queue::schedule, routes::schedule] {
                if let Err(broken) = schedule(seed) {
                    panic!("seed {seed}: {broken}");
                }
            }
        }
    }
}
