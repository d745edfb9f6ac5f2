//! `/debug/state`: the node's status as the chaos suite reads it (feature `testing`).

use serde_json::{Value, json};
use spanmq_raft::{Role, Status};

/// Everything that CHAOS P9 and P10 compare.
pub(super) fn state(status: &Status) -> Value {
    let role = match status.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    };
    let members: Vec<&str> = status.members.iter().map(|member| member.name.as_str()).collect();
    json!({
        "id": status.node_id,
        "cluster_id": status.cluster_id,
        "incarnation": status.incarnation,
        "role": role,
        "term": status.term,
        "leader": status.leader,
        "members": members,
        "last_log": status.last_log,
        "committed": status.committed,
        "applied": status.applied,
        "purged": status.purged,
        "snapshot": status.snapshot,
        "digest": format!("{:016x}", status.digest.total),
        "lease": status.lease_held,
        "disk_full": status.disk_full,
    })
}
