//! What broker and linking need of a node, answered from the shared state.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use spanmq_linking::ports as linking;
use spanmq_mqtt::ports::{
    Action, Authenticate, Authenticated, Authorize, BoxFuture, Client, ControlPublish, Credentials,
    Done, Forward, LinkClient, LinkForward, LinkIn, LinkOut, Outcome, Outcomes, Peers, Propose,
    ProposeError, Retained, RetainedSource, Routes, RoutesReader, Verdict,
};
use spanmq_state::command::Holder;
use spanmq_state::view::{ViewReaderFactory, ViewWriter};
use spanmq_state::{Batch, Changes, Command, Epoch, NodeId, Reply, State};
use spanmq_topic::TopicFilter;

/// The state of the cluster, and whether it can be changed.
pub struct Replicated {
    inner: Mutex<(State, ViewWriter, u64)>,
    readers: ViewReaderFactory,
    pub quorum: AtomicBool,
}

impl Replicated {
    pub fn new() -> Arc<Self> {
        let writer = ViewWriter::new();
        let readers = writer.factory();
        let inner = Mutex::new((State::default(), writer, 0));
        Arc::new(Self { inner, readers, quorum: true.into() })
    }

    pub fn has_quorum(&self) -> bool {
        self.quorum.load(Ordering::SeqCst)
    }

    pub fn apply(&self, commands: Vec<Command>) -> Option<(u64, Vec<Reply>)> {
        if !self.has_quorum() {
            return None;
        }
        let (state, writer, index) = &mut *self.inner.lock();
        *index += 1;
        let mut changes = Changes::default();
        let replies = state.apply(*index, &Batch::new(commands), &mut changes);
        writer.absorb(changes.view, *index);
        Some((*index, replies))
    }

    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner.lock().0)
    }
}

/// One port for everything the broker asks.
pub struct BrokerPort(pub Arc<Replicated>);

impl Propose for BrokerPort {
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Vec<Reply>, ProposeError>> {
        let applied = self.0.apply(commands).map(|(_, replies)| replies);
        Box::pin(async move { applied.ok_or(ProposeError::NoQuorum) })
    }

    fn propose_visible(
        &self,
        commands: Vec<Command>,
    ) -> BoxFuture<Result<Vec<Reply>, ProposeError>> {
        self.propose(commands)
    }
}

impl Routes for BrokerPort {
    fn reader(&self) -> Box<dyn RoutesReader> {
        Box::new(self.0.readers.reader())
    }
}

impl RetainedSource for BrokerPort {
    fn page(
        &self,
        filter: &TopicFilter,
        cursor: usize,
        limit: usize,
    ) -> (Vec<Retained>, Option<usize>) {
        let page = self.0.look(|state| state.retained().page(filter, cursor, limit));
        let retained = page.0.into_iter().map(|(topic, retained)| Retained {
            topic: topic.as_str().into(),
            message: retained.message.clone(),
            expiry_at_ms: retained.expiry_at_ms,
        });
        (retained.collect(), page.1)
    }
}

impl Peers for BrokerPort {
    fn forward(&self, _: NodeId, _: Vec<Forward>, done: Done<Outcomes>) {
        done.answer(Outcomes::All(Outcome::Held));
    }

    fn freeze(&self, _: Holder, _: Arc<str>, _: Epoch) -> BoxFuture<Option<bytes::Bytes>> {
        Box::pin(async { None })
    }

    fn fence(&self, _: NodeId) -> BoxFuture<Vec<NodeId>> {
        Box::pin(async { Vec::new() })
    }

    fn take_over(
        &self,
        _: Holder,
        _: Arc<str>,
        _: Epoch,
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

impl LinkOut for BrokerPort {
    fn append(&self, _: Vec<LinkForward>, done: Done<Outcomes>) {
        done.answer(Outcomes::All(Outcome::Held));
    }
}

impl LinkIn for BrokerPort {
    fn receive(&self, _: Arc<LinkClient>, batch: Vec<ControlPublish>, done: Done<Vec<Verdict>>) {
        done.answer(vec![Verdict::Ack(0x10); batch.len()]);
    }

    fn closed(&self, _: u64) {}
}

impl Authenticate for BrokerPort {
    fn authenticate(&self, credentials: Credentials) -> BoxFuture<Authenticated> {
        let principal = credentials.username.unwrap_or_else(|| "anonymous".into());
        Box::pin(async { Authenticated::Allowed { principal, is_superuser: false } })
    }
}

impl Authorize for BrokerPort {
    fn allows(&self, _: &Client, _: Action, _: &str) -> bool {
        true
    }
}

/// Linking with nobody who subscribes: the API's own matter is what is asked and shown.
pub struct LinkingPort(pub Arc<Replicated>);

impl LinkingPort {
    pub fn ports(self) -> linking::Ports {
        let port = Arc::new(self);
        linking::Ports {
            interest: port.clone(),
            publish: port.clone(),
            learnt: port.clone(),
            leader: port,
        }
    }
}

/// One event, then silence.
struct Once<T>(Option<T>);

impl linking::InterestStream for Once<linking::InterestEvent> {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = linking::InterestEvent> + Send + '_>> {
        match self.0.take() {
            Some(event) => Box::pin(std::future::ready(event)),
            None => Box::pin(std::future::pending()),
        }
    }
}

impl linking::DurableStream for Once<Vec<linking::DurableSubscription>> {
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Vec<linking::DurableSubscription>> + Send + '_>> {
        match self.0.take() {
            Some(all) => Box::pin(std::future::ready(all)),
            None => Box::pin(std::future::pending()),
        }
    }
}

impl linking::LocalInterest for LinkingPort {
    fn follow(&self) -> Box<dyn linking::InterestStream> {
        Box::new(Once(Some(linking::InterestEvent::Snapshot(Vec::new()))))
    }

    fn follow_durable(&self) -> Box<dyn linking::DurableStream> {
        Box::new(Once(Some(Vec::new())))
    }
}

impl linking::LocalPublish for LinkingPort {
    fn deliver(
        &self,
        _: Arc<str>,
        _: Box<spanmq_link_protocol::message::MessageRecord>,
    ) -> linking::BoxFuture<linking::Delivered> {
        Box::pin(async { linking::Delivered::NoSubscribers })
    }

    fn answer(&self, _: String, _: bytes::Bytes, _: bytes::Bytes) {}
}

impl linking::Learnt for LinkingPort {
    fn propose(
        &self,
        commands: Vec<Command>,
    ) -> linking::BoxFuture<Result<Vec<Reply>, linking::NoQuorum>> {
        let applied = self.0.apply(commands).map(|(_, replies)| replies);
        Box::pin(async move { applied.ok_or(linking::NoQuorum) })
    }
}

impl linking::Leader for LinkingPort {
    fn leading(&self) -> bool {
        false
    }

    fn stored_actors(&self) -> Vec<spanmq_link_protocol::expiry::StoredActor> {
        Vec::new()
    }

    fn standing_alarms(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn holder(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn held_remotes(&self) -> Vec<String> {
        Vec::new()
    }
}
