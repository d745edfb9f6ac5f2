//! What linking needs from others. `node/src/wiring` connects these traits.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use spanmq_link_protocol::expiry::StoredActor;
use spanmq_link_protocol::message::MessageRecord;
use spanmq_state::{Command, Reply};
use spanmq_topic::Subscription;

/// A boxed future that may be awaited on any thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A change of what this node's clients want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterestEvent {
    /// Everything wanted now; always the first event.
    Snapshot(Vec<Subscription>),
    /// First subscriber came (true) or last one went (false).
    Changes(Vec<(Subscription, bool)>),
}

/// Follows the local subscriptions of this node.
pub trait InterestStream: Send {
    /// Waits for the next event.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = InterestEvent> + Send + '_>>;
}

/// A subscription of a persistent session of the cluster, wherever it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableSubscription {
    /// Client id.
    pub session: Arc<str>,
    /// What it wants.
    pub filter: Subscription,
}

/// Follows the persistent sessions of the whole cluster.
pub trait DurableStream: Send {
    /// Waits for a set other than the last one given; gives all of it.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Vec<DurableSubscription>> + Send + '_>>;
}

/// What is wanted here.
pub trait LocalInterest: Send + Sync + 'static {
    /// A new follower of this node's subscriptions; it gets a snapshot first.
    fn follow(&self) -> Box<dyn InterestStream>;

    /// A new follower of the cluster's persistent sessions (W-12). Changes may come gathered and a
    /// moment late: the node of a session reports its filters at once anyway.
    fn follow_durable(&self) -> Box<dyn DurableStream>;
}

/// What became of an inbound message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// Held by at least one session.
    Held,
    /// Nobody wants it.
    NoSubscribers,
    /// Not taken; the remote shall send it again or drop it, by this code.
    Refused(u8),
}

/// Delivers into this cluster.
pub trait LocalPublish: Send + Sync + 'static {
    /// Delivers a record that came over link `link` to local subscribers of the whole cluster; it
    /// is marked with its origin and never forwarded again (W-42).
    fn deliver(&self, link: Arc<str>, record: Box<MessageRecord>) -> BoxFuture<Delivered>;

    /// Publishes an answer of the upstream under its topic, QoS 1 (W-2).
    fn answer(&self, topic: String, correlation_data: bytes::Bytes, payload: bytes::Bytes);
}

/// A proposal that did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoQuorum;

/// Changes of the learnt actors and routes, through the replicated log (W-28).
pub trait Learnt: Send + Sync + 'static {
    /// Replies in the order of the commands, once this node has applied them.
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Vec<Reply>, NoQuorum>>;
}

/// What the leader knows and does for all nodes.
pub trait Leader: Send + Sync + 'static {
    /// Whether this node leads.
    fn leading(&self) -> bool;

    /// The learnt actors as this node's state has them.
    fn stored_actors(&self) -> Vec<StoredActor>;

    /// Alarms about links that this node has raised: name → the cause in its details.
    fn standing_alarms(&self) -> BTreeMap<String, String>;

    /// Who holds a remote's name in the cluster, as [`Principal::to_text`] says it.
    ///
    /// [`Principal::to_text`]: spanmq_link_protocol::binding::Principal::to_text
    fn holder(&self, remote: &str) -> Option<Arc<str>>;

    /// Remotes whose routes are held as stale.
    fn held_remotes(&self) -> Vec<String>;
}

/// Everything linking needs, in one place.
#[derive(Clone)]
pub struct Ports {
    /// Subscriptions of this node.
    pub interest: Arc<dyn LocalInterest>,
    /// Inbound messages and answers.
    pub publish: Arc<dyn LocalPublish>,
    /// Replicated log.
    pub learnt: Arc<dyn Learnt>,
    /// Leadership.
    pub leader: Arc<dyn Leader>,
}
