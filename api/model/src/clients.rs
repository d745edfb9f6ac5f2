//! Clients, their subscriptions, and routes.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which clients, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClientsQuery {
    /// Only this client id.
    pub clientid: Option<String>,
    /// Only client ids that contain this.
    pub like_clientid: Option<String>,
    /// Only this user name.
    pub username: Option<String>,
    /// Only user names that contain this.
    pub like_username: Option<String>,
    /// `connected` or `disconnected`.
    pub conn_state: Option<String>,
    /// Only clients of this node.
    pub node: Option<String>,
    /// Rows per page, 1 to 10,000. Default: 100.
    pub limit: Option<usize>,
    /// From the last page's `meta.cursor`.
    pub cursor: Option<String>,
}

/// One client, or its waiting session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// Client id.
    pub clientid: String,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The node that has it.
    pub node: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Address, while connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Port, while connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Listener, while connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// 3, 4 (MQTT 3.1.1) or 5, while connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proto_ver: Option<u8>,
    /// RFC 3339, while connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<String>,
    /// Granted keep-alive in seconds.
    pub keepalive: u16,
    /// Seconds that the session outlives its connection; absent = for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_interval: Option<u32>,
    /// Subscriptions.
    pub subscriptions_cnt: usize,
    /// Messages waiting in memory.
    pub mqueue_len: usize,
    /// Messages waiting in the store.
    pub spilled_cnt: usize,
    /// QoS 1 and 2 messages on their way to it.
    pub inflight_cnt: usize,
    /// Number of the ownership of the client id.
    pub epoch: u64,
}

/// What a kick does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KickQuery {
    /// Whether the session ends too. Default: true.
    pub purge: Option<bool>,
}

/// Which subscriptions, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionsQuery {
    /// Only of this client.
    pub clientid: Option<String>,
    /// Only with this filter, as the client wrote it.
    pub topic: Option<String>,
    /// Only filters that match this topic name.
    pub match_topic: Option<String>,
    /// Only of clients of this node.
    pub node: Option<String>,
    /// Rows per page, 1 to 10,000. Default: 100.
    pub limit: Option<usize>,
    /// From the last page's `meta.cursor`.
    pub cursor: Option<String>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Whose.
    pub clientid: String,
    /// The node that has the client.
    pub node: String,
    /// The filter with its `$share/…`.
    pub topic: String,
    /// Highest QoS.
    pub qos: u8,
    /// Option "no local", 0 or 1.
    pub nl: u8,
    /// Option "retain as published", 0 or 1.
    pub rap: u8,
    /// Subscription identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subid: Option<u32>,
}

/// Which routes, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RoutesQuery {
    /// Only this filter.
    pub topic: Option<String>,
    /// Only routes to this node.
    pub node: Option<String>,
    /// Rows per page, 1 to 10,000. Default: 100.
    pub limit: Option<usize>,
    /// From the last page's `meta.cursor`.
    pub cursor: Option<String>,
}

/// Who in this cluster wants a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Topic filter.
    pub topic: String,
    /// Nodes with plain subscribers.
    pub nodes: Vec<String>,
    /// Shared groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<RouteGroup>,
}

/// A shared group on a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouteGroup {
    /// Group name.
    pub group: String,
    /// Nodes with members.
    pub nodes: Vec<GroupMembers>,
}

/// Members of a group on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupMembers {
    /// Node.
    pub node: String,
    /// How many.
    pub members: u32,
}
