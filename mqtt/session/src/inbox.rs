//! What waits for a session: QoS 0 in one queue, QoS 1 and 2 in another, and behind that one the
//! entries whose messages wait in the store.
//!
//! Two queues, because QoS 0 must not wait for a full window, and is the first to be dropped.
//! MQTT promises order per topic and QoS only [MQTT-4.6.0-6]; while the window has room, both
//! leave in the common order of arrival all the same.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Entry, Limits, Message, MessageId, queued::Queued};

/// Capacity that an empty queue may keep.
const IDLE_CAPACITY: usize = 64;
/// Between two looks for expired messages in a full inbox.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    qos0: VecDeque<Queued>,
    acked: VecDeque<Queued>,
    /// All later than `acked`: while there are any, new QoS 1 and 2 messages queue behind them.
    spilled: VecDeque<Entry>,
    /// How many at the front of `spilled` the store was asked for.
    loading: usize,
    bytes: u64,
    spilled_bytes: u64,
    last_sweep: Option<Instant>,
}

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    Memory,
    Spilled,
    Full,
}

impl Inbox {
    /// Queues a message; `evicted` hears of each one that made room: QoS 0 for the others, and, with
    /// `drop_oldest`, any for a newer one.
    pub(crate) fn push(
        &mut self,
        queued: Queued,
        may_spill: bool,
        drop_oldest: bool,
        limits: &Limits,
        mut evicted: impl FnMut(&Entry),
    ) -> Placement {
        if !queued.entry.qos.is_acknowledged() {
            return self.push_qos0(queued, drop_oldest, limits, evicted);
        }
        loop {
            if self.spilled.is_empty() {
                self.make_room(queued.size(), limits, &mut evicted);
                if self.fits(self.acked.len(), queued.size(), limits) {
                    self.put(queued);
                    return Placement::Memory;
                }
            }
            if may_spill && self.spill_fits(queued.size(), drop_oldest, limits) {
                self.put_spilled(queued.entry);
                return Placement::Spilled;
            }
            match drop_oldest.then(|| self.take_oldest()).flatten() {
                Some(oldest) => evicted(&oldest),
                None => return Placement::Full,
            }
        }
    }

    fn push_qos0(
        &mut self,
        queued: Queued,
        drop_oldest: bool,
        limits: &Limits,
        mut evicted: impl FnMut(&Entry),
    ) -> Placement {
        while !self.fits(self.qos0.len(), queued.size(), limits) {
            let oldest = if drop_oldest { self.qos0.pop_front() } else { None };
            let Some(oldest) = oldest else {
                return Placement::Full;
            };
            self.bytes -= oldest.size();
            evicted(&oldest.entry);
        }
        self.put(queued);
        Placement::Memory
    }

    /// The QoS 1 or 2 message that waits longest, unless the store is just loading it.
    fn take_oldest(&mut self) -> Option<Entry> {
        if let Some(oldest) = self.acked.pop_front() {
            self.bytes -= oldest.size();
            return Some(oldest.entry);
        }
        let oldest = self.spilled.remove(self.loading)?;
        self.spilled_bytes -= u64::from(oldest.size);
        Some(oldest)
    }

    /// Whether a queue of `len` takes one more; an empty inbox takes a message of any size.
    fn fits(&self, len: usize, size: u64, limits: &Limits) -> bool {
        let empty = self.bytes == 0;
        len < limits.inbox_messages_max as usize
            && (empty || self.bytes.saturating_add(size) <= limits.inbox_bytes_max)
    }

    /// Drops the oldest QoS 0 messages until the bytes of one more fit.
    fn make_room(&mut self, size: u64, limits: &Limits, mut evicted: impl FnMut(&Entry)) {
        while self.bytes.saturating_add(size) > limits.inbox_bytes_max {
            let Some(oldest) = self.qos0.pop_front() else { return };
            self.bytes -= oldest.size();
            evicted(&oldest.entry);
        }
    }

    /// Whether the limits of the store allow one more entry. When the oldest gives way, those of
    /// memory and store count together: memory may have drained before the store.
    fn spill_fits(&self, size: u64, drop_oldest: bool, limits: &Limits) -> bool {
        let (mut messages, mut bytes) = (self.spilled.len(), self.spilled_bytes);
        let mut messages_max = limits.spill_messages_max as usize;
        let mut bytes_max = limits.spill_bytes_max;
        if drop_oldest {
            messages += self.acked.len();
            bytes = bytes.saturating_add(self.bytes);
            messages_max = messages_max.saturating_add(limits.inbox_messages_max as usize);
            bytes_max = bytes_max.saturating_add(limits.inbox_bytes_max);
        }
        messages < messages_max && bytes.saturating_add(size) <= bytes_max
    }

    /// Rebuilds an inbox: as much in memory as is at hand and fits, the rest in the store (even
    /// above its limits: those are for new messages).
    pub(crate) fn restore(
        entries: impl IntoIterator<Item = Entry>,
        limits: &Limits,
        mut find: impl FnMut(MessageId) -> Option<Arc<Message>>,
    ) -> Self {
        let mut inbox = Self::default();
        for entry in entries {
            let acked = entry.qos.is_acknowledged();
            let len = if acked { inbox.acked.len() } else { inbox.qos0.len() };
            let in_memory = inbox.fits(len, u64::from(entry.size), limits)
                && (!acked || inbox.spilled.is_empty());
            match in_memory.then(|| find(entry.message)).flatten() {
                Some(message) => inbox.put(Queued { entry, message }),
                None if acked => inbox.put_spilled(entry),
                None => {}
            }
        }
        inbox
    }

    fn put(&mut self, queued: Queued) {
        self.bytes += queued.size();
        let acked = queued.entry.qos.is_acknowledged();
        let queue = if acked { &mut self.acked } else { &mut self.qos0 };
        queue.push_back(queued);
    }

    fn put_spilled(&mut self, entry: Entry) {
        self.spilled_bytes += u64::from(entry.size);
        self.spilled.push_back(entry);
    }

    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        !self.fits(self.qos0.len().max(self.acked.len()), 0, limits) || self.spilled() > 0
    }

    /// The next message in order of arrival; only QoS 0 while `window_has_room` is false.
    pub(crate) fn pop(&mut self, window_has_room: bool) -> Option<Queued> {
        let next_acked = self.acked.front().filter(|_| window_has_room);
        let acked_first = match (next_acked, self.qos0.front()) {
            (Some(acked), Some(qos0)) => acked.entry.seq < qos0.entry.seq,
            (next, _) => next.is_some(),
        };
        let queue = if acked_first { &mut self.acked } else { &mut self.qos0 };
        let queued = queue.pop_front()?;
        self.bytes -= queued.size();
        if queue.is_empty() && queue.capacity() > IDLE_CAPACITY {
            *queue = VecDeque::new();
        }
        Some(queued)
    }

    /// Which messages the store is to load now: half a queue, when half of it has drained.
    pub(crate) fn refill(&mut self, limits: &Limits, out: &mut Vec<MessageId>) {
        let messages_max = (limits.inbox_messages_max as usize / 2).max(1);
        let bytes_max = limits.inbox_bytes_max / 2;
        if self.loading > 0 || self.acked.len() > messages_max || self.bytes > bytes_max {
            return;
        }
        let mut bytes = 0;
        for entry in self.spilled.iter().take(messages_max) {
            bytes += u64::from(entry.size);
            if self.loading > 0 && bytes > bytes_max {
                break;
            }
            out.push(entry.message);
            self.loading += 1;
        }
    }

    /// Takes a loaded message; the entry of one that the store has lost comes back.
    /// What was not asked for is ignored.
    pub(crate) fn load(&mut self, id: MessageId, message: Option<Arc<Message>>) -> Option<Entry> {
        if self.loading == 0 || self.spilled.front()?.message != id {
            return None;
        }
        let entry = self.spilled.pop_front()?;
        self.loading -= 1;
        self.spilled_bytes -= u64::from(entry.size);
        let Some(message) = message else { return Some(entry) };
        self.bytes += u64::from(entry.size);
        self.acked.push_back(Queued { entry, message });
        None
    }

    /// The store has answered; what it left out will be asked for again.
    pub(crate) fn end_of_load(&mut self) {
        self.loading = 0;
    }

    /// Removes what `keep` refuses. Entries in the store stay: their age is known once loaded.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Queued) -> bool) {
        let bytes = &mut self.bytes;
        let mut check = |queued: &Queued| {
            let kept = keep(queued);
            if !kept {
                *bytes -= queued.size();
            }
            kept
        };
        self.qos0.retain(&mut check);
        self.acked.retain(&mut check);
    }

    /// Whether a full inbox should look for expired messages: it costs a pass over all of them.
    pub(crate) fn sweep_is_due(&self, now: Instant) -> bool {
        self.last_sweep.is_none_or(|last| now.saturating_duration_since(last) >= SWEEP_PAUSE)
    }

    /// Removes what waited too long.
    pub(crate) fn expire(
        &mut self,
        now: Instant,
        cap_s: Option<u32>,
        mut expired: impl FnMut(&Entry),
    ) {
        self.last_sweep = Some(now);
        self.retain(|queued| {
            let gone = queued.is_expired(now, cap_s);
            if gone {
                expired(&queued.entry);
            }
            !gone
        });
    }

    /// Forgets all QoS 0 messages and says how many they were.
    pub(crate) fn clear_qos0(&mut self) -> usize {
        let queue = std::mem::take(&mut self.qos0);
        self.bytes -= queue.iter().map(Queued::size).sum::<u64>();
        queue.len()
    }

    /// Entries of QoS 1 and 2 in order, in memory and in the store.
    pub(crate) fn acked_entries(&self) -> impl Iterator<Item = &Entry> {
        self.acked.iter().map(|queued| &queued.entry).chain(&self.spilled)
    }

    /// What waits in memory.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &Queued> {
        self.acked.iter().chain(&self.qos0)
    }

    /// QoS 0 entries in order.
    pub(crate) fn qos0_entries(&self) -> impl Iterator<Item = &Entry> {
        self.qos0.iter().map(|queued| &queued.entry)
    }

    pub(crate) fn messages(&self) -> usize {
        self.qos0.len() + self.acked.len()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn spilled(&self) -> usize {
        self.spilled.len()
    }

    pub(crate) const fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }
}
