//! Snapshots on their way to a member that is too far behind for the log.
//!
//! The file travels in parts with their offsets, is checked as a whole at the other end (every
//! chunk's checksum, and that it decodes), and only then given to Raft (SECURITY C3).

use std::{io::Write, os::unix::fs::FileExt, path::PathBuf, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spanmq_port::{Peer, RequestError};
use tokio::sync::Mutex;

use crate::{
    codec, kinds,
    machine::{self, SNAPSHOT_BYTES_MAX, SnapshotDir, SnapshotFile},
    types::{NodeId, Raft, Snapshot, Vote},
};

const PART_BYTES: usize = 512 << 10;
const PART_TIMEOUT: Duration = Duration::from_secs(10);
/// Reading a snapshot of millions of routes takes seconds.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(110);
const ATTEMPTS: u32 = 5;

#[derive(Serialize, Deserialize)]
struct Part {
    snapshot: String,
    offset: u64,
    total: u64,
    data: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Install {
    vote: Vote,
    snapshot: String,
    total: u64,
}

/// Why a snapshot was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot read the snapshot")]
    Read(#[from] std::io::Error),
    #[error("the member did not take the snapshot")]
    Request(#[from] RequestError),
    #[error("the member's answer cannot be read")]
    Answer(#[from] codec::CodecError),
}

/// Sends `snapshot` and has it installed; returns the receiver's vote.
pub(crate) async fn send(peer: &Peer, vote: Vote, snapshot: &Snapshot) -> Result<Vote, SendError> {
    let (file, id) = (&snapshot.snapshot, &snapshot.meta.snapshot_id);
    tracing::info!(node = %peer.node(), id, bytes = file.bytes, "sending a snapshot");
    let mut offset = 0;
    while offset < file.bytes {
        let length = PART_BYTES.min((file.bytes - offset) as usize);
        let mut data = vec![0; length];
        file.file.read_exact_at(&mut data, offset)?;
        let part = Part { snapshot: id.clone(), offset, total: file.bytes, data: data.into() };
        ask_patiently(peer, kinds::SNAPSHOT_PART, codec::encode(&part).into()).await?;
        offset += length as u64;
    }
    let install = Install { vote, snapshot: id.clone(), total: file.bytes };
    let body = codec::encode(&install).into();
    let answer = peer.query(kinds::SNAPSHOT_INSTALL, body, INSTALL_TIMEOUT).await?;
    Ok(codec::decode(&answer)?)
}

/// A part may come twice: the receiver knows by its offset.
async fn ask_patiently(peer: &Peer, kind: u16, body: Bytes) -> Result<(), RequestError> {
    let mut attempt = 1;
    loop {
        match peer.query(kind, body.clone(), PART_TIMEOUT).await {
            Ok(_) => return Ok(()),
            Err(error @ RequestError::Failed { .. }) => return Err(error),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100) * attempt).await,
        }
        attempt += 1;
    }
}

/// The receiving end: one snapshot at a time.
pub(crate) struct Receiver {
    dir: SnapshotDir,
    current: Mutex<Option<Receiving>>,
}

struct Receiving {
    from: NodeId,
    snapshot: String,
    path: PathBuf,
    file: std::fs::File,
    received: u64,
    total: u64,
}

impl Receiver {
    pub(crate) fn new(dir: SnapshotDir) -> Self {
        Self { dir, current: Mutex::new(None) }
    }

    /// Takes one part.
    pub(crate) async fn part(&self, from: NodeId, body: &[u8]) -> Result<(), RequestError> {
        let part: Part = codec::decode(body).map_err(bad_body)?;
        if part.total > SNAPSHOT_BYTES_MAX {
            return Err(refused("the snapshot is larger than any can be"));
        }
        let mut current = self.current.lock().await;
        if part.offset == 0 {
            // Another sender, or the same from the start: what came before is void.
            *current = Some(self.begin(from, &part).map_err(|error| refused(&error.to_string()))?);
        }
        let receiving = current
            .as_mut()
            .filter(|known| known.from == from && known.snapshot == part.snapshot)
            .ok_or_else(out_of_place)?;
        let end = part.offset + part.data.len() as u64;
        if end == receiving.received {
            return Ok(());
        }
        if part.offset != receiving.received || end > receiving.total {
            return Err(out_of_place());
        }
        // Half a megabyte into the page cache: not worth a thread of its own.
        receiving.file.write_all(&part.data).map_err(|error| refused(&error.to_string()))?;
        receiving.received = end;
        Ok(())
    }

    fn begin(&self, from: NodeId, part: &Part) -> Result<Receiving, machine::SnapshotError> {
        let path = self.dir.temporary(&format!("receive-{from}"));
        let file = machine::create_private(&path)?;
        let (snapshot, total) = (part.snapshot.clone(), part.total);
        Ok(Receiving { from, snapshot, path, file, received: 0, total })
    }

    /// Checks what was received and gives it to Raft.
    pub(crate) async fn install(
        &self,
        raft: &Raft,
        from: NodeId,
        body: &[u8],
    ) -> Result<Bytes, RequestError> {
        let install: Install = codec::decode(body).map_err(bad_body)?;
        let mut current = self.current.lock().await;
        let whole = current.as_ref().is_some_and(|known| {
            known.from == from
                && known.snapshot == install.snapshot
                && known.received == install.total
                && known.total == install.total
        });
        let Some(receiving) = current.take().filter(|_| whole) else { return Err(out_of_place()) };
        let checked = tokio::task::spawn_blocking(move || {
            receiving.file.sync_all()?;
            let (meta, _) = machine::read_state(&receiving.path).map_err(std::io::Error::other)?;
            let file = SnapshotFile::open(&receiving.path).map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(Snapshot { meta, snapshot: Box::new(file) })
        });
        let snapshot = checked
            .await
            .map_err(|panic| refused(&panic.to_string()))?
            .map_err(|error| refused(&error.to_string()))?;
        tracing::info!(from, meta = %snapshot.meta, "snapshot received");
        let answer = raft
            .install_full_snapshot(install.vote, snapshot)
            .await
            .map_err(|error| RequestError::failed(kinds::STOPPING, error.to_string()))?;
        Ok(codec::encode(&answer.vote).into())
    }
}

fn bad_body(error: codec::CodecError) -> RequestError {
    RequestError::failed(kinds::BAD_BODY, error.to_string())
}

fn refused(reason: &str) -> RequestError {
    RequestError::failed(kinds::REFUSED, reason)
}

fn out_of_place() -> RequestError {
    RequestError::failed(kinds::OUT_OF_PLACE, "this part does not follow what came before")
}
