//! Retained messages: written through Raft, read from this node's state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmq_session::codec::{decode_message, encode_message};
use spanmq_session::{Limits, Message};
use spanmq_state::command::{RetainedCommand, RetainedReply};
use spanmq_state::{Command, Opaque, Reply};

use super::Worker;
use crate::mail::SlotKey;
use crate::ports::{Outcome, ProposeError, Retained};
use crate::rules::RetainerRules;
use crate::shared::wall_ms;

/// Retained messages read from the state at a time.
const PORTION: usize = 256;

/// The command that a retained PUBLISH leads to.
///
/// # Errors
/// The reason code of a message that is too large to be retained (L8).
pub(super) fn command(
    message: &Message,
    now: Instant,
    limits: &Limits,
    rules: RetainerRules,
) -> Result<Command, u8> {
    let topic = message.topic.as_str().into();
    if message.payload.is_empty() {
        return Ok(Command::Retained(RetainedCommand::Clear { topic }));
    }
    if message.payload.len() > limits.retained_message_bytes_max as usize {
        return Err(0x97);
    }
    let mut bytes = Vec::new();
    encode_message(message, now, &mut bytes).map_err(|_| 0x97)?;
    let expiry_at_ms = message
        .properties
        .message_expiry
        .or(rules.expiry_s)
        .map(|seconds| message.timestamp_ms.saturating_add(u64::from(seconds) * 1_000));
    let message = Opaque::new(bytes);
    Ok(Command::Retained(RetainedCommand::Set { topic, message, expiry_at_ms }))
}

/// Reads a retained message back; `None` when it has expired or cannot be read.
fn read(retained: &Retained, now: Instant, wall_ms: u64) -> Option<Message> {
    if retained.expiry_at_ms.is_some_and(|at| at <= wall_ms) {
        return None;
    }
    let mut message = match decode_message(&retained.message.0, now, Duration::ZERO) {
        Ok(message) => message,
        Err(error) => {
            tracing::warn!(topic = %retained.topic, %error, "a retained message cannot be read");
            return None;
        }
    };
    // The time in the store counts as waiting [MQTT-3.3.2-6]; wall clocks, as nodes differ.
    let waited = Duration::from_millis(wall_ms.saturating_sub(message.timestamp_ms));
    message.received = now.checked_sub(waited).unwrap_or(message.received);
    Some(message)
}

impl Worker {
    pub(super) fn on_retained_reply(
        &mut self,
        ticket: Option<u32>,
        reply: Result<&Reply, Option<&ProposeError>>,
    ) {
        let outcome = match reply {
            // Whether somebody subscribed is for the other destinations to say.
            Ok(Reply::Retained(RetainedReply::Done { .. })) => Outcome::NoSubscribers,
            Ok(Reply::Retained(RetainedReply::Full { .. } | RetainedReply::TooLarge { .. }))
            | Err(Some(ProposeError::DiskFull)) => {
                self.shared.metrics.retained_refused.inc();
                Outcome::Refused(0x97)
            }
            Ok(_) => Outcome::Refused(0x80),
            // No quorum.
            Err(_) => Outcome::Refused(0x83),
        };
        if let Some(ticket) = ticket {
            self.release(ticket, outcome);
        }
    }

    pub(super) fn has_replays(&self, key: SlotKey) -> bool {
        self.slots
            .get(key)
            .is_some_and(|slot| !slot.replays.is_empty() && slot.session.inbox_room() > 0)
    }

    /// Feeds the retained messages of new subscriptions, as many as the session takes now.
    pub(super) fn feed_replays(&mut self, key: SlotKey) {
        let source = self.shared.ports.retained.clone();
        let Some(slot) = self.slots.get_mut(key) else { return };
        let room = slot.session.inbox_room().min(PORTION);
        let Some(replay) = slot.replays.front_mut().filter(|_| room > 0) else { return };
        while replay.waiting.len() < room
            && let Some(cursor) = replay.cursor
        {
            let (page, next) = source.page(&replay.filter, cursor, room);
            replay.waiting.extend(page);
            replay.cursor = next;
        }
        let portion: Vec<Retained> =
            replay.waiting.drain(..room.min(replay.waiting.len())).collect();
        let options = replay.options.clone();
        if replay.waiting.is_empty() && replay.cursor.is_none() {
            slot.replays.pop_front();
        }
        let wall_ms = wall_ms();
        for retained in &portion {
            if let Some(message) = read(retained, self.now, wall_ms) {
                self.deliver_one(key.index, &Arc::new(message), &options, None);
            }
        }
    }
}
