//! A disk that refuses writes and syncs leaves a consistent log (CHAOS.md P11, N11).

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{all, open, small};
use crate::{Faults, SegmentError, SegmentLog, SegmentOptions, WriteFault};

/// Fails the operations whose turn is marked.
#[derive(Default)]
struct Script(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    /// The next writes: `None` passes, `Some(n)` writes n bytes and then says ENOSPC.
    writes: Vec<Option<usize>>,
    fail_sync: bool,
    fail_truncate: bool,
    fail_read: bool,
}

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

fn eio() -> io::Error {
    io::Error::other("EIO")
}

impl Faults for Script {
    fn on_write(&self, _: &Path, bytes: usize) -> Option<WriteFault> {
        let mut plan = self.0.lock().unwrap();
        if plan.writes.is_empty() {
            return None;
        }
        match plan.writes.remove(0)? {
            0 => Some(WriteFault::Fail(no_space())),
            count => Some(WriteFault::Short(count.min(bytes - 1), no_space())),
        }
    }
    fn on_sync(&self, _: &Path) -> Option<io::Error> {
        self.0.lock().unwrap().fail_sync.then(eio)
    }
    fn on_truncate(&self, _: &Path) -> Option<io::Error> {
        self.0.lock().unwrap().fail_truncate.then(eio)
    }
    fn on_read(&self, _: &Path) -> Option<io::Error> {
        self.0.lock().unwrap().fail_read.then(eio)
    }
}

fn faulty(dir: &Path, options: SegmentOptions) -> (SegmentLog, Arc<Script>) {
    let script = Arc::new(Script::default());
    let log = SegmentLog::open_with(dir, options, script.clone()).unwrap().0;
    (log, script)
}

#[test]
fn a_full_disk_refuses_the_batch_and_keeps_the_rest() {
    for written in 0..120 {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, script) = faulty(dir.path(), SegmentOptions::default());
        log.append(b"before").unwrap();
        script.0.lock().unwrap().writes = vec![Some(written)];
        let error = log.append_batch(&[[7u8; 40]; 2]).unwrap_err();
        assert!(error.is_no_space(), "{error}");
        assert_eq!(all(&log), [(0, b"before".to_vec())]);
        assert_eq!(log.append(b"after").unwrap(), 1, "space came back");
        drop(log);
        let (log, report) = SegmentLog::open(dir.path(), SegmentOptions::default()).unwrap();
        assert_eq!(report.torn, None);
        assert_eq!(all(&log), [(0, b"before".to_vec()), (1, b"after".to_vec())]);
    }
}

#[test]
fn a_disk_with_room_for_the_record_but_not_for_the_zeros_behind_it_takes_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let options = SegmentOptions { preallocate_bytes: 4096, ..SegmentOptions::default() };
    let (mut log, script) = faulty(dir.path(), options.clone());
    script.0.lock().unwrap().writes = vec![Some(100)];
    log.append(b"small").unwrap();
    drop(log);
    assert_eq!(all(&open(dir.path(), &options)), [(0, b"small".to_vec())]);
}

#[test]
fn a_full_disk_at_the_turn_of_a_segment_leaves_the_old_one_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, script) = faulty(dir.path(), small());
    log.append(&[1; 200]).unwrap();
    script.0.lock().unwrap().writes = vec![Some(10)];
    assert!(log.append(&[2; 200]).unwrap_err().is_no_space());
    assert_eq!(log.append(b"x").unwrap(), 1);
    assert_eq!(log.append(&[3; 200]).unwrap(), 2);
    let before = all(&log);
    assert_eq!(all(&open(dir.path(), &small())), before);
}

#[test]
fn after_a_failed_sync_the_log_takes_no_writes_but_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, script) = faulty(dir.path(), small());
    log.append(b"kept?").unwrap();
    script.0.lock().unwrap().fail_sync = true;
    assert!(log.sync().is_err());
    script.0.lock().unwrap().fail_sync = false;
    let error = log.append(b"no").unwrap_err();
    assert!(matches!(error, SegmentError::Stopped { .. }), "{error}");
    assert!(log.sync().is_err(), "a second sync would pretend");
    assert_eq!(log.read(0).unwrap(), Some(b"kept?".to_vec()));
    assert_eq!(log.synced(), 0);
}

#[test]
fn a_write_that_cannot_be_undone_stops_the_log_and_the_reopened_log_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, script) = faulty(dir.path(), small());
    log.append(b"before").unwrap();
    log.sync().unwrap();
    *script.0.lock().unwrap() =
        Plan { writes: vec![Some(9)], fail_truncate: true, ..Plan::default() };
    assert!(log.append(b"torn").is_err());
    *script.0.lock().unwrap() = Plan::default();
    assert!(matches!(log.append(b"x").unwrap_err(), SegmentError::Stopped { .. }));
    drop(log);
    let (log, report) = SegmentLog::open(dir.path(), small()).unwrap();
    assert_eq!(report.torn.unwrap().bytes, 9);
    assert_eq!(all(&log), [(0, b"before".to_vec())]);
}

#[test]
fn a_read_error_is_told_and_does_not_stop_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, script) = faulty(dir.path(), small());
    log.append(b"a").unwrap();
    script.0.lock().unwrap().fail_read = true;
    assert!(matches!(log.read(0).unwrap_err(), SegmentError::Io { action: "read", .. }));
    assert!(log.iter_from(0).next().unwrap().is_err());
    script.0.lock().unwrap().fail_read = false;
    assert!(log.append(b"b").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_writes_fail_the_log_holds_exactly_the_accepted_batches(
        writes in proptest::collection::vec(
            prop_oneof![2 => Just(None), 1 => (0usize..200).prop_map(Some)], 0..30),
        batches in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 1..4), 1..20),
        preallocate_bytes in prop_oneof![Just(0u64), Just(64)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = SegmentOptions { preallocate_bytes, ..small() };
        let (mut log, script) = faulty(dir.path(), options.clone());
        script.0.lock().unwrap().writes = writes;
        let mut accepted = Vec::new();
        for batch in batches {
            if log.append_batch(&batch).is_ok() {
                accepted.extend(batch);
            }
        }
        let expected: Vec<_> = (0..).zip(accepted).collect();
        prop_assert_eq!(all(&log), expected.clone());
        drop(log);
        let (log, report) = SegmentLog::open(dir.path(), options).unwrap();
        prop_assert_eq!(report.torn, None);
        prop_assert_eq!(all(&log), expected);
    }
}
