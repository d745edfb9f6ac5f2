//! The log over restarts, crashes, and a disk that fails. openraft's own store tests run in
//! `machine::tests`.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use openraft::{
    RaftLogReader,
    storage::{RaftLogStorage, RaftLogStorageExt},
    testing::{blank_ent, log_id},
};
use parking_lot::Mutex;
use spanmq_segment::{Faults, WriteFault};

use super::{LogOpenError, LogOptions, LogStore};
use crate::{
    fatal::{FatalCause, FatalHook},
    types::{Entry, Vote},
};

/// A node that stops, and a disk that fails on demand.
#[derive(Clone, Default)]
struct World {
    stopped: Arc<Mutex<Option<FatalCause>>>,
    full: Arc<AtomicBool>,
    sync_fails: Arc<AtomicBool>,
    read_fails: Arc<AtomicBool>,
}

impl Faults for World {
    fn on_write(&self, _: &Path, _: usize) -> Option<WriteFault> {
        let full = self.full.load(Ordering::Relaxed);
        full.then(|| WriteFault::Fail(io::ErrorKind::StorageFull.into()))
    }
    fn on_sync(&self, _: &Path) -> Option<io::Error> {
        self.sync_fails.load(Ordering::Relaxed).then(|| io::Error::other("EIO"))
    }
    fn on_read(&self, _: &Path) -> Option<io::Error> {
        self.read_fails.load(Ordering::Relaxed).then(|| io::Error::other("EIO"))
    }
}

impl World {
    fn open(&self, dir: &Path) -> Result<LogStore, LogOpenError> {
        let stopped = self.stopped.clone();
        let options = LogOptions {
            segment_bytes: 4 << 10,
            preallocate_bytes: 1 << 10,
            cache_bytes_max: 256,
            faults: Arc::new(self.clone()),
            fatal: FatalHook::new(move |cause| *stopped.lock() = Some(cause.clone())),
        };
        LogStore::open(dir, &options)
    }
}

fn entries(range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|index| blank_ent(1, 1, index)).collect()
}

async fn indexes(log: &mut LogStore) -> Vec<u64> {
    let entries = log.try_get_log_entries(..).await.unwrap();
    entries.iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn entries_vote_and_ends_are_there_after_a_restart() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    assert!(log.is_pristine());
    log.blocking_append(entries(0..100)).await.unwrap();
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    log.save_committed(Some(log_id(1, 1, 90))).await.unwrap();
    log.purge(log_id(1, 1, 9)).await.unwrap();
    log.truncate(log_id(1, 1, 95)).await.unwrap();
    drop(log);
    let mut log = world.open(dir.path()).unwrap();
    assert_eq!(indexes(&mut log).await, (10..95).collect::<Vec<_>>());
    let state = log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 1, 9)));
    assert_eq!(state.last_log_id, Some(log_id(1, 1, 94)));
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(3, 1)));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 1, 90)));
    assert!(!log.is_pristine());
}

#[tokio::test]
async fn a_log_that_a_snapshot_overtook_goes_on_behind_it() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    log.blocking_append(entries(0..5)).await.unwrap();
    log.purge(log_id(2, 1, 500)).await.unwrap();
    log.blocking_append(entries(501..503)).await.unwrap();
    drop(log);
    let mut log = world.open(dir.path()).unwrap();
    assert_eq!(indexes(&mut log).await, [501, 502]);
}

#[tokio::test]
async fn after_truncating_and_appending_the_new_entries_are_read() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    log.blocking_append(entries(0..40)).await.unwrap();
    log.truncate(log_id(1, 1, 20)).await.unwrap();
    log.blocking_append([blank_ent(2, 2, 20)]).await.unwrap();
    let mut log = {
        drop(log);
        world.open(dir.path()).unwrap()
    };
    let found = log.try_get_log_entries(19..).await.unwrap();
    let ids: Vec<_> = found.iter().map(|entry| entry.log_id).collect();
    assert_eq!(ids, [log_id(1, 1, 19), log_id(2, 2, 20)]);
}

#[tokio::test]
async fn a_log_that_lost_a_synced_entry_is_refused() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    log.blocking_append(entries(0..5)).await.unwrap();
    drop(log);
    let segment = dir.path().join("log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let error = world.open(dir.path()).err().unwrap();
    assert!(matches!(error, LogOpenError::Shortened { next: 4, synced: 4, .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_vote_is_refused() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    drop(log);
    std::fs::write(dir.path().join("vote"), b"garbage").unwrap();
    assert!(matches!(world.open(dir.path()).err().unwrap(), LogOpenError::Mark(_)));
}

#[tokio::test]
async fn on_a_full_disk_an_append_waits_and_reads_go_on() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    log.blocking_append(entries(0..3)).await.unwrap();
    world.full.store(true, Ordering::Relaxed);
    let appending = {
        let mut log = log.clone();
        tokio::spawn(async move { log.blocking_append(entries(3..6)).await })
    };
    eventually(|| log.disk_full()).await;
    assert_eq!(log.try_get_log_entries(0..3).await.unwrap().len(), 3);
    assert!(!appending.is_finished());
    world.full.store(false, Ordering::Relaxed);
    appending.await.unwrap().unwrap();
    assert!(!log.disk_full());
    assert_eq!(*world.stopped.lock(), None);
}

#[tokio::test]
async fn a_full_disk_does_not_hold_up_the_shutdown() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let log = world.open(dir.path()).unwrap();
    world.full.store(true, Ordering::Relaxed);
    let appending = {
        let mut log = log.clone();
        tokio::spawn(async move { log.blocking_append(entries(0..3)).await })
    };
    eventually(|| log.disk_full()).await;
    tokio::task::spawn_blocking(move || log.stop()).await.unwrap();
    assert!(appending.await.unwrap().is_err());
}

#[tokio::test]
async fn a_failed_sync_stops_the_node() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    world.sync_fails.store(true, Ordering::Relaxed);
    assert!(log.blocking_append(entries(0..3)).await.is_err());
    assert!(matches!(&*world.stopped.lock(), Some(FatalCause::Disk(_))));
    world.sync_fails.store(false, Ordering::Relaxed);
    assert!(log.save_vote(&Vote::new(1, 1)).await.is_err(), "nothing is written afterwards");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_back_stops_the_node() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::default());
    let mut log = world.open(dir.path()).unwrap();
    log.blocking_append(entries(0..100)).await.unwrap();
    world.read_fails.store(true, Ordering::Relaxed);
    assert!(log.try_get_log_entries(0..5).await.is_err());
    assert!(matches!(&*world.stopped.lock(), Some(FatalCause::Invariant(_))));
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "it did not come about in 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
