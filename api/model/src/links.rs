//! Links. The configuration itself is `spanmq-link-protocol`'s; here is what REST adds to it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Words and freshness of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LinkOptions {
    /// `emqx`: EMQX's status words on a shared or document path. Default: the setting.
    pub style: Option<String>,
    /// `local`: what this node knows, without asking the leader.
    pub consistency: Option<String>,
}

/// Fields of a link for its creation and change (LINK-SPEC 1.1). Read-only fields of the answer may
/// be sent back; they are ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct LinkBody {
    /// The remote cluster's name; on a change the name in the path counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
    /// `host:port`, several separated by commas.
    pub server: String,
    /// Prefix of the client ids. Default: this cluster's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clientid: Option<String>,
    /// User name at the remote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password at the remote, or `file://PATH`; answered as `******`, which keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Filters that this cluster wants from the remote.
    pub topics: Vec<String>,
    /// Connections per node. Default: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,
    /// Such as `15s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<String>,
    /// Unacknowledged messages per connection. Default: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_inflight: Option<u32>,
    /// TLS (LINK-SPEC 1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl: Option<serde_json::Value>,
    /// Buffers (LINK-SPEC 1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_opts: Option<serde_json::Value>,
    /// Buffers, our names (LINK-SPEC 0.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<serde_json::Value>,
    /// Who may speak for the remote (LINK-SPEC A-7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<serde_json::Value>,
}

/// A link with its state (LINK-SPEC ).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LinkView {
    /// All configuration fields, defaults filled in, secrets as `******`.
    #[serde(flatten)]
    pub config: LinkBody,
    /// Raft index of the last change; the ETag.
    pub revision: u64,
    /// Buffer, do not send.
    pub paused: bool,
    /// Hidden counter of EMQX's configuration (C-12).
    pub ps_actor_incarnation: u64,
    /// Words of the dialect.
    pub status: String,
    /// Per node.
    pub node_status: Vec<serde_json::Value>,
    /// `online`, `connecting`, …
    pub replication_status: String,
    /// What is dangerous or doubtful about the configuration, and what the nodes see that is not as
    /// it should be.
    pub warnings: Vec<LinkWarning>,
}

/// What is dangerous or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkWarning {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do about it, if that is not in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Metrics of a link (LINK-SPEC ).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LinkMetricsView {
    /// Cluster-wide.
    pub metrics: serde_json::Value,
    /// Per node.
    pub node_metrics: Vec<serde_json::Value>,
}

/// One state change of a link on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkEvent {
    /// Node.
    pub node: String,
    /// RFC 3339.
    pub at: String,
    /// `replication` or `forwarding`.
    pub part: String,
    /// Actor or number of the connection.
    pub who: String,
    /// New state.
    pub state: String,
    /// Machine word of the cause.
    pub reason: Option<String>,
    /// The cause for people.
    pub message: Option<String>,
}

/// Which routes of a link, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LinkRoutesQuery {
    /// From 1. Default: 1.
    pub page: Option<usize>,
    /// Rows per page, 1 to 10,000. Default: 100.
    pub limit: Option<usize>,
    /// Only filters that contain this.
    pub filter: Option<String>,
}

/// What a link's two directions know about routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkRoutes {
    /// What the remote wants from us.
    pub learnt: Vec<LearntRouteView>,
    /// What we want from the remote, as sent by our nodes.
    pub sent: Vec<SentRouteView>,
    /// The actors of the remote.
    pub actors: Vec<RemoteActor>,
    /// RFC 3339, since when all actors are silent and their routes are only held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<String>,
    /// Of both lists.
    pub meta: LinkRoutesMeta,
}

/// Pages of both lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkRoutesMeta {
    /// This page, from 1.
    pub page: usize,
    /// Rows per page.
    pub limit: usize,
    /// Learnt routes in all, without `filter`.
    pub learnt_count: u64,
    /// Whether either list goes on.
    pub hasnext: bool,
}

/// One learnt route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LearntRouteView {
    /// What the remote wants.
    pub topic: String,
    /// Where it comes from (LINK-SPEC 2.5).
    pub id: String,
    /// Who holds it.
    pub actors: Vec<String>,
    /// Whether only earlier runs of its actors hold it.
    pub stale: bool,
}

/// One route of ours that the remote is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentRouteView {
    /// The intersection that is sent.
    pub topic: String,
    /// The local filter it comes from, with its group.
    pub subscription: String,
    /// Nodes that send it.
    pub nodes: Vec<String>,
}

/// One actor of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoteActor {
    /// Name.
    pub actor: String,
    /// Number of its run.
    pub incarnation: u64,
    /// RFC 3339.
    pub last_seen: String,
    /// Routes of this run.
    pub routes: u64,
    /// Routes of earlier runs, not added again yet.
    pub stale_routes: u64,
}

/// Which topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// Topic name.
    pub topic: String,
}

/// What happens to a message of this topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The topic.
    pub topic: String,
    /// Local routes that match.
    pub local: Vec<String>,
    /// Link by link.
    pub links: Vec<LinkExplanation>,
}

/// What one link does with a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkExplanation {
    /// Link.
    pub name: String,
    /// Whether a message published here goes to the remote.
    pub forwarded: bool,
    /// Learnt filters that match, at most 100.
    pub matching: Vec<String>,
    /// Filters of our `topics` that match: whether the remote may send us such a message.
    pub wanted: Vec<String>,
    /// In words: why, or why not.
    pub because: String,
}

/// How far a test connection got (LINK-SPEC 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeView {
    /// Whether every step was taken.
    pub ok: bool,
    /// The step that was reached last: `dns`, `tcp`, `tls`, `connack`, `suback`, `handshake`.
    pub reached: String,
    /// Steps with their time.
    pub steps: Vec<ProbeStep>,
    /// Limits of the remote's CONNACK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connack: Option<serde_json::Value>,
    /// Machine word of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is dangerous or doubtful about the configuration.
    pub warnings: Vec<LinkWarning>,
}

/// One step of a test connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeStep {
    /// Its name.
    pub step: String,
    /// Milliseconds.
    pub took_ms: u64,
    /// Whether it worked.
    pub ok: bool,
}
