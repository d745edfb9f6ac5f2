use std::time::Instant;

use super::Session;
use crate::{
    DropReason, JournalOp, Outgoing, OutgoingPublish, QoS, connection::Connection, packet_size,
    queued::Queued, released::Released,
};

/// Bytes of a PUBREL without properties.
const PUBREL_LEN: usize = 4;

impl Session {
    /// Moves messages from the inbox into the window and yields the packets to write, in order.
    ///
    /// After a reconnect it first repeats what is in flight [MQTT-4.4.0-1]: PUBRELs in the order
    /// of their PUBRECs and whatever the room, PUBLISHes with DUP in the order of their first sending
    /// within the
    /// receive maximum of the new connection. `room` are the bytes that the output buffer takes;
    /// the last packet may exceed it. Returns the bytes of the yielded packets.
    pub fn pump(
        &mut self,
        now: Instant,
        room: usize,
        out: &mut Vec<Outgoing>,
        ops: &mut Vec<JournalOp>,
    ) -> usize {
        if self.connection.is_none() {
            return 0;
        }
        let mut used = 0;
        while let Some(packet_id) = self.window.next_pubrel() {
            out.push(Outgoing::Pubrel { packet_id });
            used += PUBREL_LEN;
        }
        while used < room {
            match self.next_packet(now, out, ops) {
                0 => break,
                bytes => used += bytes,
            }
        }
        used
    }

    /// Yields one packet and returns its bytes; 0 if there is nothing to send now.
    fn next_packet(
        &mut self,
        now: Instant,
        out: &mut Vec<Outgoing>,
        ops: &mut Vec<JournalOp>,
    ) -> usize {
        match self.repeat(now, out, ops) {
            0 => {}
            bytes => return bytes,
        }
        // New messages stay behind those that are still to be repeated [MQTT-4.6.0-1].
        let window_has_room = self.window.next_unsent().is_none() && self.window_has_room();
        self.first_send(now, window_has_room, out, ops)
    }

    /// A message that was never sent; only QoS 0 while the window has no room.
    fn first_send(
        &mut self,
        now: Instant,
        window_has_room: bool,
        out: &mut Vec<Outgoing>,
        ops: &mut Vec<JournalOp>,
    ) -> usize {
        while let Some(queued) = self.inbox.pop(window_has_room) {
            let Some(connection) = &mut self.connection else { return 0 };
            let len = publish_len(connection, &queued);
            let refused = if queued.is_expired(now, self.limits.message_expiry_max_s) {
                Some(DropReason::Expired)
            } else {
                (len > connection.packet_size_max).then_some(DropReason::TooLarge)
            };
            if let Some(reason) = refused {
                self.drop_queued(&queued, reason, ops);
                continue;
            }
            let packet = publish(connection, now, &queued);
            self.launch(queued, packet, out, ops);
            return len;
        }
        0
    }

    fn launch(
        &mut self,
        queued: Queued,
        mut packet: OutgoingPublish,
        out: &mut Vec<Outgoing>,
        ops: &mut Vec<JournalOp>,
    ) {
        if queued.entry.qos.is_acknowledged() {
            let seq = queued.entry.seq;
            let packet_id = self.window.launch(queued);
            packet.packet_id = Some(packet_id);
            self.log(ops, || JournalOp::InFlight { seq, packet_id });
        }
        out.push(Outgoing::Publish(packet));
    }

    /// Repeats PUBLISHes of earlier connections while the window has room.
    fn repeat(&mut self, now: Instant, out: &mut Vec<Outgoing>, ops: &mut Vec<JournalOp>) -> usize {
        while self.window_has_room() {
            let Some(connection) = &mut self.connection else { return 0 };
            let Some(flight) = self.window.next_unsent() else { return 0 };
            let len = publish_len(connection, &flight.queued);
            if len > connection.packet_size_max {
                match self.skip_repeat(out, ops) {
                    0 => continue,
                    bytes => return bytes,
                }
            }
            let mut packet = publish(connection, now, &flight.queued);
            packet.packet_id = Some(flight.packet_id);
            packet.dup = true;
            self.window.mark_sent();
            out.push(Outgoing::Publish(packet));
            return len;
        }
        0
    }

    /// The next repeat has become too large for the client: it counts as sent and received
    /// [MQTT-3.1.2-25]. QoS 2 needs its PUBREL all the same: an earlier connection may have brought
    /// the PUBLISH, and then the client keeps the packet id until it is released.
    fn skip_repeat(&mut self, out: &mut Vec<Outgoing>, ops: &mut Vec<JournalOp>) -> usize {
        self.drops.add(DropReason::TooLarge);
        let index = self.window.sent();
        let Some(flight) = self.window.next_unsent() else { return 0 };
        if flight.queued.entry.qos != QoS::ExactlyOnce {
            self.end_flight(index, ops);
            return 0;
        }
        let Some(Released { packet_id, seq }) = self.window.release(index) else { return 0 };
        self.log(ops, || JournalOp::Released { seq, packet_id });
        // All earlier PUBRELs went out before the first PUBLISH was looked at.
        out.push(Outgoing::Pubrel { packet_id });
        PUBREL_LEN
    }

    /// Room for one more flow: in the client's receive maximum [MQTT-3.3.4-9], and in our bytes.
    fn window_has_room(&self) -> bool {
        let Some(connection) = &self.connection else { return false };
        let in_use = self.window.in_use();
        let repeating = self.window.next_unsent().is_some();
        in_use < connection.window_max
            && (repeating || in_use == 0 || self.window.bytes() < self.limits.inbox_bytes_max)
    }

    fn drop_queued(&mut self, queued: &Queued, reason: DropReason, ops: &mut Vec<JournalOp>) {
        self.drops.add(reason);
        if queued.entry.qos.is_acknowledged() {
            self.log(ops, || JournalOp::Dropped { seq: queued.entry.seq });
        }
    }
}

/// Bytes of the packet if it sets an alias; with a known alias it is shorter.
fn publish_len(connection: &Connection, queued: &Queued) -> usize {
    packet_size::publish_len(
        connection.version,
        &queued.message,
        queued.entry.qos != QoS::AtMostOnce,
        !connection.aliases_out.is_off(),
        queued.entry.ids.wire_len(),
    )
}

/// The packet, still without packet id.
fn publish(connection: &mut Connection, now: Instant, queued: &Queued) -> OutgoingPublish {
    let v5 = connection.version.is_v5();
    OutgoingPublish {
        packet_id: None,
        qos: queued.entry.qos,
        retain: queued.entry.retain,
        dup: false,
        subscription_ids: if v5 { queued.entry.ids.clone() } else { Default::default() },
        message_expiry: if v5 { queued.message.remaining_expiry(now) } else { None },
        alias: connection.aliases_out.take(&queued.message.topic),
        message: queued.message.clone(),
    }
}
