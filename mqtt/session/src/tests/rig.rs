//! A session with its clock, journal and limits, and short names for what tests do with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use spanmq_topic::{Subscription, TopicName};

use crate::{
    ConnectTerms, Delivered, DropReason, JournalOp, Limits, MatchedOptions, Message, MessageId,
    Origin, Outgoing, OutgoingPublish, Properties, ProtocolVersion, Publisher, QoS, Session,
    SessionExpiry, SessionMeta, SubscriptionOptions,
};

pub(super) const QOS0: QoS = QoS::AtMostOnce;
pub(super) const QOS1: QoS = QoS::AtLeastOnce;
pub(super) const QOS2: QoS = QoS::ExactlyOnce;

/// A message whose payload and id are this number.
pub(super) fn message(number: u8, qos: QoS) -> Message {
    Message {
        id: MessageId([number; 16]),
        topic: topic("t"),
        payload: vec![number].into(),
        qos,
        retain: false,
        properties: Properties::default(),
        from: "publisher".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: 1_700_000_000_000,
        received: Instant::now(),
        origin: Origin::Local,
        repeated: false,
    }
}

pub(super) fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

pub(super) fn filter(text: &str) -> Subscription {
    text.parse().unwrap()
}

pub(super) fn v5(expiry: SessionExpiry) -> ConnectTerms {
    ConnectTerms::plain(ProtocolVersion::V5, expiry)
}

pub(super) fn meta() -> SessionMeta {
    SessionMeta {
        epoch: 1,
        owner: Some("user".into()),
        expiry: SessionExpiry::AtClose,
        offline_since_ms: None,
    }
}

pub(super) struct Rig {
    pub(super) now: Instant,
    pub(super) session: Session,
    pub(super) ops: Vec<JournalOp>,
}

impl Rig {
    /// A connected v5 client whose session stays for an hour.
    pub(super) fn persistent() -> Self {
        Self::new(Limits::default(), &v5(SessionExpiry::After(3_600)))
    }

    /// A connected v5 client whose session ends with the connection.
    pub(super) fn clean() -> Self {
        Self::new(Limits::default(), &v5(SessionExpiry::AtClose))
    }

    pub(super) fn new(limits: Limits, terms: &ConnectTerms) -> Self {
        let session = Session::new("client".into(), meta(), Arc::new(limits));
        let mut rig = Self { now: Instant::now(), session, ops: Vec::new() };
        rig.session.connect(terms, &mut rig.ops);
        rig
    }

    pub(super) fn connect(&mut self, terms: &ConnectTerms) {
        self.session.connect(terms, &mut self.ops);
    }

    pub(super) fn reconnect(&mut self) {
        self.disconnect();
        self.connect(&v5(SessionExpiry::After(3_600)));
    }

    pub(super) fn disconnect(&mut self) {
        self.session.disconnect(1_700_000_000_000, &mut self.ops);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(super) fn deliver(&mut self, number: u8, qos: QoS) -> Delivered {
        self.deliver_message(message(number, qos))
    }

    pub(super) fn deliver_message(&mut self, message: Message) -> Delivered {
        let options = MatchedOptions { qos: QOS2, ..MatchedOptions::default() };
        self.deliver_with(message, &options)
    }

    /// Received now, by the clock of the rig.
    pub(super) fn deliver_with(&mut self, message: Message, options: &MatchedOptions) -> Delivered {
        let message = Message { received: self.now, ..message };
        self.session.deliver(self.now, &Arc::new(message), options, &mut self.ops)
    }

    pub(super) fn pump(&mut self) -> Vec<Outgoing> {
        let mut out = Vec::new();
        self.session.pump(self.now, usize::MAX, &mut out, &mut self.ops);
        out
    }

    /// What is pumped, as `(number, packet id, dup)`; a PUBREL is number 255.
    pub(super) fn pumped(&mut self) -> Vec<(u8, u16, bool)> {
        let short = |packet: Outgoing| match packet {
            Outgoing::Publish(publish) => {
                (publish.message.payload[0], publish.packet_id.unwrap_or(0), publish.dup)
            }
            Outgoing::Pubrel { packet_id } => (255, packet_id, false),
        };
        self.pump().into_iter().map(short).collect()
    }

    /// The only packet that is pumped, a PUBLISH.
    pub(super) fn pump_one(&mut self) -> OutgoingPublish {
        let mut packets = self.pump();
        assert_eq!(packets.len(), 1);
        match packets.remove(0) {
            Outgoing::Publish(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn subscribe(&mut self, text: &str, options: SubscriptionOptions) {
        self.session.subscribe(filter(text), options, &mut self.ops).unwrap();
    }

    pub(super) fn dropped(&mut self, reason: DropReason) -> u32 {
        self.session.take_drops().get(reason)
    }
}
