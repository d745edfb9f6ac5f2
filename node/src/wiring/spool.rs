//! What waits on disk for a peer that cannot be reached.

use std::collections::VecDeque;
use std::path::PathBuf;

use spanmq_forward::{Frame, Item};
use spanmq_segment::{SegmentError, SegmentLog, SegmentOptions};

/// The spool of one peer.
pub(super) struct Spool {
    dir: PathBuf,
    log: Option<SegmentLog>,
    /// (record, sequence of its last item) of what is still needed.
    records: VecDeque<(u64, u64)>,
}

impl Spool {
    /// Opens what is there: the stream's number and its items. An empty spool begins a new stream,
    /// because the memory of the old one is gone.
    pub(super) fn open(dir: PathBuf) -> (Self, u64, Vec<Item>) {
        let mut spool = Self { dir, log: None, records: VecDeque::new() };
        let (mut stream, mut held) = (rand::random::<u64>(), Vec::new());
        if spool.dir.exists() {
            match spool.read() {
                Ok(found) => {
                    for (record, of_stream, items) in found {
                        stream = of_stream;
                        let last = items.last().map_or(0, |item| item.sequence);
                        spool.records.push_back((record, last));
                        held.extend(items);
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, dir = %spool.dir.display(), "the spool of a peer cannot be read; its messages are not delivered");
                }
            }
        }
        (spool, stream, held)
    }

    fn read(&mut self) -> Result<Vec<(u64, u64, Vec<Item>)>, SegmentError> {
        let (log, _) = SegmentLog::open(&self.dir, SegmentOptions::default())?;
        let mut found = Vec::new();
        for record in log.iter_from(log.first()) {
            let (number, bytes) = record?;
            if let Ok(Frame::Items { stream, items }) = Frame::decode(&bytes) {
                found.push((number, stream, items));
            }
        }
        self.log = Some(log);
        Ok(found)
    }

    pub(super) fn append(&mut self, stream: u64, items: &[Item]) -> Result<(), SegmentError> {
        let log = match &mut self.log {
            Some(log) => log,
            None => {
                let (log, _) = SegmentLog::open(&self.dir, SegmentOptions::default())?;
                self.log.insert(log)
            }
        };
        let records: Vec<Vec<u8>> = items
            .iter()
            .map(|item| Frame::Items { stream, items: vec![item.clone()] }.encode())
            .collect();
        let first = log.append_batch(&records)?;
        self.records.extend((first..).zip(items.iter().map(|item| item.sequence)));
        Ok(())
    }

    pub(super) fn forget(&mut self, upto: u64) {
        while self.records.front().is_some_and(|(_, sequence)| *sequence <= upto) {
            self.records.pop_front();
        }
        let Some(log) = &mut self.log else { return };
        let trimmed = match self.records.front() {
            Some((record, _)) => log.purge_before(*record),
            None => log.reset(log.next()),
        };
        if let Err(error) = trimmed {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a peer's spool cannot be trimmed; messages may be sent twice");
        }
    }
}
