//! Who a node is: the ids that the handshake compares, and what is known of the other side.

use std::{fmt, net::SocketAddr, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::hello::Purpose;

/// The number of a member, as Raft knows it. `0` means "not assigned yet" (while joining).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct NodeId(pub u64);

impl NodeId {
    /// A node that asks to join and has no number yet.
    pub const UNASSIGNED: NodeId = NodeId(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A fresh one; equal ones do not happen (128 random bits).
            pub fn random() -> Self {
                Self(rand::random())
            }

            /// Reads what [`Display`](fmt::Display) wrote: 32 hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
                Some(Self(bytes.try_into().ok()?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

random_id!(
    /// Made once by `--init`; two clusters of one name differ in it (SECURITY C2).
    ClusterId
);
random_id!(
    /// Made when a data directory is made. A node that comes back under its old number with
    /// another instance has lost its vote and log, and must not be taken for the old one (J4).
    InstanceId
);

/// What a node says of itself in every handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `None` until the node belongs to a cluster.
    pub cluster_id: Option<ClusterId>,
    pub cluster_name: String,
    pub node_id: NodeId,
    pub node_name: String,
    pub instance: InstanceId,
    /// Grows at each start of the process; older runs are void.
    pub incarnation: u64,
}

/// What the cluster knows of a node id, asked on every handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Never heard of: a new member that we have not applied yet.
    Unknown,
    /// A member, which lives in this data directory.
    Member(InstanceId),
    /// It was a member and has been removed.
    Removed,
}

/// The owner's view of the members. Called from connection tasks: it must not block.
pub trait Membership: Send + Sync + 'static {
    /// What is known of `node`.
    fn known(&self, node: NodeId) -> Known;
}

/// Knows nobody: for a node that joins, for tools and for tests.
impl Membership for () {
    fn known(&self, _node: NodeId) -> Known {
        Known::Unknown
    }
}

/// The other end of one connection, as its handshake proved it.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerInfo {
    pub node_id: NodeId,
    pub node_name: String,
    /// `None` when the peer is joining.
    pub cluster_id: Option<ClusterId>,
    pub instance: InstanceId,
    pub incarnation: u64,
    /// What the connection is for.
    pub purpose: Purpose,
    /// The protocol version that both sides speak.
    pub protocol: u16,
    /// The address at the other end of the socket (a proxy's, perhaps).
    pub address: SocketAddr,
}

/// A cheap handle to [`PeerInfo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerId(pub(crate) Arc<PeerInfo>);

impl Deref for PeerId {
    type Target = PeerInfo;
    fn deref(&self) -> &PeerInfo {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = ClusterId::random();
        assert_eq!(ClusterId::parse(&id.to_string()), Some(id));
        assert_eq!(ClusterId::parse("12"), None);
        assert_eq!(ClusterId::parse("not hexadecimal"), None);
    }
}
