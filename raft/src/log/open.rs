//! Opens the log, and refuses one that has lost something it promised.

use std::{path::Path, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use spanmq_segment::{Faults, NoFaults, SegmentError, SegmentLog, SegmentOptions};

use super::{
    LogStore,
    marks::{self, Hint, MarkError},
    reader::LogReader,
    view::View,
    writer::{self, Writer},
};
use crate::{
    codec,
    fatal::FatalHook,
    types::{Entry, LogId, Vote},
};

/// How the log is kept.
#[derive(Clone)]
pub(crate) struct LogOptions {
    pub(crate) segment_bytes: u64,
    /// Default: 1 MiB; a sync that need not grow the file is 2–3 times faster.
    pub(crate) preallocate_bytes: u64,
    /// Newest entries kept in memory, encoded size. Default: 16 MiB.
    pub(crate) cache_bytes_max: usize,
    pub(crate) faults: Arc<dyn Faults>,
    pub(crate) fatal: FatalHook,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            preallocate_bytes: 1 << 20,
            cache_bytes_max: 16 << 20,
            faults: Arc::new(NoFaults),
            fatal: FatalHook::default(),
        }
    }
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogOpenError {
    #[error(transparent)]
    Segments(#[from] SegmentError),
    #[error(transparent)]
    Mark(#[from] MarkError),
    #[error("cannot open {}", .0.display())]
    Hint(PathBuf, #[source] std::io::Error),
    #[error(
        "the Raft log in {} ends before entry {next}, but entry {synced} was synced; remove this \
         node from the cluster, empty its data directory and join again",
        dir.display()
    )]
    Shortened { dir: PathBuf, next: u64, synced: u64 },
    #[error(
        "entry {index} of the Raft log in {} cannot be decoded; use the program version that \
         wrote it, or remove this node from the cluster, empty its data directory and join again",
        dir.display()
    )]
    Undecodable {
        dir: PathBuf,
        index: u64,
        #[source]
        source: codec::CodecError,
    },
    #[error("cannot start the log thread")]
    Thread(#[source] std::io::Error),
}

/// The files of the log.
pub(super) struct LogFiles {
    pub(super) vote: PathBuf,
    pub(super) purged: PathBuf,
    pub(super) synced: Hint,
    pub(super) committed: Hint,
}

impl LogStore {
    /// Opens the log in `dir` and starts its thread.
    pub(crate) fn open(dir: &Path, options: &LogOptions) -> Result<Self, LogOpenError> {
        spanmq_segment::create_private_dir(dir)?;
        let hint = |name: &str| {
            let path = dir.join(name);
            Hint::open(&path).map_err(|error| LogOpenError::Hint(path, error))
        };
        let files = LogFiles {
            vote: dir.join("vote"),
            purged: dir.join("purged"),
            synced: hint("synced")?,
            committed: hint("committed")?,
        };
        let vote: Option<Vote> = marks::read(&files.vote)?;
        let purged: Option<LogId> = marks::read(&files.purged)?;
        let committed: Option<Option<LogId>> = files.committed.read();
        let segments = open_segments(dir, options, &files, purged)?;
        let last = last_entry(dir, &segments)?.or(purged);
        let reader = segments.reader();
        let view = Arc::new(Mutex::new(View::new(last, purged, options.cache_bytes_max)));
        let (jobs, thread) = writer::start(Writer {
            segments,
            files,
            view: view.clone(),
            fatal: options.fatal.clone(),
        })
        .map_err(LogOpenError::Thread)?;
        let reader = LogReader { view, segments: reader, fatal: options.fatal.clone() };
        // The hint is not synced, so it may be ahead of a log whose tail was torn.
        let committed = committed.flatten().filter(|id| Some(*id) <= last);
        Ok(Self::new(reader, jobs, thread, vote, committed))
    }
}

fn open_segments(
    dir: &Path,
    options: &LogOptions,
    files: &LogFiles,
    purged: Option<LogId>,
) -> Result<SegmentLog, LogOpenError> {
    let first = purged.map_or(0, |id| id.index + 1);
    let segment_options = SegmentOptions {
        segment_bytes: options.segment_bytes,
        preallocate_bytes: options.preallocate_bytes,
        first_sequence: first,
        ..SegmentOptions::default()
    };
    let (mut segments, report) =
        SegmentLog::open_with(&dir.join("log"), segment_options, options.faults.clone())?;
    tracing::info!(
        segments = report.segments,
        records = report.records,
        first,
        next = segments.next(),
        torn_bytes = report.torn.as_ref().map_or(0, |torn| torn.bytes),
        "raft log opened"
    );
    // A node that lost an entry it had answered for would take part in elections with a hole.
    if let Some(synced) = files.synced.read::<LogId>()
        && synced.index >= segments.next()
        && synced.index >= first
    {
        let next = segments.next();
        return Err(LogOpenError::Shortened { dir: dir.into(), next, synced: synced.index });
    }
    if segments.next() < first {
        // A crash came between noting the purge and removing the entries.
        segments.reset(first)?;
    }
    segments.purge_before(first)?;
    Ok(segments)
}

fn last_entry(dir: &Path, segments: &SegmentLog) -> Result<Option<LogId>, LogOpenError> {
    let Some(index) = segments.next().checked_sub(1) else { return Ok(None) };
    let Some(bytes) = segments.read(index)? else { return Ok(None) };
    let entry: Entry = codec::decode(&bytes).map_err(|source| LogOpenError::Undecodable {
        dir: dir.into(),
        index,
        source,
    })?;
    Ok(Some(entry.log_id))
}
