//! Reads entries: the newest from memory, older ones from the segments.

use std::{
    fmt::Debug,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use openraft::{AnyError, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;
use spanmq_segment::SegmentReader;

use super::view::View;
use crate::{
    codec,
    fatal::{FatalCause, FatalHook},
    types::{Entry, StorageError, TypeConfig},
};

/// One replication request carries about this much; its frame may hold 16 MiB, and a single
/// entry is at most 8 MiB.
const REPLICATION_BYTES: usize = 2 << 20;

/// Cheap to clone; one per replication stream.
#[derive(Clone)]
pub(crate) struct LogReader {
    pub(super) view: Arc<Mutex<View>>,
    pub(super) segments: SegmentReader,
    pub(super) fatal: FatalHook,
}

impl LogReader {
    /// Entries `from..to`, as far as they exist; at least one, up to about `bytes_max`.
    async fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Entry>, StorageError> {
        let (from, to, cached_from) = {
            let view = self.view.lock();
            let (from, to) = (from.max(view.first()), to.min(view.next()));
            if from >= to {
                return Ok(Vec::new());
            }
            if from >= view.cached_from() {
                return Ok(view.cached(from, to, bytes_max));
            }
            (from, to, view.cached_from())
        };
        let reader = self.clone();
        let end = to.min(cached_from);
        let found = tokio::task::spawn_blocking(move || reader.read_segments(from, end, bytes_max))
            .await
            .map_err(|panic| storage_error(from, &panic))??;
        if found.is_empty() {
            // A log that never held its first indexes: it begins with what is cached.
            let view = self.view.lock();
            return Ok(view.cached(view.cached_from().max(from), to, bytes_max));
        }
        Ok(found)
    }

    fn read_segments(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let records = self
            .segments
            .read_range(from, to, bytes_max as u64)
            .map_err(|error| self.stop(from, &error))?;
        let mut entries = Vec::with_capacity(records.len());
        for (index, bytes) in (from..).zip(records) {
            let entry: Entry = codec::decode(&bytes).map_err(|error| self.stop(index, &error))?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// An entry that was promised cannot be read: whatever we answered would be wrong
    /// (openraft issue 1795).
    fn stop(&self, index: u64, error: &(impl std::error::Error + 'static)) -> StorageError {
        let cause = FatalCause::Invariant(format!("raft log: reading entry {index}: {error}"));
        self.fatal.stop(&cause);
        storage_error(index, error)
    }
}

fn storage_error(index: u64, error: &(impl std::error::Error + 'static)) -> StorageError {
    StorageIOError::read_log_at_index(index, AnyError::new(error)).into()
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let mut from = match range.start_bound() {
            Bound::Included(at) => *at,
            Bound::Excluded(at) => at.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(at) => at.saturating_add(1),
            Bound::Excluded(at) => *at,
            Bound::Unbounded => u64::MAX,
        };
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let more = self.read(from, to, usize::MAX).await?;
            let Some(last) = more.last() else { return Ok(entries) };
            from = last.log_id.index + 1;
            entries.extend(more);
        }
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(start, end, REPLICATION_BYTES).await
    }
}
