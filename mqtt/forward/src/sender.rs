//! The queue towards one peer: what is under way, what waits, what the spool holds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::frame::{Item, Outcome};

/// Bounds of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Items that wait or are under way. Default: 100,000.
    pub items_max: usize,
    /// Their bytes. Default: 64 MiB.
    pub bytes_max: usize,
    /// Bytes of one frame. Default: 256 KiB.
    pub frame_bytes_max: usize,
    /// An item without an answer for so long goes to the spool. Default: 500 ms.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            items_max: 100_000,
            bytes_max: 64 << 20,
            frame_bytes_max: 256 << 10,
            patience: Duration::from_millis(500),
        }
    }
}

/// What happens to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<T> {
    /// A message for the peer; `token` is given back with its outcome. The sequence number of the
    /// item is set by the queue.
    Append {
        /// The message.
        item: Item,
        /// Who waits; none for QoS 0.
        token: Option<T>,
    },
    /// The wire is up; whatever was under way is void.
    Up,
    /// The wire is down.
    Down,
    /// The peer answered.
    Answers(Vec<(u64, Outcome)>),
    /// Everything asked to be spooled up to this sequence number is on disk.
    Spooled(u64),
    /// The spool could not be written; its items up to this number are refused.
    SpoolFailed(u64),
    /// Time went by.
    Tick,
}

/// What the shell has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<T> {
    /// Send these as one frame.
    Send(Vec<Item>),
    /// Write these to the spool, then report [`Event::Spooled`].
    Spool(Vec<Item>),
    /// Nothing up to this sequence number is needed in the spool any more.
    Forget(u64),
    /// Tell whoever waits.
    Done(T, Outcome),
}

/// Numbers for status and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Items that wait or are under way.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// Items that the spool holds.
    pub spooled: usize,
    /// QoS 0 items dropped because the peer is away.
    pub dropped_away: u64,
    /// Items refused because the queue is full.
    pub refused_full: u64,
    /// Items sent again after a broken wire.
    pub resent: u64,
}

#[derive(Debug)]
struct Entry<T> {
    item: Item,
    token: Option<T>,
    since: Instant,
    spool: SpoolState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpoolState {
    Not,
    Asked,
    Held,
}

/// The queue towards one peer.
#[derive(Debug)]
pub struct Sender<T> {
    limits: Limits,
    next: u64,
    /// In order of sequence; answered ones are gone.
    entries: VecDeque<Entry<T>>,
    /// Sequence numbers below this one were sent on the present wire.
    sent_below: u64,
    up: bool,
    /// Since when a wire that was there has been down.
    down_since: Option<Instant>,
    stats: Stats,
}

/// Sequence numbers that one run of a node may use; a terabyte of the smallest items.
const OF_ONE_RUN: u32 = 40;

/// The first sequence number of a run of the node.
///
/// A run that restores its spool goes on with the stream of the run before, which has perhaps sent
/// items that it never spooled. Their numbers are known to the receiver and must not come again
/// with other messages, or it takes these for repeats and drops them.
#[must_use]
pub fn first_sequence(incarnation: u64) -> u64 {
    (incarnation << OF_ONE_RUN) + 1
}

impl<T> Sender<T> {
    /// An empty queue whose first item gets sequence number `first`, see [`first_sequence`].
    #[must_use]
    pub fn new(limits: Limits, first: u64) -> Self {
        Self {
            limits,
            next: first,
            entries: VecDeque::new(),
            sent_below: first,
            up: false,
            down_since: None,
            stats: Stats::default(),
        }
    }

    /// Takes back what the spool held when the node started, in order, before anything else.
    pub fn restore(&mut self, now: Instant, items: Vec<Item>) {
        for item in items {
            self.next = self.next.max(item.sequence + 1);
            self.count(&item, true);
            self.stats.spooled += 1;
            self.entries.push_back(Entry {
                item,
                token: None,
                since: now,
                spool: SpoolState::Held,
            });
        }
        self.sent_below = self.entries.front().map_or(self.next, |e| e.item.sequence);
    }

    /// Numbers of this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Moves on and says what to do. [`Event::Append`] only queues: call [`Sender::flush`] at the
    /// end of a batch, so that one frame carries all of it.
    pub fn handle(&mut self, now: Instant, event: Event<T>) -> Vec<Command<T>> {
        let mut out = Vec::new();
        match event {
            Event::Append { item, token } => self.append(now, item, token, &mut out),
            Event::Up => {
                self.up = true;
                self.down_since = None;
                let first = self.entries.front().map_or(self.next, |e| e.item.sequence);
                let again = self.entries.iter().filter(|e| e.item.sequence < self.sent_below);
                self.stats.resent += again.count() as u64;
                self.sent_below = first;
                self.flush_into(&mut out);
            }
            Event::Down => {
                self.up = false;
                self.down_since = Some(now);
            }
            Event::Answers(outcomes) => self.answers(outcomes, &mut out),
            Event::Spooled(upto) => self.spooled(upto, &mut out),
            Event::SpoolFailed(upto) => self.spool_failed(upto, &mut out),
            Event::Tick => self.tick(now, &mut out),
        }
        out
    }

    /// Frames for what was appended since the last call. For a peer that is known to be away the
    /// spool takes it at once: patience is for a peer that may still answer, and would otherwise
    /// delay each acknowledgement of a publisher that waits for the one before.
    pub fn flush(&mut self, now: Instant) -> Vec<Command<T>> {
        let mut out = Vec::new();
        self.flush_into(&mut out);
        let patience = self.limits.patience;
        let gone = |since| now.saturating_duration_since(since) >= patience;
        if !self.up && (self.stats.spooled > 0 || self.down_since.is_some_and(gone)) {
            self.spool_through(self.entries.len(), &mut out);
        }
        out
    }

    fn append(
        &mut self,
        now: Instant,
        mut item: Item,
        token: Option<T>,
        out: &mut Vec<Command<T>>,
    ) {
        let full = self.stats.waiting >= self.limits.items_max
            || self.stats.waiting_bytes + item.message.len() > self.limits.bytes_max;
        if full {
            self.stats.refused_full += 1;
            out.extend(token.map(|token| Command::Done(token, Outcome::Refused(0x97))));
            return;
        }
        item.sequence = self.next;
        item.acknowledged = token.is_some();
        self.next += 1;
        self.count(&item, true);
        self.entries.push_back(Entry { item, token, since: now, spool: SpoolState::Not });
    }

    fn count(&mut self, item: &Item, comes: bool) {
        let stats = &mut self.stats;
        if comes {
            stats.waiting += 1;
            stats.waiting_bytes += item.message.len();
        } else {
            stats.waiting -= 1;
            stats.waiting_bytes -= item.message.len();
        }
    }

    fn flush_into(&mut self, out: &mut Vec<Command<T>>) {
        if !self.up {
            return;
        }
        let start = self.entries.partition_point(|e| e.item.sequence < self.sent_below);
        let (mut frame, mut bytes) = (Vec::new(), 0);
        for entry in self.entries.range(start..) {
            let size = entry.item.message.len() + 64;
            if bytes + size > self.limits.frame_bytes_max && !frame.is_empty() {
                out.push(Command::Send(std::mem::take(&mut frame)));
                bytes = 0;
            }
            bytes += size;
            frame.push(entry.item.clone());
        }
        if !frame.is_empty() {
            out.push(Command::Send(frame));
        }
        self.sent_below = self.next;
    }

    fn answers(&mut self, outcomes: Vec<(u64, Outcome)>, out: &mut Vec<Command<T>>) {
        for (sequence, outcome) in outcomes {
            let Ok(at) = self.entries.binary_search_by_key(&sequence, |e| e.item.sequence) else {
                continue;
            };
            let Some(mut entry) = self.entries.remove(at) else { continue };
            self.count(&entry.item, false);
            if let Some(token) = entry.token.take() {
                out.push(Command::Done(token, outcome));
            }
            if entry.spool != SpoolState::Not {
                self.stats.spooled -= usize::from(entry.spool == SpoolState::Held);
                self.forget(sequence, out);
            }
        }
    }

    /// The spool may drop all that lies before the oldest entry that still needs it.
    fn forget(&mut self, answered: u64, out: &mut Vec<Command<T>>) {
        let oldest = self.entries.iter().find(|e| e.spool != SpoolState::Not);
        let upto = oldest.map_or(answered, |e| e.item.sequence - 1);
        match out.last_mut() {
            Some(Command::Forget(last)) => *last = (*last).max(upto),
            _ => out.push(Command::Forget(upto)),
        }
    }

    fn spooled(&mut self, upto: u64, out: &mut Vec<Command<T>>) {
        for entry in self.entries.iter_mut().take_while(|e| e.item.sequence <= upto) {
            if entry.spool == SpoolState::Asked {
                entry.spool = SpoolState::Held;
                self.stats.spooled += 1;
                if let Some(token) = entry.token.take() {
                    out.push(Command::Done(token, Outcome::Held));
                }
            }
        }
    }

    fn spool_failed(&mut self, upto: u64, out: &mut Vec<Command<T>>) {
        let mut kept = VecDeque::with_capacity(self.entries.len());
        for mut entry in std::mem::take(&mut self.entries) {
            if entry.item.sequence > upto || entry.spool != SpoolState::Asked {
                kept.push_back(entry);
                continue;
            }
            self.count(&entry.item, false);
            if let Some(token) = entry.token.take() {
                out.push(Command::Done(token, Outcome::Refused(0x97)));
            }
        }
        self.entries = kept;
    }

    /// Whatever has waited too long goes to the spool, with everything acknowledged before it, so
    /// that the spool holds a gapless beginning of the queue. QoS 0 of an absent peer is dropped.
    fn tick(&mut self, now: Instant, out: &mut Vec<Command<T>>) {
        let late = |e: &Entry<T>| now.saturating_duration_since(e.since) >= self.limits.patience;
        let Some(last) = self.entries.iter().rposition(late) else { return };
        let mut spool = Vec::new();
        self.spool_through(last + 1, &mut spool);
        if !self.up {
            self.drop_unacknowledged(now);
        }
        out.append(&mut spool);
    }

    /// Asks for the first `count` entries, as far as they must be kept, to be written.
    fn spool_through(&mut self, count: usize, out: &mut Vec<Command<T>>) {
        // All before the last one that was asked for are settled: look at the rest only.
        let asked = self.entries.iter().rposition(|e| e.spool != SpoolState::Not);
        let start = asked.map_or(0, |at| at + 1).min(count);
        let mut to_spool = Vec::new();
        for entry in self.entries.range_mut(start..count) {
            if entry.item.acknowledged {
                entry.spool = SpoolState::Asked;
                to_spool.push(entry.item.clone());
            }
        }
        if !to_spool.is_empty() {
            out.push(Command::Spool(to_spool));
        }
    }

    /// QoS 0 waits for a wire that is being opened, not for a peer that is away.
    fn drop_unacknowledged(&mut self, now: Instant) {
        let (stats, patience) = (&mut self.stats, self.limits.patience);
        self.entries.retain(|entry| {
            let late = now.saturating_duration_since(entry.since) >= patience;
            let keep = entry.item.acknowledged || !late;
            if !keep {
                stats.waiting -= 1;
                stats.waiting_bytes -= entry.item.message.len();
                stats.dropped_away += 1;
            }
            keep
        });
    }

    /// The peer is gone for good (removed from the cluster): everything is answered.
    pub fn abandon(&mut self) -> Vec<Command<T>> {
        self.up = false;
        self.stats.waiting = 0;
        self.stats.waiting_bytes = 0;
        self.stats.spooled = 0;
        let last = self.next.saturating_sub(1);
        let waiting = self.entries.drain(..).filter_map(|e| e.token);
        let mut out: Vec<_> = waiting.map(|t| Command::Done(t, Outcome::NoSubscribers)).collect();
        out.push(Command::Forget(last));
        out
    }
}
