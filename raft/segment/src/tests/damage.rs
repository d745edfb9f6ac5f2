//! Torn tails are cut, damage is refused.

use std::{fs, path::Path};

use super::{all, open, segment_files, small, ten_synced};
use crate::{
    Damage, Inspection, SegmentError, SegmentLog, SegmentOptions, Verify, inspect, salvage,
};

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn one_segment() -> SegmentOptions {
    SegmentOptions { record_bytes_max: 1024, ..SegmentOptions::default() }
}

/// Three synced records, then a batch of three that was never synced.
fn three_and_three(dir: &Path) -> u64 {
    let mut log = open(dir, &one_segment());
    log.append_batch(&[[1u8; 30]; 3]).unwrap();
    log.sync().unwrap();
    let synced_bytes = segment_files(dir)[0].metadata().unwrap().len();
    log.append_batch(&[[2u8; 30]; 3]).unwrap();
    synced_bytes
}

#[test]
fn whichever_byte_of_the_unsynced_tail_is_garbled_the_synced_records_stay() {
    let dir = tempfile::tempdir().unwrap();
    let synced_bytes = three_and_three(dir.path()) as usize;
    let file = segment_files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for at in synced_bytes..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x5a;
        fs::write(&file, &bad).unwrap();
        let (log, report) = SegmentLog::open(dir.path(), one_segment()).unwrap();
        let kept = (at - synced_bytes) / 50;
        assert_eq!(log.next(), 3 + kept as u64, "byte {at}");
        let torn = report.torn.unwrap();
        assert_eq!(torn.sound_records, 2 - kept as u64, "byte {at}");
        assert_eq!(torn.offset + torn.bytes, whole.len() as u64);
    }
}

#[test]
fn wherever_the_tail_is_cut_off_the_synced_records_stay_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let synced_bytes = three_and_three(dir.path()) as usize;
    let file = segment_files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for length in synced_bytes..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let mut log = open(dir.path(), &one_segment());
        let kept = 3 + ((length - synced_bytes) / 50) as u64;
        assert_eq!(log.next(), kept, "length {length}");
        log.append(b"more").unwrap();
        drop(log);
        assert_eq!(all(&open(dir.path(), &one_segment())).len() as u64, kept + 1);
    }
}

#[test]
fn a_changed_byte_in_a_record_that_later_ones_knew_to_be_synced_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let synced_bytes = three_and_three(dir.path()) as usize;
    let file = segment_files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for at in 32..synced_bytes {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        let error = SegmentLog::open(dir.path(), one_segment()).unwrap_err();
        let SegmentError::Damaged { file: named, offset, .. } = &error else { panic!("{error}") };
        assert_eq!(*named, file);
        assert_eq!(*offset as usize, 32 + (at - 32) / 50 * 50);
        assert!(error.to_string().contains("spanmq repair"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), bad, "a refused file stays as it is");
    }
}

#[test]
fn a_changed_byte_anywhere_in_an_older_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(ten_synced(dir.path()));
    let file = segment_files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).filter(|at| !(28..32).contains(at)) {
        let mut bad = whole.clone();
        bad[at] ^= 0x81;
        fs::write(&file, &bad).unwrap();
        let error = SegmentLog::open(dir.path(), small()).unwrap_err();
        assert!(error.is_damage(), "byte {at}: {error}");
    }
}

#[test]
fn a_lost_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    ten_synced(dir.path()).append_batch(&[[9; 20]; 5]).unwrap();
    fs::remove_file(&segment_files(dir.path())[1]).unwrap();
    let error = SegmentLog::open(dir.path(), small()).unwrap_err();
    assert!(matches!(error, SegmentError::Gap { .. }), "{error}");
}

#[test]
fn a_shortened_older_segment_is_refused_at_opening_or_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    drop(ten_synced(dir.path()));
    change(&segment_files(dir.path())[0], |bytes| bytes.truncate(bytes.len() - 40));
    let error = SegmentLog::open(dir.path(), small()).unwrap_err();
    assert!(error.is_damage(), "{error}");
    let log = open(dir.path(), &SegmentOptions { verify: Verify::Newest, ..small() });
    assert!(log.read(0).unwrap_err().is_damage());
    assert!(log.read(9).unwrap().is_some());
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(ten_synced(dir.path()));
    change(&segment_files(dir.path())[0], |bytes| {
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    });
    let error = SegmentLog::open(dir.path(), small()).unwrap_err();
    assert!(matches!(error, SegmentError::Version { version: 2, .. }), "{error}");
}

#[test]
fn a_renamed_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(ten_synced(dir.path()));
    let file = segment_files(dir.path()).remove(0);
    fs::rename(&file, file.with_file_name("00000000000000000001.seg")).unwrap();
    assert!(SegmentLog::open(dir.path(), small()).unwrap_err().is_damage());
}

#[test]
fn a_record_that_changes_under_a_running_log_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let log = ten_synced(dir.path());
    change(&segment_files(dir.path())[0], |bytes| bytes[60] ^= 1);
    let errors = (0..10).filter(|sequence| log.read(*sequence).is_err()).count();
    assert_eq!(errors, 1);
}

#[test]
fn zeros_ahead_of_the_records_are_not_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let options = SegmentOptions { preallocate_bytes: 4096, ..one_segment() };
    let mut log = open(dir.path(), &options);
    log.append(b"one").unwrap();
    drop(log);
    assert_eq!(segment_files(dir.path())[0].metadata().unwrap().len(), 4096);
    let (log, report) = SegmentLog::open(dir.path(), options).unwrap();
    assert_eq!((report.torn, report.records, log.next()), (None, 1, 1));
}

#[test]
fn salvage_keeps_every_sound_record_at_its_number_and_the_old_files_aside() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let before = all(&ten_synced(&log));
    let file = segment_files(&log).remove(0);
    change(&file, |bytes| bytes[32 + 40 + 25] ^= 1);
    let damage = vec![Damage { file: file.clone(), offset: 32 + 40, first: 1, lost: 1 }];
    let seen = inspect(&log).unwrap();
    assert_eq!((seen.records, seen.damage.clone(), seen.torn_bytes), (9, damage, 0));
    let options = SegmentOptions { verify: Verify::All, ..small() };
    let refused = SegmentLog::open(&log, options.clone()).unwrap_err();
    assert!(refused.to_string().contains("spanmq repair"), "{refused}");

    let aside = dir.path().join("aside");
    assert_eq!(salvage(&log, &aside).unwrap(), seen);
    let after = all(&open(&log, &options));
    assert_eq!(after[1], (1, vec![]));
    let kept = |records: Vec<(u64, Vec<u8>)>| records.into_iter().filter(|(n, _)| *n != 1);
    assert!(kept(after).eq(kept(before)));
    assert_eq!(
        inspect(&aside).unwrap(),
        Inspection { damage: inspect(&aside).unwrap().damage, ..seen }
    );
}

#[test]
fn salvage_counts_the_records_of_a_file_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut writer = ten_synced(&log);
    (0..10u8).for_each(|n| _ = writer.append(&[n; 20]).unwrap());
    drop(writer);
    let files = segment_files(&log);
    assert!(files.len() > 2);
    fs::remove_file(&files[1]).unwrap();
    let seen = salvage(&log, &dir.path().join("aside")).unwrap();
    assert_eq!(seen.damage.len(), 1);
    assert_eq!(seen.records + seen.damage[0].lost, 20);
    assert_eq!(open(&log, &small()).next(), 20);
}

#[test]
fn a_torn_tail_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    three_and_three(dir.path());
    let file = segment_files(dir.path()).remove(0);
    let length = fs::read(&file).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    change(&file, |bytes| bytes.truncate(length));
    let seen = inspect(dir.path()).unwrap();
    assert_eq!((seen.records, seen.damage.len()), (5, 0));
    assert!(seen.torn_bytes > 0);
}
