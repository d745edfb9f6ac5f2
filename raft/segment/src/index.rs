//! Where each record lies: shared between the writer and its readers, locked only for moments.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::record::HEADER_BYTES;

/// One file of the log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) base: u64,
    pub(crate) path: Arc<Path>,
    pub(crate) file: Arc<File>,
    /// Offset of each record; `None` while a sealed segment has not been read through.
    pub(crate) offsets: Option<Vec<u32>>,
    /// Where the records end; without offsets the length of the file.
    pub(crate) end: u64,
}

impl Segment {
    pub(crate) fn empty(base: u64, path: PathBuf, file: File) -> Self {
        Self {
            base,
            path: path.into(),
            file: Arc::new(file),
            offsets: Some(Vec::new()),
            end: HEADER_BYTES,
        }
    }

    /// Offsets where record `sequence` begins and ends.
    pub(crate) fn span(&self, sequence: u64) -> Option<(u64, u64)> {
        let at = usize::try_from(sequence.checked_sub(self.base)?).ok()?;
        let offsets = self.offsets.as_ref()?;
        let begin = u64::from(*offsets.get(at)?);
        let end = offsets.get(at + 1).map_or(self.end, |next| u64::from(*next));
        Some((begin, end))
    }
}

/// All records of a log.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Oldest first, sequences consecutive, never empty once the log is open.
    pub(crate) segments: Vec<Segment>,
    /// Older records are purged, even while their file is still there.
    pub(crate) first: u64,
    /// The sequence the next record gets.
    pub(crate) next: u64,
    /// Counts the changes that take records away, so that a reader whose file changed under it
    /// can tell this from damage.
    pub(crate) removals: u64,
}

impl Index {
    /// Position of the segment that holds `sequence`, if that is a record of the log.
    pub(crate) fn position(&self, sequence: u64) -> Option<usize> {
        if sequence < self.first || sequence >= self.next {
            return None;
        }
        self.segments.partition_point(|segment| segment.base <= sequence).checked_sub(1)
    }

    pub(crate) fn newest(&self) -> &Segment {
        self.segments.last().expect("an open log has at least one segment")
    }

    pub(crate) fn newest_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("an open log has at least one segment")
    }
}

/// The index behind its lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedIndex(Arc<Mutex<Index>>);

impl SharedIndex {
    pub(crate) fn new(index: Index) -> Self {
        Self(Arc::new(Mutex::new(index)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Index> {
        // Nothing that runs under the lock can leave the index half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
