//! Reads segments through when a log is opened, and tells a torn tail from damage.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    SegmentError, SegmentOptions, Verify,
    fault::Faults,
    files::{self, Extent, io_error},
    index::{Index, Segment},
    record::{self, BadHeader, HEADER_BYTES, RECORD_HEAD_BYTES},
};

/// What was found when a log was opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OpenReport {
    pub segments: usize,
    /// Records in the log, as far as the segments were read through.
    pub records: u64,
    /// Left by a crash in the middle of a write, and removed.
    pub torn: Option<TornTail>,
}

/// The end of the newest segment as a crash left it. It was not synced, so nothing was promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    pub file: PathBuf,
    pub offset: u64,
    /// How much was cut off.
    pub bytes: u64,
    /// Sound records behind the torn one that had to go with it.
    pub sound_records: u64,
}

/// Name of the segment whose first record is `base`.
pub(crate) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.seg"))
}

/// Opens the segments of `dir`, creating the first one in an empty directory.
pub(crate) fn open(
    dir: &Path,
    options: &SegmentOptions,
    faults: &dyn Faults,
) -> Result<(Index, OpenReport), SegmentError> {
    let mut report = OpenReport::default();
    let mut segments: Vec<Segment> = Vec::new();
    let paths = list(dir)?;
    let last = paths.len().saturating_sub(1);
    for (at, (base, path)) in paths.into_iter().enumerate() {
        let newest = at == last;
        let mut segment = open_file(base, path)?;
        if newest || options.verify == Verify::All {
            let found = read_through(&segment, options.record_bytes_max, newest)?;
            if let Some(torn) = found.torn {
                cut(&segment, &torn, faults)?;
                report.torn = Some(torn);
            }
            report.records += found.offsets.len() as u64;
            segment.offsets = Some(found.offsets);
            segment.end = found.end;
        }
        if let Some(before) = segments.last() {
            check_joint(before, &segment)?;
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        let base = options.first_sequence;
        let path = segment_path(dir, base);
        let file = files::create_segment(&path, &record::encode_header(base), faults)?;
        segments.push(Segment::empty(base, path, file));
    }
    report.segments = segments.len();
    let first = segments.first().map_or(0, |segment| segment.base);
    let next = segments
        .last()
        .map_or(0, |newest| newest.base + newest.offsets.as_ref().map_or(0, Vec::len) as u64);
    Ok((Index { segments, first, next, removals: 0 }, report))
}

/// The segment files of `dir` by base sequence. Temporary files of an earlier run are removed.
pub(crate) fn list(dir: &Path) -> Result<BTreeMap<u64, PathBuf>, SegmentError> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".seg.tmp") {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        } else if let Some(base) = name.strip_suffix(".seg").and_then(|base| base.parse().ok()) {
            found.insert(base, path);
        }
    }
    Ok(found)
}

fn open_file(base: u64, path: PathBuf) -> Result<Segment, SegmentError> {
    let file = files::open_segment(&path)?;
    let mut header = [0; HEADER_BYTES as usize];
    let damaged =
        |detail| SegmentError::Damaged { file: path.clone(), offset: 0, sequence: base, detail };
    let end = file.metadata().map_err(io_error("stat", &path))?.len();
    if end < HEADER_BYTES {
        return Err(damaged("the header is cut off"));
    }
    file.read_exact_at(&mut header, 0).map_err(io_error("read", &path))?;
    match record::decode_header(&header) {
        Ok(found) if found == base => {
            Ok(Segment { base, path: path.into(), file: Arc::new(file), offsets: None, end })
        }
        Ok(_) => Err(damaged("the name does not fit the header")),
        Err(BadHeader::NotASegment) => Err(damaged("this is not a segment file")),
        Err(BadHeader::Checksum) => Err(damaged("the header fails its checksum")),
        Err(BadHeader::Version(version)) => {
            Err(SegmentError::Version { file: path, version, expected: record::VERSION })
        }
    }
}

/// What a segment holds.
pub(crate) struct Contents {
    pub(crate) offsets: Vec<u32>,
    pub(crate) end: u64,
    torn: Option<TornTail>,
}

/// Checks every record of `segment`. Only the newest segment may end in a torn tail.
pub(crate) fn read_through(
    segment: &Segment,
    record_bytes_max: u32,
    newest: bool,
) -> Result<Contents, SegmentError> {
    let bytes = read_all(segment)?;
    let mut offsets = Vec::new();
    let mut at = HEADER_BYTES as usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let sequence = segment.base + offsets.len() as u64;
        match record::decode(rest, record_bytes_max) {
            Some(record) if record.sequence == sequence => {
                offsets.push(offset_u32(segment, at)?);
                at += record.bytes();
            }
            _ if rest.iter().all(|byte| *byte == 0) => {
                return Ok(Contents { offsets, end: at as u64, torn: None });
            }
            _ => {
                let after = sound_records_after(rest, sequence, record_bytes_max);
                if !newest || after.knew_it_synced {
                    return Err(SegmentError::Damaged {
                        file: segment.path.to_path_buf(),
                        offset: at as u64,
                        sequence,
                        detail: "a record that was synced fails its checksum",
                    });
                }
                let torn = TornTail {
                    file: segment.path.to_path_buf(),
                    offset: at as u64,
                    bytes: rest.len() as u64,
                    sound_records: after.count,
                };
                return Ok(Contents { offsets, end: at as u64, torn: Some(torn) });
            }
        }
    }
}

/// Sound records behind a bad one.
#[derive(Default)]
pub(crate) struct After {
    count: u64,
    /// Where the first of them begins.
    pub(crate) first_at: Option<usize>,
    /// One of them was written when the bad one was known to be synced.
    pub(crate) knew_it_synced: bool,
}

pub(crate) fn sound_records_after(rest: &[u8], bad: u64, record_bytes_max: u32) -> After {
    let mut after = After::default();
    let mut at = 0;
    let highest = bad.saturating_add((rest.len() / RECORD_HEAD_BYTES) as u64 + 1);
    while let Some(candidate) = rest.get(at..) {
        let Some(sequence) = record::peek_sequence(candidate) else { break };
        // The sequence is compared first, because a checksum at every offset would take minutes.
        if sequence <= bad || sequence > highest {
            at += 1;
            continue;
        }
        match record::decode(candidate, record_bytes_max) {
            Some(record) => {
                after.count += 1;
                after.first_at.get_or_insert(at);
                after.knew_it_synced |= sequence.saturating_sub(u64::from(record.unsynced)) > bad;
                at += record.bytes();
            }
            None => at += 1,
        }
    }
    after
}

fn read_all(segment: &Segment) -> Result<Vec<u8>, SegmentError> {
    let length = segment.file.metadata().map_err(io_error("stat", &segment.path))?.len();
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    segment.file.read_exact_at(&mut bytes, 0).map_err(io_error("read", &segment.path))?;
    Ok(bytes)
}

fn offset_u32(segment: &Segment, at: usize) -> Result<u32, SegmentError> {
    u32::try_from(at).map_err(|_| SegmentError::Damaged {
        file: segment.path.to_path_buf(),
        offset: at as u64,
        sequence: segment.base,
        detail: "the file is longer than a segment can be",
    })
}

fn cut(segment: &Segment, torn: &TornTail, faults: &dyn Faults) -> Result<(), SegmentError> {
    files::shorten(&segment.file, &segment.path, torn.offset, faults)
        .map_err(io_error("cut the torn tail of", &segment.path))?;
    files::sync(&segment.file, &segment.path, faults, Extent::All)
        .map_err(io_error("sync", &segment.path))?;
    tracing::warn!(
        file = %torn.file.display(),
        offset = torn.offset,
        bytes = torn.bytes,
        sound_records = torn.sound_records,
        "torn tail cut off; it had not been synced"
    );
    Ok(())
}

/// Whether `after` begins where `before` ends, as far as `before` has been read.
pub(crate) fn check_joint(before: &Segment, after: &Segment) -> Result<(), SegmentError> {
    let Some(offsets) = &before.offsets else { return Ok(()) };
    let next = before.base + offsets.len() as u64;
    if next < after.base {
        return Err(SegmentError::Gap {
            file: after.path.to_path_buf(),
            missing_from: next,
            missing_to: after.base,
        });
    }
    if next > after.base {
        return Err(SegmentError::Damaged {
            file: after.path.to_path_buf(),
            offset: 0,
            sequence: after.base,
            detail: "it begins before the segment before it ends",
        });
    }
    Ok(())
}
