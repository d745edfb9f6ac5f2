//! Who this node is: one file in the data directory, and a lock so that only one process uses it.
//!
//! The identity is made with the directory and never changes, except that it learns its cluster
//! when it founds or joins one, and counts its starts. Flags that contradict it are refused, flags
//! that repeat it are harmless (CHAOS J2, J4, J6; SECURITY C2, C4).

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use spanmq_segment::SegmentError;

use crate::{codec, types::NodeId};

/// The cluster a node belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterIdentity {
    /// Random, made by `--init`.
    pub(crate) id: [u8; 16],
    pub(crate) name: String,
    pub(crate) stage: Stage,
}

/// How far a node has come into its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// `--init` was begun: its first entry may not be stored yet.
    Founding,
    /// A member let us in: its log may not have reached us yet.
    Joining,
    /// There is Raft data here. If it is gone, so is our vote, and we must not speak any more.
    Member,
    /// We left, or were removed.
    Left,
}

/// The content of the identity file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeIdentity {
    pub(crate) node_id: NodeId,
    /// Made with the directory (CHAOS J4).
    pub(crate) instance: [u8; 16],
    pub(crate) node_name: String,
    pub(crate) cluster: Option<ClusterIdentity>,
    /// Number of this start.
    pub(crate) incarnation: u64,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "another process uses the data directory {}; stop it, or give this node its own --data-dir",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("cannot lock the data directory {}", .0.display())]
    Lock(PathBuf, #[source] io::Error),
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error(
        "{} is damaged; restore it from a backup, or remove this node from its cluster, empty the \
         data directory and join again",
        .0.display()
    )]
    Damaged(PathBuf),
    #[error(transparent)]
    Write(#[from] SegmentError),
    #[error(
        "the data directory belongs to node {found:?}, not to {wanted:?}; use that name, or \
         another --data-dir"
    )]
    WrongName { found: String, wanted: String },
    #[error(
        "the data directory belongs to cluster {found:?}, not to {wanted:?}; use that cluster \
         name, or an empty --data-dir"
    )]
    WrongCluster { found: String, wanted: String },
    #[error(
        "the data directory {} holds Raft data but no identity file; restore the file from a \
         backup, or empty the directory and join the cluster anew",
        .0.display()
    )]
    Lost(PathBuf),
    #[error(
        "the Raft data of node {node:?} in {} is gone, and with it the node's vote; remove the \
         node from its cluster, empty the data directory and join again",
        dir.display()
    )]
    RaftDataGone { node: String, dir: PathBuf },
    #[error(
        "node {node:?} has left its cluster; empty the data directory {} and join again",
        dir.display()
    )]
    HasLeft { node: String, dir: PathBuf },
}

/// The data directory, locked while this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates (0700) and locks the directory.
    pub(crate) fn lock(path: &Path) -> Result<Self, IdentityError> {
        spanmq_segment::create_private_dir(path)?;
        let file = path.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .map_err(|error| IdentityError::Lock(file.clone(), error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(IdentityError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(IdentityError::Lock(file, error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads the identity, or makes one; counts the start either way.
    pub(crate) fn identify(
        &self,
        node_name: &str,
        cluster_name: &str,
    ) -> Result<NodeIdentity, IdentityError> {
        let identity = match self.read()? {
            Some(known) => check(known, node_name, cluster_name)?,
            None if self.join("raft").exists() => {
                return Err(IdentityError::Lost(self.path.clone()));
            }
            None => NodeIdentity {
                // Small enough for a JSON number, large enough not to meet another.
                node_id: u64::from(rand::random_range(1..=u32::MAX)),
                instance: rand::random(),
                node_name: node_name.to_owned(),
                cluster: None,
                incarnation: 0,
            },
        };
        let identity = NodeIdentity { incarnation: identity.incarnation + 1, ..identity };
        self.write(&identity)?;
        Ok(identity)
    }

    /// Stores the identity durably.
    pub(crate) fn write(&self, identity: &NodeIdentity) -> Result<(), IdentityError> {
        let body = codec::encode(identity);
        let mut bytes = crc32fast::hash(&body).to_le_bytes().to_vec();
        bytes.extend(body);
        Ok(spanmq_segment::replace_file(&self.file(), &bytes)?)
    }

    fn read(&self) -> Result<Option<NodeIdentity>, IdentityError> {
        let bytes = match std::fs::read(self.file()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(IdentityError::Read(self.file(), error)),
        };
        bytes
            .split_first_chunk::<4>()
            .filter(|(crc, body)| u32::from_le_bytes(**crc) == crc32fast::hash(body))
            .and_then(|(_, body)| codec::decode(body).ok())
            .map(Some)
            .ok_or_else(|| IdentityError::Damaged(self.file()))
    }

    fn file(&self) -> PathBuf {
        self.join("identity")
    }
}

fn check(
    known: NodeIdentity,
    node_name: &str,
    cluster_name: &str,
) -> Result<NodeIdentity, IdentityError> {
    if known.node_name != node_name {
        let wanted = node_name.to_owned();
        return Err(IdentityError::WrongName { found: known.node_name, wanted });
    }
    match &known.cluster {
        Some(cluster) if cluster.name != cluster_name => Err(IdentityError::WrongCluster {
            found: cluster.name.clone(),
            wanted: cluster_name.to_owned(),
        }),
        _ => Ok(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_identity_and_counts_its_starts() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::lock(temp.path()).unwrap();
        let first = dir.identify("n1@a", "east").unwrap();
        let second = dir.identify("n1@a", "east").unwrap();
        assert_eq!(second, NodeIdentity { incarnation: 2, ..first });
    }

    #[test]
    fn another_name_or_cluster_is_refused_and_nothing_changes() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::lock(temp.path()).unwrap();
        let mut known = dir.identify("n1@a", "east").unwrap();
        assert!(matches!(dir.identify("n2@a", "east"), Err(IdentityError::WrongName { .. })));
        assert!(dir.identify("n1@a", "west").is_ok(), "it belongs to no cluster yet");
        known.cluster =
            Some(ClusterIdentity { id: [7; 16], name: "east".into(), stage: Stage::Member });
        dir.write(&known).unwrap();
        assert!(matches!(dir.identify("n1@a", "west"), Err(IdentityError::WrongCluster { .. })));
        assert_eq!(dir.read().unwrap(), Some(known));
    }

    #[test]
    fn a_directory_is_used_by_one_process_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::lock(temp.path()).unwrap();
        assert!(matches!(DataDir::lock(temp.path()), Err(IdentityError::InUse(_))));
        drop(dir);
        assert!(DataDir::lock(temp.path()).is_ok());
    }

    #[test]
    fn a_damaged_or_lost_identity_is_not_replaced_by_a_new_one() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::lock(temp.path()).unwrap();
        dir.identify("n1@a", "east").unwrap();
        let mut bytes = std::fs::read(dir.file()).unwrap();
        bytes[9] ^= 1;
        std::fs::write(dir.file(), bytes).unwrap();
        assert!(matches!(dir.identify("n1@a", "east"), Err(IdentityError::Damaged(_))));
        std::fs::remove_file(dir.file()).unwrap();
        std::fs::create_dir(dir.join("raft")).unwrap();
        assert!(matches!(dir.identify("n1@a", "east"), Err(IdentityError::Lost(_))));
    }
}
