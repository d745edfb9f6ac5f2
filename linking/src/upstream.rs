//! What remotes send us: one task per inbound connection, in order (2.4, 2.6 "Inbound").

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use spanmq_link_protocol::binding::{ClientIdentity, Principal};
use spanmq_link_protocol::inbound::{self, DropCause, Inbound, InboundLink};
use spanmq_link_protocol::message::{MessageRecord, RouteAction, RouteOp};
use spanmq_link_protocol::term::DecodeLimits;
use spanmq_link_protocol::upstream::{
    ActorKey, Command, Event, InitOutcome, LinkFacts, Note, PublishToken, RoutePublish,
    RoutesOutcome, UpstreamConnection, code,
};
use spanmq_state::command::{RemoteCommand, RemoteOp, RemoteReply};
use spanmq_state::{Command as StateCommand, Reply};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::beats::{Beats, Sign};
use crate::ports::{BoxFuture, Delivered, Ports};
use crate::registry::{LinkState, Registry, Speaker};
use crate::throttle::Throttle;

/// Batches of one connection that may wait; a batch is what one turn of its worker read, so the
/// remote's own window bounds it further.
const BATCHES_WAITING_MAX: usize = 64;

/// The client behind inbound packets.
#[derive(Debug, Clone)]
pub struct InboundClient {
    /// Number of the connection.
    pub connection: u64,
    /// As authenticated.
    pub identity: ClientIdentity,
}

/// An intercepted PUBLISH.
#[derive(Debug)]
pub struct ControlPublish {
    /// `msg` rather than `route`.
    pub is_message: bool,
    /// The name in the topic.
    pub cluster: Arc<str>,
    /// Its payload.
    pub payload: Bytes,
    /// Response-Topic.
    pub response_topic: Option<String>,
    /// Correlation-Data.
    pub correlation_data: Option<Bytes>,
}

/// How one PUBLISH is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// PUBACK or PUBREC with this code.
    Ack(u8),
    /// DISCONNECT with this code and no acknowledgement.
    Disconnect(u8),
}

/// Takes the verdicts of a batch, one each.
pub type Answer = Box<dyn FnOnce(Vec<Verdict>) + Send>;

struct Batch {
    publishes: Vec<ControlPublish>,
    answer: Answer,
}

/// The inbound side of linking on this node.
pub(crate) struct Upstream {
    connections: Mutex<HashMap<u64, mpsc::Sender<Batch>>>,
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    local_cluster: Arc<str>,
    registry: Arc<Registry>,
    ports: Ports,
    beats: Arc<Beats>,
    limits: DecodeLimits,
    throttle: Throttle,
}

impl Upstream {
    pub(crate) fn new(
        local_cluster: Arc<str>,
        registry: Arc<Registry>,
        ports: Ports,
        beats: Arc<Beats>,
        runtime: Handle,
    ) -> Self {
        let (limits, throttle) = (DecodeLimits::default(), Throttle::default());
        let shared = Shared { local_cluster, registry, ports, beats, limits, throttle };
        let shared = Arc::new(shared);
        Self { connections: Mutex::default(), shared, runtime }
    }

    /// Queues a batch behind those of the same connection. When too many wait the connection ends:
    /// a remote that loses it sends again, while a refused acknowledgement would be final (W-33).
    pub(crate) fn receive(
        &self,
        client: &InboundClient,
        publishes: Vec<ControlPublish>,
        answer: Answer,
    ) {
        let mut connections = self.connections.lock();
        let sender = connections.entry(client.connection).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
            self.runtime.spawn(serve(self.shared.clone(), client.clone(), receiver));
            sender
        });
        if let Err(refused) = sender.try_send(Batch { publishes, answer }) {
            let batch = refused.into_inner();
            let busy = Verdict::Disconnect(code::SERVER_BUSY);
            (batch.answer)(vec![busy; batch.publishes.len()]);
        }
    }

    pub(crate) fn closed(&self, connection: u64) {
        self.connections.lock().remove(&connection);
    }
}

async fn serve(shared: Arc<Shared>, client: InboundClient, mut batches: mpsc::Receiver<Batch>) {
    let identity = client.identity.clone();
    let machine = UpstreamConnection::new(&shared.local_cluster, identity, shared.limits);
    let mut task = Connection {
        shared,
        client,
        machine,
        next_token: 0,
        spoke_for: Vec::new(),
        holders: HashMap::new(),
    };
    while let Some(batch) = batches.recv().await {
        let verdicts = task.batch(batch.publishes).await;
        (batch.answer)(verdicts);
    }
    for link in task.spoke_for {
        link.speakers.lock().left(task.client.connection);
    }
}

struct Connection {
    shared: Arc<Shared>,
    client: InboundClient,
    machine: UpstreamConnection,
    next_token: u64,
    spoke_for: Vec<Arc<LinkState>>,
    /// Who holds the names of the remotes in the cluster, as far as this batch has asked.
    holders: HashMap<Arc<str>, Option<Principal>>,
}

/// A verdict that stands, or one that a delivery will give.
enum Pending {
    Now(Verdict),
    Delivery { link: Arc<LinkState>, id: [u8; 16], delivered: BoxFuture<Delivered> },
}

impl Connection {
    async fn batch(&mut self, publishes: Vec<ControlPublish>) -> Vec<Verdict> {
        self.holders.clear();
        let mut pending = Vec::with_capacity(publishes.len());
        for publish in publishes {
            pending.push(match publish.is_message {
                true => self.message(publish),
                false => Pending::Now(self.route(publish).await),
            });
        }
        let mut verdicts = Vec::with_capacity(pending.len());
        for one in pending {
            verdicts.push(match one {
                Pending::Now(verdict) => verdict,
                Pending::Delivery { link, id, delivered } => settle(&link, id, delivered.await),
            });
        }
        verdicts
    }

    /// Deliveries start in order; they are awaited together at the end of the batch.
    fn message(&mut self, publish: ControlPublish) -> Pending {
        let Some(link) = self.shared.registry.get(&publish.cluster) else {
            self.log_drop(&publish.cluster, &DropCause::UnknownLink);
            return Pending::Now(Verdict::Ack(code::NOT_AUTHORIZED));
        };
        let counters = &link.board.inbound;
        counters.received.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(publish.payload.len() as u64, Ordering::Relaxed);
        match self.decide(&link, &publish.cluster, publish.payload) {
            Inbound::Deliver(record) => {
                self.note_skew(&link, &publish.cluster, record.timestamp_ms);
                let id = record.id;
                let delivered = self.shared.ports.publish.deliver(publish.cluster, record);
                Pending::Delivery { link, id, delivered }
            }
            Inbound::Drop { code, why } => {
                let counter = match why {
                    DropCause::Filtered | DropCause::LinkDisabled => &counters.filtered,
                    DropCause::Duplicate => &counters.duplicates,
                    _ => &counters.rejected,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                self.log_drop(&publish.cluster, &why);
                Pending::Now(Verdict::Ack(code))
            }
        }
    }

    /// Who may speak for the remote when no rule says so: who does in the cluster, else here.
    fn holder(&mut self, link: &LinkState, cluster: &Arc<str>) -> Option<Principal> {
        let leader = &self.shared.ports.leader;
        let known = self
            .holders
            .entry(cluster.clone())
            .or_insert_with(|| leader.holder(cluster).and_then(|text| Principal::from_text(&text)));
        known
            .clone()
            .or_else(|| link.speakers.lock().holder().map(|holder| holder.principal.clone()))
    }

    fn decide(&mut self, link: &Arc<LinkState>, cluster: &Arc<str>, payload: Bytes) -> Inbound {
        let holder = self.holder(link, cluster);
        let entry = link.entry.read();
        let facts = InboundLink {
            enabled: entry.config.enable,
            topics: &entry.config.topics,
            rule: &entry.config.inbound,
            holder: holder.as_ref(),
        };
        match inbound::admit(Some(facts), &self.client.identity) {
            Err(refusal) => refusal,
            Ok(facts) => {
                if !self.spoke_for.iter().any(|known| Arc::ptr_eq(known, link)) {
                    self.speak_for(link.clone());
                }
                let decoded = MessageRecord::decode(payload, self.shared.limits);
                inbound::decide(facts, decoded, &link.seen.lock())
            }
        }
    }

    /// O-6.
    fn note_skew(&self, link: &LinkState, cluster: &str, published_ms: i64) {
        let now = Instant::now();
        let mut estimate = link.skew.lock();
        estimate.note(now, now_ms(), published_ms);
        if let Some(remote_behind_ms) = estimate.to_log(now) {
            tracing::warn!(link = cluster, remote_behind_ms, "cluster_link_clock_skew");
        }
    }

    fn speak_for(&mut self, link: Arc<LinkState>) {
        let speaker = Speaker::of(&self.client.identity);
        link.speakers.lock().joined(speaker, self.client.connection);
        self.spoke_for.push(link);
    }

    fn log_drop(&self, cluster: &str, why: &DropCause) {
        let client_id = self.client.identity.client_id.as_str();
        let expected =
            matches!(why, DropCause::Filtered | DropCause::Duplicate | DropCause::LinkDisabled);
        if expected {
            tracing::debug!(link = cluster, client_id, ?why, "forwarded message dropped");
            return;
        }
        let event = "unexpected_cluster_link_forwarded_msg_payload";
        let cause = format!("{why:?}");
        if let Some(omitted) = self.shared.throttle.admit(event, cluster, drop_word(why)) {
            let cause = spanmq_link_protocol::reason::bounded(&cause);
            let link = spanmq_link_protocol::reason::bounded(cluster);
            tracing::warn!(
                link,
                client_id,
                cause,
                omitted,
                "unexpected_cluster_link_forwarded_msg_payload"
            );
        }
    }

    async fn route(&mut self, publish: ControlPublish) -> Verdict {
        self.next_token += 1;
        let link = self.shared.registry.get(&publish.cluster);
        let holder = link.as_ref().and_then(|link| self.holder(link, &publish.cluster));
        let facts = link.as_ref().map(|link| {
            let entry = link.entry.read();
            let (enabled, inbound) = (entry.config.enable, entry.config.inbound.clone());
            LinkFacts { enabled, inbound, holder }
        });
        let event = Event::Publish(RoutePublish {
            token: PublishToken(self.next_token),
            cluster: publish.cluster.to_string(),
            link: facts,
            payload: publish.payload,
            response_topic: publish.response_topic,
            correlation_data: publish.correlation_data,
        });
        let mut verdict = Verdict::Ack(code::SUCCESS);
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for command in self.machine.handle(event) {
                match command {
                    Command::Ack { code, .. } => verdict = Verdict::Ack(code),
                    Command::Disconnect { code, cause } => {
                        self.log_disconnect(&cause);
                        return Verdict::Disconnect(code);
                    }
                    other => events.extend(self.perform(other, link.as_ref()).await),
                }
            }
        }
        verdict
    }

    async fn perform(&mut self, command: Command, link: Option<&Arc<LinkState>>) -> Option<Event> {
        match command {
            Command::ActorInit { token, actor, incarnation, principal } => {
                let is_bound = link.is_some_and(|l| !l.entry.read().config.inbound.is_empty());
                let by = (!is_bound).then(|| principal.to_text());
                let outcome = self.actor_init(&actor, incarnation, by).await;
                if let (InitOutcome::Accepted { .. }, Some(link)) = (outcome, link) {
                    self.speak_for(link.clone());
                }
                Some(Event::InitDone { token, outcome })
            }
            Command::RouteOps { token, actor, incarnation, ops } => {
                let outcome = self.route_ops(&actor, incarnation, ops).await;
                Some(Event::RoutesDone { token, outcome })
            }
            Command::Heartbeat { actor, incarnation } => {
                self.shared.beats.note(&actor, incarnation, Sign::Heartbeat);
                None
            }
            Command::Answer { topic, correlation_data, payload } => {
                self.shared.ports.publish.answer(topic, correlation_data, payload);
                None
            }
            Command::Note(note) => {
                self.log_note(&note);
                None
            }
            Command::Ack { .. } | Command::Disconnect { .. } => None,
        }
    }

    fn log_disconnect(&self, cause: &str) {
        let client_id = self.client.identity.client_id.as_str();
        let event = "cluster_link_protocol_error";
        if let Some(omitted) = self.shared.throttle.admit(event, client_id, cause) {
            tracing::warn!(client_id, cause, omitted, "cluster_link_protocol_error");
        }
    }

    fn log_note(&self, note: &Note) {
        let local_cluster = &*self.shared.local_cluster;
        let (event, from_cluster, reason, known_as) = match note {
            Note::InitRejected { cluster, word, known_as } => {
                ("cluster_link_actor_init_rejected", cluster, word.as_str(), known_as.as_str())
            }
            Note::IdentityMismatch { cluster, .. } => {
                ("cluster_link_identity_mismatch", cluster, "identity_mismatch", "")
            }
            Note::BadFilters { cluster, .. } => {
                ("cluster_link_bad_filters", cluster, "bad_filters", "")
            }
            Note::TrailingBytes { cluster, .. } => {
                ("cluster_link_trailing_bytes", cluster, "trailing_bytes", "")
            }
            Note::OverCap { cluster, what } => ("cluster_link_over_cap", cluster, *what, ""),
        };
        let Some(omitted) = self.shared.throttle.admit(event, from_cluster, reason) else { return };
        let client_id = self.client.identity.client_id.as_str();
        tracing::warn!(
            event,
            from_cluster,
            local_cluster,
            local_known_as = known_as,
            reason,
            client_id,
            omitted,
            "{event}"
        );
    }

    async fn propose(&self, command: RemoteCommand) -> Option<RemoteReply> {
        let proposal = self.shared.ports.learnt.propose(vec![StateCommand::Remote(command)]);
        match proposal.await.ok()?.pop()? {
            Reply::Remote(reply) => Some(reply),
            _ => None,
        }
    }

    /// `by`: who speaks, when no rule says who may.
    async fn actor_init(
        &self,
        key: &ActorKey,
        incarnation: u64,
        by: Option<String>,
    ) -> InitOutcome {
        let (peer, actor) = (key.cluster.as_str().into(), key.actor.as_str().into());
        let at_ms = now_ms();
        let init = match by.map(Arc::from) {
            None => RemoteCommand::ActorInit { peer, actor, incarnation, at_ms },
            Some(principal) => {
                RemoteCommand::ActorInitBy { peer, actor, incarnation, at_ms, principal }
            }
        };
        match self.propose(init).await {
            Some(RemoteReply::Accepted { need_bootstrap, .. }) => {
                self.shared.beats.note(key, incarnation, Sign::Handshake);
                InitOutcome::Accepted { need_bootstrap }
            }
            Some(RemoteReply::UnknownCluster) => InitOutcome::UnknownCluster,
            Some(RemoteReply::LinkDisabled) => InitOutcome::LinkDisabled,
            Some(RemoteReply::TooManyActors { .. }) => InitOutcome::TooManyActors,
            Some(RemoteReply::HeldBy { .. }) => InitOutcome::HeldByOther,
            Some(_) => InitOutcome::Stale,
            None => InitOutcome::NoQuorum,
        }
    }

    async fn route_ops(
        &self,
        key: &ActorKey,
        incarnation: u64,
        ops: Vec<RouteOp>,
    ) -> RoutesOutcome {
        let (peer, actor) = (key.cluster.as_str().into(), key.actor.as_str().into());
        let ops = ops.into_iter().map(remote_op).collect();
        self.shared.beats.note(key, incarnation, Sign::BatchReceived);
        let reply = self.propose(RemoteCommand::RouteOps { peer, actor, incarnation, ops }).await;
        self.shared.beats.note(key, incarnation, Sign::BatchDone);
        match reply {
            Some(RemoteReply::Done { invalid, .. }) => RoutesOutcome::Applied { invalid },
            Some(RemoteReply::TooManyRoutes { .. }) => RoutesOutcome::OverCap,
            Some(_) => RoutesOutcome::Stale,
            None => RoutesOutcome::NoQuorum,
        }
    }
}

fn remote_op(op: RouteOp) -> RemoteOp {
    let (filter, id) = (op.key.filter, op.key.id);
    match op.action {
        RouteAction::Add => RemoteOp::Add { filter, id },
        RouteAction::Delete => RemoteOp::Delete { filter, id },
    }
}

/// The id counts as seen only now that the delivery is held (W-44).
fn settle(link: &LinkState, id: [u8; 16], delivered: Delivered) -> Verdict {
    let found = match delivered {
        Delivered::Held => true,
        Delivered::NoSubscribers => false,
        Delivered::Refused(code) => return Verdict::Ack(code),
    };
    link.seen.lock().record(id);
    if found {
        link.board.inbound.delivered.fetch_add(1, Ordering::Relaxed);
    }
    Verdict::Ack(Inbound::delivered_code(found))
}

fn drop_word(why: &DropCause) -> &'static str {
    match why {
        DropCause::UnknownLink => "unknown_link",
        DropCause::IdentityMismatch => "identity_mismatch",
        DropCause::LinkDisabled => "link_disabled",
        DropCause::BadPayload(_) => "bad_payload",
        DropCause::BadTopic => "bad_topic",
        DropCause::Filtered => "filtered",
        DropCause::Duplicate => "duplicate",
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
