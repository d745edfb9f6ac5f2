//! From a message to sessions, and from sessions to sockets.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use ntex_bytes::BytePages;
use spanmq_session::{
    AliasUse, Delivered, DropReason, MatchedOptions, Message, Outgoing, OutgoingPublish, QoS,
};

use super::Worker;
use super::ticket::Owner;
use crate::codec::{Encoder, PublishOut, kind, push_varint};
use crate::mail::{Delivery, SlotKey};
use crate::ports::Outcome;

/// Bytes that one pump writes at most before the socket is looked at.
const PUMP_BYTES: usize = 64 * 1024;

impl Worker {
    /// A batch from another worker of this node.
    pub(super) fn on_deliveries(&mut self, batch: Vec<Delivery>) {
        let bytes = batch.iter().map(|delivery| delivery.message.payload.len()).sum();
        self.shared.workers[usize::from(self.id)].release(batch.len(), bytes);
        for Delivery { message, plain, groups, passed, ticket } in batch {
            let ticket = ticket.map(|address| self.tickets.open(Owner::Worker(address)));
            let mut matched = plain && self.deliver_plain(&message, ticket);
            for filter in &groups {
                matched |= self.deliver_group(&message, filter, ticket, passed);
            }
            if let Some(ticket) = ticket {
                let outcome = if matched { Outcome::Held } else { Outcome::NoSubscribers };
                self.release(ticket, outcome);
            }
        }
    }

    /// Gives the message to all sessions of this worker with plain subscriptions to its topic.
    pub(super) fn deliver_plain(&mut self, message: &Arc<Message>, ticket: Option<u32>) -> bool {
        let mut matches = std::mem::take(&mut self.scratch.matches);
        matches.clear();
        let slots = &mut self.slots;
        let is_own =
            |slot| slots.at_mut(slot).is_some_and(|slot| *slot.session.client_id() == message.from);
        self.table.matches(message, is_own, &mut matches);
        for (slot, options) in &matches {
            self.deliver_one(*slot, message, options, ticket);
        }
        let matched = !matches.is_empty();
        self.scratch.matches = matches;
        matched
    }

    /// One destination could not take the message.
    pub(super) fn refuse_ticket(&mut self, ticket: Option<u32>) {
        if let Some(ticket) = ticket {
            self.tickets.hold(ticket);
            self.release(ticket, Outcome::Refused(0x97));
        }
    }

    /// Gives the message to one session. A persistent one whose queue is full refuses it, so that
    /// the publisher knows; of any other, the loss is counted.
    pub(super) fn deliver_one(
        &mut self,
        index: u32,
        message: &Arc<Message>,
        options: &MatchedOptions,
        ticket: Option<u32>,
    ) {
        let dropped = self.offer(index, message, options, ticket);
        if dropped == Some(DropReason::QueueFull)
            && self.slots.at_mut(index).is_some_and(|slot| slot.session.is_persistent())
        {
            self.refuse_ticket(ticket);
        }
    }

    /// Yields why the session did not take the message.
    pub(super) fn offer(
        &mut self,
        index: u32,
        message: &Arc<Message>,
        options: &MatchedOptions,
        ticket: Option<u32>,
    ) -> Option<DropReason> {
        let key = self.slots.key_of(index)?;
        let slot = self.slots.at_mut(index)?;
        if slot.buffer.is_some() && self.buffer_delivery(index, message, options, ticket) {
            return None;
        }
        let slot = self.slots.at_mut(index)?;
        if slot.got.as_ref().is_some_and(|got| got.contains(&message.id)) {
            return None;
        }
        // A message for a shared group is one of its own, beside that for a plain subscription.
        let once = options.shared.is_none() && message.qos.min(options.qos) == QoS::ExactlyOnce;
        let client_id = slot.session.client_id();
        if once && self.recent.had(message.id, message.repeated, client_id) {
            return None;
        }
        let delivered = slot.session.deliver(self.now, message, options, &mut self.scratch.ops);
        if once && !matches!(delivered, Delivered::Dropped(_)) {
            self.recent.note(message.id, message.repeated, slot.session.client_id());
        }
        if slot.moving.is_some() && !matches!(delivered, Delivered::Dropped(_)) {
            slot.note_got(message.id);
        }
        let mut dropped = None;
        match delivered {
            Delivered::Queued => {
                if !slot.dirty && slot.conn.is_some() {
                    slot.dirty = true;
                    self.turn.dirty(key);
                }
            }
            Delivered::Spilled | Delivered::Repeat => {}
            Delivered::Dropped(reason) => {
                dropped = Some(reason);
                self.shared.metrics.count_drops(&slot.session.take_drops());
            }
        }
        if !self.scratch.ops.is_empty() {
            self.journal_enqueued(key, Some(message), ticket);
        }
        dropped
    }

    /// Sees to it that the session is pumped at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, key: SlotKey) {
        if let Some(slot) = self.slots.get_mut(key)
            && !slot.dirty
        {
            slot.dirty = true;
            self.turn.dirty(key);
        }
    }

    /// Writes what the session may send now.
    pub(super) fn pump(&mut self, key: SlotKey) {
        self.feed_replays(key);
        let now = self.now;
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.dirty = false;
        let Some(conn) = slot.conn.as_mut() else { return };
        if conn.io.is_wr_backpressure() {
            conn.stalled_since.get_or_insert(now);
            return;
        }
        let mut outgoing = std::mem::take(&mut self.scratch.outgoing);
        let used = slot.session.pump(now, PUMP_BYTES, &mut outgoing, &mut self.scratch.ops);
        let drops = slot.session.take_drops();
        if !drops.is_empty() {
            self.shared.metrics.count_drops(&drops);
        }
        self.journal(key);
        self.write_outgoing(key, &outgoing);
        outgoing.clear();
        self.scratch.outgoing = outgoing;
        if used >= PUMP_BYTES || self.has_replays(key) {
            self.mark_dirty(key);
        }
        self.refill(key);
    }

    fn write_outgoing(&mut self, key: SlotKey, outgoing: &[Outgoing]) {
        if outgoing.is_empty() {
            return;
        }
        let properties = &mut self.scratch.properties;
        let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) else {
            return;
        };
        let encoder = conn.encoder;
        let mut sent = 0;
        conn.write(|out| {
            for packet in outgoing {
                match packet {
                    Outgoing::Publish(publish) => {
                        sent += 1;
                        write_publish(encoder, publish, properties, out);
                    }
                    Outgoing::Pubrel { packet_id } => {
                        if let Some(id) = NonZeroU16::new(*packet_id) {
                            encoder.ack(kind::PUBREL, id, 0, out);
                        }
                    }
                }
            }
        });
        self.shared.metrics.messages_sent.add(sent);
    }

    /// The output has drained, or the connection wants to know.
    pub(crate) fn unstall(&mut self, key: SlotKey, number: u64) {
        if let Some(slot) = self.slots.get_mut(key)
            && let Some(conn) = slot.conn.as_mut().filter(|conn| conn.number == number)
            && conn.stalled_since.take().is_some()
        {
            self.mark_dirty(key);
        }
    }

    /// Since when the output of a connection is full.
    pub(super) fn stalled_for(&self, key: SlotKey, now: Instant) -> Option<std::time::Duration> {
        let conn = self.slots.get(key)?.conn.as_ref()?;
        Some(now.saturating_duration_since(conn.stalled_since?))
    }
}

fn write_publish(
    encoder: Encoder,
    publish: &OutgoingPublish,
    properties: &mut Vec<u8>,
    out: &mut BytePages,
) {
    let message = &publish.message;
    properties.clear();
    if encoder.version.is_v5() {
        put_properties(publish, properties);
    }
    let topic = match publish.alias {
        AliasUse::Known(_) => "",
        AliasUse::None | AliasUse::Set(_) => message.topic.as_str(),
    };
    let packet = PublishOut {
        dup: publish.dup,
        retain: publish.retain,
        qos: publish.qos.as_u8(),
        topic,
        packet_id: publish.packet_id.and_then(NonZeroU16::new),
        properties,
        payload: &message.payload,
    };
    packet.write(encoder.version, out);
}

/// The property list of a PUBLISH to a client (MQTT 5.0 §3.3.2.3).
fn put_properties(publish: &OutgoingPublish, list: &mut Vec<u8>) {
    let properties = &publish.message.properties;
    if let Some(is_utf8) = properties.payload_is_utf8 {
        list.extend([0x01, u8::from(is_utf8)]);
    }
    if let Some(seconds) = publish.message_expiry {
        list.push(0x02);
        list.extend(seconds.to_be_bytes());
    }
    if let Some(text) = &properties.content_type {
        list.push(0x03);
        put_text(text.as_bytes(), list);
    }
    if let Some(topic) = &properties.response_topic {
        list.push(0x08);
        put_text(topic.as_bytes(), list);
    }
    if let Some(data) = &properties.correlation_data {
        list.push(0x09);
        put_text(data, list);
    }
    for id in publish.subscription_ids.as_slice() {
        list.push(0x0B);
        push_varint(list, *id as usize);
    }
    if let AliasUse::Set(alias) | AliasUse::Known(alias) = publish.alias {
        list.push(0x23);
        list.extend(alias.to_be_bytes());
    }
    for (key, value) in &properties.user {
        list.push(0x26);
        put_text(key.as_bytes(), list);
        put_text(value.as_bytes(), list);
    }
}

fn put_text(bytes: &[u8], list: &mut Vec<u8>) {
    // Longer ones cannot have come in over MQTT; other sources are cut rather than trusted.
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    list.extend((bytes.len() as u16).to_be_bytes());
    list.extend(bytes);
}
