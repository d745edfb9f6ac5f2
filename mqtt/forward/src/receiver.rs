//! The other end of a queue: drops repeats, keeps the answers of items whose answer got lost.

use std::collections::VecDeque;

use crate::frame::{Item, Outcome};

/// Answers kept for repeats; a sender has fewer items than this under way (`Limits::items_max`).
const ANSWERS_KEPT: usize = 131_072;

/// What to do with the items of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// Deliver these, in order, and report each with [`Receiver::done`].
    pub deliver: Vec<Item>,
    /// Repeats whose outcome is known: answer at once.
    pub answers: Vec<(u64, Outcome)>,
}

/// The receiving side of the queue of one peer.
#[derive(Debug, Default)]
pub struct Receiver {
    stream: Option<u64>,
    next: u64,
    /// Outcomes by sequence, in order; none = being delivered.
    answers: VecDeque<(u64, Option<Outcome>)>,
}

impl Receiver {
    /// Sorts a frame into new items and repeats. A stream that is not the present one starts over:
    /// the sender has lost its memory, and so its claim that these are repeats.
    pub fn items(&mut self, stream: u64, items: Vec<Item>) -> Received {
        if self.stream != Some(stream) {
            *self = Self { stream: Some(stream), ..Self::default() };
        }
        let mut received = Received::default();
        for item in items {
            if item.sequence < self.next {
                received.answers.extend(self.known(item.sequence));
                continue;
            }
            self.next = item.sequence + 1;
            self.answers.push_back((item.sequence, None));
            if self.answers.len() > ANSWERS_KEPT {
                self.answers.pop_front();
            }
            received.deliver.push(item);
        }
        received
    }

    /// The answer to a repeat: known, still coming, or so old that it was held long ago.
    fn known(&self, sequence: u64) -> Option<(u64, Outcome)> {
        match self.answers.binary_search_by_key(&sequence, |(s, _)| *s) {
            Ok(at) => self.answers.get(at).and_then(|(s, outcome)| outcome.map(|o| (*s, o))),
            Err(_) => Some((sequence, Outcome::Held)),
        }
    }

    /// Notes the outcome of a delivered item. False when it belongs to an earlier stream, whose
    /// answers nobody waits for.
    pub fn done(&mut self, stream: u64, sequence: u64, outcome: Outcome) -> bool {
        if self.stream != Some(stream) {
            return false;
        }
        if let Ok(at) = self.answers.binary_search_by_key(&sequence, |(s, _)| *s)
            && let Some(entry) = self.answers.get_mut(at)
        {
            entry.1 = Some(outcome);
        }
        true
    }
}
