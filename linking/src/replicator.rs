//! The replication actor of one link on this node: performs what its machine decides (2.4).

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_stream;
use actix::{Actor, ActorStreamExt, AsyncContext, Context, Handler, Message, Supervised};
use futures_util::stream;
use ntex_mqtt::v5::codec::ConnectAck;
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::ids::{NodeHash, routesync, routesync_ps};
use spanmq_link_protocol::interest::{Interest, LocalSubscription, Source};
use spanmq_link_protocol::message::RouteOp;
use spanmq_link_protocol::reason::{Reason, ReasonWord};
use spanmq_link_protocol::replication::{
    CONNECT_LIMIT, Command, Event, PERSISTENT_ACTOR, Packet, PacketToken, Phase, Replication,
    ReplicationCounters, ReplicationSettings,
};
use spanmq_topic::Subscription;

use crate::board::Board;
use crate::client::{self, ConnectSpec, Connected, Incoming, Outgoing, Wire};
use crate::incarnation::Incarnations;
use crate::ports::{DurableSubscription, InterestEvent, LocalInterest};
use crate::throttle::Throttle;
use crate::timer::{self, Timed, Timers};

/// What an actor is started with; it builds all its state from this, also after a panic.
#[derive(Clone)]
pub(crate) struct ReplicatorParts {
    pub(crate) link: Arc<LinkConfig>,
    pub(crate) local_cluster: Arc<str>,
    pub(crate) node: Arc<str>,
    pub(crate) resync_interval: Option<Duration>,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) board: Arc<Board>,
    pub(crate) interest: Arc<dyn LocalInterest>,
    pub(crate) incarnations: Arc<Incarnations>,
    pub(crate) throttle: Arc<Throttle>,
    /// Reports the cluster's durable sessions instead of the node's subscriptions (W-12).
    pub(crate) durable: bool,
}

impl ReplicatorParts {
    fn actor(&self) -> &str {
        if self.durable { PERSISTENT_ACTOR } else { &self.node }
    }

    /// The durable actor's is replicated and the same on all nodes (C-12).
    fn incarnation(&self) -> u64 {
        match self.durable {
            true => self.link.ps_actor_incarnation,
            false => self.incarnations.next(&self.link.name),
        }
    }
}

pub(crate) struct Replicator {
    parts: ReplicatorParts,
    machine: Replication,
    interest: Interest,
    /// The first snapshot of local subscriptions is here; before it no bootstrap may start.
    fed: bool,
    snapshot_wanted: bool,
    wire: Wire,
    waiting: HashMap<NonZeroU16, PacketToken>,
    next_id: u16,
    timers: Timers,
    /// What the board has been told.
    shown: ReplicationCounters,
}

impl Replicator {
    pub(crate) fn new(parts: ReplicatorParts) -> Self {
        let settings = ReplicationSettings {
            local_cluster: parts.local_cluster.to_string(),
            remote_cluster: parts.link.name.clone(),
            actor: parts.actor().to_owned(),
            resync_interval: parts.resync_interval,
            heartbeat_interval: parts.heartbeat_interval,
            pending_keys_max: spanmq_link_protocol::replication::PENDING_KEYS_MAX,
        };
        let incarnation = parts.incarnation();
        let entropy = Box::new(rand::random::<u64>);
        Self {
            machine: Replication::new(settings, incarnation, entropy, Instant::now()),
            interest: Interest::new(parts.link.topics.clone()),
            fed: false,
            snapshot_wanted: false,
            wire: Wire::default(),
            waiting: HashMap::new(),
            next_id: 0,
            timers: Timers::default(),
            shown: ReplicationCounters::default(),
            parts,
        }
    }

    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        for command in self.machine.handle(Instant::now(), event) {
            tracing::trace!(link = %self.parts.link.name, ?command, "replication command");
            self.perform(command, ctx);
        }
        let deadline = self.machine.next_deadline();
        timer::arm(self, ctx, deadline);
    }

    fn perform(&mut self, command: Command, ctx: &mut Context<Self>) {
        match command {
            Command::Connect { attempt } => {
                self.waiting.clear();
                let link = self.parts.link.clone();
                let node = NodeHash::of(&self.parts.node);
                let client_id = match self.parts.durable {
                    true => routesync_ps(&link.clientid, &node),
                    false => routesync(&link.clientid, &node),
                };
                let spec = ConnectSpec { link, client_id, random: rand::random() };
                client::connect(self, ctx, spec, attempt, CONNECT_LIMIT);
            }
            Command::Subscribe { topic } => {
                let id = self.packet_id();
                self.send(ctx, |link| link.subscribe(id, &topic));
            }
            Command::Publish(packet) => self.publish(packet, ctx),
            Command::TakeSnapshot => {
                self.snapshot_wanted = true;
                self.give_snapshot(ctx);
            }
            Command::RenewIncarnation => {
                let next = self.parts.incarnation();
                self.step(Event::Incarnation(next), ctx);
            }
            Command::Close => self.wire.close(),
            Command::Report { phase, reason, loud } => self.report(phase, reason, loud),
        }
    }

    fn give_snapshot(&mut self, ctx: &mut Context<Self>) {
        if self.fed && std::mem::take(&mut self.snapshot_wanted) {
            let routes = self.interest.snapshot();
            self.step(Event::Snapshot(routes), ctx);
        }
    }

    fn publish(&mut self, packet: Packet, ctx: &mut Context<Self>) {
        let id = packet.token.map(|token| {
            let id = self.packet_id();
            self.waiting.insert(id, token);
            id
        });
        let answer = packet.answer.as_ref().map(|(topic, id)| (topic.as_str(), id.as_str()));
        self.send(ctx, |link| {
            let topic = packet.topic.as_str();
            link.publish(&Outgoing { topic, payload: &packet.payload, id, dup: false, answer })
        });
    }

    fn packet_id(&mut self) -> NonZeroU16 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            match NonZeroU16::new(self.next_id) {
                Some(id) if !self.waiting.contains_key(&id) => return id,
                _ => {}
            }
        }
    }

    /// A connection that does not take a packet is lost; the machine hears it afterwards, so that
    /// its commands are performed in order.
    fn send(
        &mut self,
        ctx: &mut Context<Self>,
        write: impl FnOnce(&client::Link) -> Result<(), Reason>,
    ) {
        let result = self.wire.link.as_ref().map_or(Ok(()), write);
        if let Err(reason) = result {
            ctx.notify(Broken(reason));
        }
    }

    fn report(&mut self, phase: Phase, reason: Option<Reason>, loud: bool) {
        let link = self.parts.link.name.as_str();
        let actor = self.parts.actor();
        let why = reason.as_ref().map(ToString::to_string);
        let word = reason.as_ref().map_or("", |reason| reason.word.as_str());
        let admit = |event| self.parts.throttle.admit(event, link, word).is_some();
        match (phase, loud) {
            (Phase::Online, _) => tracing::info!(link, actor, "cluster_link_routerepl_online"),
            (Phase::Rejected, true) if admit("cluster_link_routerepl_handshake_rejected") => {
                tracing::warn!(
                    link,
                    actor,
                    reason = why,
                    "cluster_link_routerepl_handshake_rejected"
                );
            }
            (Phase::Disconnected, true) if admit("cluster_link_routerepl_connection_down") => {
                tracing::info!(
                    link,
                    actor,
                    reason = why,
                    word,
                    "cluster_link_routerepl_connection_down"
                );
            }
            (phase, _) => tracing::debug!(link, actor, ?phase, reason = why, "replication phase"),
        }
        self.show(phase, reason);
    }

    fn show(&mut self, phase: Phase, reason: Option<Reason>) {
        let counters = self.machine.counters();
        let parts = &self.parts;
        parts.board.replication(parts.actor(), phase, reason, counters, &mut self.shown);
    }

    fn interest_changed(&mut self, event: InterestEvent, ctx: &mut Context<Self>) {
        let ops: Vec<RouteOp> = match event {
            InterestEvent::Snapshot(all) => {
                let all: Vec<_> = all.iter().map(local).collect();
                self.fed = true;
                self.interest.replace_all(&all)
            }
            InterestEvent::Changes(changes) => changes
                .iter()
                .flat_map(|(subscription, wanted)| {
                    let subscription = local(subscription);
                    match wanted {
                        true => self.interest.subscribe(&subscription),
                        false => self.interest.unsubscribe(&subscription),
                    }
                })
                .collect(),
        };
        self.routes_changed(ops, ctx);
    }

    fn durable_changed(&mut self, all: &[DurableSubscription], ctx: &mut Context<Self>) {
        let all: Vec<_> = all.iter().map(durable).collect();
        self.fed = true;
        let ops = self.interest.replace_all(&all);
        self.routes_changed(ops, ctx);
    }

    fn routes_changed(&mut self, ops: Vec<RouteOp>, ctx: &mut Context<Self>) {
        if !ops.is_empty() {
            self.step(Event::Routes(ops), ctx);
        }
        self.give_snapshot(ctx);
    }

    fn follow(&self, ctx: &mut Context<Self>) {
        if self.parts.durable {
            let sets = stream::unfold(self.parts.interest.follow_durable(), |mut follow| async {
                let set = follow.next().await;
                Some((set, follow))
            });
            let sets = wrap_stream::<_, Self>(sets);
            ctx.spawn(sets.map(|all, actor, ctx| actor.durable_changed(&all, ctx)).finish());
            return;
        }
        let changes = stream::unfold(self.parts.interest.follow(), |mut follow| async {
            let event = follow.next().await;
            Some((event, follow))
        });
        let changes = wrap_stream::<_, Self>(changes);
        ctx.spawn(changes.map(|event, actor, ctx| actor.interest_changed(event, ctx)).finish());
    }
}

fn durable(subscription: &DurableSubscription) -> LocalSubscription {
    let session = subscription.session.to_string();
    let (filter, source) = match &subscription.filter {
        Subscription::Plain(filter) => (filter.as_str(), Source::Durable { session }),
        Subscription::Shared(shared) => {
            let group = shared.group.to_string();
            (shared.filter.as_str(), Source::DurableShared { group, session })
        }
    };
    LocalSubscription { filter: filter.to_owned(), source }
}

fn local(subscription: &Subscription) -> LocalSubscription {
    match subscription {
        Subscription::Plain(filter) => {
            LocalSubscription { filter: filter.as_str().to_owned(), source: Source::Plain }
        }
        Subscription::Shared(shared) => LocalSubscription {
            filter: shared.filter.as_str().to_owned(),
            source: Source::Shared { group: shared.group.to_string() },
        },
    }
}

impl Actor for Replicator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.follow(ctx);
        ctx.run_interval(Duration::from_secs(1), |actor, _| {
            let (phase, reason) = actor.machine.phase();
            let reason = reason.cloned();
            actor.show(phase, reason);
        });
        self.step(Event::Tick, ctx);
    }
}

impl Supervised for Replicator {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Self::new(self.parts.clone());
    }
}

impl Timed for Replicator {
    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.step(Event::Tick, ctx);
    }
}

impl Connected for Replicator {
    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn on_open(&mut self, connack: &ConnectAck, ctx: &mut Context<Self>) {
        self.step(Event::Connected { maximum_packet_size: connack.max_packet_size }, ctx);
    }

    fn on_lost(&mut self, reason: Reason, ctx: &mut Context<Self>) {
        self.waiting.clear();
        self.step(Event::Lost(reason), ctx);
    }

    fn on_incoming(&mut self, packet: Incoming, ctx: &mut Context<Self>) {
        match packet {
            Incoming::Ack { id, code } => {
                if let Some(token) = self.waiting.remove(&id) {
                    self.step(Event::PubAck { token, code }, ctx);
                }
            }
            Incoming::SubAck { code } => self.step(Event::SubAck { code }, ctx),
            Incoming::Publish { id, correlation_data, payload, .. } => {
                if let Some(id) = id {
                    self.send(ctx, |link| link.acknowledge(id));
                }
                self.step(Event::Answer { correlation_data, payload }, ctx);
            }
            Incoming::Pong | Incoming::Disconnect(_) | Incoming::Other => {}
        }
    }
}

/// The connection did not take a packet.
#[derive(Message)]
#[rtype(result = "()")]
struct Broken(Reason);

impl Handler<Broken> for Replicator {
    type Result = ();

    fn handle(&mut self, Broken(reason): Broken, ctx: &mut Context<Self>) {
        client::lose(self, ctx, reason);
    }
}

/// The link is disabled, changed or deleted: say good-bye and end.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop(pub(crate) ReasonWord);

impl Handler<Stop> for Replicator {
    type Result = ();

    fn handle(&mut self, Stop(word): Stop, ctx: &mut Context<Self>) {
        self.wire.close();
        // One that is replaced says nothing: the board is its successor's.
        if word == ReasonWord::Disabled {
            self.show(Phase::Disabled, Some(word.into()));
        }
        use actix::ActorContext;
        ctx.stop();
    }
}
