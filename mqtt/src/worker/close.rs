//! How connections and sessions end.

use spanmq_session::{CloseCause, SessionExpiry, WillVerdict};
use spanmq_state::Command;
use spanmq_state::command::{SessionCommand, WillFate};

use super::Worker;
use super::flush::CommandWaiter;
use super::packets::Step;
use super::timers::Due;
use crate::clients::Place;
use crate::codec::BadPacket;
use crate::mail::SlotKey;
use crate::ports::Action;
use crate::shared::wall_ms;

/// What is counted when a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client said goodbye.
    Disconnect,
    /// The socket is gone.
    Gone,
    Protocol,
    TooLarge,
    KeepAlive,
    Slow,
    TakenOver,
    Kicked,
    Shutdown,
}

/// Why the broker ends a connection, and what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    /// Code of the DISCONNECT; `None`: nothing is sent.
    pub(crate) code: Option<u8>,
    pub(crate) text: &'static str,
    pub(crate) reason: CloseReason,
    pub(crate) cause: CloseCause,
}

impl Close {
    fn new(code: Option<u8>, text: &'static str, reason: CloseReason, cause: CloseCause) -> Self {
        Self { code, text, reason, cause }
    }

    pub(crate) fn code(code: u8, text: &'static str) -> Self {
        Self::new(Some(code), text, CloseReason::Protocol, CloseCause::Broken)
    }

    pub(crate) fn protocol(text: &'static str) -> Self {
        Self::code(0x82, text)
    }

    pub(crate) fn topic(text: &'static str) -> Self {
        Self::code(0x90, text)
    }

    pub(crate) fn bad_packet(bad: BadPacket) -> Self {
        tracing::debug!(error = %bad, "a packet was refused");
        let (text, reason) = match bad {
            BadPacket::Malformed(text) | BadPacket::Protocol(text) => (text, CloseReason::Protocol),
            BadPacket::TooLarge { .. } => ("packet too large", CloseReason::TooLarge),
            BadPacket::TopicName(text) | BadPacket::ClientId(text) => (text, CloseReason::Protocol),
            _ => ("protocol error", CloseReason::Protocol),
        };
        Self::new(Some(bad.code()), text, reason, CloseCause::Broken)
    }

    /// Ends without a packet.
    pub(crate) fn reason(reason: CloseReason) -> Self {
        Self::new(None, "", reason, CloseCause::Broken)
    }

    pub(crate) fn keep_alive() -> Self {
        Self::new(Some(0x8D), "keep alive", CloseReason::KeepAlive, CloseCause::Broken)
    }

    pub(crate) fn slow() -> Self {
        Self::new(Some(0x97), "the client does not read", CloseReason::Slow, CloseCause::Broken)
    }

    pub(crate) fn taken_over(clean: bool) -> Self {
        let cause = if clean { CloseCause::TakenOverClean } else { CloseCause::TakenOver };
        Self::new(Some(0x8E), "taken over", CloseReason::TakenOver, cause)
    }

    pub(crate) fn kicked() -> Self {
        Self::new(Some(0x98), "administrative", CloseReason::Kicked, CloseCause::Broken)
    }

    pub(crate) fn shutdown() -> Self {
        Self::new(Some(0x8B), "shutting down", CloseReason::Shutdown, CloseCause::Broken)
    }
}

impl From<BadPacket> for Close {
    fn from(bad: BadPacket) -> Self {
        Self::bad_packet(bad)
    }
}

impl Worker {
    /// DISCONNECT of the client (MQTT 5.0 §3.14).
    pub(super) fn on_disconnect(
        &mut self,
        key: SlotKey,
        code: u8,
        expiry: Option<u32>,
    ) -> Result<(), Close> {
        let Some(slot) = self.slots.get_mut(key) else { return Ok(()) };
        let cap = self.shared.limits.session_expiry_max_s;
        let before = slot.session.meta().expiry;
        let after = before
            .changed_by_disconnect(expiry, cap)
            .map_err(|_| Close::protocol("session expiry in DISCONNECT after 0 in CONNECT"))?;
        if after != before {
            slot.session.set_expiry(after, &mut self.scratch.ops);
            self.journal(key);
        }
        let cause = match code {
            0 => CloseCause::Disconnect,
            0x04 => CloseCause::DisconnectWithWill,
            _ => CloseCause::Broken,
        };
        Err(Close::new(None, "", CloseReason::Disconnect, cause))
    }

    /// Ends the connection of a session; the session may stay.
    pub(crate) fn close(&mut self, key: SlotKey, close: Close) -> Step {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(key) else { return Step::End };
        let Some(conn) = slot.conn.take() else { return Step::End };
        if let Some(code) = close.code {
            let (encoder, text) = (conn.encoder, close.text);
            let text = Some(text).filter(|text| !text.is_empty());
            // A gated output is dropped: the store may be the reason for closing.
            drop(conn.io.with_write_buf(|out| encoder.disconnect(code, text, out)));
        }
        conn.io.close();
        let client = &slot.client;
        tracing::debug!(
            client_id = %client.client_id, reason = ?close.reason, text = close.text,
            "connection closed"
        );
        if matches!(close.reason, CloseReason::Protocol | CloseReason::TooLarge)
            && let Some(suppressed) = self.shared.complaints.turn()
        {
            let code = format_args!("{:#04x}", close.code.unwrap_or_default());
            tracing::warn!(
                client_id = ?client.client_id, peer = ?client.peer, listener = %client.listener,
                %code, why = close.text, suppressed, "a client broke a rule and was closed"
            );
        }
        self.count_close(close.reason);
        if conn.link.is_some() {
            self.shared.ports.link_in.closed(conn.number);
        }
        drop(conn);
        let Some(slot) = self.slots.get_mut(key) else { return Step::End };
        let expiry = slot.session.meta().expiry;
        slot.session.disconnect(wall_ms(), &mut self.scratch.ops);
        slot.replays.clear();
        let verdict = slot.will.as_ref().map_or(WillVerdict::Discard, |will| {
            will.on_close(now, close.cause, expiry, &self.shared.limits)
        });
        self.journal(key);
        self.shared.metrics.clients.add(-1);
        let moves = matches!(close.cause, CloseCause::TakenOver | CloseCause::TakenOverClean);
        self.set_online(key, false);
        if !moves {
            self.give_back_shared(key);
        }
        self.settle_will(key, verdict);
        if !moves {
            self.detach(key, expiry, verdict);
        }
        Step::End
    }

    /// Ends a connection if it is still the one meant.
    pub(crate) fn close_if(&mut self, key: SlotKey, number: u64, close: Close) {
        if self.conn(key, number).is_some() {
            self.close(key, close);
        }
    }

    fn count_close(&self, reason: CloseReason) {
        let metrics = &self.shared.metrics;
        match reason {
            CloseReason::Protocol => metrics.closed_protocol.inc(),
            CloseReason::TooLarge => metrics.closed_too_large.inc(),
            CloseReason::KeepAlive => metrics.closed_keep_alive.inc(),
            CloseReason::Slow => metrics.closed_slow.inc(),
            CloseReason::TakenOver => metrics.closed_taken_over.inc(),
            CloseReason::Kicked => metrics.closed_kicked.inc(),
            CloseReason::Disconnect | CloseReason::Gone | CloseReason::Shutdown => {}
        }
    }

    /// Tells the directory that the connection ended, and ends the session or starts its clock.
    fn detach(&mut self, key: SlotKey, expiry: SessionExpiry, verdict: WillVerdict) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let delayed = matches!(verdict, WillVerdict::PublishAt(_));
        let command = SessionCommand::Detached {
            client_id: slot.client.client_id.clone(),
            epoch: slot.session.meta().epoch,
            at_ms: wall_ms(),
            expiry_s: expiry.interval(),
            will: if delayed { WillFate::Publish } else { WillFate::Discard },
        };
        slot.ends_at = expiry.ends_at(self.now);
        let ends_at = slot.ends_at;
        self.turn.command(Command::Session(command), CommandWaiter::Nobody);
        if !expiry.is_persistent() {
            self.forget(key);
        } else if let Some(at) = ends_at {
            self.timers.add(at, key, Due::SessionEnd);
        }
    }

    fn settle_will(&mut self, key: SlotKey, verdict: WillVerdict) {
        match verdict {
            WillVerdict::Discard => {
                if let Some(slot) = self.slots.get_mut(key) {
                    slot.will = None;
                }
            }
            WillVerdict::Publish => self.publish_will(key),
            WillVerdict::PublishAt(due) => {
                if let Some(slot) = self.slots.get_mut(key) {
                    slot.will_due = Some(due);
                    self.timers.add(due, key, Due::Will);
                }
            }
        }
    }

    /// Publishes the will, if its client still may (A6).
    pub(super) fn publish_will(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.will_due = None;
        let Some(will) = slot.will.take() else { return };
        let client = slot.client.clone();
        let action = Action::Publish { qos: will.qos, retain: will.retain };
        if !self.shared.ports.authorize.allows(&client, action, &will.topic) {
            self.shared.metrics.wills_denied.inc();
            return;
        }
        self.shared.metrics.wills_published.inc();
        let publisher = spanmq_session::Publisher {
            username: client.username.clone(),
            peer: client.peer,
            version: client.version,
        };
        let id = self.ids.next();
        let from = client.client_id.clone();
        let message = will.into_message(self.now, wall_ms(), id, from, publisher);
        let lane = super::publish::lane_of(&message);
        self.publish_own(message, lane);
    }

    /// The session's time is over.
    pub(super) fn end_session(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let command = SessionCommand::End {
            client_id: slot.client.client_id.clone(),
            epoch: slot.session.meta().epoch,
            will: WillFate::Discard,
            at_ms: wall_ms(),
        };
        // The end of the session is the latest time for its will [MQTT-3.1.2-8].
        self.publish_will(key);
        self.turn.command(Command::Session(command), CommandWaiter::Nobody);
        self.forget(key);
    }

    /// Removes a session from this worker and from the store.
    pub(super) fn forget(&mut self, key: SlotKey) -> Option<Box<super::slot::Slot>> {
        let slot = self.remove(key)?;
        self.forget_journal(&slot);
        Some(slot)
    }

    /// Removes a session with its subscriptions from this worker.
    pub(super) fn remove(&mut self, key: SlotKey) -> Option<Box<super::slot::Slot>> {
        let slot = self.slots.remove(key)?;
        for (filter, _) in slot.session.subscriptions() {
            if let Some(op) = self.table.remove(key.index, filter) {
                self.turn.route(op);
            }
        }
        let count = i64::try_from(slot.session.subscription_count()).unwrap_or(0);
        self.shared.metrics.subscriptions.add(-count);
        self.shared.metrics.sessions.add(-1);
        let place = Place { worker: self.id, key };
        self.shared.clients.remove(&slot.client.client_id, place);
        Some(slot)
    }

    /// Ends connection and session after a panic: their state cannot be trusted.
    pub(super) fn abolish(&mut self, key: SlotKey) {
        if let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.take()) {
            conn.io.close();
            self.shared.metrics.clients.add(-1);
        }
        self.end_session(key);
    }

    fn set_online(&mut self, key: SlotKey, online: bool) {
        let Some(slot) = self.slots.get(key) else { return };
        for (filter, _) in slot.session.subscriptions() {
            if let spanmq_topic::Subscription::Shared(shared) = filter {
                let op = self.table.set_online(key.index, shared, online);
                op.into_iter().for_each(|op| self.turn.route(op));
            }
        }
    }
}
