//! Reads records while the writer goes on.

use std::{fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use crate::{
    SegmentError,
    fault::Faults,
    files::io_error,
    index::{Segment, SharedIndex},
    record, scan,
};

/// Bytes that [`Records`] asks for at a time.
const READ_AHEAD_BYTES: u64 = 256 << 10;

/// Reads the records of a log. Cheap to clone; waits neither for writes nor for syncs.
#[derive(Clone)]
pub struct SegmentReader {
    pub(crate) index: SharedIndex,
    pub(crate) faults: Arc<dyn Faults>,
    pub(crate) record_bytes_max: u32,
}

/// A run of records in one file.
struct Run {
    file: Arc<File>,
    path: Arc<Path>,
    from: u64,
    /// Where each record begins, and where the last one ends.
    bounds: Vec<u64>,
    removals: u64,
}

impl SegmentReader {
    /// Sequence of the oldest record that is kept.
    pub fn first(&self) -> u64 {
        self.index.lock().first
    }

    /// Sequence that the next record will get.
    pub fn next(&self) -> u64 {
        self.index.lock().next
    }

    /// The record `sequence`, or `None` when it is purged or not yet written.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`] and [`SegmentError::Io`]: the record is there, but cannot be
    /// read. For a log whose records were promised, this is the moment to stop.
    pub fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>, SegmentError> {
        Ok(self.read_range(sequence, sequence.saturating_add(1), 0)?.pop())
    }

    /// Records `from..to`, as many as lie in one segment and fit in `bytes_max`, but at least
    /// one if `from` exists.
    ///
    /// # Errors
    /// As [`SegmentReader::read`].
    pub fn read_range(
        &self,
        from: u64,
        to: u64,
        bytes_max: u64,
    ) -> Result<Vec<Vec<u8>>, SegmentError> {
        loop {
            let Some(run) = self.locate(from, to, bytes_max)? else { return Ok(Vec::new()) };
            match self.read_run(&run) {
                Ok(records) => return Ok(records),
                // The records went away while we read them: that is not damage.
                Err(_) if self.index.lock().removals != run.removals => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The records from `sequence` on, up to those written when the iterator gets there. Starts
    /// at the oldest record when `sequence` is purged.
    pub fn iter_from(&self, sequence: u64) -> Records {
        Records { reader: self.clone(), next: sequence, ahead: Vec::new().into_iter() }
    }

    fn locate(&self, from: u64, to: u64, bytes_max: u64) -> Result<Option<Run>, SegmentError> {
        let unread = {
            let index = self.index.lock();
            let Some(position) = index.position(from) else { return Ok(None) };
            let Some(segment) = index.segments.get(position) else { return Ok(None) };
            if segment.offsets.is_some() {
                return Ok(run(segment, from, to.min(index.next), bytes_max, index.removals));
            }
            (segment.clone(), index.segments.get(position + 1).cloned())
        };
        self.read_through(unread.0, unread.1)?;
        self.locate(from, to, bytes_max)
    }

    /// Makes sure the segment that ends in front of record `sequence` has been read through.
    pub(crate) fn read_through_before(&self, sequence: u64) -> Result<(), SegmentError> {
        let (segment, after) = {
            let index = self.index.lock();
            let at = index.segments.partition_point(|segment| segment.base < sequence).max(1) - 1;
            (index.segments.get(at).cloned(), index.segments.get(at + 1).cloned())
        };
        match segment {
            Some(segment) if segment.offsets.is_none() => self.read_through(segment, after),
            _ => Ok(()),
        }
    }

    /// Reads a sealed segment through that was skipped at opening.
    fn read_through(
        &self,
        mut unread: Segment,
        after: Option<Segment>,
    ) -> Result<(), SegmentError> {
        let contents = scan::read_through(&unread, self.record_bytes_max, false)?;
        unread.offsets = Some(contents.offsets);
        unread.end = contents.end;
        if let Some(after) = after {
            scan::check_joint(&unread, &after)?;
        }
        let mut index = self.index.lock();
        if let Some(known) =
            index.segments.iter_mut().find(|known| Arc::ptr_eq(&known.file, &unread.file))
        {
            *known = unread;
        }
        Ok(())
    }

    fn read_run(&self, run: &Run) -> Result<Vec<Vec<u8>>, SegmentError> {
        if let Some(error) = self.faults.on_read(&run.path) {
            return Err(io_error("read", &run.path)(error));
        }
        let begin = run.bounds.first().copied().unwrap_or_default();
        let end = run.bounds.last().copied().unwrap_or_default();
        let mut bytes = vec![0; (end - begin) as usize];
        run.file.read_exact_at(&mut bytes, begin).map_err(io_error("read", &run.path))?;
        let mut records = Vec::with_capacity(run.bounds.len());
        for (sequence, bounds) in (run.from..).zip(run.bounds.windows(2)) {
            let &[from, to] = bounds else { continue };
            let slice = bytes.get((from - begin) as usize..(to - begin) as usize);
            match slice.and_then(|slice| record::decode(slice, self.record_bytes_max)) {
                Some(record) if record.sequence == sequence => records.push(record.payload.into()),
                _ => {
                    return Err(SegmentError::Damaged {
                        file: run.path.to_path_buf(),
                        offset: from,
                        sequence,
                        detail: "the record changed after it was written",
                    });
                }
            }
        }
        Ok(records)
    }
}

fn run(segment: &Segment, from: u64, to: u64, bytes_max: u64, removals: u64) -> Option<Run> {
    let (begin, mut end) = segment.span(from)?;
    let mut bounds = vec![begin, end];
    for sequence in from + 1..to {
        let Some((_, next_end)) = segment.span(sequence) else { break };
        if next_end - begin > bytes_max {
            break;
        }
        end = next_end;
        bounds.push(end);
    }
    Some(Run { file: segment.file.clone(), path: segment.path.clone(), from, bounds, removals })
}

/// Iterator over records with their sequences; ends after the newest record or the first error.
pub struct Records {
    reader: SegmentReader,
    next: u64,
    ahead: std::vec::IntoIter<Vec<u8>>,
}

impl Iterator for Records {
    type Item = Result<(u64, Vec<u8>), SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ahead.as_slice().is_empty() {
            self.next = self.next.max(self.reader.first());
            match self.reader.read_range(self.next, u64::MAX, READ_AHEAD_BYTES) {
                Ok(records) => self.ahead = records.into_iter(),
                Err(error) => {
                    self.next = u64::MAX;
                    return Some(Err(error));
                }
            }
        }
        let payload = self.ahead.next()?;
        let sequence = self.next;
        self.next += 1;
        Some(Ok((sequence, payload)))
    }
}
