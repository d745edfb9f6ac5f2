//! What the tasks of one node share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use openraft::ServerState;
use parking_lot::Mutex;
use spanmq_port::{
    InstanceId, Known, Membership, NodeId as PortNodeId, PeerPool, Port, PortContext,
};
use tokio::sync::{Notify, watch};

use crate::{
    handlers::Handlers,
    identity::{DataDir, NodeIdentity},
    leading::Leading,
    lease::HeldLease,
    log::LogStore,
    machine::Replica,
    options::RaftOptions,
    transfer::Receiver,
    types::{NodeId, NodeInfo, Raft},
};

pub(crate) type Metrics = openraft::RaftMetrics<NodeId, NodeInfo>;

/// Where a node stands between an empty directory and membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It belongs to no cluster and waits for `cluster init`.
    Waiting,
    /// It asks members to let it in.
    Joining,
    /// It belongs to a cluster. Whether there is a leader is another question.
    Member,
    /// It was removed, or has left.
    Removed,
    /// It gave up; the sentence says why and what to do.
    Failed(String),
}

/// One node.
pub(crate) struct Core {
    pub(crate) options: RaftOptions,
    pub(crate) dir: DataDir,
    pub(crate) identity: Mutex<NodeIdentity>,
    pub(crate) me: NodeId,
    pub(crate) log: LogStore,
    pub(crate) replica: Arc<Replica>,
    pub(crate) raft: Raft,
    pub(crate) metrics: watch::Receiver<Metrics>,
    pub(crate) context: PortContext,
    pub(crate) pool: PeerPool,
    pub(crate) known: Arc<KnownMembers>,
    pub(crate) port: Mutex<Option<Port>>,
    /// The address others are told, once the port listens.
    pub(crate) advertised: Mutex<String>,
    pub(crate) lease: Arc<HeldLease>,
    pub(crate) leading: Mutex<Option<Leading>>,
    /// Somebody reported progress, or leadership changed.
    pub(crate) leading_changed: Notify,
    pub(crate) handlers: Handlers,
    pub(crate) receiver: Receiver,
    pub(crate) phase: watch::Sender<Phase>,
    /// One membership change at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Core {
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.metrics.borrow().current_leader
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.metrics.borrow().state == ServerState::Leader
    }

    /// What Raft's membership says of us.
    pub(crate) fn info(&self) -> NodeInfo {
        let identity = self.identity.lock();
        NodeInfo {
            name: identity.node_name.clone(),
            addr: self.advertised.lock().clone(),
            instance: identity.instance,
        }
    }

    /// The members that Raft works with, also those not committed yet.
    pub(crate) fn members(&self) -> BTreeMap<NodeId, NodeInfo> {
        let metrics = self.metrics.borrow();
        let membership = metrics.membership_config.membership();
        membership.nodes().map(|(id, info)| (*id, info.clone())).collect()
    }

    /// Changes the identity, durably.
    pub(crate) fn update_identity(
        &self,
        change: impl FnOnce(&mut NodeIdentity),
    ) -> Result<(), crate::IdentityError> {
        let mut identity = self.identity.lock();
        let mut changed = identity.clone();
        change(&mut changed);
        if changed != *identity {
            self.dir.write(&changed)?;
            *identity = changed;
        }
        Ok(())
    }

    /// Waits until this node has applied the entry at `index`.
    pub(crate) async fn applied(&self, index: u64) -> bool {
        self.replica.applied().wait_for(|next| *next > index).await.is_ok()
    }

    /// Waits until `holds`, at most until `limit` has passed.
    pub(crate) async fn metrics_until(
        &self,
        limit: Duration,
        holds: impl FnMut(&Metrics) -> bool,
    ) -> bool {
        let mut metrics = self.metrics.clone();
        tokio::time::timeout(limit, metrics.wait_for(holds)).await.is_ok_and(|found| found.is_ok())
    }
}

/// The port asks at each handshake who is who.
#[derive(Default)]
pub(crate) struct KnownMembers {
    members: ArcSwap<BTreeMap<NodeId, [u8; 16]>>,
    removed: Mutex<BTreeSet<NodeId>>,
}

impl KnownMembers {
    /// Whether `node` was a member and is none any more.
    pub(crate) fn is_removed(&self, node: NodeId) -> bool {
        self.removed.lock().contains(&node)
    }

    /// Takes the present members; whoever is missing was removed.
    pub(crate) fn set(&self, members: &BTreeMap<NodeId, NodeInfo>) {
        let fresh: BTreeMap<_, _> = members.iter().map(|(id, info)| (*id, info.instance)).collect();
        let before = self.members.load_full();
        let mut removed = self.removed.lock();
        removed.extend(before.keys().filter(|id| !fresh.contains_key(id)));
        removed.retain(|id| !fresh.contains_key(id));
        self.members.store(Arc::new(fresh));
    }
}

/// What the port holds of [`KnownMembers`].
pub(crate) struct Acquainted(pub(crate) Arc<KnownMembers>);

impl Membership for Acquainted {
    fn known(&self, node: PortNodeId) -> Known {
        match self.0.members.load().get(&node.0) {
            Some(instance) => Known::Member(InstanceId(*instance)),
            None if self.0.is_removed(node.0) => Known::Removed,
            None => Known::Unknown,
        }
    }
}
