//! The state machine of one replication actor (table at the end of LINK-SPEC 2.4).

use super::bootstrap::Bootstrap;
use super::state::{Handshake, State, Sync};
use super::syncer::Syncer;
use super::{
    ANSWER_LIMIT, BATCH_ACK_LIMIT, CONNECT_LIMIT, Command, Event, Packet, PacketToken, Phase,
    RETRY_BASE, ReplicationCounters, ReplicationSettings,
};
use crate::Entropy;
use crate::ids::RequestId;
use crate::message::{
    ActorInit, BatchLimits, ControlOp, Heartbeat, InitResult, PROTOCOL_VERSION, RouteOp,
    encode_batch,
};
use crate::reason::{Reason, ReasonWord};
use crate::retry::Retry;
use crate::term::DecodeLimits;
use crate::topics;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Wait after an event to gather more (W-23).
const GATHER: Duration = Duration::from_millis(10);
/// After a refused batch: nothing before this, not even for new events (W-23).
const ERROR_PAUSE: Duration = Duration::from_millis(200);
/// After a refused batch: next try without new events (W-23).
const ERROR_RETRY: Duration = Duration::from_millis(500);
/// Refused batches in a row before the connection is given up.
const BATCH_ERRORS_MAX: u32 = 3;
/// An answer is a small map; more is not an answer.
const ANSWER_LIMITS: DecodeLimits =
    DecodeLimits { depth: 16, terms: 256, inflated_bytes: 64 * 1024 };

/// One actor of one link on one node.
pub struct Replication {
    settings: ReplicationSettings,
    /// `None` while a new one is awaited.
    incarnation: Option<u64>,
    entropy: Entropy,
    state: State,
    retry: Retry,
    limits: BatchLimits,
    syncer: Syncer,
    /// A snapshot of this incarnation was taken: from then on every change counts.
    collecting: bool,
    /// A bootstrap of this incarnation was acknowledged to its end.
    bootstrapped: bool,
    /// Last sign that the remote took something in.
    acknowledged_at: Option<Instant>,
    heartbeat_at: Instant,
    resync_at: Option<Instant>,
    next_token: u64,
    attempt: u64,
    shown: (Phase, Option<Reason>),
    counters: ReplicationCounters,
}

impl Replication {
    /// An actor that connects at its first event. `incarnation` is persisted already (W-11).
    pub fn new(
        settings: ReplicationSettings,
        incarnation: u64,
        entropy: Entropy,
        now: Instant,
    ) -> Replication {
        Replication {
            settings,
            incarnation: Some(incarnation),
            entropy,
            state: State::Disconnected { retry_at: now },
            retry: Retry::new(RETRY_BASE),
            limits: BatchLimits::default(),
            syncer: Syncer::default(),
            collecting: false,
            bootstrapped: false,
            acknowledged_at: None,
            heartbeat_at: now,
            resync_at: None,
            next_token: 0,
            attempt: 0,
            shown: (Phase::Connecting, Some(Reason::new(ReasonWord::Starting))),
            counters: ReplicationCounters::default(),
        }
    }

    /// Where the actor stands, with the last cause.
    pub fn phase(&self) -> (Phase, Option<&Reason>) {
        (self.shown.0, self.shown.1.as_ref())
    }

    pub fn counters(&self) -> ReplicationCounters {
        ReplicationCounters { pending: self.syncer.len() as u64, ..self.counters }
    }

    pub fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }

    /// Takes an event, returns what to do, in order. Late or unexpected events change nothing.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::Tick => self.tick(now, &mut out),
            Event::Connected { maximum_packet_size } => {
                self.connected(now, maximum_packet_size, &mut out);
            }
            Event::SubAck { code } => self.subscribed(now, code, &mut out),
            Event::PubAck { token, code } => self.acknowledged(now, token, code, &mut out),
            Event::Answer { correlation_data, payload } => {
                self.answered(now, &correlation_data, payload, &mut out);
            }
            Event::Lost(reason) => self.lost(now, reason, &mut out),
            Event::Routes(ops) => self.changed(now, ops, &mut out),
            Event::Snapshot(routes) => {
                if let State::Bootstrapping { work } = &mut self.state {
                    work.begin(routes, &self.settings.actor, self.limits);
                    self.continue_bootstrap(now, &mut out);
                }
            }
            Event::Incarnation(incarnation) => {
                if self.incarnation.is_none() {
                    self.incarnation = Some(incarnation);
                    self.tick(now, &mut out);
                }
            }
            Event::Stop => self.stop(&mut out),
        }
        out
    }

    /// When [`Event::Tick`] is due next; `None` when only other events can move the machine.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Disconnected { .. } if self.incarnation.is_none() => None,
            state => state.deadline(self.heartbeat_at, self.resync_at),
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Command>) {
        match &self.state {
            State::Disconnected { retry_at } if now >= *retry_at => self.connect(now, out),
            State::Connecting { deadline } if now >= *deadline => {
                self.fail(now, ReasonWord::ConnectTimeout.into(), out);
            }
            State::Subscribing { deadline } if now >= *deadline => {
                self.fail(now, ReasonWord::HandshakeTimeout.into(), out);
            }
            State::Handshaking(handshake) if now >= handshake.deadline => {
                self.fail(now, ReasonWord::HandshakeTimeout.into(), out);
            }
            State::Bootstrapping { work } => {
                if work.deadline().is_some_and(|deadline| now >= deadline) {
                    return self.fail(now, ReasonWord::BatchTimeout.into(), out);
                }
                self.heartbeat_when_due(now, out);
            }
            State::Online(sync) => {
                if sync.outstanding.is_some_and(|(_, deadline)| now >= deadline) {
                    return self.fail(now, ReasonWord::BatchTimeout.into(), out);
                }
                self.heartbeat_when_due(now, out);
                self.send_changes(now, out);
                self.resync_when_due(now, out);
            }
            _ => {}
        }
    }

    fn connect(&mut self, now: Instant, out: &mut Vec<Command>) {
        if self.incarnation.is_none() {
            return;
        }
        self.retry.attempt_starts(now);
        self.attempt = self.attempt.wrapping_add(1);
        self.state = State::Connecting { deadline: now + CONNECT_LIMIT };
        out.push(Command::Connect { attempt: self.attempt });
        self.show_quietly(Phase::Connecting, out);
    }

    fn connected(&mut self, now: Instant, packet_size: Option<u32>, out: &mut Vec<Command>) {
        if !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        self.limits = BatchLimits::for_packet_size(packet_size);
        self.state = State::Subscribing { deadline: now + ANSWER_LIMIT };
        out.push(Command::Subscribe { topic: self.response_topic() });
        self.show_quietly(Phase::Handshaking, out);
    }

    fn subscribed(&mut self, now: Instant, code: u8, out: &mut Vec<Command>) {
        let State::Subscribing { .. } = self.state else { return };
        if code >= 0x80 {
            let detail = format!("SUBACK {code:#04x}");
            let reason = Reason::with_detail(ReasonWord::RespSubscriptionDenied, &detail);
            return self.fail(now, reason, out);
        }
        let Some(incarnation) = self.incarnation else { return };
        let request = RequestId::from_random((self.entropy)().to_be_bytes());
        let token = self.token();
        let init = ActorInit {
            actor: self.settings.actor.clone(),
            incarnation,
            target_cluster: self.settings.remote_cluster.clone(),
            protocol_version: PROTOCOL_VERSION,
        };
        let answer = Some((self.response_topic(), request.as_str().to_owned()));
        out.push(self.packet(Some(token), init.encode(), answer));
        self.state = State::Handshaking(Handshake {
            request,
            token,
            deadline: now + ANSWER_LIMIT,
            acknowledged: false,
            answer: None,
        });
    }

    fn answered(&mut self, now: Instant, id: &[u8], payload: Bytes, out: &mut Vec<Command>) {
        let State::Handshaking(handshake) = &mut self.state else { return };
        if !handshake.request.answered_by(id) {
            return;
        }
        match ControlOp::decode(payload, ANSWER_LIMITS).map(|received| received.message) {
            Ok(ControlOp::ActorInitAck(ack)) if ack.actor == self.settings.actor => {
                match ack.result {
                    InitResult::Accepted { need_bootstrap } => {
                        handshake.answer = Some(need_bootstrap);
                        self.accept_when_complete(now, out);
                    }
                    InitResult::Refused { reason } => {
                        self.fail(now, Reason::from_refusal(&reason), out);
                    }
                }
            }
            Ok(_) => {
                let detail = "the answer to the handshake is something else";
                self.fail(now, Reason::with_detail(ReasonWord::ProtocolError, detail), out);
            }
            Err(error) => {
                let detail = error.to_string();
                self.fail(now, Reason::with_detail(ReasonWord::ProtocolError, &detail), out);
            }
        }
    }

    fn acknowledged(&mut self, now: Instant, token: PacketToken, code: u8, out: &mut Vec<Command>) {
        let refused = (code >= 0x80).then(|| {
            let detail = format!("PUBACK {code:#04x}");
            Reason::with_detail(ReasonWord::from_ack(code), &detail)
        });
        match &mut self.state {
            State::Handshaking(handshake) if handshake.token == token => match refused {
                Some(reason) => self.fail(now, reason, out),
                None => {
                    handshake.acknowledged = true;
                    self.accept_when_complete(now, out);
                }
            },
            State::Bootstrapping { work } if work.awaits(token) => match refused {
                Some(reason) => self.fail(now, reason, out),
                None => {
                    self.counters.sent_adds += work.acknowledged();
                    self.acknowledged_at = Some(now);
                    self.continue_bootstrap(now, out);
                }
            },
            State::Online(sync) if sync.outstanding.is_some_and(|(t, _)| t == token) => {
                sync.outstanding = None;
                match refused {
                    None => {
                        sync.errors = 0;
                        let (adds, deletes) = self.syncer.acknowledged();
                        self.counters.sent_adds += adds;
                        self.counters.sent_deletes += deletes;
                        self.acknowledged_at = Some(now);
                        sync.send_at = self.syncer.has_work().then_some(now);
                        self.send_changes(now, out);
                    }
                    Some(reason) => self.batch_refused(now, reason, out),
                }
            }
            _ => {}
        }
    }

    /// The remote took the packet but not the batch: try again on the same connection, unless it
    /// is a matter of rights or it goes on (W-23, W-26).
    fn batch_refused(&mut self, now: Instant, reason: Reason, out: &mut Vec<Command>) {
        self.syncer.unsent();
        let State::Online(sync) = &mut self.state else { return };
        sync.errors += 1;
        if reason.word == ReasonWord::AclDenied || sync.errors >= BATCH_ERRORS_MAX {
            return self.fail(now, reason, out);
        }
        sync.not_before = Some(now + ERROR_PAUSE);
        sync.send_at = Some(now + ERROR_RETRY);
    }

    /// PUBACK and answer come in any order; the handshake is over with the second (W-7).
    fn accept_when_complete(&mut self, now: Instant, out: &mut Vec<Command>) {
        let State::Handshaking(Handshake { acknowledged: true, answer: Some(need), .. }) =
            self.state
        else {
            return;
        };
        let stale = self
            .acknowledged_at
            .is_none_or(|at| now.duration_since(at) > self.settings.heartbeat_interval);
        self.acknowledged_at = Some(now);
        self.heartbeat_at = now + self.settings.heartbeat_interval;
        if need || !self.bootstrapped || stale {
            self.start_bootstrap(now, out);
            self.show_quietly(Phase::Bootstrapping, out);
        } else {
            self.go_online(now, out);
        }
    }

    fn start_bootstrap(&mut self, now: Instant, out: &mut Vec<Command>) {
        // Whatever was added and not yet sent is part of the snapshot; deletes are not.
        self.syncer.forget_adds();
        self.collecting = true;
        self.bootstrapped = false;
        self.state = State::Bootstrapping { work: Bootstrap::new(now) };
        out.push(Command::TakeSnapshot);
    }

    fn continue_bootstrap(&mut self, now: Instant, out: &mut Vec<Command>) {
        let State::Bootstrapping { work } = &mut self.state else { return };
        if let Some(batch) = work.next_batch() {
            let token = self.token();
            let packet = self.route_packet(token, &batch);
            if let State::Bootstrapping { work } = &mut self.state {
                work.sent(token, now + BATCH_ACK_LIMIT, batch.len());
            }
            self.counters.batches += 1;
            out.push(packet);
            return;
        }
        if work.is_done() {
            let took = now.duration_since(work.started());
            self.counters.bootstraps += 1;
            self.counters.last_bootstrap_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.bootstrapped = true;
            self.go_online(now, out);
        }
    }

    fn go_online(&mut self, now: Instant, out: &mut Vec<Command>) {
        let send_at = self.syncer.has_work().then_some(now);
        self.resync_at = self.settings.resync_interval.map(|interval| now + interval);
        self.state = State::Online(Sync { send_at, ..Sync::default() });
        self.retry.succeeded();
        self.show(Phase::Online, None, true, out);
        self.heartbeat_at = now;
        self.heartbeat_when_due(now, out);
        self.send_changes(now, out);
    }

    fn resync_when_due(&mut self, now: Instant, out: &mut Vec<Command>) {
        let State::Online(sync) = &self.state else { return };
        if sync.outstanding.is_none() && self.resync_at.is_some_and(|at| now >= at) {
            self.start_bootstrap(now, out);
        }
    }

    fn heartbeat_when_due(&mut self, now: Instant, out: &mut Vec<Command>) {
        let Some(incarnation) = self.incarnation.filter(|_| now >= self.heartbeat_at) else {
            return;
        };
        self.heartbeat_at = now + self.settings.heartbeat_interval;
        let beat = Heartbeat { actor: self.settings.actor.clone(), incarnation };
        out.push(self.packet(None, beat.encode(), None));
    }

    fn changed(&mut self, now: Instant, ops: Vec<RouteOp>, out: &mut Vec<Command>) {
        if !self.collecting || ops.is_empty() {
            return;
        }
        for op in ops {
            self.syncer.push(op);
        }
        if self.syncer.len() > self.settings.pending_keys_max {
            return self.start_over(now, out);
        }
        if let State::Online(sync) = &mut self.state
            && sync.outstanding.is_none()
        {
            let soon = sync.not_before.map_or(now + GATHER, |at| at.max(now + GATHER));
            sync.send_at = Some(sync.send_at.map_or(soon, |at| at.min(soon)));
        }
    }

    fn send_changes(&mut self, now: Instant, out: &mut Vec<Command>) {
        let State::Online(sync) = &mut self.state else { return };
        if sync.outstanding.is_some() || sync.send_at.is_none_or(|at| now < at) {
            return;
        }
        sync.send_at = None;
        let batch = self.syncer.next_batch(self.settings.actor.len(), self.limits).to_vec();
        if batch.is_empty() {
            return;
        }
        let token = self.token();
        if let State::Online(sync) = &mut self.state {
            sync.outstanding = Some((token, now + BATCH_ACK_LIMIT));
        }
        self.counters.batches += 1;
        out.push(self.route_packet(token, &batch));
    }

    /// Too much piled up. A bootstrap only adds, so the deletes must not just be forgotten: a new
    /// incarnation makes the remote drop everything first (W-23).
    fn start_over(&mut self, now: Instant, out: &mut Vec<Command>) {
        self.syncer.clear();
        self.collecting = false;
        self.bootstrapped = false;
        self.incarnation = None;
        self.fail(now, ReasonWord::SyncOverflow.into(), out);
        self.state = State::Disconnected { retry_at: now };
        out.push(Command::RenewIncarnation);
    }

    fn lost(&mut self, now: Instant, reason: Reason, out: &mut Vec<Command>) {
        if !matches!(self.state, State::Disconnected { .. } | State::Stopped) {
            self.disconnect(now, reason, out);
        }
    }

    /// Gives the connection up by our own decision.
    fn fail(&mut self, now: Instant, reason: Reason, out: &mut Vec<Command>) {
        if !matches!(self.state, State::Disconnected { .. } | State::Stopped) {
            out.push(Command::Close);
        }
        self.disconnect(now, reason, out);
    }

    fn disconnect(&mut self, now: Instant, reason: Reason, out: &mut Vec<Command>) {
        self.syncer.unsent();
        let reason = self.retry.judge_takeover(now, reason);
        let retry_at = self.retry.next_attempt(now, (self.entropy)());
        self.state = State::Disconnected { retry_at };
        let phase = if reason.word.is_refusal() { Phase::Rejected } else { Phase::Disconnected };
        let loud = self.retry.failed(reason.word);
        self.show(phase, Some(reason), loud, out);
    }

    fn stop(&mut self, out: &mut Vec<Command>) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        if !matches!(self.state, State::Disconnected { .. }) {
            out.push(Command::Close);
        }
        self.state = State::Stopped;
        self.show(Phase::Disabled, Some(ReasonWord::Disabled.into()), true, out);
    }

    /// A step of an attempt: the reason of the last failure stays visible until it succeeds.
    fn show_quietly(&mut self, phase: Phase, out: &mut Vec<Command>) {
        let reason = self.shown.1.clone();
        self.show(phase, reason, false, out);
    }

    fn show(&mut self, phase: Phase, reason: Option<Reason>, loud: bool, out: &mut Vec<Command>) {
        if self.shown.0 == phase && self.shown.1 == reason {
            return;
        }
        self.shown = (phase, reason.clone());
        out.push(Command::Report { phase, reason, loud });
    }

    fn token(&mut self) -> PacketToken {
        self.next_token = self.next_token.wrapping_add(1);
        PacketToken(self.next_token)
    }

    fn response_topic(&self) -> String {
        topics::response(&self.settings.local_cluster, &self.settings.actor)
    }

    fn packet(
        &self,
        token: Option<PacketToken>,
        payload: Bytes,
        answer: Option<(String, String)>,
    ) -> Command {
        let topic = topics::route(&self.settings.local_cluster);
        Command::Publish(Packet { token, topic, payload, answer })
    }

    fn route_packet(&self, token: PacketToken, batch: &[RouteOp]) -> Command {
        let incarnation = self.incarnation.unwrap_or_default();
        let payload = encode_batch(&self.settings.actor, incarnation, batch.iter());
        self.packet(Some(token), payload, None)
    }
}
