//! openraft's tests of log store and state machine, and ours of what it does not cover.

use std::{path::Path, sync::Arc};

use openraft::{
    EntryPayload, RaftSnapshotBuilder,
    storage::RaftStateMachine,
    testing::{StoreBuilder, Suite, log_id},
};
use spanmq_state::{Batch, Command, command::ClusterCommand};
use tempfile::TempDir;

use super::*;
use crate::{
    fatal::FatalHook,
    log::{LogOptions, LogStore},
    types::{Entry, StorageError, TypeConfig},
};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(&dir.path().join("raft"), &LogOptions::default()).unwrap();
        let machine = machine(dir.path()).0;
        Ok((dir, log, machine))
    }
}

fn machine(dir: &Path) -> (StateMachine, Arc<Replica>) {
    let loaded = load_newest(&dir.join("snapshots")).unwrap();
    let (machine, replica, _) = StateMachine::new(loaded, FatalHook::default());
    (machine, replica)
}

#[test]
fn the_stores_pass_the_tests_of_openraft() {
    Suite::test_all(Builder).unwrap();
}

fn setting(index: u64, value: &str) -> Entry {
    let command = ClusterCommand::PutSetting { key: "a.b".into(), value: Some(value.into()) };
    Entry {
        log_id: log_id(1, 1, index),
        payload: EntryPayload::Normal(Batch::from(Command::Cluster(command))),
    }
}

async fn snapshot_of(machine: &mut StateMachine) -> crate::types::Snapshot {
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap()
}

#[tokio::test]
async fn a_restarted_machine_begins_with_its_newest_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, replica) = machine(dir.path());
    first.apply([setting(1, "1")]).await.unwrap();
    snapshot_of(&mut first).await;
    let (_, digest) = replica.digest();
    first.apply([setting(2, "2")]).await.unwrap();
    drop(first);
    let (mut again, replica) = machine(dir.path());
    assert_eq!(replica.digest(), (Some(log_id(1, 1, 1)), digest));
    assert_eq!(again.applied_state().await.unwrap().0, Some(log_id(1, 1, 1)));
    assert!(again.get_current_snapshot().await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over_for_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, _) = machine(dir.path());
    first.apply([setting(1, "1")]).await.unwrap();
    snapshot_of(&mut first).await;
    first.apply([setting(2, "2")]).await.unwrap();
    let newest = snapshot_of(&mut first).await.snapshot.path;
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let (mut again, _) = machine(dir.path());
    assert_eq!(again.applied_state().await.unwrap().0, Some(log_id(1, 1, 1)));
}

#[tokio::test]
async fn an_installed_snapshot_replaces_state_view_and_position() {
    let (leader_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut leader, leader_replica) = machine(leader_dir.path());
    leader.apply([setting(7, "seven")]).await.unwrap();
    let sent = snapshot_of(&mut leader).await;
    let (mut follower, replica) = machine(dir.path());
    follower.apply([setting(1, "one")]).await.unwrap();
    let mut events = replica.events();
    let received = follower.begin_receiving_snapshot().await.unwrap();
    std::fs::copy(&sent.snapshot.path, &received.path).unwrap();
    follower.install_snapshot(&sent.meta, received).await.unwrap();
    assert_eq!(replica.digest(), leader_replica.digest());
    assert_eq!(*replica.applied().borrow(), 8);
    assert_eq!(events.recv().await.unwrap().index, None);
    drop(follower);
    let (mut again, _) = machine(dir.path());
    assert_eq!(again.applied_state().await.unwrap().0, Some(log_id(1, 1, 7)));
}

#[tokio::test]
async fn a_snapshot_holds_the_state_as_it_was_when_it_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, replica) = machine(dir.path());
    first.apply([setting(1, "1")]).await.unwrap();
    let before = replica.digest();
    let mut builder = first.get_snapshot_builder().await;
    first.apply([setting(2, "2")]).await.unwrap();
    builder.build_snapshot().await.unwrap();
    drop(first);
    assert_eq!(machine(dir.path()).1.digest(), before);
}

#[tokio::test]
async fn an_entry_of_a_later_version_stops_the_node_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = Arc::new(parking_lot::Mutex::new(None));
    let hook = {
        let stopped = stopped.clone();
        FatalHook::new(move |cause| *stopped.lock() = Some(cause.clone()))
    };
    let loaded = load_newest(&dir.path().join("snapshots")).unwrap();
    let (mut machine, replica, _) = StateMachine::new(loaded, hook);
    let batch = Batch { version: 99, commands: vec![] };
    let entry = Entry { log_id: log_id(1, 1, 1), payload: EntryPayload::Normal(batch) };
    assert!(machine.apply([entry]).await.is_err());
    assert!(stopped.lock().is_some());
    assert_eq!(*replica.applied().borrow(), 0);
}
