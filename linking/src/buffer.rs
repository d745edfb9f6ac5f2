//! Messages that wait for one remote, on this node (LINK-SPEC 0.1 "Buffers").
//!
//! One queue in the order of publishing, one cursor per forwarding connection: a publisher's lane
//! belongs to exactly one connection, so its order is kept (W-31), and changing the number of
//! connections only deals the lanes out again (C-15). Messages of QoS 1 and 2 are in a segment
//! log before they are acknowledged, unless the mode is `memory`; QoS 0 lives in memory.
//!
//! *Limits*: bytes in memory and on disk, age, by the link's `buffer`; what is dropped is counted
//! by reason.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use spanmq_link_protocol::config::{BufferConfig, BufferMode, DurationOrInfinity, Overflow};
use spanmq_link_protocol::forward::Item;
use spanmq_link_protocol::message::Qos;
use spanmq_segment::{SegmentError, SegmentLog, SegmentOptions};

/// First byte of a record: version 1, a message.
const MESSAGE: u8 = 0x11;
/// First byte of a record: version 1, a mark that everything before a record is done.
const MARK: u8 = 0x12;
/// Kind, lane, QoS, wall-clock milliseconds.
const MESSAGE_HEADER: usize = 1 + 8 + 1 + 8;
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

#[derive(Debug)]
struct Entry {
    lane: u64,
    qos: Qos,
    at_ms: u64,
    size: usize,
    /// None: read it from the log when it is fetched.
    payload: Option<Bytes>,
    /// Its record in the log, if it has one.
    record: Option<u64>,
}

/// The buffer of one link on this node.
#[derive(Debug)]
pub(crate) struct LinkBuffer {
    config: BufferConfig,
    log: Option<SegmentLog>,
    /// Sequence number → message, in order of publishing.
    entries: BTreeMap<u64, Entry>,
    /// By forwarding connection: not fetched yet, in order.
    queues: Vec<VecDeque<u64>>,
    next: u64,
    /// Records of the log that are still needed.
    needed: BTreeSet<u64>,
    settled_since_mark: u32,
    memory_bytes: u64,
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
    ) -> Result<Self, SegmentError> {
        let mut buffer = Self {
            log: None,
            entries: BTreeMap::new(),
            queues: vec![VecDeque::new(); connections.max(1)],
            next: 1,
            needed: BTreeSet::new(),
            settled_since_mark: 0,
            memory_bytes: 0,
            stats: BufferStats::default(),
            config,
        };
        let folder: PathBuf = dir.to_owned();
        if buffer.config.mode == BufferMode::Disk || folder.exists() {
            let (log, report) = SegmentLog::open(&folder, SegmentOptions::default())?;
            if let Some(tail) = report.torn {
                tracing::warn!(?tail, dir = %folder.display(), "link buffer ended in a torn record");
            }
            buffer.restore(log)?;
        }
        Ok(buffer)
    }

    fn restore(&mut self, log: SegmentLog) -> Result<(), SegmentError> {
        for record in log.iter_from(log.first()) {
            let (number, bytes) = record?;
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

    /// Deals all lanes out again to `connections`; everything counts as not fetched.
    pub(crate) fn deal(&mut self, connections: usize) {
        self.queues = vec![VecDeque::new(); connections.max(1)];
        for (sequence, entry) in &self.entries {
            let queue = lane_of(entry.lane, self.queues.len());
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.push_back(*sequence);
            }
        }
    }

    /// Limits and policy from now on.
    pub(crate) fn configure(&mut self, config: BufferConfig) {
        self.config = config;
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
            match self.config.overflow {
                Overflow::DropOldest if !self.entries.is_empty() => self.drop_oldest(),
                Overflow::RejectQos1 if append.qos != Qos::AtMostOnce => {
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
        Ok(Entry { lane, qos, at_ms, size, payload: Some(append.payload), record: None })
    }

    fn is_full(&self, size: usize, on_disk: bool) -> bool {
        let size = size as u64;
        if on_disk {
            self.stats.disk_bytes + size > self.config.disk_max_bytes.as_bytes()
        } else {
            self.memory_bytes + size > self.config.memory_max_bytes.as_bytes()
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((&sequence, _)) = self.entries.first_key_value() {
            self.remove(sequence);
            self.stats.dropped_queue_full += 1;
            self.trim_log();
        }
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
            self.needed.insert(record);
            if self.memory_bytes + size > self.config.memory_max_bytes.as_bytes() {
                entry.payload = None;
            }
        }
        if entry.payload.is_some() {
            self.memory_bytes += size;
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
        if let Some(record) = entry.record {
            self.stats.disk_bytes -= size;
            self.needed.remove(&record);
        }
        if entry.payload.is_some() {
            self.memory_bytes -= size;
        }
    }

    /// Up to `count` messages that connection `queue` has not fetched yet.
    pub(crate) fn fetch(&mut self, queue: usize, count: usize, now: Instant) -> Vec<Item> {
        let mut items = Vec::new();
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
        let entry = self.entries.get(&sequence)?;
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
        self.stats.dropped_expired += u64::from(expired);
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
        let below = self.needed.first().copied().unwrap_or_else(|| log.next());
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

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let payload = self.payload.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(MESSAGE_HEADER + payload.len());
        out.push(MESSAGE);
        out.extend_from_slice(&self.lane.to_be_bytes());
        out.push(self.qos.as_u8());
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out.extend_from_slice(payload);
        out
    }
}

/// A record of the log, read back.
enum Record {
    Message(Entry),
    Mark { below: u64 },
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            MESSAGE => {
                let (lane, rest) = rest.split_first_chunk::<8>()?;
                let (qos, rest) = rest.split_first()?;
                let (at_ms, payload) = rest.split_first_chunk::<8>()?;
                Some(Self::Message(Entry {
                    lane: u64::from_be_bytes(*lane),
                    qos: Qos::from_int((*qos).into())?,
                    at_ms: u64::from_be_bytes(*at_ms),
                    size: bytes.len(),
                    payload: Some(Bytes::copy_from_slice(payload)),
                    record: None,
                }))
            }
            MARK => rest.first_chunk().map(|b| Self::Mark { below: u64::from_be_bytes(*b) }),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use spanmq_link_protocol::config::ByteSize;

    fn append(lane: u64, text: &str) -> Append {
        Append { lane, qos: Qos::AtLeastOnce, payload: Bytes::copy_from_slice(text.as_bytes()) }
    }

    fn texts(items: &[Item]) -> Vec<String> {
        items.iter().map(|i| String::from_utf8_lossy(&i.payload).into_owned()).collect()
    }

    fn open(dir: &Path, config: BufferConfig) -> LinkBuffer {
        LinkBuffer::open(dir, config, 2).unwrap()
    }

    #[test]
    fn a_lane_keeps_its_order_on_one_connection() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = open(&dir.path().join("b"), BufferConfig::default());
        buffer.append(vec![append(1, "a"), append(2, "b"), append(1, "c")]);
        assert_eq!(texts(&buffer.fetch(1, 10, Instant::now())), ["a", "c"]);
        assert_eq!(texts(&buffer.fetch(0, 10, Instant::now())), ["b"]);
    }

    #[test]
    fn what_was_not_settled_is_there_after_a_restart_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("b");
        let mut buffer = open(&dir, BufferConfig::default());
        let zero = Append { qos: Qos::AtMostOnce, ..append(2, "z") };
        buffer.append(vec![append(2, "a"), zero, append(2, "b")]);
        let first = buffer.fetch(0, 1, Instant::now());
        buffer.settle(first[0].seq, false);
        buffer.append(vec![append(2, "c")]);
        drop(buffer);
        let mut buffer = open(&dir, BufferConfig::default());
        let items = buffer.fetch(0, 10, Instant::now());
        // The settled one comes again until a mark says so; nothing is missing, order is kept.
        assert_eq!(texts(&items), ["a", "b", "c"]);
        items.iter().for_each(|item| buffer.settle(item.seq, false));
        drop(buffer);
        let mut buffer = open(&dir, BufferConfig::default());
        assert_eq!(texts(&buffer.fetch(0, 10, Instant::now())), [""; 0]);
    }

    #[test]
    fn each_overflow_policy_does_what_its_name_says() {
        for (overflow, expected, left) in [
            (Overflow::DropOldest, Appended::Held, vec!["bb"]),
            (Overflow::DropNewest, Appended::Dropped, vec!["aa"]),
            (Overflow::RejectQos1, Appended::Rejected, vec!["aa"]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let disk_max_bytes = ByteSize::from_bytes(MESSAGE_HEADER as u64 + 3);
            let config = BufferConfig { overflow, disk_max_bytes, ..BufferConfig::default() };
            let mut buffer = open(&dir.path().join("b"), config);
            assert_eq!(buffer.append(vec![append(0, "aa")]).0, [Appended::Held]);
            assert_eq!(buffer.append(vec![append(0, "bb")]).0, [expected], "{overflow:?}");
            assert_eq!(texts(&buffer.fetch(0, 10, Instant::now())), left);
        }
    }

    #[test]
    fn dealing_the_lanes_out_again_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer = open(&dir.path().join("b"), BufferConfig::default());
        buffer.append((0..9).map(|lane| append(lane, &lane.to_string())).collect());
        buffer.fetch(0, 2, Instant::now());
        buffer.deal(3);
        let mut all: Vec<String> = Vec::new();
        for queue in 0..3 {
            all.extend(texts(&buffer.fetch(queue, 10, Instant::now())));
        }
        all.sort();
        assert_eq!(all, (0..9).map(|l| l.to_string()).collect::<Vec<_>>());
    }
}
