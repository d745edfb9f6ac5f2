use std::time::Instant;

use super::Session;
use crate::{
    Begun, FlowId, InboundDecision, JournalOp, MessageId, PublishAnswer, PubrelOutcome, QoS, reason,
};

impl Session {
    /// A PUBLISH of the client with a packet id (QoS 1 or 2). QoS 0 needs no session.
    ///
    /// The DUP flag decides nothing: a QoS 2 packet id that is in use *is* the same message
    /// [MQTT-4.3.3-10], with the flag or without.
    pub fn on_publish(
        &mut self,
        packet_id: u16,
        qos: QoS,
        ops: &mut Vec<JournalOp>,
    ) -> InboundDecision {
        let Some(connection) = &self.connection else {
            return InboundDecision::Close(reason::SESSION_TAKEN_OVER);
        };
        let journaled = self.is_persistent();
        let awaiting_max = self.limits.awaiting_release_max;
        self.inbound.on_publish(packet_id, qos, connection.receive_max, awaiting_max, |forgotten| {
            if journaled {
                ops.push(JournalOp::Qos2Done { packet_id: forgotten });
            }
        })
    }

    /// Whether [`Self::forget_unreleased`] has anything to look at.
    #[must_use]
    pub fn awaits_release(&self) -> bool {
        self.connection.is_some() && self.inbound.awaits_release()
    }

    /// Forgets QoS 2 ids that the client, though connected, has not released for too long. Call it
    /// every second or so: the time of an id begins with the first call that sees it.
    pub fn forget_unreleased(&mut self, now: Instant, ops: &mut Vec<JournalOp>) {
        if self.connection.is_none() {
            return;
        }
        let journaled = self.is_persistent();
        self.inbound.forget_missed(now, self.limits.awaiting_release_time, |packet_id| {
            if journaled {
                ops.push(JournalOp::Qos2Done { packet_id });
            }
        });
    }

    /// The id of the message of a flow that is to be routed: `fresh`, or the one under which it was
    /// routed before without an answer. The op, if there is one, must come before those of any
    /// destination.
    pub fn begin_routing(
        &mut self,
        flow: FlowId,
        is_dup: bool,
        fresh: MessageId,
        ops: &mut Vec<JournalOp>,
    ) -> Begun {
        if flow.qos != QoS::ExactlyOnce || !self.is_persistent() {
            return Begun { message: fresh, repeated: false, noted: false };
        }
        let (message, is_new) = self.inbound.name(flow, is_dup, fresh);
        if is_new {
            ops.push(JournalOp::Qos2Begun { packet_id: flow.packet_id, message });
        }
        Begun { message, repeated: !is_new, noted: true }
    }

    /// Whether the shell should read no more from this client for now: half of what a 3.1.1
    /// client may have unfinished is being routed. (A v5 client knows its receive maximum.)
    #[must_use]
    pub fn wants_pause(&self) -> bool {
        let routing = self.inbound.routing();
        self.connection.as_ref().is_some_and(|connection| {
            !connection.version.is_v5() && routing * 2 > usize::from(connection.receive_max)
        })
    }

    /// Every destination holds the message. Returns the answer to send on the present connection,
    /// if that is still the one which waits for it.
    pub fn publish_held(
        &mut self,
        flow: FlowId,
        ops: &mut Vec<JournalOp>,
    ) -> Option<PublishAnswer> {
        let (answer, asked) = self.inbound.on_held(flow)?;
        if answer == PublishAnswer::Pubrec {
            self.log(ops, || JournalOp::Qos2Received { packet_id: flow.packet_id });
        }
        (asked && self.is_connected()).then_some(answer)
    }

    /// The message was refused (rights, quota, nobody holds it). v5: send the answer with the
    /// failure code; 3.1.1: send nothing, or close. `told`: the client will hear of it, if it is
    /// there, and not repeat the message.
    pub fn publish_refused(
        &mut self,
        flow: FlowId,
        told: bool,
        ops: &mut Vec<JournalOp>,
    ) -> Option<PublishAnswer> {
        let (journaled, is_connected) = (self.is_persistent(), self.is_connected());
        let max = self.limits.receive_max.max(self.limits.receive_v3_max);
        let answer = self.inbound.on_refused(flow, told && is_connected, max, |packet_id| {
            if journaled {
                ops.push(JournalOp::Qos2Done { packet_id });
            }
        });
        answer.filter(|_| is_connected)
    }

    /// PUBREL of the client. One for an unknown id is answered all the same: it is the repeat of
    /// one whose PUBCOMP was lost.
    pub fn on_pubrel(&mut self, packet_id: u16, ops: &mut Vec<JournalOp>) -> PubrelOutcome {
        if !self.inbound.on_pubrel(packet_id) {
            return PubrelOutcome::Unknown;
        }
        self.log(ops, || JournalOp::Qos2Done { packet_id });
        PubrelOutcome::Complete
    }
}
