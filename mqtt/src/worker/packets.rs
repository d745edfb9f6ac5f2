//! What each packet of a connected client means.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use ntex_bytes::BytesMut;
use spanmq_session::{
    AckOutcome, FlowId, InboundDecision, Message, Origin, Properties, PubrecOutcome, PubrelOutcome,
    QoS, reason,
};
use spanmq_topic::{TopicName, check_limits};

use super::close::{Close, CloseReason};
use super::slot::ReadyAnswer;
use super::ticket::Owner;
use super::{Worker, publish};
use crate::codec::{self, Encoder, Frame, Packet, PublishIn, Version, kind};
use crate::config::DenyAction;
use crate::mail::SlotKey;
use crate::ports::{Action, Outcome};

/// What the connection's task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for more bytes.
    Read,
    /// The output is full: read no more until it has drained.
    Drain,
    /// The connection has ended.
    End,
}

impl Worker {
    /// Handles every whole packet in the read buffer (PERFORMANCE.md, first rule).
    pub(crate) fn on_bytes(&mut self, key: SlotKey, number: u64, buf: &mut BytesMut) -> Step {
        self.begin();
        let Some(conn) = self.conn(key, number) else { return Step::End };
        conn.last_seen = std::time::Instant::now();
        let (version, limit) = (conn.version(), conn.listener.config.packet_bytes_max);
        let before = buf.len();
        let step = loop {
            let frame = match codec::cut(buf, limit) {
                Ok(Some(frame)) if frame.is_complete(buf.len()) => frame,
                Ok(_) => break Step::Read,
                Err(bad) => break self.close(key, Close::bad_packet(bad)),
            };
            let bytes = buf.get(..frame.total).unwrap_or_default();
            let handled = self.on_packet(key, version, frame, bytes);
            buf.advance_to(frame.total);
            if let Err(close) = handled {
                break self.close(key, close);
            }
            match self.conn(key, number) {
                None => break Step::End,
                Some(conn) if conn.io.is_wr_backpressure() => break Step::Drain,
                Some(_) => {}
            }
        };
        self.shared.metrics.bytes_received.add((before - buf.len()) as u64);
        step
    }

    fn on_packet(
        &mut self,
        key: SlotKey,
        version: Version,
        frame: Frame,
        bytes: &[u8],
    ) -> Result<(), Close> {
        if frame.kind() == kind::PUBLISH {
            let body = bytes.get(frame.header..).unwrap_or_default();
            let packet = codec::parse_publish(version, frame.first, body)?;
            return self.on_publish(key, &packet);
        }
        match codec::decode(version, frame, bytes)? {
            Packet::PubAck(ack) => self.on_puback(key, ack),
            Packet::PubRec(ack) => self.on_pubrec(key, ack),
            Packet::PubRel(ack) => self.on_pubrel(key, ack),
            Packet::PubComp(ack) => self.on_pubcomp(key, ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(key, &subscribe),
            Packet::Unsubscribe { id, filters } => self.on_unsubscribe(key, id, &filters),
            Packet::PingReq => {
                self.write(key, |_, out| Encoder::pingresp(out));
                Ok(())
            }
            Packet::Disconnect { code, session_expiry_secs } => {
                self.on_disconnect(key, code, session_expiry_secs)
            }
            // [MQTT-3.1.0-2]
            Packet::Connect(_) => Err(Close::protocol("a second CONNECT")),
            // Without a method in CONNECT there is no re-authentication [MQTT-4.12.0-7].
            Packet::Auth => Err(Close::protocol("AUTH without an authentication method")),
        }
    }

    pub(super) fn conn(&mut self, key: SlotKey, number: u64) -> Option<&mut super::slot::Conn> {
        let conn = self.slots.get_mut(key)?.conn.as_mut()?;
        (conn.number == number).then_some(conn)
    }

    pub(super) fn write(
        &mut self,
        key: SlotKey,
        write: impl FnOnce(Encoder, &mut ntex_bytes::BytePages),
    ) {
        if let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) {
            let encoder = conn.encoder;
            conn.write(|out| write(encoder, out));
        }
    }

    fn on_publish(&mut self, key: SlotKey, packet: &PublishIn<'_>) -> Result<(), Close> {
        #[cfg(feature = "testing")]
        fail::fail_point!("connection::publish");
        self.shared.metrics.publishes_received.inc();
        let qos = QoS::from_u8(packet.qos).unwrap_or_default();
        let topic = self.topic_of(key, packet)?;
        self.check_offers(&topic, qos, packet.retain)?;
        let Some(flow) = self.begin_flow(key, packet, qos)? else { return Ok(()) };
        let Some(slot) = self.slots.get_mut(key) else { return Ok(()) };
        let action = Action::Publish { qos, retain: packet.retain };
        let client = slot.client.clone();
        if !may_publish(&topic) || !self.shared.ports.authorize.allows(&client, action, &topic) {
            return self.deny_publish(key, flow);
        }
        if let Some(control) = super::control::intercept(&topic, packet, qos) {
            self.shared.metrics.publishes_control.inc();
            self.on_control(key, control, flow);
            return Ok(());
        }
        if self.shared.config.connections.memory_is_high.is_high() {
            self.shared.metrics.publishes_refused.inc();
            self.refuse(key, flow, reason::QUOTA_EXCEEDED);
            return Ok(());
        }
        let Some((mut message, lane)) = self.message(key, packet, topic, qos) else {
            return Ok(());
        };
        let begun =
            flow.is_some_and(|flow| self.begin_routing(key, flow, packet.dup, &mut message));
        let owner = flow.map(|flow| Owner::Flow { key, flow });
        self.turn.only_when_stored = begun;
        self.publish(&Arc::new(message), lane, owner);
        self.turn.only_when_stored = false;
        Ok(())
    }

    /// Links speak as they must, whatever applications may do.
    fn check_offers(&self, topic: &str, qos: QoS, retain: bool) -> Result<(), Close> {
        if topic.starts_with("$LINK/") {
            return Ok(());
        }
        let checked = self.shared.config.rules.check_message(qos, retain);
        checked.map_err(|code| Close::code(code, "more than CONNACK offers"))
    }

    /// Notes in the journal under which id a QoS 2 publish is routed, so that a repeat after a
    /// crash or a refusal gets the same one. True: it was noted.
    fn begin_routing(
        &mut self,
        key: SlotKey,
        flow: FlowId,
        is_dup: bool,
        message: &mut Message,
    ) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let begun = slot.session.begin_routing(flow, is_dup, message.id, &mut self.scratch.ops);
        (message.id, message.repeated) = (begun.message, begun.repeated);
        self.journal(key);
        begun.noted && self.has_store()
    }

    /// The topic of a PUBLISH, with its alias resolved; the last one is shared, not made anew.
    fn topic_of(&mut self, key: SlotKey, packet: &PublishIn<'_>) -> Result<TopicName, Close> {
        let limits = self.shared.topic_limits;
        let Some(slot) = self.slots.get_mut(key) else {
            return Err(Close::reason(CloseReason::Gone));
        };
        let Some(conn) = slot.conn.as_mut() else {
            return Err(Close::reason(CloseReason::Gone));
        };
        let named = match &conn.last_topic {
            _ if packet.topic.is_empty() => None,
            Some(last) if last.as_str() == packet.topic => Some(last.clone()),
            _ => {
                check_limits(packet.topic, &limits).map_err(|_| Close::topic("over a limit"))?;
                let topic = TopicName::new(packet.topic).map_err(|_| Close::topic("invalid"))?;
                conn.last_topic = Some(topic.clone());
                Some(topic)
            }
        };
        slot.session
            .resolve_alias(named, packet.properties.topic_alias)
            .map_err(|error| Close::code(error.reason_code(), "topic alias"))
    }

    /// Begins the flow of a QoS 1/2 publish. Outer `None`: there is nothing to route.
    fn begin_flow(
        &mut self,
        key: SlotKey,
        packet: &PublishIn<'_>,
        qos: QoS,
    ) -> Result<Option<Option<FlowId>>, Close> {
        let Some(id) = packet.packet_id.filter(|_| publish::wants_answer(qos)) else {
            return Ok(Some(None));
        };
        let Some(slot) = self.slots.get_mut(key) else { return Ok(None) };
        let decision = slot.session.on_publish(id.get(), qos, &mut self.scratch.ops);
        self.journal(key);
        match decision {
            InboundDecision::Route(flow) => {
                if let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) {
                    conn.owe(flow);
                }
                Ok(Some(Some(flow)))
            }
            InboundDecision::Repeat => {
                self.write(key, |encoder, out| encoder.ack(kind::PUBREC, id, 0, out));
                Ok(None)
            }
            InboundDecision::Pending => Ok(None),
            InboundDecision::Refuse(code) => self.refuse_flow(key, id, code).map(|()| None),
            InboundDecision::Close(code) => Err(Close::code(code, "too many unfinished publishes")),
        }
    }

    /// A QoS 2 publish that is not even begun.
    fn refuse_flow(&mut self, key: SlotKey, id: NonZeroU16, code: u8) -> Result<(), Close> {
        self.shared.metrics.publishes_refused.inc();
        let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) else {
            return Ok(());
        };
        if !conn.version().is_v5() {
            return Err(Close::code(code, "too many unreleased publishes"));
        }
        // Refused ones count as unanswered too, as long as they are.
        if conn.answers.len() >= usize::from(self.shared.limits.receive_max) {
            return Err(Close::code(reason::RECEIVE_MAXIMUM_EXCEEDED, "unanswered publishes"));
        }
        conn.answer_in_turn(ReadyAnswer { packet: Some(kind::PUBREC), id, code });
        Ok(())
    }

    fn deny_publish(&mut self, key: SlotKey, flow: Option<FlowId>) -> Result<(), Close> {
        self.shared.metrics.publishes_denied.inc();
        if self.shared.config.deny_action == DenyAction::Disconnect {
            return Err(Close::code(0x87, "not authorized"));
        }
        self.refuse(key, flow, 0x87);
        Ok(())
    }

    pub(super) fn refuse(&mut self, key: SlotKey, flow: Option<FlowId>, code: u8) {
        if let Some(flow) = flow {
            self.answer_flow(key, flow, Outcome::Refused(code));
        }
    }

    fn message(
        &mut self,
        key: SlotKey,
        packet: &PublishIn<'_>,
        topic: TopicName,
        qos: QoS,
    ) -> Option<(Message, u64)> {
        let slot = self.slots.get(key)?;
        let conn = slot.conn.as_ref()?;
        let mut message = Message {
            id: self.ids.next(),
            topic,
            payload: Bytes::copy_from_slice(packet.payload),
            qos,
            retain: packet.retain,
            properties: properties(packet),
            from: slot.session.client_id().clone(),
            publisher: conn.publisher.clone(),
            timestamp_ms: crate::shared::wall_ms(),
            received: self.now,
            origin: Origin::Local,
            repeated: false,
        };
        self.shared.config.rules.limit_life(&mut message.properties);
        Some((message, conn.number))
    }

    fn on_puback(&mut self, key: SlotKey, ack: codec::Ack) -> Result<(), Close> {
        let Some(slot) = self.slots.get_mut(key) else { return Ok(()) };
        let outcome = slot.session.on_puback(ack.id.get(), &mut self.scratch.ops);
        self.after_ack(key, outcome)
    }

    fn on_pubcomp(&mut self, key: SlotKey, ack: codec::Ack) -> Result<(), Close> {
        let Some(slot) = self.slots.get_mut(key) else { return Ok(()) };
        let outcome = slot.session.on_pubcomp(ack.id.get(), &mut self.scratch.ops);
        self.after_ack(key, outcome)
    }

    fn after_ack(&mut self, key: SlotKey, outcome: AckOutcome) -> Result<(), Close> {
        self.journal(key);
        match outcome {
            AckOutcome::Done => self.mark_dirty(key),
            AckOutcome::Unknown => {}
            AckOutcome::WrongFlow => return Err(Close::protocol("an answer of the wrong kind")),
        }
        Ok(())
    }

    fn on_pubrec(&mut self, key: SlotKey, ack: codec::Ack) -> Result<(), Close> {
        let Some(slot) = self.slots.get_mut(key) else { return Ok(()) };
        let outcome = slot.session.on_pubrec(ack.id.get(), ack.code, &mut self.scratch.ops);
        self.journal(key);
        let pubrel = |worker: &mut Self, code: u8| {
            worker.write(key, |encoder, out| encoder.ack(kind::PUBREL, ack.id, code, out));
        };
        match outcome {
            PubrecOutcome::Release => pubrel(self, 0),
            PubrecOutcome::Ended => self.mark_dirty(key),
            PubrecOutcome::Unknown if reason::is_failure(ack.code) => {}
            PubrecOutcome::Unknown => pubrel(self, reason::PACKET_ID_NOT_FOUND),
            PubrecOutcome::WrongFlow => return Err(Close::protocol("PUBREC for a QoS 1 message")),
        }
        Ok(())
    }

    fn on_pubrel(&mut self, key: SlotKey, ack: codec::Ack) -> Result<(), Close> {
        let Some(slot) = self.slots.get_mut(key) else { return Ok(()) };
        let code = match slot.session.on_pubrel(ack.id.get(), &mut self.scratch.ops) {
            PubrelOutcome::Complete => 0,
            PubrelOutcome::Unknown => reason::PACKET_ID_NOT_FOUND,
        };
        self.journal(key);
        let id: NonZeroU16 = ack.id;
        self.write(key, |encoder, out| encoder.ack(kind::PUBCOMP, id, code, out));
        Ok(())
    }
}

fn properties(packet: &PublishIn<'_>) -> Properties {
    let from = &packet.properties;
    Properties {
        payload_is_utf8: from.payload_is_utf8,
        message_expiry: from.expiry_secs,
        content_type: from.content_type.map(Into::into),
        response_topic: from.response_topic.map(Into::into),
        correlation_data: from.correlation_data.map(Bytes::copy_from_slice),
        user: from
            .user_properties()
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect(),
    }
}

/// `$SYS` is the broker's own, whatever an ACL says (A4).
fn may_publish(topic: &str) -> bool {
    !(topic == "$SYS" || topic.starts_with("$SYS/"))
}
