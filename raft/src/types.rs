//! What openraft is made of here: which types its group carries.

use serde::{Deserialize, Serialize};
use spanmq_state::{Applied, Batch};

use crate::machine::SnapshotFile;

/// A member, as Raft numbers it. Drawn at random when a data directory is made, never used again.
pub type NodeId = spanmq_state::NodeId;

/// What Raft's membership says of a node: enough to reach it and to know it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeInfo {
    /// `NAME@HOST`.
    pub(crate) name: String,
    /// `host:port` of its cluster port.
    pub(crate) addr: String,
    /// Made with the data directory; the same id with another instance is a wiped node
    /// (CHAOS J4).
    pub(crate) instance: [u8; 16],
}

openraft::declare_raft_types!(
    /// The types of our one control group.
    pub(crate) TypeConfig:
        D = Batch,
        R = Applied,
        NodeId = NodeId,
        Node = NodeInfo,
        SnapshotData = SnapshotFile,
);

pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type StoredMembership = openraft::StoredMembership<NodeId, NodeInfo>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, NodeInfo>;
pub(crate) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type Raft = openraft::Raft<TypeConfig>;
