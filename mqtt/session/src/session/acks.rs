use super::Session;
use crate::{AckOutcome, JournalOp, PubrecOutcome, QoS, reason, released::Released};

impl Session {
    /// PUBACK of the client. Its reason code does not matter: a refusal ends the flow too
    /// [MQTT-4.4.0-2], and a shared message is not given to another member [MQTT-4.8.2-6].
    pub fn on_puback(&mut self, packet_id: u16, ops: &mut Vec<JournalOp>) -> AckOutcome {
        let Some(index) = self.window.find(packet_id) else {
            return match self.window.find_released(packet_id) {
                Some(_) => AckOutcome::WrongFlow,
                None => AckOutcome::Unknown,
            };
        };
        if self.window.unacked()[index].queued.entry.qos != QoS::AtLeastOnce {
            return AckOutcome::WrongFlow;
        }
        self.end_flight(index, ops);
        AckOutcome::Done
    }

    /// PUBREC of the client (`code` 0 for 3.1.1).
    pub fn on_pubrec(
        &mut self,
        packet_id: u16,
        code: u8,
        ops: &mut Vec<JournalOp>,
    ) -> PubrecOutcome {
        let Some(index) = self.window.find(packet_id) else {
            return match self.window.find_released(packet_id) {
                Some(_) => PubrecOutcome::Release,
                None => PubrecOutcome::Unknown,
            };
        };
        if self.window.unacked()[index].queued.entry.qos != QoS::ExactlyOnce {
            return PubrecOutcome::WrongFlow;
        }
        if reason::is_failure(code) {
            self.end_flight(index, ops);
            return PubrecOutcome::Ended;
        }
        if let Some(Released { packet_id, seq }) = self.window.release(index) {
            self.log(ops, || JournalOp::Released { seq, packet_id });
        }
        PubrecOutcome::Release
    }

    /// PUBCOMP of the client; its reason code does not matter, the flow is over.
    pub fn on_pubcomp(&mut self, packet_id: u16, ops: &mut Vec<JournalOp>) -> AckOutcome {
        let Some(index) = self.window.find_released(packet_id) else {
            return match self.window.find(packet_id) {
                Some(_) => AckOutcome::WrongFlow,
                None => AckOutcome::Unknown,
            };
        };
        if let Some(Released { packet_id, seq }) = self.window.remove_released(index) {
            self.log(ops, || JournalOp::Acked { seq, packet_id });
        }
        AckOutcome::Done
    }

    pub(super) fn end_flight(&mut self, index: usize, ops: &mut Vec<JournalOp>) {
        if let Some(flight) = self.window.remove(index) {
            let (seq, packet_id) = (flight.queued.entry.seq, flight.packet_id);
            self.log(ops, || JournalOp::Acked { seq, packet_id });
        }
    }
}
