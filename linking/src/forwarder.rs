//! One forwarding connection of a link's pool: performs what its machine decides (2.6).

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, Supervised};
use ntex_mqtt::v5::codec::ConnectAck;
use parking_lot::Mutex;
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::forward::{
    CONNECT_LIMIT, Command, ConnectionState, Event, ForwardCounters, ForwardSettings,
    Forwarder as Machine, Item, Outcome,
};
use spanmq_link_protocol::ids::{NodeHash, forwarder};
use spanmq_link_protocol::message::Qos;
use spanmq_link_protocol::reason::{Reason, ReasonWord};
use spanmq_link_protocol::topics;

use crate::board::{Board, state_word};
use crate::buffer::LinkBuffer;
use crate::client::{self, ConnectSpec, Connected, Incoming, Outgoing, Wire};
use crate::throttle::Throttle;
use crate::timer::{self, Timed, Timers};

/// When to look again whether a full connection has room.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// What a forwarder is started with; it builds all its state from this, also after a panic.
#[derive(Clone)]
pub(crate) struct ForwarderParts {
    pub(crate) link: Arc<LinkConfig>,
    pub(crate) local_cluster: Arc<str>,
    pub(crate) node: Arc<str>,
    /// Number in the pool, from 1.
    pub(crate) number: u32,
    pub(crate) board: Arc<Board>,
    pub(crate) buffer: Arc<Mutex<LinkBuffer>>,
    /// Of the buffer's lanes, for which this connection was made.
    pub(crate) generation: u64,
    pub(crate) throttle: Arc<Throttle>,
    /// Set while a wake-up is on its way, so that at most one is.
    pub(crate) woken: Arc<AtomicBool>,
    pub(crate) paused: bool,
}

pub(crate) struct ForwardActor {
    parts: ForwarderParts,
    machine: Machine,
    topic: String,
    wire: Wire,
    waiting: HashMap<NonZeroU16, u64>,
    sent_at: HashMap<u64, Instant>,
    next_id: u16,
    timers: Timers,
    /// What the board has been told.
    shown: ForwardCounters,
    /// Messages wanted as soon as the connection has room for more bytes.
    postponed: usize,
}

impl ForwardActor {
    pub(crate) fn new(parts: ForwarderParts) -> Self {
        let topic = topics::message(&parts.local_cluster);
        let settings = ForwardSettings {
            max_inflight: parts.link.effective_inflight(),
            retry_interval: parts.link.retry_interval.as_duration(),
            topic: topic.clone(),
        };
        Self {
            machine: Machine::new(settings, Box::new(rand::random::<u64>), Instant::now()),
            topic,
            wire: Wire::default(),
            waiting: HashMap::new(),
            sent_at: HashMap::new(),
            next_id: 0,
            timers: Timers::default(),
            shown: ForwardCounters::default(),
            postponed: 0,
            parts,
        }
    }

    fn queue(&self) -> usize {
        self.parts.number.saturating_sub(1) as usize
    }

    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        let mut events = std::collections::VecDeque::from([event]);
        // A fetch answers at once; going around in a loop keeps the stack flat.
        while let Some(event) = events.pop_front() {
            for command in self.machine.handle(Instant::now(), event) {
                events.extend(self.perform(command, ctx));
            }
        }
        let counters = self.machine.counters();
        self.parts.board.counted(self.parts.number, &counters, &mut self.shown);
        let deadline = self.machine.next_deadline();
        timer::arm(self, ctx, deadline);
    }

    fn perform(&mut self, command: Command, ctx: &mut Context<Self>) -> Option<Event> {
        match command {
            Command::Connect { attempt } => {
                self.waiting.clear();
                let link = self.parts.link.clone();
                let node = NodeHash::of(&self.parts.node);
                let client_id = forwarder(&link.clientid, &node, self.parts.number);
                let spec = ConnectSpec { link, client_id, random: rand::random() };
                client::connect(self, ctx, spec, attempt, CONNECT_LIMIT);
            }
            Command::Fetch { count } => return self.fetch(count, ctx),
            Command::Publish { item, carrier_qos, resend } => {
                self.publish(&item, carrier_qos, resend, ctx);
            }
            Command::Settle { seq, outcome } => self.settle(seq, outcome),
            // Settling removes each item; nothing is left to trim.
            Command::Trim { .. } => {}
            Command::Close => self.wire.close(),
            Command::Report { state, reason, loud } => self.report(state, reason, loud),
        }
        None
    }

    /// QoS 0 has no window, so a remote that reads slowly is seen only in the output buffer: while
    /// that is full, messages stay in the link's buffer, where they are bounded and counted.
    fn fetch(&mut self, count: usize, ctx: &mut Context<Self>) -> Option<Event> {
        if self.wire.link.as_ref().is_some_and(client::Link::is_full) {
            if self.postponed == 0 {
                ctx.run_later(FULL_PAUSE, |actor, ctx| {
                    let count = std::mem::take(&mut actor.postponed);
                    if let Some(event) = actor.fetch(count, ctx) {
                        actor.step(event, ctx);
                    }
                });
            }
            self.postponed = count.max(1);
            return None;
        }
        let mut buffer = self.parts.buffer.lock();
        Some(Event::Fetched(buffer.fetch(
            self.parts.generation,
            self.queue(),
            count,
            Instant::now(),
        )))
    }

    fn publish(&mut self, item: &Item, qos: Qos, resend: bool, ctx: &mut Context<Self>) {
        let id = (qos != Qos::AtMostOnce).then(|| {
            let id = self.packet_id();
            self.waiting.insert(id, item.seq);
            self.sent_at.entry(item.seq).or_insert_with(Instant::now);
            id
        });
        // A new connection has no session, so a repeat is a first PUBLISH there: DUP stays 0 (W-32).
        let _ = resend;
        let publish =
            Outgoing { topic: &self.topic, payload: &item.payload, id, dup: false, answer: None };
        let result = self.wire.link.as_ref().map_or(Ok(()), |link| link.publish(&publish));
        if let Err(reason) = result {
            ctx.notify(Broken(reason));
        }
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

    fn settle(&mut self, seq: u64, outcome: Outcome) {
        match outcome {
            Outcome::Failed { code } => {
                self.parts.board.failed(ReasonWord::from_ack(code).as_str())
            }
            Outcome::TooLarge => self.parts.board.failed(ReasonWord::PacketTooLarge.as_str()),
            Outcome::Success | Outcome::Expired => {}
        }
        if let Some(at) = self.sent_at.remove(&seq)
            && outcome == Outcome::Success
        {
            self.parts.board.latency(at.elapsed());
        }
        self.parts.buffer.lock().settle(seq, outcome == Outcome::Expired);
    }

    fn report(&self, state: ConnectionState, reason: Option<Reason>, loud: bool) {
        // One that ends says nothing: its number may be taken by a new one, or be gone.
        if state == ConnectionState::Stopped {
            return;
        }
        let (link, connection) = (self.parts.link.name.as_str(), self.parts.number);
        let why = reason.as_ref().map(ToString::to_string);
        let event = "cluster_link_forwarding_client_disconnected";
        let word = reason.as_ref().map_or("", |reason| reason.word.as_str());
        if state == ConnectionState::Disconnected
            && loud
            && self.parts.throttle.admit(event, link, word).is_some()
        {
            tracing::info!(
                link,
                connection,
                reason = why,
                "cluster_link_forwarding_client_disconnected"
            );
        } else {
            let state = state_word(state);
            tracing::debug!(link, connection, state, reason = why, "forwarding connection");
        }
        self.show(state, reason);
    }

    fn show(&self, state: ConnectionState, reason: Option<Reason>) {
        let inflight = self.machine.inflight();
        self.parts.board.connection(self.parts.number, state, reason, inflight);
    }
}

impl Actor for ForwardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_secs(1), |actor, _| {
            let (state, reason) = actor.machine.state();
            actor.show(state, reason.cloned());
        });
        if self.parts.paused {
            self.step(Event::Pause, ctx);
        }
        self.step(Event::Tick, ctx);
        self.step(Event::Available, ctx);
    }
}

impl Supervised for ForwardActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Self::new(self.parts.clone());
    }
}

impl Timed for ForwardActor {
    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.step(Event::Tick, ctx);
    }
}

impl Connected for ForwardActor {
    fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn on_open(&mut self, connack: &ConnectAck, ctx: &mut Context<Self>) {
        let (receive_maximum, maximum_packet_size) =
            (Some(connack.receive_max.get()), connack.max_packet_size);
        self.step(Event::Connected { receive_maximum, maximum_packet_size }, ctx);
    }

    fn on_lost(&mut self, reason: Reason, ctx: &mut Context<Self>) {
        self.waiting.clear();
        self.step(Event::Lost(reason), ctx);
    }

    fn on_incoming(&mut self, packet: Incoming, ctx: &mut Context<Self>) {
        if let Incoming::Ack { id, code } = packet
            && let Some(seq) = self.waiting.remove(&id)
        {
            self.step(Event::Ack { seq, code }, ctx);
        }
    }
}

/// The connection did not take a packet.
#[derive(Message)]
#[rtype(result = "()")]
struct Broken(Reason);

impl Handler<Broken> for ForwardActor {
    type Result = ();

    fn handle(&mut self, Broken(reason): Broken, ctx: &mut Context<Self>) {
        client::lose(self, ctx, reason);
    }
}

/// The buffer has something for this connection.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

impl Handler<Wake> for ForwardActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.parts.woken.store(false, Ordering::Release);
        self.step(Event::Available, ctx);
    }
}

/// Buffer only, or send again.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetPaused(pub(crate) bool);

impl Handler<SetPaused> for ForwardActor {
    type Result = ();

    fn handle(&mut self, SetPaused(paused): SetPaused, ctx: &mut Context<Self>) {
        self.parts.paused = paused;
        self.step(if paused { Event::Pause } else { Event::Resume }, ctx);
    }
}

/// Close and end; what is buffered stays in the buffer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StopForwarding;

impl Handler<StopForwarding> for ForwardActor {
    type Result = ();

    fn handle(&mut self, _: StopForwarding, ctx: &mut Context<Self>) {
        self.step(Event::Stop, ctx);
        self.wire.close();
        ctx.stop();
    }
}
