//! Messages that wait for one remote, on this node (LINK-SPEC 0.1 "Buffers").
//!
//! One queue in the order of publishing, one cursor per forwarding connection: a publisher's lane
//! belongs to exactly one connection, so its order is kept (W-31), and changing the number of
//! connections only deals the lanes out again (C-15). Messages of QoS 1 and 2 are in a segment
//! log before they are acknowledged, unless the mode is `memory`; QoS 0 lives in memory.
//!
//! *Limits*: bytes in memory and on disk, age, by the link's `buffer`; what is dropped is counted
//! by reason.

mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use spanmq_link_protocol::config::{BufferConfig, BufferMode, DurationOrInfinity, Overflow};
use spanmq_link_protocol::forward::Item;
use spanmq_link_protocol::message::Qos;
use spanmq_segment::{SegmentError, SegmentLog, SegmentOptions};

use record::{Entry, MARK, MESSAGE_HEADER, Record};

/// Settled messages between two marks: at most so many are sent twice after a kill -9, which the
/// remote's window of message ids covers (W-44).
const SETTLED_PER_MARK: u32 = 64;

/// One message to append.
#[derive(Debug, Clone)]
pub(crate) struct Append {
    pub(crate) lane: u64,
    pub(crate) qos: Qos,
    pub(crate) payload: Bytes,
}

/// What became of an appended message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    Held,
    /// `drop_newest`, or QoS 0 without room: gone and counted; the publisher is acknowledged.
    Dropped,
    /// `reject_qos1`, or the disk refused: the publisher gets 0x97.
    Rejected,
}

/// Counters by reason and gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BufferStats {
    pub(crate) dropped_expired: u64,
    pub(crate) dropped_queue_full: u64,
    pub(crate) dropped_other: u64,
    pub(crate) rejected: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) disk_bytes: u64,
    /// Unix milliseconds of the oldest message, if any.
    pub(crate) oldest_at_ms: Option<u64>,
}

/// The buffer of one link on this node.
#[derive(Debug)]
pub(crate) struct LinkBuffer {
    dir: PathBuf,
    /// Every append is on disk, not only with the operating system (`durability = local-fsync`).
    fsync: bool,
    config: BufferConfig,
    log: Option<SegmentLog>,
    /// Sequence number → message, in order of publishing.
    entries: BTreeMap<u64, Entry>,
    /// By forwarding connection: not fetched yet, in order.
    queues: Vec<VecDeque<u64>>,
    /// Grows when the lanes are dealt out again; connections of before get nothing more.
    generation: u64,
    next: u64,
    /// Records of the log that are still needed, and their messages.
    needed: BTreeMap<u64, u64>,
    /// Messages that live in memory alone.
    volatile: BTreeSet<u64>,
    /// Dropped for lack of room while a connection had them: when they arrive after all, they
    /// count as sent and not as dropped.
    dropped_on_the_way: HashSet<u64>,
    settled_since_mark: u32,
    volatile_bytes: u64,
    /// Payloads kept in memory although they are on disk.
    cached_bytes: u64,
    stats: BufferStats,
}

impl LinkBuffer {
    /// Opens the buffer in `dir` and takes back what it held.
    ///
    /// # Errors
    /// When the folder or a file cannot be used; damage in the middle of a file is named, not cut.
    pub(crate) fn open(
        dir: &Path,
        config: BufferConfig,
        connections: usize,
        fsync: bool,
    ) -> Result<Self, SegmentError> {
        let mut buffer = Self {
            dir: dir.to_owned(),
            fsync,
            generation: 0,
            volatile: BTreeSet::new(),
            dropped_on_the_way: HashSet::new(),
            volatile_bytes: 0,
            cached_bytes: 0,
            log: None,
            entries: BTreeMap::new(),
            queues: vec![VecDeque::new(); connections.max(1)],
            next: 1,
            needed: BTreeMap::new(),
            settled_since_mark: 0,
            stats: BufferStats::default(),
            config,
        };
        if buffer.config.mode == BufferMode::Disk || dir.exists() {
            buffer.open_log()?;
        }
        Ok(buffer)
    }

    fn open_log(&mut self) -> Result<(), SegmentError> {
        let (log, report) = SegmentLog::open(&self.dir, SegmentOptions::default())?;
        if let Some(tail) = report.torn {
            tracing::warn!(?tail, dir = %self.dir.display(), "link buffer ended in a torn record");
        }
        self.restore(log)
    }

    fn restore(&mut self, log: SegmentLog) -> Result<(), SegmentError> {
        for record in log.iter_from(log.first()) {
            let (number, bytes) = record?;
            if bytes.is_empty() {
                // A record that was lost to damage; `spanmq repair` left its place.
                continue;
            }
            match Record::read(&bytes) {
                Some(Record::Message(entry)) => {
                    self.insert(Entry { record: Some(number), ..entry })
                }
                Some(Record::Mark { below }) => self.forget_below(below),
                None => tracing::warn!(number, "link buffer holds a record of another version"),
            }
        }
        self.log = Some(log);
        self.deal(self.queues.len());
        Ok(())
    }

    fn forget_below(&mut self, below: u64) {
        let done = |entry: &Entry| entry.record.is_some_and(|record| record < below);
        let done: Vec<u64> =
            self.entries.iter().filter(|(_, e)| done(e)).map(|(sequence, _)| *sequence).collect();
        for sequence in done {
            self.remove(sequence);
        }
    }

    /// Deals all lanes out again to `connections`; everything counts as not fetched. Gives the
    /// generation that the new connections name.
    pub(crate) fn deal(&mut self, connections: usize) -> u64 {
        self.queues = vec![VecDeque::new(); connections.max(1)];
        self.dropped_on_the_way.clear();
        self.generation += 1;
        for (sequence, entry) in &mut self.entries {
            entry.fetched = false;
            let queue = lane_of(entry.lane, self.queues.len());
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.push_back(*sequence);
            }
        }
        self.generation
    }

    /// Limits, policy and mode from now on. What is in memory stays there.
    pub(crate) fn configure(&mut self, config: BufferConfig) {
        self.config = config;
        if self.config.mode == BufferMode::Disk
            && self.log.is_none()
            && let Err(error) = self.open_log()
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, dir = %self.dir.display(), "a link buffer cannot go to disk");
        }
    }

    /// Lets go of files and messages; returns the counters, the messages counted as dropped.
    pub(crate) fn close(&mut self) -> BufferStats {
        self.log = None;
        self.generation += 1;
        self.stats.dropped_other += self.stats.messages;
        self.entries.clear();
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.needed.clear();
        self.volatile.clear();
        let counters = std::mem::take(&mut self.stats);
        BufferStats { messages: 0, bytes: 0, disk_bytes: 0, oldest_at_ms: None, ..counters }
    }

    /// Counters begin anew; gauges stay.
    pub(crate) fn reset(&mut self) {
        let BufferStats { messages, bytes, disk_bytes, .. } = self.stats;
        self.stats = BufferStats { messages, bytes, disk_bytes, ..BufferStats::default() };
    }

    /// Appends in order; one write for the whole batch. Gives the outcome of each and the
    /// connections that have something to fetch.
    pub(crate) fn append(&mut self, batch: Vec<Append>) -> (Vec<Appended>, Vec<usize>) {
        let at_ms = now_ms();
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut accepted = Vec::with_capacity(batch.len());
        for append in batch {
            let entry = self.admit(append, at_ms);
            outcomes.push(entry.as_ref().map_or_else(|refusal| *refusal, |_| Appended::Held));
            accepted.extend(entry);
        }
        if let Err(error) = self.write(&mut accepted) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a link buffer cannot be written");
            self.stats.rejected += accepted.len() as u64;
            let failed = |o| if o == Appended::Held { Appended::Rejected } else { o };
            return (outcomes.into_iter().map(failed).collect(), Vec::new());
        }
        let mut wake = Vec::new();
        for entry in accepted {
            let queue = lane_of(entry.lane, self.queues.len());
            if !wake.contains(&queue) {
                wake.push(queue);
            }
            self.insert(entry);
        }
        (outcomes, wake)
    }

    /// Applies the overflow policy to one message.
    fn admit(&mut self, append: Append, at_ms: u64) -> Result<Entry, Appended> {
        let on_disk = self.config.mode == BufferMode::Disk && append.qos != Qos::AtMostOnce;
        let size = append.payload.len() + MESSAGE_HEADER;
        while self.is_full(size, on_disk) {
            let oldest = self.oldest(on_disk);
            match (self.config.overflow, oldest) {
                (Overflow::DropOldest, Some(oldest)) => self.drop_for_room(oldest),
                (Overflow::RejectQos1, _) if append.qos != Qos::AtMostOnce => {
                    self.stats.rejected += 1;
                    return Err(Appended::Rejected);
                }
                _ => {
                    self.stats.dropped_queue_full += 1;
                    return Err(Appended::Dropped);
                }
            }
        }
        let (lane, qos) = (append.lane, append.qos);
        let payload = Some(append.payload);
        Ok(Entry { lane, qos, at_ms, size, payload, record: None, fetched: false })
    }

    fn is_full(&self, size: usize, on_disk: bool) -> bool {
        let size = size as u64;
        if on_disk {
            self.stats.disk_bytes + size > self.config.disk_max_bytes.as_bytes()
        } else {
            self.volatile_bytes + size > self.memory_share()
        }
    }

    /// In mode `disk` half of the memory holds copies of what is on disk, so that a flood of QoS 0
    /// never pushes out a message that was acknowledged to its publisher.
    fn memory_share(&self) -> u64 {
        let all = self.config.memory_max_bytes.as_bytes();
        if self.config.mode == BufferMode::Disk { all / 2 } else { all }
    }

    /// The oldest message of the kind that lacks room.
    fn oldest(&self, on_disk: bool) -> Option<u64> {
        if !on_disk {
            return self.volatile.first().copied();
        }
        self.needed.first_key_value().map(|(_, sequence)| *sequence)
    }

    fn drop_for_room(&mut self, sequence: u64) {
        if self.entries.get(&sequence).is_some_and(|entry| entry.fetched) {
            self.dropped_on_the_way.insert(sequence);
        }
        self.stats.dropped_queue_full += 1;
        self.done(sequence);
    }

    /// One write for all messages of the batch that belong on disk.
    fn write(&mut self, entries: &mut [Entry]) -> Result<(), SegmentError> {
        let (Some(log), BufferMode::Disk) = (&mut self.log, self.config.mode) else {
            return Ok(());
        };
        let durable = |e: &Entry| e.qos != Qos::AtMostOnce;
        let records: Vec<Vec<u8>> =
            entries.iter().filter(|e| durable(e)).map(Entry::encode).collect();
        if records.is_empty() {
            return Ok(());
        }
        let first = log.append_batch(&records)?;
        if self.fsync {
            log.sync()?;
        }
        for (entry, record) in entries.iter_mut().filter(|e| durable(e)).zip(first..) {
            entry.record = Some(record);
        }
        Ok(())
    }

    fn insert(&mut self, mut entry: Entry) {
        let size = entry.size as u64;
        self.stats.messages += 1;
        self.stats.bytes += size;
        if let Some(record) = entry.record {
            self.stats.disk_bytes += size;
            self.needed.insert(record, self.next);
            if self.cached_bytes + size > self.config.memory_max_bytes.as_bytes() / 2 {
                entry.payload = None;
            } else {
                self.cached_bytes += size;
            }
        } else {
            self.volatile.insert(self.next);
            self.volatile_bytes += size;
        }
        let queue = lane_of(entry.lane, self.queues.len());
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.push_back(self.next);
        }
        self.entries.insert(self.next, entry);
        self.next += 1;
    }

    fn remove(&mut self, sequence: u64) {
        let Some(entry) = self.entries.remove(&sequence) else { return };
        let size = entry.size as u64;
        self.stats.messages -= 1;
        self.stats.bytes -= size;
        match entry.record {
            Some(record) => {
                self.stats.disk_bytes -= size;
                self.needed.remove(&record);
                self.cached_bytes -= if entry.payload.is_some() { size } else { 0 };
            }
            None => {
                self.volatile.remove(&sequence);
                self.volatile_bytes -= size;
            }
        }
    }

    /// Up to `count` messages that connection `queue` of `generation` has not fetched yet.
    pub(crate) fn fetch(
        &mut self,
        generation: u64,
        queue: usize,
        count: usize,
        now: Instant,
    ) -> Vec<Item> {
        let mut items = Vec::new();
        if generation != self.generation {
            return items;
        }
        while items.len() < count {
            let Some(sequence) = self.queues.get_mut(queue).and_then(VecDeque::pop_front) else {
                break;
            };
            match self.item(sequence, now) {
                Some(item) => items.push(item),
                None => continue,
            }
        }
        items
    }

    fn item(&mut self, sequence: u64, now: Instant) -> Option<Item> {
        let entry = self.entries.get_mut(&sequence)?;
        entry.fetched = true;
        let entry = &*entry;
        let payload = match &entry.payload {
            Some(payload) => payload.clone(),
            None => match self.log.as_ref()?.read(entry.record?) {
                Ok(Some(record)) => Bytes::from(record).slice(MESSAGE_HEADER..),
                Ok(None) => return None,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "link buffer cannot be read"
                    );
                    self.stats.dropped_other += 1;
                    self.remove(sequence);
                    return None;
                }
            },
        };
        let age = Duration::from_millis(now_ms().saturating_sub(entry.at_ms));
        let expires_at = match self.config.max_age {
            DurationOrInfinity::Infinity => None,
            DurationOrInfinity::Finite(_) => {
                self.config.max_age.as_duration().map(|max| now + max.saturating_sub(age))
            }
        };
        Some(Item { seq: sequence, qos: entry.qos, payload, expires_at })
    }

    /// The message is done: sent and acknowledged, refused, or expired.
    pub(crate) fn settle(&mut self, sequence: u64, expired: bool) {
        if self.dropped_on_the_way.remove(&sequence) {
            self.stats.dropped_queue_full = self.stats.dropped_queue_full.saturating_sub(1);
        }
        self.stats.dropped_expired += u64::from(expired);
        self.done(sequence);
    }

    fn done(&mut self, sequence: u64) {
        self.remove(sequence);
        self.settled_since_mark += 1;
        if self.settled_since_mark >= SETTLED_PER_MARK || self.needed.is_empty() {
            self.trim_log();
        }
    }

    /// Marks what is done and frees the files that hold nothing else.
    fn trim_log(&mut self) {
        self.settled_since_mark = 0;
        let Some(log) = &mut self.log else { return };
        let below = self.needed.first_key_value().map_or_else(|| log.next(), |(record, _)| *record);
        if below <= log.first() {
            return;
        }
        let mut mark = vec![MARK];
        mark.extend_from_slice(&below.to_be_bytes());
        let trimmed = log.append(&mark).and_then(|_| log.purge_before(below));
        if let Err(error) = trimmed {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a link buffer cannot be trimmed; messages may be sent twice");
        }
    }

    pub(crate) fn stats(&self) -> BufferStats {
        let oldest_at_ms = self.entries.first_key_value().map(|(_, entry)| entry.at_ms);
        BufferStats { oldest_at_ms, ..self.stats }
    }
}

impl BufferStats {
    /// Adds the counters of another buffer, not its gauges.
    pub(crate) fn add(&mut self, other: &Self) {
        self.dropped_expired += other.dropped_expired;
        self.dropped_queue_full += other.dropped_queue_full;
        self.dropped_other += other.dropped_other;
        self.rejected += other.rejected;
    }
}

/// The connection that serves a lane.
fn lane_of(lane: u64, connections: usize) -> usize {
    usize::try_from(lane % connections.max(1) as u64).unwrap_or(0)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
