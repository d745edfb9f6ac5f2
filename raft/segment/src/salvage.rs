//! Looks through a log that cannot be opened, and saves what is sound of it.
//!
//! A lost record becomes an empty one, so that all others keep their sequence numbers. What an
//! empty record means is the owner's affair: a session journal passes over it, a Raft log must not
//! be salvaged at all, because a log with a hole would be trusted by its peers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    SegmentError, SegmentLog, SegmentOptions,
    files::{self, io_error},
    record::{self, HEADER_BYTES},
    scan,
};

/// Records written at once.
const BATCH: usize = 1_024;

/// What the files of a log hold.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Files.
    pub segments: usize,
    /// Sound records.
    pub records: u64,
    /// Bytes of a torn tail: it was never synced, and the next start cuts it.
    pub torn_bytes: u64,
    /// What is lost, in order.
    pub damage: Vec<Damage>,
}

/// Records that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub file: PathBuf,
    /// From which byte on; 0: before its first record.
    pub offset: u64,
    /// Sequence of the first record that is lost.
    pub first: u64,
    /// How many are.
    pub lost: u64,
}

/// Reads all files of the log in `dir` and changes nothing.
///
/// # Errors
/// [`SegmentError::Io`] when a file cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspection, SegmentError> {
    walk(dir, |_, _| Ok(()))
}

/// Writes the sound records of the log in `dir` into a new log in its place; the old files are kept
/// in `aside`, which must not exist.
///
/// # Errors
/// [`SegmentError`]; the log is then as it was.
pub fn salvage(dir: &Path, aside: &Path) -> Result<Inspection, SegmentError> {
    let fresh = files::with_suffix(dir, "salvage");
    if fresh.exists() {
        // Left by an attempt that did not end.
        fs::remove_dir_all(&fresh).map_err(io_error("remove", &fresh))?;
    }
    let first = scan::list(dir)?.first_key_value().map_or(0, |(base, _)| *base);
    let options = SegmentOptions { first_sequence: first, ..SegmentOptions::default() };
    let (mut log, _) = SegmentLog::open(&fresh, options)?;
    let mut batch: Vec<Vec<u8>> = Vec::new();
    let inspection = walk(dir, |sequence, payload| {
        while log.next() + (batch.len() as u64) < sequence {
            append(&mut log, &mut batch, &[])?;
        }
        append(&mut log, &mut batch, payload)
    })?;
    log.append_batch(&batch)?;
    log.sync()?;
    drop(log);
    fs::rename(dir, aside).map_err(io_error("move aside", dir))?;
    fs::rename(&fresh, dir).map_err(io_error("put the new log in the place of", dir))?;
    dir.parent().map_or(Ok(()), files::sync_dir)?;
    Ok(inspection)
}

fn append(
    log: &mut SegmentLog,
    batch: &mut Vec<Vec<u8>>,
    payload: &[u8],
) -> Result<(), SegmentError> {
    batch.push(payload.to_vec());
    if batch.len() >= BATCH {
        log.append_batch(batch)?;
        batch.clear();
    }
    Ok(())
}

/// Hands every sound record to `each`, in order.
fn walk(
    dir: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), SegmentError>,
) -> Result<Inspection, SegmentError> {
    let paths = scan::list(dir)?;
    let mut found = Inspection { segments: paths.len(), ..Inspection::default() };
    let mut expected = paths.first_key_value().map_or(0, |(base, _)| *base);
    let last = paths.last_key_value().map_or(0, |(base, _)| *base);
    // Where the bad bytes began, until the next sound record tells how many records they were.
    let mut bad: Option<(PathBuf, u64)> = None;
    for (base, path) in paths {
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let mut at = HEADER_BYTES as usize;
        if base > expected {
            let (file, offset) = bad.take().unwrap_or_else(|| (path.clone(), 0));
            found.damage.push(Damage { file, offset, first: expected, lost: base - expected });
            expected = base;
        }
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.iter().any(|byte| *byte != 0)) {
            match record::decode(rest, u32::MAX) {
                Some(record) if record.sequence >= expected => {
                    if record.sequence > expected {
                        let (file, offset) =
                            bad.take().unwrap_or_else(|| (path.clone(), at as u64));
                        let lost = record.sequence - expected;
                        found.damage.push(Damage { file, offset, first: expected, lost });
                    }
                    each(record.sequence, record.payload)?;
                    found.records += 1;
                    expected = record.sequence + 1;
                    at += record.bytes();
                }
                _ => {
                    let after = scan::sound_records_after(rest, expected, u32::MAX);
                    if base == last && !after.knew_it_synced {
                        found.torn_bytes = rest.len() as u64;
                        break;
                    }
                    bad.get_or_insert((path.clone(), at as u64));
                    match after.first_at {
                        Some(next) => at += next,
                        None => break,
                    }
                }
            }
        }
    }
    Ok(found)
}
