//! The client as publisher, by the book: it repeats what was not answered after each reconnect.

use std::collections::BTreeMap;

use crate::{FlowId, InboundDecision, JournalOp, PublishAnswer, PubrelOutcome, QoS, Session};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// PUBLISH is out, its answer is awaited.
    Sent,
    /// PUBREL is out, PUBCOMP is awaited.
    Releasing,
}

#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// Packet id → number of the message, QoS, state.
    open: BTreeMap<u16, (u32, QoS, State)>,
    /// What the server routes: flow → number of the message.
    routing: Vec<(FlowId, u32)>,
    /// How often each QoS 2 message was held.
    held: BTreeMap<u32, u32>,
    next: u32,
}

impl Publisher {
    /// A new PUBLISH, if the receive maximum allows.
    pub(super) fn publish(
        &mut self,
        session: &mut Session,
        max: usize,
        detail: u8,
        ops: &mut Vec<JournalOp>,
    ) {
        let packet_id = u16::from(detail % 16) + 1;
        if self.open.len() >= max || self.open.contains_key(&packet_id) {
            return;
        }
        let qos = if detail & 0x80 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        self.open.insert(packet_id, (self.next, qos, State::Sent));
        self.next += 1;
        self.send(session, packet_id, ops);
    }

    fn send(&mut self, session: &mut Session, packet_id: u16, ops: &mut Vec<JournalOp>) {
        let Some(&(number, qos, _)) = self.open.get(&packet_id) else { return };
        match session.on_publish(packet_id, qos, ops) {
            InboundDecision::Route(flow) => self.routing.push((flow, number)),
            InboundDecision::Repeat => {
                assert_eq!(self.held.get(&number), Some(&1), "answered but never held");
                self.on_answer(session, packet_id, PublishAnswer::Pubrec, ops);
            }
            InboundDecision::Pending => {}
            InboundDecision::Close(code) | InboundDecision::Refuse(code) => {
                panic!("a client by the book was refused: {code:#x}")
            }
        }
    }

    fn on_answer(
        &mut self,
        session: &mut Session,
        packet_id: u16,
        answer: PublishAnswer,
        ops: &mut Vec<JournalOp>,
    ) {
        if answer == PublishAnswer::Puback {
            self.open.remove(&packet_id);
            return;
        }
        if let Some((_, _, state)) = self.open.get_mut(&packet_id) {
            *state = State::Releasing;
        }
        if packet_id.is_multiple_of(2) {
            self.release(session, packet_id, ops);
        }
    }

    /// Sends PUBREL and gets PUBCOMP, with any code.
    fn release(&mut self, session: &mut Session, packet_id: u16, ops: &mut Vec<JournalOp>) {
        let outcome = session.on_pubrel(packet_id, ops);
        assert!(matches!(outcome, PubrelOutcome::Complete | PubrelOutcome::Unknown));
        if let Some((number, ..)) = self.open.remove(&packet_id) {
            assert_eq!(self.held.get(&number), Some(&1), "QoS 2 message {number} not once");
        }
    }

    /// One destination answers at last: the message is held or refused.
    pub(super) fn finish(&mut self, session: &mut Session, detail: u8, ops: &mut Vec<JournalOp>) {
        if self.routing.is_empty() {
            return;
        }
        let (flow, number) = self.routing.remove(usize::from(detail) % self.routing.len());
        if detail > 200 {
            if session.publish_refused(flow, true, ops).is_some() {
                self.open.remove(&flow.packet_id);
            }
            return;
        }
        if flow.qos == QoS::ExactlyOnce {
            let times = self.held.entry(number).or_default();
            *times += 1;
            assert_eq!(*times, 1, "QoS 2 message {number} was routed twice");
        }
        if let Some(answer) = session.publish_held(flow, ops) {
            self.on_answer(session, flow.packet_id, answer, ops);
        }
    }

    /// Sends the PUBRELs that it still owes.
    pub(super) fn release_all(&mut self, session: &mut Session, ops: &mut Vec<JournalOp>) {
        let owed = self.open.iter().filter(|(_, (.., state))| *state == State::Releasing);
        for packet_id in owed.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.release(session, packet_id, ops);
        }
    }

    /// After a reconnect: everything again.
    pub(super) fn resend(&mut self, session: &mut Session, ops: &mut Vec<JournalOp>) {
        self.release_all(session, ops);
        for packet_id in self.open.keys().copied().collect::<Vec<_>>() {
            self.send(session, packet_id, ops);
        }
    }

    /// The server lost its memory: what it was routing is void.
    pub(super) fn server_restarted(&mut self) {
        self.routing.clear();
    }

    /// Everything is answered in the end.
    pub(super) fn drain(&mut self, session: &mut Session, ops: &mut Vec<JournalOp>) {
        while !self.routing.is_empty() {
            self.finish(session, 0, ops);
        }
        self.release_all(session, ops);
        assert!(self.open.is_empty(), "without an answer: {:?}", self.open);
    }
}
