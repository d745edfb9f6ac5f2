//! The state machine as openraft sees it.

use std::{path::Path, sync::Arc};

use openraft::{AnyError, EntryPayload, OptionalSend, StorageIOError, storage::RaftStateMachine};
use parking_lot::Mutex;
use spanmq_state::{
    Applied, Batch, Changes, SnapshotDecoder, State,
    view::{ViewReaderFactory, ViewWriter},
};

use super::{
    build::{Current, SnapshotBuilder},
    dir::SnapshotDir,
    file::{self, SnapshotError, SnapshotFile},
    replica::{Inner, Replica},
};
use crate::{
    fatal::{FatalCause, FatalHook},
    types::{Entry, LogId, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig},
};

/// No snapshot is longer (SECURITY C3).
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 16 << 30;

/// What a node starts from.
pub(crate) struct Loaded {
    pub(crate) dir: SnapshotDir,
    state: State,
    snapshot: Option<Snapshot>,
}

impl Loaded {
    /// The last entry in the snapshot.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.snapshot.as_ref().and_then(|snapshot| snapshot.meta.last_log_id)
    }
}

/// Reads the newest snapshot that is sound. The caller compares it with where the log begins.
pub(crate) fn load_newest(path: &Path) -> Result<Loaded, SnapshotError> {
    let dir = SnapshotDir::open(path)?;
    for file in dir.newest_first()? {
        match read_state(&file) {
            Ok((meta, state)) => {
                let snapshot =
                    Some(Snapshot { meta, snapshot: Box::new(SnapshotFile::open(&file)?) });
                return Ok(Loaded { dir, state, snapshot });
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot be used; looking for an older one")
            }
        }
    }
    Ok(Loaded { dir, state: State::default(), snapshot: None })
}

/// Reads a snapshot into a new state.
pub(crate) fn read_state(path: &Path) -> Result<(SnapshotMeta, State), SnapshotError> {
    let mut decoder = SnapshotDecoder::new(SNAPSHOT_BYTES_MAX);
    let meta = file::read(path, |chunk| decoder.push(chunk).map_err(|error| error.to_string()))?;
    let state = decoder.finish().map_err(|error| SnapshotError::Damaged {
        file: path.to_owned(),
        offset: 0,
        detail: error.to_string(),
    })?;
    Ok((meta, state))
}

/// Applies entries; the only one who writes.
pub(crate) struct StateMachine {
    replica: Arc<Replica>,
    /// Only ever used through `get_mut`; openraft wants its state machine `Sync`.
    view: Mutex<ViewWriter>,
    dir: SnapshotDir,
    current: Current,
    fatal: FatalHook,
    changes: Changes,
    snapshots: u64,
}

impl StateMachine {
    /// The machine, what others may read of it, and the publishers' view.
    pub(crate) fn new(loaded: Loaded, fatal: FatalHook) -> (Self, Arc<Replica>, ViewReaderFactory) {
        let (applied, membership) = match &loaded.snapshot {
            Some(snapshot) => (snapshot.meta.last_log_id, snapshot.meta.last_membership.clone()),
            None => (None, StoredMembership::default()),
        };
        let mut view = ViewWriter::new();
        view.rebuild(&loaded.state);
        let readers = view.factory();
        let replica = Replica::new(loaded.state, applied, membership);
        let machine = Self {
            replica: replica.clone(),
            view: Mutex::new(view),
            dir: loaded.dir,
            current: Arc::new(Mutex::new(loaded.snapshot)),
            fatal,
            changes: Changes::default(),
            snapshots: 0,
        };
        (machine, replica, readers)
    }

    fn apply_entry(&mut self, entry: Entry) -> Result<Applied, StorageError> {
        let id = entry.log_id;
        let nothing = Applied { index: id.index, replies: Vec::new() };
        match entry.payload {
            EntryPayload::Blank => self.replica.advance(id, None),
            EntryPayload::Membership(membership) => {
                self.replica.advance(id, Some(StoredMembership::new(Some(id), membership)));
            }
            EntryPayload::Normal(batch) => {
                self.check_version(id, &batch)?;
                let replies = self.replica.apply(id, &batch, &mut self.changes);
                self.replica.tell(Some(id.index), std::mem::take(&mut self.changes.events));
                return Ok(Applied { index: id.index, replies });
            }
        }
        Ok(nothing)
    }

    /// Skipping an entry would make this node's state differ from the others' (CHAOS P9).
    fn check_version(&self, id: LogId, batch: &Batch) -> Result<(), StorageError> {
        if batch.is_supported() {
            return Ok(());
        }
        let text = format!(
            "entry {} has command version {}, which this program does not know; install the newer \
             version that the other members run",
            id.index, batch.version
        );
        self.fatal.stop(&FatalCause::Invariant(text.clone()));
        Err(StorageIOError::apply(id, AnyError::error(text)).into())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Arc<SnapshotBuilder>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok(self.replica.look(|inner| (inner.applied, inner.membership.clone())))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut replies = Vec::new();
        for entry in entries {
            replies.push(self.apply_entry(entry)?);
            if replies.len() % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        if let Some(last) = replies.last() {
            self.view.get_mut().absorb(self.changes.view.drain(..), last.index);
        }
        self.replica.published();
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Arc<SnapshotBuilder> {
        self.snapshots += 1;
        let (last_log_id, last_membership, content) = self
            .replica
            .look(|inner| (inner.applied, inner.membership.clone(), inner.state.snapshot()));
        let snapshot_id = last_log_id.map_or_else(
            || format!("0-0-0-{}", self.snapshots),
            |id| {
                format!(
                    "{}-{}-{}-{}",
                    id.leader_id.term, id.leader_id.node_id, id.index, self.snapshots
                )
            },
        );
        Arc::new(SnapshotBuilder {
            dir: self.dir.clone(),
            current: self.current.clone(),
            meta: SnapshotMeta { last_log_id, last_membership, snapshot_id },
            content,
        })
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError> {
        let path = self.dir.temporary("receiving");
        file::create_private(&path)
            .and_then(|_| SnapshotFile::open(&path))
            .map(Box::new)
            .map_err(|error| StorageIOError::write_snapshot(None, AnyError::new(&error)).into())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotFile>,
    ) -> Result<(), StorageError> {
        let (meta, dir) = (meta.clone(), self.dir.clone());
        let signature = meta.signature();
        let installed = tokio::task::spawn_blocking(move || {
            let (meta_inside, state) = read_state(&snapshot.path)?;
            let path = dir.path_of(&meta);
            let file = if snapshot.path == path {
                *snapshot
            } else {
                file::publish(&snapshot.path, &path)?
            };
            if meta_inside.last_log_id != meta.last_log_id {
                let detail = "it reaches another entry than announced".to_owned();
                return Err(SnapshotError::Damaged { file: path, offset: 0, detail });
            }
            Ok((Snapshot { meta, snapshot: Box::new(file) }, state))
        })
        .await
        .map_err(|panic| AnyError::new(&panic))
        .and_then(|read| read.map_err(|error| AnyError::new(&error)));
        let (snapshot, state) = installed.map_err(|error| {
            self.fatal.stop(&FatalCause::Invariant(format!("installing a snapshot: {error}")));
            StorageIOError::read_snapshot(Some(signature), error)
        })?;
        self.view.get_mut().rebuild(&state);
        let (applied, membership) =
            (snapshot.meta.last_log_id, snapshot.meta.last_membership.clone());
        *self.current.lock() = Some(snapshot);
        self.replica.replace(Inner { state, applied, membership });
        self.dir
            .retain_newest()
            .unwrap_or_else(|error| tracing::warn!(%error, "old snapshots stay"));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.current.lock().clone())
    }
}
