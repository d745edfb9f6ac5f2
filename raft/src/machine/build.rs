//! Takes a snapshot: pointers under the lock, bytes outside of it (ARCHITECTURE §9).

use std::{sync::Arc, time::Duration};

use openraft::{AnyError, RaftSnapshotBuilder, StorageIOError};
use parking_lot::Mutex;

use super::{
    dir::SnapshotDir,
    file::{SnapshotError, SnapshotWriter},
};
use crate::types::{Snapshot, SnapshotMeta, StorageError, TypeConfig};

/// Pause before a snapshot that failed is tried again. Raft would stop for good; the log only
/// grows meanwhile.
const RETRY: Duration = Duration::from_secs(2);

/// The current snapshot, shared by builder and state machine.
pub(super) type Current = Arc<Mutex<Option<Snapshot>>>;

pub(crate) struct SnapshotBuilder {
    pub(super) dir: SnapshotDir,
    pub(super) current: Current,
    pub(super) meta: SnapshotMeta,
    pub(super) content: spanmq_state::Snapshot,
}

impl SnapshotBuilder {
    fn write(&self) -> Result<Snapshot, SnapshotError> {
        let temporary = self.dir.temporary(&format!("build-{}", self.meta.snapshot_id));
        let mut writer = SnapshotWriter::create(&temporary, &self.meta)?;
        for chunk in self.content.encode_chunks() {
            writer.chunk(&chunk)?;
        }
        let file = writer.finish(&self.dir.path_of(&self.meta))?;
        tracing::info!(meta = %self.meta, bytes = file.bytes, "snapshot written");
        let snapshot = Snapshot { meta: self.meta.clone(), snapshot: Box::new(file) };
        let mut current = self.current.lock();
        // A snapshot from the leader may have come in between; the further one counts.
        if current.as_ref().is_none_or(|known| known.meta.last_log_id <= self.meta.last_log_id) {
            *current = Some(snapshot.clone());
        }
        drop(current);
        self.dir.retain_newest()?;
        Ok(snapshot)
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Arc<SnapshotBuilder> {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        loop {
            let builder = self.clone();
            let written = tokio::task::spawn_blocking(move || builder.write()).await;
            match written {
                Ok(Ok(snapshot)) => return Ok(snapshot),
                Ok(Err(error)) => {
                    let full = error.is_no_space();
                    tracing::error!(%error, full, "writing a snapshot failed; it is tried again");
                    tokio::time::sleep(RETRY).await;
                }
                Err(panic) => {
                    let signature = Some(self.meta.signature());
                    let error = AnyError::new(&panic);
                    return Err(StorageIOError::write_snapshot(signature, error).into());
                }
            }
        }
    }
}
