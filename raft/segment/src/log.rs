//! The writer of a log.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    OpenReport, Records, SegmentError, SegmentOptions, SegmentReader,
    fault::{Faults, NoFaults},
    files::{self, Extent, io_error},
    index::{Segment, SharedIndex},
    record::{self, HEADER_BYTES, RECORD_HEAD_BYTES},
    scan,
};

/// Offsets are kept in 32 bits, and a batch that opens a segment may be longer than a segment.
const BATCH_BYTES_MAX: u64 = 1 << 30;

/// Writes the records of one directory. There is one writer per directory.
pub struct SegmentLog {
    dir: PathBuf,
    options: SegmentOptions,
    faults: Arc<dyn Faults>,
    index: SharedIndex,
    /// Records before this one survive a power loss.
    synced: u64,
    /// Length of the newest file, with the zeros ahead of the records.
    allocated: u64,
    /// Set by a failure after which the file's content is unknown.
    stopped: Option<String>,
    buffer: Vec<u8>,
}

impl SegmentLog {
    /// Opens the log in `dir`, creating both if needed.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`], [`SegmentError::Gap`], [`SegmentError::Version`] when the files
    /// cannot be trusted; they are then left untouched.
    pub fn open(dir: &Path, options: SegmentOptions) -> Result<(Self, OpenReport), SegmentError> {
        Self::open_with(dir, options, Arc::new(NoFaults))
    }

    /// [`SegmentLog::open`] on a disk that fails when `faults` says so.
    ///
    /// # Errors
    /// As [`SegmentLog::open`].
    pub fn open_with(
        dir: &Path,
        options: SegmentOptions,
        faults: Arc<dyn Faults>,
    ) -> Result<(Self, OpenReport), SegmentError> {
        files::create_private_dir(dir)?;
        let (index, report) = scan::open(dir, &options, &*faults)?;
        let allocated = index.newest().file.metadata();
        let allocated = allocated.map_err(io_error("stat", &index.newest().path))?.len();
        let synced = index.next;
        let mut log = Self {
            dir: dir.to_owned(),
            options,
            faults,
            index: SharedIndex::new(index),
            synced,
            allocated,
            stopped: None,
            buffer: Vec::new(),
        };
        // What was read back may still be only in the page cache; later records count on it.
        log.sync()?;
        Ok((log, report))
    }

    /// Sequence of the oldest record that is kept. After a reopen this is the oldest one whose
    /// file is still there, so who purges exactly remembers the position.
    pub fn first(&self) -> u64 {
        self.index.lock().first
    }

    /// Sequence that the next record will get.
    pub fn next(&self) -> u64 {
        self.index.lock().next
    }

    /// Records before this sequence survive a power loss.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Space the log takes.
    pub fn bytes_on_disk(&self) -> u64 {
        let index = self.index.lock();
        let sealed = index.segments.len().saturating_sub(1);
        index.segments.iter().take(sealed).map(|segment| segment.end).sum::<u64>() + self.allocated
    }

    /// A reader for other threads.
    pub fn reader(&self) -> SegmentReader {
        SegmentReader {
            index: self.index.clone(),
            faults: self.faults.clone(),
            record_bytes_max: self.options.record_bytes_max,
        }
    }

    /// As [`SegmentReader::read`].
    ///
    /// # Errors
    /// As [`SegmentReader::read`].
    pub fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>, SegmentError> {
        self.reader().read(sequence)
    }

    /// As [`SegmentReader::iter_from`].
    pub fn iter_from(&self, sequence: u64) -> Records {
        self.reader().iter_from(sequence)
    }

    /// Appends one record and returns its sequence.
    ///
    /// # Errors
    /// As [`SegmentLog::append_batch`].
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, SegmentError> {
        self.append_batch(&[payload])
    }

    /// Appends records with one `write(2)` and returns the sequence of the first. They survive
    /// the death of the process at once, a power loss after [`SegmentLog::sync`].
    ///
    /// # Errors
    /// [`SegmentError::TooLarge`], [`SegmentError::Io`] (see [`SegmentError::is_no_space`]): no
    /// record of the batch is in the log.
    pub fn append_batch<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<u64, SegmentError> {
        self.check_running()?;
        if payloads.is_empty() {
            return Ok(self.next());
        }
        let bytes = self.batch_bytes(payloads)?;
        let mut end = self.index.lock().newest().end;
        if end > HEADER_BYTES && end + bytes > self.options.segment_bytes {
            self.roll()?;
            end = HEADER_BYTES;
        }
        let from = self.next();
        self.encode(from, payloads);
        self.write(end)?;
        let mut index = self.index.lock();
        let newest = index.newest_mut();
        newest.end = end + bytes;
        let offsets = newest.offsets.as_mut().expect("the newest segment was read through");
        for payload in payloads {
            offsets.push(end as u32);
            end += (RECORD_HEAD_BYTES + payload.as_ref().len()) as u64;
        }
        index.next = from + payloads.len() as u64;
        Ok(from)
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// [`SegmentError::Io`]: what was written since the last sync may be lost, and asking again
    /// would not tell, so the log takes no more writes until it is reopened.
    pub fn sync(&mut self) -> Result<(), SegmentError> {
        self.check_running()?;
        let (file, path, next) = {
            let index = self.index.lock();
            let newest = index.newest();
            (newest.file.clone(), newest.path.clone(), index.next)
        };
        files::sync(&file, &path, &*self.faults, Extent::Data)
            .map_err(|source| self.stop(io_error("sync", &path)(source)))?;
        self.synced = next;
        Ok(())
    }

    /// Removes record `sequence` and all after it, durably.
    ///
    /// # Errors
    /// [`SegmentError::Io`]: the log takes no more writes until it is reopened.
    pub fn truncate_from(&mut self, sequence: u64) -> Result<(), SegmentError> {
        self.check_running()?;
        if sequence >= self.next() {
            return Ok(());
        }
        self.reader().read_through_before(sequence)?;
        let dropped = self.shorten_index(sequence);
        self.synced = self.synced.min(self.next());
        // Newest first: whatever remains after a crash is without holes.
        for segment in dropped.iter().rev() {
            self.remove(segment)?;
        }
        let newest = self.index.lock().newest().clone();
        files::shorten(&newest.file, &newest.path, newest.end, &*self.faults)
            .and_then(|()| files::sync(&newest.file, &newest.path, &*self.faults, Extent::All))
            .map_err(|source| self.stop(io_error("shorten", &newest.path)(source)))?;
        self.allocated = newest.end;
        files::sync_dir(&self.dir).map_err(|error| self.stop(error))
    }

    /// Forgets the records before `sequence`, and removes the files that hold no others. The
    /// newest file always stays.
    ///
    /// # Errors
    /// [`SegmentError::Io`]: a file could not be removed; the records are forgotten all the same.
    pub fn purge_before(&mut self, sequence: u64) -> Result<(), SegmentError> {
        let dropped: Vec<Segment> = {
            let mut index = self.index.lock();
            index.first = index.first.max(sequence.min(index.next));
            index.removals += 1;
            let first = index.first;
            let keep = index.segments.partition_point(|segment| segment.base <= first);
            index.segments.drain(..keep.saturating_sub(1)).collect()
        };
        // Oldest first: whatever remains after a crash is without holes.
        for segment in &dropped {
            fs::remove_file(&segment.path).map_err(io_error("remove", &segment.path))?;
        }
        if dropped.is_empty() { Ok(()) } else { files::sync_dir(&self.dir) }
    }

    /// Removes all records; the next one gets sequence `first`.
    ///
    /// # Errors
    /// [`SegmentError::Io`]: the log takes no more writes until it is reopened. Who resets a log
    /// opens it again with the same `first_sequence`, in case nothing else is left.
    pub fn reset(&mut self, first: u64) -> Result<(), SegmentError> {
        self.check_running()?;
        let dropped = {
            let mut index = self.index.lock();
            index.removals += 1;
            (index.first, index.next) = (first, first);
            index.segments.clone()
        };
        for segment in &dropped {
            self.remove(segment)?;
        }
        files::sync_dir(&self.dir).map_err(|error| self.stop(error))?;
        let segment = self.create(first).map_err(|error| self.stop(error))?;
        self.index.lock().segments = vec![segment];
        (self.synced, self.allocated) = (first, HEADER_BYTES);
        Ok(())
    }

    fn batch_bytes<P: AsRef<[u8]>>(&self, payloads: &[P]) -> Result<u64, SegmentError> {
        let mut bytes = 0;
        for payload in payloads {
            let payload_bytes = payload.as_ref().len() as u64;
            let limit = u64::from(self.options.record_bytes_max);
            if payload_bytes > limit {
                return Err(SegmentError::TooLarge { bytes: payload_bytes, limit });
            }
            bytes += payload_bytes + RECORD_HEAD_BYTES as u64;
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(SegmentError::TooLarge { bytes, limit: BATCH_BYTES_MAX });
        }
        Ok(bytes)
    }

    fn encode<P: AsRef<[u8]>>(&mut self, from: u64, payloads: &[P]) {
        self.buffer.clear();
        for (sequence, payload) in (from..).zip(payloads) {
            let unsynced = u32::try_from(sequence - self.synced).unwrap_or(u32::MAX);
            record::encode(sequence, unsynced, payload.as_ref(), &mut self.buffer);
        }
    }

    /// Writes the buffer at `end`, with zeros behind it when the file must grow anyway.
    fn write(&mut self, end: u64) -> Result<(), SegmentError> {
        let (file, path) = {
            let index = self.index.lock();
            (index.newest().file.clone(), index.newest().path.clone())
        };
        let bytes = self.buffer.len();
        let needed = end + bytes as u64;
        let step = self.options.preallocate_bytes;
        let mut padded = needed;
        if step > 0 && needed > self.allocated {
            padded = needed.next_multiple_of(step).min(self.options.segment_bytes.max(needed));
            self.buffer.resize((padded - end) as usize, 0);
        }
        let mut written = files::write_at(&file, &path, &self.buffer, end, &*self.faults);
        self.buffer.truncate(bytes);
        if written.is_err() && padded > needed {
            // A disk that is nearly full may still have room for the records alone.
            self.undo(&file, &path, end)?;
            padded = needed;
            written = files::write_at(&file, &path, &self.buffer, end, &*self.faults);
        }
        if let Err(source) = written {
            self.undo(&file, &path, end)?;
            return Err(io_error("write", &path)(source));
        }
        self.allocated = self.allocated.max(padded);
        Ok(())
    }

    /// Takes a half-written batch away again.
    fn undo(&mut self, file: &fs::File, path: &Path, end: u64) -> Result<(), SegmentError> {
        files::shorten(file, path, end, &*self.faults)
            .map_err(|source| self.stop(io_error("undo a failed write to", path)(source)))?;
        self.allocated = end;
        Ok(())
    }

    /// Seals the newest segment and begins another.
    fn roll(&mut self) -> Result<(), SegmentError> {
        let newest = self.index.lock().newest().clone();
        if self.allocated > newest.end {
            files::shorten(&newest.file, &newest.path, newest.end, &*self.faults)
                .map_err(io_error("shorten", &newest.path))?;
            self.allocated = newest.end;
        }
        self.sync()?;
        let segment = self.create(self.next())?;
        self.index.lock().segments.push(segment);
        self.allocated = HEADER_BYTES;
        Ok(())
    }

    fn create(&mut self, base: u64) -> Result<Segment, SegmentError> {
        let path = scan::segment_path(&self.dir, base);
        match files::create_segment(&path, &record::encode_header(base), &*self.faults) {
            Ok(file) => Ok(Segment::empty(base, path, file)),
            // An empty segment left behind would overlap with what is appended next.
            Err(error) => match fs::remove_file(&path) {
                Err(left) if left.kind() != io::ErrorKind::NotFound => Err(self.stop(error)),
                _ => Err(error),
            },
        }
    }

    fn remove(&mut self, segment: &Segment) -> Result<(), SegmentError> {
        fs::remove_file(&segment.path)
            .map_err(|source| self.stop(io_error("remove", &segment.path)(source)))
    }

    /// Takes `sequence` and all after it out of the index; returns the segments that go.
    fn shorten_index(&mut self, sequence: u64) -> Vec<Segment> {
        let mut index = self.index.lock();
        let oldest = index.segments.first().map_or(0, |segment| segment.base);
        let sequence = sequence.max(oldest);
        let keep = index.segments.partition_point(|segment| segment.base < sequence).max(1);
        let dropped = index.segments.split_off(keep);
        index.removals += 1;
        index.next = sequence;
        index.first = index.first.min(sequence);
        let newest = index.newest_mut();
        if let Some((begin, _)) = newest.span(sequence) {
            newest.end = begin;
        }
        let kept = (sequence - newest.base) as usize;
        if let Some(offsets) = &mut newest.offsets {
            offsets.truncate(kept);
        }
        dropped
    }

    fn check_running(&self) -> Result<(), SegmentError> {
        match &self.stopped {
            None => Ok(()),
            Some(cause) => {
                Err(SegmentError::Stopped { dir: self.dir.clone(), cause: cause.clone() })
            }
        }
    }

    fn stop(&mut self, error: SegmentError) -> SegmentError {
        self.stopped = Some(error.to_string());
        error
    }
}

impl fmt::Debug for SegmentLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentLog")
            .field("dir", &self.dir)
            .field("first", &self.first())
            .field("next", &self.next())
            .field("synced", &self.synced)
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}
