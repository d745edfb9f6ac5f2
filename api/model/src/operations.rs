//! Alarms, audit, metrics, health.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which alarms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlarmsQuery {
    /// True: those that stand; false: those that ended. Default: true.
    pub activated: Option<bool>,
}

/// An alarm (LINK-SPEC O-3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlarmView {
    /// Who raised it; empty = the cluster.
    pub node: String,
    /// Such as `cluster_link:eu-west`.
    pub name: String,
    /// For people.
    pub message: String,
    /// For programs.
    pub details: serde_json::Value,
    /// Milliseconds that it stands or stood.
    pub duration: u64,
    /// RFC 3339.
    pub activate_at: String,
    /// RFC 3339, or `infinity`.
    pub deactivate_at: String,
}

/// Which audit records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only records of this caller.
    pub source: Option<String>,
    /// Only this node's records.
    pub node: Option<String>,
    /// Newest so many, 1 to 1,000. Default: 100.
    pub limit: Option<usize>,
}

/// One change that somebody made or tried to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// RFC 3339.
    pub created_at: String,
    /// The node that was asked.
    pub node: String,
    /// User or API key; empty when the caller was not known.
    pub source: String,
    /// `rest_api` or `cli`.
    pub from: String,
    /// Address of the caller.
    pub source_ip: String,
    /// HTTP method.
    pub http_method: String,
    /// Path.
    pub operation: String,
    /// Redacted body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// HTTP status.
    pub http_status_code: u16,
    /// `success` or `failure`.
    pub operation_result: String,
    /// Milliseconds.
    pub duration_ms: u64,
}

/// Sums or nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AggregateQuery {
    /// True: one object for the cluster; false: one per node. Default: false.
    pub aggregate: Option<bool>,
}

/// Numbers of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeNumbers {
    /// Node; absent in the sum of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// False: it did not answer, and its numbers are missing.
    pub reachable: bool,
    /// By name.
    #[serde(flatten)]
    pub numbers: BTreeMap<String, i64>,
}

/// What a build can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Features {
    /// Names.
    pub features: Vec<String>,
}

/// Whether the node serves, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// All of the checks.
    pub ready: bool,
    /// By name.
    pub checks: BTreeMap<String, String>,
}

/// Plain or detailed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadyQuery {
    /// Present: the checks one by one, as JSON.
    pub verbose: Option<String>,
}

/// The node and the cluster in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// This node.
    pub node: String,
    /// `cluster.name`.
    pub cluster: String,
    /// Whether a majority is reachable.
    pub quorum: bool,
    /// How many more failures the cluster survives.
    pub failures_tolerated: usize,
    /// Raft index applied here.
    pub applied: u64,
    /// Build.
    pub version: String,
}

/// The cluster (LINK-SPEC 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterInfo {
    /// `cluster.name`.
    pub name: String,
    /// All members.
    pub nodes: Vec<String>,
    /// The node that answers.
    #[serde(rename = "self")]
    pub this: String,
    /// Who leads.
    pub leader: Option<String>,
    /// Raft term.
    pub term: u64,
    /// Raft index applied here.
    pub applied: u64,
    /// Whether a majority is reachable.
    pub quorum: bool,
    /// How many more failures the cluster survives.
    pub failures_tolerated: usize,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// `NAME@HOST`.
    pub node: String,
    /// Raft's number.
    pub id: u64,
    /// `running` or `stopped`.
    pub node_status: String,
    /// `leader`, `follower`, `learner` or `unknown`.
    pub role: String,
    /// Cluster port.
    pub cluster_addr: String,
    /// REST.
    pub api_addr: String,
    /// Build.
    pub version: String,
    /// Raft term it knows of. These and the following are its own words: absent when it did not
    /// answer within 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// Raft index it has applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// MQTT clients that are connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Resident memory in bytes (Linux).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Milliseconds since its broker started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
}

/// POST `/cluster/join_token`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenRequest {
    /// Seconds that it is good for, at most ten years; 0 = without end. Default: 86,400.
    pub expires_in: Option<u64>,
}

/// What a node needs to join, beside the address of a member.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenAnswer {
    /// For `spanmq start --join-token`. Whoever has it may become a member.
    pub token: String,
    /// Cluster port of the answering node, for `--join`.
    pub seed: String,
    /// RFC 3339, or `infinity`.
    pub expires_at: String,
}

/// POST `/cluster/transfer_leader`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferLeaderRequest {
    /// The new leader. Default: the voter whose log is furthest.
    pub node: Option<String>,
}
