//! Takes down what happens, with one clock for all threads.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

use super::history::{Event, Kind, Op};

/// Events that a run may have; a longer one ends with an error instead of filling the memory.
const EVENTS_MAX: usize = 4_000_000;

/// The history in the making.
pub struct Recorder {
    begun: Instant,
    events: Mutex<Vec<Event>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { begun: Instant::now(), events: Mutex::default() }
    }
}

impl Recorder {
    /// Adds an event, now.
    pub fn add(&self, kind: Kind, proc: &str, op: Op, key: &str, value: Value, node: &str) {
        self.add_at(kind, proc, op, key, value, node, None);
    }

    /// Adds an event with a revision, now.
    #[expect(clippy::too_many_arguments, reason = "these are the fields of an event")]
    pub fn add_at(
        &self,
        kind: Kind,
        proc: &str,
        op: Op,
        key: &str,
        value: Value,
        node: &str,
        rev: Option<u64>,
    ) {
        let (proc, key, node) = (proc.to_owned(), key.to_owned(), node.to_owned());
        let mut events = self.events.lock().expect("nobody panics while he writes an event");
        // Under the lock, so that the order of the lines is that of their times.
        let t_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if events.len() < EVENTS_MAX {
            events.push(Event { t_us, kind, proc, op, key, value, node, rev });
        }
    }

    /// Begins a phase.
    pub fn phase(&self, name: &str) {
        self.add(Kind::State, "run", Op::Phase, name, Value::Null, "");
    }

    /// What happened so far.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        self.events.lock().expect("nobody panics while he writes an event").clone()
    }

    /// How many events of a kind there are after the first `skip` ones, and how many in all.
    #[must_use]
    pub fn count(&self, op: Op, skip: usize) -> (usize, usize) {
        let events = self.events.lock().expect("nobody panics while he writes an event");
        let new = events.iter().skip(skip).filter(|event| event.op == op).count();
        (new, events.len())
    }
}
