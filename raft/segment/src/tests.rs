//! The log against a model, against a disk that fails, and against files that were changed.

mod damage;
mod disk_faults;
mod model;

use std::path::{Path, PathBuf};

use crate::{SegmentLog, SegmentOptions, Verify};

/// Small segments, so that a few records fill several.
fn small() -> SegmentOptions {
    SegmentOptions { segment_bytes: 256, record_bytes_max: 1024, ..SegmentOptions::default() }
}

fn open(dir: &Path, options: &SegmentOptions) -> SegmentLog {
    SegmentLog::open(dir, options.clone()).unwrap().0
}

fn all(log: &SegmentLog) -> Vec<(u64, Vec<u8>)> {
    log.iter_from(0).map(Result::unwrap).collect()
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// Ten records of 20 bytes, each synced, in a log of small segments.
fn ten_synced(dir: &Path) -> SegmentLog {
    let mut log = open(dir, &small());
    for n in 0..10u8 {
        log.append(&[n; 20]).unwrap();
        log.sync().unwrap();
    }
    log
}

#[test]
fn records_are_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let before = all(&ten_synced(dir.path()));
    assert_eq!(before.len(), 10);
    assert!(segment_files(dir.path()).len() > 1);
    let log = open(dir.path(), &small());
    assert_eq!(all(&log), before);
    assert_eq!(log.next(), 10);
}

#[test]
fn files_and_directory_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a/b");
    drop(ten_synced(&dir));
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for file in segment_files(&dir) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_reset_log_goes_on_at_the_given_sequence() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = ten_synced(dir.path());
    log.reset(100).unwrap();
    assert_eq!(log.append(b"x").unwrap(), 100);
    log.sync().unwrap();
    let log = open(dir.path(), &SegmentOptions { first_sequence: 100, ..small() });
    assert_eq!(all(&log), [(100, b"x".to_vec())]);
}

#[test]
fn a_purge_removes_whole_files_and_forgets_single_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = ten_synced(dir.path());
    let files = segment_files(dir.path()).len();
    log.purge_before(7).unwrap();
    assert!(segment_files(dir.path()).len() < files);
    assert_eq!(log.first(), 7);
    assert_eq!(log.read(6).unwrap(), None);
    assert_eq!(log.read(7).unwrap(), Some(vec![7; 20]));
    log.purge_before(u64::MAX).unwrap();
    assert_eq!((log.first(), log.next()), (10, 10));
    assert_eq!(log.append(b"x").unwrap(), 10);
}

#[test]
fn a_batch_longer_than_a_segment_gets_a_segment_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), &small());
    log.append(b"first").unwrap();
    log.append_batch(&vec![[7u8; 100]; 20]).unwrap();
    log.append(b"last").unwrap();
    let before = all(&log);
    assert_eq!(all(&open(dir.path(), &small())), before);
}

#[test]
fn segments_skipped_at_opening_are_read_when_needed() {
    let dir = tempfile::tempdir().unwrap();
    let before = all(&ten_synced(dir.path()));
    let lazy = SegmentOptions { verify: Verify::Newest, ..small() };
    assert_eq!(all(&open(dir.path(), &lazy)), before);
    let mut log = open(dir.path(), &lazy);
    log.truncate_from(2).unwrap();
    assert_eq!(log.append(b"new").unwrap(), 2);
    let log = open(dir.path(), &small());
    assert_eq!(log.next(), 3);
    assert_eq!(log.read(2).unwrap(), Some(b"new".to_vec()));
}

#[test]
fn a_reader_follows_the_writer_and_notices_removals() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), &small());
    let reader = log.reader();
    assert_eq!(reader.read(0).unwrap(), None);
    log.append_batch(&[b"a", b"b"]).unwrap();
    assert_eq!(reader.read(1).unwrap(), Some(b"b".to_vec()));
    log.truncate_from(1).unwrap();
    assert_eq!(reader.read(1).unwrap(), None);
    assert_eq!((reader.first(), reader.next()), (0, 1));
}

#[test]
fn a_range_is_limited_by_bytes_but_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), &SegmentOptions::default());
    log.append_batch(&[[1u8; 100]; 10]).unwrap();
    let reader = log.reader();
    assert_eq!(reader.read_range(0, 10, 0).unwrap().len(), 1);
    assert_eq!(reader.read_range(0, 10, 360).unwrap().len(), 3);
    assert_eq!(reader.read_range(4, 6, u64::MAX).unwrap().len(), 2);
    assert_eq!(reader.read_range(10, 20, u64::MAX).unwrap().len(), 0);
}

#[test]
fn an_oversized_record_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), &small());
    assert!(log.append_batch(&[vec![1; 10], vec![1; 1025]]).is_err());
    assert_eq!(log.next(), 0);
    assert_eq!(log.append(b"fits").unwrap(), 0);
}

#[test]
fn a_replaced_file_has_the_new_content_and_a_private_mode() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vote");
    crate::replace_file(&file, b"one").unwrap();
    crate::replace_file(&file, b"two").unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"two");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(segment_files(dir.path()).len(), 1);
}
