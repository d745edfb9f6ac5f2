//! What a node says of itself and its cluster, from what it knows at the moment.

use openraft::ServerState;
use spanmq_port::{NodeId as PortNodeId, PeerState};
use spanmq_state::Digest;

use crate::{
    core::{Core, Phase},
    join::failures_tolerated,
    lease::LeaseTime,
    types::NodeId,
};

/// What a node does in its Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
    Candidate,
    Learner,
    Stopped,
}

/// One member as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    pub id: NodeId,
    pub name: String,
    pub addr: String,
    pub voter: bool,
    /// Whether its cluster port answers us. We ourselves are always reachable.
    pub reachable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// How far its log agrees with ours; only on the leader.
    pub matched: Option<u64>,
}

/// A node's view of its cluster.
#[derive(Debug, Clone)]
pub struct Status {
    pub node_id: NodeId,
    pub node_name: String,
    pub cluster_name: String,
    /// 32 hexadecimal digits, once the node belongs to a cluster.
    pub cluster_id: Option<String>,
    pub incarnation: u64,
    pub phase: Phase,
    pub role: Role,
    pub term: u64,
    pub leader: Option<NodeId>,
    pub members: Vec<MemberStatus>,
    /// Whether a membership change is under way: until it ends, more voters may be needed.
    pub changing: bool,
    /// How many voters may fail.
    pub failures_tolerated: usize,
    /// Two voters tolerate no more failures than one.
    pub two_voters: bool,
    pub last_log: Option<u64>,
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    pub purged: Option<u64>,
    pub snapshot: Option<u64>,
    /// Of the state at `applied` (CHAOS P9).
    pub digest: Digest,
    /// Whether this node may acknowledge publishes.
    pub lease_held: bool,
    /// Writes wait for space.
    pub disk_full: bool,
}

pub(crate) fn status(core: &Core) -> Status {
    // In this order: a snapshot that is installed in between must not show as a log that is purged
    // further than it was applied.
    let purged = core.log.purged();
    let (applied, digest) = core.replica.digest();
    let metrics = core.metrics.borrow().clone();
    let identity = core.identity.lock().clone();
    let membership = metrics.membership_config.membership();
    let voters: Vec<NodeId> = membership.voter_ids().collect();
    let members = membership.nodes().map(|(id, info)| {
        let (reachable, reason) = reachability(core, *id);
        MemberStatus {
            id: *id,
            name: info.name.clone(),
            addr: info.addr.clone(),
            voter: voters.contains(id),
            reachable,
            reason,
            matched: matched(&metrics, *id),
        }
    });
    Status {
        node_id: core.me,
        node_name: identity.node_name,
        cluster_name: core.options.cluster_name.clone(),
        cluster_id: identity.cluster.map(|cluster| hex(cluster.id)),
        incarnation: identity.incarnation,
        phase: core.phase.borrow().clone(),
        role: role(&metrics),
        term: metrics.current_term,
        leader: metrics.current_leader,
        members: members.collect(),
        changing: membership.get_joint_config().len() > 1
            || *metrics.membership_config.log_id() > applied,
        failures_tolerated: failures_tolerated(voters.len()),
        two_voters: voters.len() == 2,
        last_log: metrics.last_log_index,
        committed: core.log.committed().map(|id| id.index).max(applied.map(|id| id.index)),
        applied: applied.map(|id| id.index),
        purged: purged.map(|id| id.index),
        snapshot: metrics.snapshot.map(|id| id.index),
        digest,
        lease_held: core.lease.is_held(LeaseTime::now()),
        disk_full: core.log.disk_full(),
    }
}

fn role(metrics: &crate::core::Metrics) -> Role {
    match metrics.state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn matched(metrics: &crate::core::Metrics, id: NodeId) -> Option<u64> {
    metrics.replication.as_ref()?.get(&id)?.map(|matched| matched.index)
}

fn reachability(core: &Core, id: NodeId) -> (bool, Option<String>) {
    if id == core.me {
        return (true, None);
    }
    match core.pool.get(PortNodeId(id)) {
        None => (false, Some("not dialled yet".to_owned())),
        Some(peer) => match &*peer.state().borrow() {
            PeerState::Up { .. } => (true, None),
            PeerState::Connecting => (false, Some("connecting".to_owned())),
            PeerState::Down { reason, .. } => (false, Some(reason.to_string())),
        },
    }
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
