//! What the MQTT shell needs from others. `node/src/wiring.rs` connects these traits.
//!
//! Calls never block and are made in batches, one per turn of a worker's loop; answers come back
//! through [`Done`] from any thread. Nothing here knows Raft, wires or links.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use spanmq_session::{Message, ProtocolVersion, QoS};
use spanmq_state::command::Holder;
pub use spanmq_state::view::Targets;
use spanmq_state::view::ViewReader;
use spanmq_state::{Command, Epoch, Incarnation, Millis, NodeId, Opaque, Reply};
use spanmq_topic::{TopicFilter, TopicName};

/// A boxed future that may be awaited on any thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The one answer to a batch. Dropping it unanswered counts as a refusal of the whole batch.
pub struct Done<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Done<T> {
    /// Calls `answer` once: with the value, or with `None` when it is dropped unanswered.
    pub fn new(answer: impl FnOnce(Option<T>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// For batches nobody waits for.
    #[must_use]
    pub fn ignore() -> Self {
        Self(None)
    }

    /// Gives the answer.
    pub fn answer(mut self, value: T) {
        if let Some(answer) = self.0.take() {
            answer(Some(value));
        }
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(None);
        }
    }
}

impl<T> std::fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Done")
    }
}

/// What became of one message at one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The destination holds it at its durability mode.
    Held,
    /// Nobody there wants it.
    NoSubscribers,
    /// Refused with this reason code (0x97 quota, 0x89 busy, …); the publisher is told.
    Refused(u8),
}

/// The answer to a batch of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcomes {
    /// The same for all of them, the usual case.
    All(Outcome),
    /// One each, in the order of the batch.
    Each(Vec<Outcome>),
}

impl Outcomes {
    /// The outcome of the message at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Outcome {
        match self {
            Self::All(outcome) => *outcome,
            Self::Each(each) => each.get(index).copied().unwrap_or(Outcome::Refused(0x80)),
        }
    }
}

/// Why a proposal did not lead to replies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader or no majority within the time allowed (CONNACK 0x88, SUBACK 0x80).
    #[error("the cluster has no quorum now")]
    NoQuorum,
    /// The leader's disk has no room (0x97).
    #[error("the disk is full")]
    DiskFull,
    /// More proposals wait than are allowed.
    #[error("too many proposals wait")]
    Busy,
    /// The node stops.
    #[error("the node is shutting down")]
    Stopping,
}

/// Changes of the replicated state.
pub trait Propose: Send + Sync + 'static {
    /// Commits the commands, in order, and gives their replies once this node has applied them.
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Vec<Reply>, ProposeError>>;

    /// The same, but the answer waits until every member with a lease has applied them
    /// (ARCHITECTURE §4, subscribe visibility).
    fn propose_visible(
        &self,
        commands: Vec<Command>,
    ) -> BoxFuture<Result<Vec<Reply>, ProposeError>>;
}

/// The node's view of routes (ARCHITECTURE §2).
pub trait Routes: Send + Sync + 'static {
    /// A reader for one thread.
    fn reader(&self) -> Box<dyn RoutesReader>;
}

/// Looks routes up without locks. [`ViewReader`] is one; wiring adds the lease.
pub trait RoutesReader: Send {
    /// Fills `into` with all that wants `topic`; this node may be among the nodes and is skipped.
    /// False: nothing is known any more, and nothing may be acknowledged.
    fn targets(&mut self, topic: &TopicName, into: &mut Targets) -> bool;

    /// Whether this node holds a lease, so that the view is known to be complete; looked at after
    /// matching and before a QoS 1/2 message is acknowledged (ARCHITECTURE §4).
    fn has_lease(&self) -> bool {
        true
    }
}

impl RoutesReader for ViewReader {
    fn targets(&mut self, topic: &TopicName, into: &mut Targets) -> bool {
        ViewReader::targets(self, topic, into)
    }
}

/// A message for another node.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The message.
    pub message: Arc<Message>,
    /// Whether the plain subscribers are meant too, or only the picked groups.
    pub plain: bool,
    /// Shared groups whose member is to be picked on that node: (group, filter).
    pub groups: Vec<(Arc<str>, Arc<str>)>,
    /// Lane: number of the publishing connection. Order is kept within a lane.
    pub lane: u64,
}

/// Wires to the other nodes.
pub trait Peers: Send + Sync + 'static {
    /// Sends a batch to one node. The answer comes when its sessions hold the messages, or a spool
    /// does.
    fn forward(&self, node: NodeId, batch: Vec<Forward>, done: Done<Outcomes>);

    /// Asks the previous owner of a session to freeze it: its connection ends, and the owner notes
    /// what still comes. The answer is that of `BrokerHandle::freeze` there. `None`: that node is
    /// unreachable or does not have it.
    fn freeze(&self, from: Holder, client_id: Arc<str>, epoch: Epoch) -> BoxFuture<Option<Bytes>>;

    /// Asks the other nodes to answer when everything that they had routed to `to` has come there
    /// (`BrokerHandle::fence`), once they go by all that this node has applied. Yields those that did
    /// not say so in time: they may hold something.
    fn fence(&self, to: NodeId) -> BoxFuture<Vec<NodeId>>;

    /// Fetches a copy of a frozen session from its previous owner: the answer of
    /// `BrokerHandle::hand_over` there.
    fn take_over(
        &self,
        from: Holder,
        client_id: Arc<str>,
        epoch: Epoch,
        owing: Vec<NodeId>,
    ) -> BoxFuture<Option<Bytes>>;

    /// The other nodes of the cluster, reachable or not.
    fn others(&self) -> Vec<NodeId>;

    /// Whether a node is a member of the cluster, reachable or not.
    fn is_member(&self, node: NodeId) -> bool;
}

/// A message for links.
#[derive(Debug, Clone)]
pub struct LinkForward {
    /// The message.
    pub message: Arc<Message>,
    /// Names of the links that want it, one copy each.
    pub links: Vec<Arc<str>>,
    /// Number of the publishing connection (LINK-SPEC W-31).
    pub lane: u64,
}

/// Buffers of the links. Only messages of this cluster get here (LINK-SPEC W-30).
pub trait LinkOut: Send + Sync + 'static {
    /// Appends; the answer comes when the buffers hold the messages and never waits for a remote.
    fn append(&self, batch: Vec<LinkForward>, done: Done<Outcomes>);
}

/// The client behind a control publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkClient {
    /// Number of the connection, unique in this run of the node; a handshake belongs to it.
    pub connection: u64,
    /// Client id.
    pub client_id: Arc<str>,
    /// User name, if it logged in with one.
    pub username: Option<Arc<str>>,
    /// Common name of its certificate.
    pub cert_cn: Option<Arc<str>>,
    /// Where it connects from.
    pub peer: Option<SocketAddr>,
}

/// Which of the two intercepted topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// `$LINK/cluster/route/C`.
    Route,
    /// `$LINK/cluster/msg/C`.
    Msg,
}

/// A PUBLISH under `$LINK/cluster/route|msg/…`, authorised, not routed (LINK-SPEC W-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPublish {
    /// Which topic.
    pub kind: ControlKind,
    /// `C`: the name that the sender gives itself; unchecked.
    pub cluster: Arc<str>,
    /// Erlang term from a stranger.
    pub payload: Bytes,
    /// QoS of the carrier.
    pub qos: QoS,
    /// Property Response-Topic.
    pub response_topic: Option<Box<str>>,
    /// Property Correlation-Data.
    pub correlation_data: Option<Bytes>,
}

/// How the carrier of a control publish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// PUBACK or PUBREC with this code (LINK-SPEC W-24).
    Ack(u8),
    /// DISCONNECT with this code, no PUBACK (LINK-SPEC W-25).
    Disconnect(u8),
}

/// Where intercepted control publishes go.
pub trait LinkIn: Send + Sync + 'static {
    /// Takes what one connection sent in one turn, in order; the answer has one verdict each.
    fn receive(
        &self,
        client: Arc<LinkClient>,
        batch: Vec<ControlPublish>,
        done: Done<Vec<Verdict>>,
    );

    /// The connection ended; its handshake is void.
    fn closed(&self, connection: u64);
}

/// What a CONNECT brings for authentication.
#[derive(Clone)]
pub struct Credentials {
    /// Client id, assigned if the client sent none.
    pub client_id: Arc<str>,
    /// User name, from CONNECT or from the certificate where the listener says so.
    pub username: Option<Arc<str>>,
    /// It is the certificate's, which was verified.
    pub username_is_proved: bool,
    /// Password.
    pub password: Option<Bytes>,
    /// Common name of a verified client certificate.
    pub cert_cn: Option<Arc<str>>,
    /// Where it connects from.
    pub peer: Option<SocketAddr>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// What it speaks.
    pub version: ProtocolVersion,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("username_is_proved", &self.username_is_proved)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("cert_cn", &self.cert_cn)
            .field("peer", &self.peer)
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// What authentication found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authenticated {
    /// May connect.
    Allowed {
        /// Who it is; owns the session (SECURITY-REQUIREMENTS A6).
        principal: Arc<str>,
        /// Exempt from the ACL.
        is_superuser: bool,
    },
    /// CONNACK with this 5.0 code: 0x86, 0x87, 0x8A or 0x88 when the source fails (A3).
    Denied(u8),
}

/// Checks credentials. Hashing happens elsewhere: workers never wait for it.
pub trait Authenticate: Send + Sync + 'static {
    /// Decides one CONNECT.
    fn authenticate(&self, credentials: Credentials) -> BoxFuture<Authenticated>;
}

/// Who asks the ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Client id.
    pub client_id: Arc<str>,
    /// User name.
    pub username: Option<Arc<str>>,
    /// Common name of a verified client certificate.
    pub cert_cn: Option<Arc<str>>,
    /// Where it connects from.
    pub peer: Option<SocketAddr>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Zone of the listener.
    pub zone: Arc<str>,
    /// What it speaks.
    pub version: ProtocolVersion,
    /// Owner of its session.
    pub principal: Arc<str>,
    /// Exempt from the ACL; the built-in denials hold all the same.
    pub is_superuser: bool,
}

/// What a client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publish to a topic name.
    Publish {
        /// With this QoS.
        qos: QoS,
        /// As retained message.
        retain: bool,
    },
    /// Subscribe to a topic filter; for a shared one, the inner filter (A5).
    Subscribe {
        /// With this QoS.
        qos: QoS,
    },
}

/// Decides by the present ACL. Called on workers: no I/O, no locks (wiring puts the compiled ACL
/// behind an `ArcSwap`).
pub trait Authorize: Send + Sync + 'static {
    /// Whether `client` may.
    fn allows(&self, client: &Client, action: Action, topic: &str) -> bool;
}

/// One retained message as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// Topic name.
    pub topic: Arc<str>,
    /// The message, encoded by this crate.
    pub message: Opaque,
    /// When it expires.
    pub expiry_at_ms: Option<Millis>,
}

/// The retained messages of this node's state.
pub trait RetainedSource: Send + Sync + 'static {
    /// The messages that `filter` matches, a page at a time: from `cursor` (0 = the beginning)
    /// until there are about `limit`. Also where to go on; `None` at the end.
    fn page(
        &self,
        filter: &TopicFilter,
        cursor: usize,
        limit: usize,
    ) -> (Vec<Retained>, Option<usize>);
}

/// Who this node is in the replicated state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub node: NodeId,
    /// Its name, for `$SYS` and REST.
    pub name: Arc<str>,
    /// This run; grows with each start.
    pub incarnation: Incarnation,
}

/// Everything the broker needs, in one place.
#[derive(Clone)]
pub struct Ports {
    /// Who we are.
    pub identity: Identity,
    /// Changes of the replicated state.
    pub propose: Arc<dyn Propose>,
    /// The view of routes.
    pub routes: Arc<dyn Routes>,
    /// The other nodes.
    pub peers: Arc<dyn Peers>,
    /// Out over links.
    pub link_out: Arc<dyn LinkOut>,
    /// In over links.
    pub link_in: Arc<dyn LinkIn>,
    /// Who may connect.
    pub authenticate: Arc<dyn Authenticate>,
    /// Who may do what.
    pub authorize: Arc<dyn Authorize>,
    /// Retained messages.
    pub retained: Arc<dyn RetainedSource>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("identity", &self.identity).finish_non_exhaustive()
    }
}
