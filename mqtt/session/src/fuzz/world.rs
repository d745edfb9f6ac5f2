//! Server side of a random life: the session, its journal, its store, and the clock.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use spanmq_topic::{Subscription, TopicName};

use super::{
    client::{Ack, Receiver},
    publisher::Publisher,
};
use crate::{
    AckOutcome, ConnectTerms, Delivered, DropReason, Drops, JournalOp, Limits, MatchedOptions,
    Message, MessageId, Origin, Outgoing, Overflow, Properties, ProtocolVersion, PubrecOutcome,
    QoS, RetainHandling, Session, SessionExpiry, SessionMeta, SubscriptionOptions,
    codec::{decode_export, decode_op, encode_export, encode_op},
};

pub(super) const LIMITS: Limits = Limits {
    topic_bytes_max: 100,
    topic_levels_max: 8,
    filters_per_session_max: 4,
    filters_per_subscribe_max: 4,
    topic_aliases_max: 3,
    receive_max: 3,
    receive_v3_max: 3,
    awaiting_release_max: 8,
    awaiting_release_time: Duration::from_secs(300),
    in_flight_max: 5,
    inbox_messages_max: 6,
    inbox_bytes_max: 3_000,
    spill_messages_max: 8,
    spill_bytes_max: 4_000,
    overflow: Overflow::DropNewest,
    store_offline_qos0: false,
    retained_messages_max: 4,
    retained_bytes_max: 4_000,
    retained_message_bytes_max: 1_000,
    will_bytes_max: 100,
    session_expiry_max_s: None,
    message_expiry_max_s: Some(3_600),
    will_delay_max_s: 100,
    output_bytes_max: 1_000,
};

pub(super) struct World {
    now: Instant,
    session: Session,
    limits: Arc<Limits>,
    version: ProtocolVersion,
    receive_max: u16,
    journal: Vec<JournalOp>,
    store: HashMap<MessageId, Arc<Message>>,
    receiver: Receiver,
    publisher: Publisher,
    /// QoS 1 and 2 messages that the session took.
    accepted: BTreeSet<u32>,
    drops: Drops,
    next: u32,
}

impl World {
    pub(super) fn new(options: u8) -> Self {
        let v5 = options & 1 == 1;
        let overflow = if options & 4 == 4 { Overflow::DropOldest } else { Overflow::DropNewest };
        let store_offline_qos0 = options & 2 == 2;
        let limits = Arc::new(Limits { store_offline_qos0, overflow, ..LIMITS });
        let meta = SessionMeta {
            epoch: 1,
            owner: None,
            expiry: SessionExpiry::AtClose,
            offline_since_ms: None,
        };
        let mut world = Self {
            now: Instant::now(),
            session: Session::new("client".into(), meta, Arc::clone(&limits)),
            limits,
            version: if v5 { ProtocolVersion::V5 } else { ProtocolVersion::V311 },
            receive_max: if v5 { u16::from(options >> 4) + 1 } else { u16::MAX },
            journal: Vec::new(),
            store: HashMap::new(),
            receiver: Receiver::default(),
            publisher: Publisher::default(),
            accepted: BTreeSet::new(),
            drops: Drops::default(),
            next: 0,
        };
        world.connect(0);
        world
    }

    pub(super) fn step(&mut self, choice: u8, detail: u8) {
        match choice % 16 {
            0..=3 => self.deliver(detail),
            4 => self.pump(usize::from(detail) * 8),
            5 | 6 => self.receiver.read(detail > 230),
            7 | 8 => self.ack(detail),
            9 => self.publish(detail),
            10 if detail > 200 && !self.session.is_connected() => {}
            10 => self.publisher.finish(&mut self.session, detail, &mut self.journal),
            11 => self.release_all(),
            12 => self.store_step(detail),
            13 => self.connection_step(detail),
            14 => self.subscribe(detail),
            _ => self.disturb(detail),
        }
    }

    fn deliver(&mut self, detail: u8) {
        let qos = QoS::from_u8(detail % 3).expect("a remainder of three");
        let message = Arc::new(message(self.now, self.next, qos, detail));
        let number = self.next;
        self.next += 1;
        let options = MatchedOptions { qos: QoS::ExactlyOnce, ..MatchedOptions::default() };
        match self.session.deliver(self.now, &message, &options, &mut self.journal) {
            Delivered::Dropped(_) => return,
            Delivered::Spilled => assert!(qos.is_acknowledged()),
            Delivered::Queued => {}
            Delivered::Repeat => panic!("no journal here says that a message was taken"),
        }
        self.store.insert(message.id, message);
        if qos.is_acknowledged() {
            self.accepted.insert(number);
        }
    }

    fn pump(&mut self, room: usize) {
        let mut packets = Vec::new();
        let logged = self.journal.len();
        self.session.pump(self.now, room, &mut packets, &mut self.journal);
        // A flow whose PUBLISH has become too large for the client is over.
        for op in &self.journal[logged..] {
            if let JournalOp::Acked { packet_id, .. } = op {
                self.receiver.ended(*packet_id);
            }
        }
        let max = usize::from(self.receive_max.min(LIMITS.in_flight_max));
        for packet in packets {
            self.receiver.sniff(&packet, max);
            self.receiver.packets.push_back(packet);
        }
    }

    /// The server reads one of the client's answers, in any order: flows are independent.
    fn ack(&mut self, detail: u8) {
        if self.receiver.acks.is_empty() || !self.session.is_connected() {
            return;
        }
        let index = usize::from(detail) % self.receiver.acks.len();
        let journal = &mut self.journal;
        match self.receiver.acks.remove(index) {
            Ack::Puback(id) => {
                assert_eq!(self.session.on_puback(id, journal), AckOutcome::Done);
                self.receiver.ended(id);
            }
            Ack::Pubrec(id, code) => match self.session.on_pubrec(id, code, journal) {
                PubrecOutcome::Release => {
                    self.receiver.packets.push_back(Outgoing::Pubrel { packet_id: id });
                }
                PubrecOutcome::Ended => self.receiver.ended(id),
                outcome => panic!("PUBREC of an open flow: {outcome:?}"),
            },
            // Unknown: a PUBREC of before a cut made a second PUBREL.
            Ack::Pubcomp(id) => {
                assert_ne!(self.session.on_pubcomp(id, journal), AckOutcome::WrongFlow);
                self.receiver.ended(id);
            }
        }
    }

    fn publish(&mut self, detail: u8) {
        if self.session.is_connected() {
            let max = usize::from(LIMITS.receive_max);
            self.publisher.publish(&mut self.session, max, detail, &mut self.journal);
        }
    }

    fn release_all(&mut self) {
        if self.session.is_connected() {
            self.publisher.release_all(&mut self.session, &mut self.journal);
        }
    }

    fn store_step(&mut self, detail: u8) {
        let mut wanted = Vec::new();
        self.session.refill(&mut wanted);
        // Now and then the store answers in part only; the rest is asked for again.
        wanted.truncate(usize::from(detail).max(1));
        let found: Vec<_> =
            wanted.into_iter().map(|id| (id, self.store.get(&id).cloned())).collect();
        self.session.loaded(found, &mut self.journal);
    }

    fn connection_step(&mut self, detail: u8) {
        if self.session.is_connected() && !detail.is_multiple_of(4) {
            self.cut();
        } else {
            self.connect(detail);
        }
    }

    fn cut(&mut self) {
        self.session.disconnect(0, &mut self.journal);
        self.receiver.cut();
    }

    fn connect(&mut self, detail: u8) {
        self.receiver.cut();
        let terms = ConnectTerms {
            receive_max: self.receive_max,
            packet_size_max: (detail > 240).then_some(u32::from(detail)),
            topic_alias_max: u16::from(detail % 4),
            ..ConnectTerms::plain(self.version, SessionExpiry::Never)
        };
        self.session.connect(&terms, &mut self.journal);
        self.publisher.resend(&mut self.session, &mut self.journal);
    }

    fn subscribe(&mut self, detail: u8) {
        let filter = ["a/+", "b/#", "$share/g/c", "d", "e", "f"][usize::from(detail) % 6];
        let filter = Subscription::parse(filter).expect("a valid filter");
        if detail > 180 {
            self.session.unsubscribe(&filter, &mut self.journal);
            return;
        }
        let options = SubscriptionOptions {
            id: Some(u32::from(detail)),
            retain_handling: RetainHandling::SendIfNew,
            ..SubscriptionOptions::default()
        };
        let _ = self.session.subscribe(filter, options, &mut self.journal);
    }

    fn disturb(&mut self, detail: u8) {
        match detail % 8 {
            0 | 1 => self.now += Duration::from_secs(u64::from(detail)),
            2 => self.session.sweep(self.now, &mut self.journal),
            3 => self.answer_unknown_flow(detail),
            4 => self.restart(),
            5 => self.take_over(),
            6 => self.journal = self.session.snapshot(),
            _ => self.check_replay(),
        }
    }

    fn answer_unknown_flow(&mut self, detail: u8) {
        let (id, journal) = (self.receiver.unused_id(detail), &mut self.journal);
        assert_eq!(self.session.on_puback(id, journal), AckOutcome::Unknown);
        assert_eq!(self.session.on_pubrec(id, 0, journal), PubrecOutcome::Unknown);
        assert_eq!(self.session.on_pubcomp(id, journal), AckOutcome::Unknown);
    }

    /// The node dies and comes back with what the journal and the store know.
    fn restart(&mut self) {
        self.collect_drops();
        self.session = self.replayed();
        self.publisher.server_restarted();
        self.receiver.cut();
    }

    fn replayed(&self) -> Session {
        let ops = self.journal.iter().map(reencoded);
        let find = |id| self.store.get(&id).cloned();
        Session::replay("client".into(), Arc::clone(&self.limits), ops, find)
            .expect("a session writes a valid journal")
    }

    fn check_replay(&self) {
        assert_eq!(self.replayed().snapshot(), self.session.snapshot());
    }

    fn take_over(&mut self) {
        let epoch = self.session.meta().epoch + 1;
        let export = encode_export(&self.session.export(), self.now).expect("within limits");
        let export = decode_export(&export, self.now).expect("as encoded");
        self.collect_drops();
        let limits = Arc::clone(&self.limits);
        self.session = Session::import(export, epoch, limits).expect("a newer epoch");
        self.journal = self.session.snapshot();
        self.publisher.server_restarted();
        self.receiver.cut();
    }

    fn collect_drops(&mut self) {
        for (reason, count) in self.session.take_drops().iter() {
            (0..count).for_each(|_| self.drops.add(reason));
        }
    }

    /// What must hold after each step.
    pub(super) fn check(&self) {
        check_bounds(&self.session);
    }

    /// In the end the network works, and everything arrives that was not counted as dropped.
    pub(super) fn drain(&mut self) {
        self.connect(0);
        let queue = LIMITS.inbox_messages_max + LIMITS.spill_messages_max;
        for _ in 0..2 * queue {
            self.store_step(u8::MAX);
            self.pump(usize::MAX);
            while !self.receiver.packets.is_empty() {
                self.receiver.read(false);
            }
            while !self.receiver.acks.is_empty() {
                self.ack(0);
            }
        }
        self.publisher.drain(&mut self.session, &mut self.journal);
        self.check_end();
    }

    fn check_end(&mut self) {
        self.check_replay();
        self.collect_drops();
        assert_eq!(self.session.in_flight() + self.session.inbox_messages(), 0);
        assert_eq!(self.session.inbox_bytes() + self.session.spilled_bytes(), 0);
        let answered = |number: &&u32| {
            self.receiver.received.contains_key(number) || self.receiver.refused.contains(number)
        };
        let missing = self.accepted.iter().filter(|number| !answered(number)).count();
        let mut reasons = vec![DropReason::Expired, DropReason::TooLarge, DropReason::Lost];
        if self.limits.overflow == Overflow::DropOldest {
            reasons.push(DropReason::Evicted);
        }
        let counted: u32 = reasons.iter().map(|reason| self.drops.get(*reason)).sum();
        assert!(missing <= counted as usize, "{missing} are missing, {counted} were counted");
        assert_eq!(self.drops.get(DropReason::Lost), 0, "the store has everything");
    }
}

/// An op as it comes back from the store.
fn reencoded(op: &JournalOp) -> JournalOp {
    let mut bytes = Vec::new();
    encode_op(op, &mut bytes).expect("within the limit");
    decode_op(&bytes).expect("as encoded")
}

/// A message whose payload begins with its number.
pub(super) fn message(now: Instant, number: u32, qos: QoS, detail: u8) -> Message {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(4 + usize::from(detail) * 2, 0);
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let topic = ["t/1", "t/2", "t/3", "t/4"][usize::from(detail >> 4) % 4];
    let message_expiry = detail.is_multiple_of(7).then_some(u32::from(detail) + 1);
    let version = ProtocolVersion::V5;
    Message {
        id: MessageId(id),
        topic: TopicName::new(topic).expect("a valid topic"),
        payload: payload.into(),
        qos,
        retain: false,
        properties: Properties { message_expiry, ..Properties::default() },
        from: "publisher".into(),
        publisher: crate::Publisher { username: None, peer: None, version },
        timestamp_ms: 0,
        received: now,
        origin: Origin::Local,
        repeated: false,
    }
}

/// Memory in proportion to the limits, whatever the client does.
pub(super) fn check_bounds(session: &Session) {
    assert!(session.inbox_messages() <= 2 * LIMITS.inbox_messages_max as usize);
    let one = session.inbox_messages() == 1;
    assert!(session.inbox_bytes() <= LIMITS.inbox_bytes_max || one);
    let queue = (LIMITS.inbox_messages_max + LIMITS.spill_messages_max) as usize;
    assert!(session.spilled_messages() <= queue);
    assert!(session.in_flight() <= usize::from(LIMITS.in_flight_max));
    assert!(session.inbound_flows() <= 2 * usize::from(LIMITS.receive_max));
    assert!(session.subscription_count() <= LIMITS.filters_per_session_max as usize);
}
