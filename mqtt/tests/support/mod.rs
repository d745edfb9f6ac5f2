//! A broker on one node with the real replicated state, applied without Raft, and a raw client.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

pub mod client;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use spanmq_mqtt::config::{BrokerConfig, ListenerConfig, StoreConfig, Transport};
use spanmq_mqtt::ports::{
    Action, Authenticate, Authenticated, Authorize, BoxFuture, Client, ControlPublish, Credentials,
    Done, Forward, Identity, LinkClient, LinkForward, LinkIn, LinkOut, Outcome, Outcomes, Peers,
    Ports, Propose, ProposeError, Retained, RetainedSource, Routes, RoutesReader, Targets, Verdict,
};
use spanmq_mqtt::{Broker, BrokerHandle};
use spanmq_state::command::Holder;
use spanmq_state::view::{ViewReader, ViewReaderFactory, ViewWriter};
use spanmq_state::{Batch, Changes, Command, NodeId, Reply, State};
use spanmq_topic::{TopicFilter, TopicName};

/// The state machine of a cluster of one.
pub struct OneNode {
    inner: Mutex<(State, ViewWriter, u64)>,
    readers: ViewReaderFactory,
    /// Without quorum nothing is committed.
    pub quorum: std::sync::atomic::AtomicBool,
    pub lease: Arc<std::sync::atomic::AtomicBool>,
}

impl OneNode {
    pub fn new() -> Arc<Self> {
        let writer = ViewWriter::new();
        let readers = writer.factory();
        let quorum = true.into();
        let lease = Arc::new(true.into());
        let inner = Mutex::new((State::default(), writer, 0));
        Arc::new(Self { inner, readers, quorum, lease })
    }

    fn apply(&self, commands: Vec<Command>) -> Result<Vec<Reply>, ProposeError> {
        if !self.quorum.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(ProposeError::NoQuorum);
        }
        let (state, writer, index) = &mut *self.inner.lock();
        *index += 1;
        let mut changes = Changes::default();
        let replies = state.apply(*index, &Batch::new(commands), &mut changes);
        writer.absorb(changes.view, *index);
        Ok(replies)
    }

    pub fn route_nodes(&self, filter: &str) -> Vec<NodeId> {
        let state = &self.inner.lock().0;
        let found = state.routes().iter().find(|(of, _)| &***of == filter);
        found.map(|(_, entry)| entry.nodes().to_vec()).unwrap_or_default()
    }
}

struct ProposeHere(Arc<OneNode>);

impl Propose for ProposeHere {
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Vec<Reply>, ProposeError>> {
        let replies = self.0.apply(commands);
        Box::pin(async move { replies })
    }

    fn propose_visible(
        &self,
        commands: Vec<Command>,
    ) -> BoxFuture<Result<Vec<Reply>, ProposeError>> {
        self.propose(commands)
    }
}

struct RoutesHere(Arc<OneNode>);

impl Routes for RoutesHere {
    fn reader(&self) -> Box<dyn RoutesReader> {
        Box::new(Leased(self.0.readers.reader(), self.0.lease.clone()))
    }
}

struct Leased(ViewReader, Arc<std::sync::atomic::AtomicBool>);

impl RoutesReader for Leased {
    fn targets(&mut self, topic: &TopicName, into: &mut Targets) -> bool {
        self.0.targets(topic, into)
    }

    fn has_lease(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::SeqCst)
    }
}

struct RetainedHere(Arc<OneNode>);

impl RetainedSource for RetainedHere {
    fn page(
        &self,
        filter: &TopicFilter,
        cursor: usize,
        limit: usize,
    ) -> (Vec<Retained>, Option<usize>) {
        let (page, next) = self.0.inner.lock().0.retained().page(filter, cursor, limit);
        let page = page.into_iter().map(|(topic, retained)| Retained {
            topic: topic.as_str().into(),
            message: retained.message.clone(),
            expiry_at_ms: retained.expiry_at_ms,
        });
        (page.collect(), next)
    }
}

/// Records what would go to other nodes and links.
#[derive(Default)]
pub struct Outside {
    pub forwards: Mutex<Vec<(NodeId, Forward)>>,
    pub linked: Mutex<Vec<LinkForward>>,
    pub control: Mutex<Vec<ControlPublish>>,
    pub closed: Mutex<Vec<u64>>,
    pub verdict: Mutex<Option<Verdict>>,
}

pub struct OutsidePort(pub Arc<Outside>);

impl Peers for OutsidePort {
    fn forward(&self, node: NodeId, batch: Vec<Forward>, done: Done<Outcomes>) {
        self.0.forwards.lock().extend(batch.into_iter().map(|forward| (node, forward)));
        done.answer(Outcomes::All(Outcome::Held));
    }

    fn freeze(
        &self,
        _: Holder,
        _: Arc<str>,
        _: spanmq_state::Epoch,
    ) -> BoxFuture<Option<bytes::Bytes>> {
        Box::pin(async { None })
    }

    fn fence(&self, _: NodeId) -> BoxFuture<Vec<NodeId>> {
        Box::pin(async { Vec::new() })
    }

    fn take_over(
        &self,
        _: Holder,
        _: Arc<str>,
        _: spanmq_state::Epoch,
        _: Vec<NodeId>,
    ) -> BoxFuture<Option<bytes::Bytes>> {
        Box::pin(async { None })
    }

    fn others(&self) -> Vec<NodeId> {
        Vec::new()
    }

    fn is_member(&self, _: NodeId) -> bool {
        true
    }
}

impl LinkOut for OutsidePort {
    fn append(&self, batch: Vec<LinkForward>, done: Done<Outcomes>) {
        self.0.linked.lock().extend(batch);
        done.answer(Outcomes::All(Outcome::Held));
    }
}

impl LinkIn for OutsidePort {
    fn receive(&self, _: Arc<LinkClient>, batch: Vec<ControlPublish>, done: Done<Vec<Verdict>>) {
        let verdict = self.0.verdict.lock().unwrap_or(Verdict::Ack(0x10));
        let verdicts = vec![verdict; batch.len()];
        self.0.control.lock().extend(batch);
        done.answer(verdicts);
    }

    fn closed(&self, connection: u64) {
        self.0.closed.lock().push(connection);
    }
}

/// Lets everybody in but user `nobody`, and user `slow` late.
struct Users;

impl Authenticate for Users {
    fn authenticate(&self, credentials: Credentials) -> BoxFuture<Authenticated> {
        Box::pin(async move {
            let username = credentials.username.as_deref().unwrap_or("anonymous");
            match username {
                "nobody" => Authenticated::Denied(0x86),
                name => Authenticated::Allowed { principal: name.into(), is_superuser: false },
            }
        })
    }
}

/// Denies `secret/…` (also as a filter), and `$LINK/` to all but user `link`.
struct Rules;

impl Authorize for Rules {
    fn allows(&self, client: &Client, _: Action, topic: &str) -> bool {
        assert!(topic != "panic", "a test wants this");
        if topic.starts_with("$LINK") {
            return client.username.as_deref() == Some("link");
        }
        !topic.starts_with("secret")
    }
}

/// A running broker. Stops when dropped.
pub struct TestBroker {
    pub handle: BrokerHandle,
    pub node: Arc<OneNode>,
    pub outside: Arc<Outside>,
}

impl TestBroker {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::on(OneNode::new(), change)
    }

    /// On a given state: for a second run of the same node.
    pub fn on(node: Arc<OneNode>, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config = BrokerConfig {
            listeners: vec![listener("tcp", Transport::Tcp)],
            workers: 2,
            sys_interval: Duration::ZERO,
            store: StoreConfig { durability: spanmq_mqtt::config::Durability::Memory, dir: None },
            ..Default::default()
        };
        change(&mut config);
        let outside = Arc::new(Outside::default());
        let ports = Ports {
            identity: Identity { node: 1, name: "n1".into(), incarnation: incarnation() },
            propose: Arc::new(ProposeHere(node.clone())),
            routes: Arc::new(RoutesHere(node.clone())),
            peers: Arc::new(OutsidePort(outside.clone())),
            link_out: Arc::new(OutsidePort(outside.clone())),
            link_in: Arc::new(OutsidePort(outside.clone())),
            authenticate: Arc::new(Users),
            authorize: Arc::new(Rules),
            retained: Arc::new(RetainedHere(node.clone())),
        };
        let handle = Broker::start(config, ports).unwrap();
        Self { handle, node, outside }
    }

    pub fn address(&self) -> SocketAddr {
        self.handle.bound()[0].address
    }

    pub fn address_of(&self, name: &str) -> SocketAddr {
        self.handle.bound().iter().find(|bound| &*bound.name == name).unwrap().address
    }

    pub fn stop(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.handle.stop(Duration::from_secs(5)));
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn incarnation() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
}

pub fn listener(name: &str, transport: Transport) -> ListenerConfig {
    ListenerConfig::new(name, "127.0.0.1:0".parse().unwrap(), transport)
}

/// Waits until something holds, for at most ten seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(std::time::Instant::now() < until, "{what} did not happen");
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a question to the handle from a test without a runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
