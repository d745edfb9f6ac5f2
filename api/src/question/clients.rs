//! Clients and subscriptions of one node, in the order of their pages.

use serde::{Deserialize, Serialize};
use spanmq_api_model::{Client, Subscription};
use spanmq_mqtt::query::{ClientInfo, ClientQuery, SubscriptionInfo, SubscriptionQuery};
use spanmq_session::ProtocolVersion;

use super::rfc3339_ms;
use crate::ports::Node;

/// Which clients of a node: at most `limit` after `after`, by client id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientFilter {
    pub(crate) client_id: Option<String>,
    pub(crate) like_client_id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) like_username: Option<String>,
    pub(crate) connected: Option<bool>,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

/// Which subscriptions of a node: at most `limit` after `after`, by client id and filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriptionFilter {
    pub(crate) client_id: Option<String>,
    pub(crate) filter: Option<String>,
    pub(crate) matches: Option<String>,
    pub(crate) after: Option<(String, String)>,
    pub(crate) limit: usize,
}

/// Costs a pass over the clients of the node.
pub(super) async fn local_clients(node: &dyn Node, filter: &ClientFilter) -> Vec<Client> {
    let query = ClientQuery {
        client_id: filter.client_id.as_deref().map(Into::into),
        username: filter.username.as_deref().map(Into::into),
        connected: filter.connected,
        limit: 0,
    };
    let mut found = node.broker().clients(query).await;
    found.retain(|info| {
        let like = |part: &Option<String>, text: &str| {
            part.as_ref().is_none_or(|part| text.contains(part.as_str()))
        };
        like(&filter.like_client_id, &info.client_id)
            && like(&filter.like_username, info.username.as_deref().unwrap_or_default())
            && filter.after.as_ref().is_none_or(|after| *info.client_id > **after)
    });
    found.sort_unstable_by(|a, b| a.client_id.cmp(&b.client_id));
    found.truncate(filter.limit);
    found.into_iter().map(|info| client(node, info)).collect()
}

fn client(node: &dyn Node, info: ClientInfo) -> Client {
    Client {
        clientid: info.client_id.to_string(),
        username: info.username.map(|name| name.to_string()),
        node: node.name().to_string(),
        connected: info.connected,
        ip_address: info.peer.map(|peer| peer.ip().to_string()),
        port: info.peer.map(|peer| peer.port()),
        listener: info.listener.map(|name| name.to_string()),
        proto_ver: info.version.map(ProtocolVersion::level),
        connected_at: info.connected_at_ms.map(rfc3339_ms),
        keepalive: info.keep_alive_s,
        expiry_interval: (info.session_expiry_s != u32::MAX).then_some(info.session_expiry_s),
        subscriptions_cnt: info.subscriptions,
        mqueue_len: info.inbox_messages,
        spilled_cnt: info.spilled_messages,
        inflight_cnt: info.in_flight,
        epoch: info.epoch,
    }
}

/// Costs a pass over the subscriptions of the node.
pub(super) async fn local_subscriptions(
    node: &dyn Node,
    filter: &SubscriptionFilter,
) -> Vec<Subscription> {
    let query = SubscriptionQuery {
        client_id: filter.client_id.as_deref().map(Into::into),
        filter: filter.filter.as_deref().map(Into::into),
        limit: 0,
    };
    let mut found = node.broker().subscriptions(query).await;
    let key = |info: &SubscriptionInfo| (info.client_id.to_string(), info.filter.clone());
    found.retain(|info| {
        filter.after.as_ref().is_none_or(|after| key(info) > *after)
            && filter.matches.as_ref().is_none_or(|topic| matches(&info.filter, topic))
    });
    found.sort_by_cached_key(key);
    found.truncate(filter.limit);
    found.into_iter().map(|info| subscription(node, info)).collect()
}

/// A shared filter is looked at without its group.
fn matches(filter: &str, topic: &str) -> bool {
    spanmq_topic::Subscription::parse(filter)
        .is_ok_and(|subscription| spanmq_topic::matches(topic, subscription.filter()))
}

fn subscription(node: &dyn Node, info: SubscriptionInfo) -> Subscription {
    Subscription {
        clientid: info.client_id.to_string(),
        node: node.name().to_string(),
        topic: info.filter,
        qos: info.qos,
        nl: u8::from(info.no_local),
        rap: u8::from(info.retain_as_published),
        subid: info.id,
    }
}
