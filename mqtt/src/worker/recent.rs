//! Which sessions of this worker have had which QoS 2 message.
//!
//! A QoS 2 PUBLISH that was routed and then refused (a link or a peer could not hold it) is sent
//! again by a client that was not told, and keeps its id ([`Message::repeated`]). What follows a
//! session from its former node may have come here on the straight way. Sessions that took it the
//! first time may have delivered it long since, so the worker remembers.
//!
//! [`Message::repeated`]: spanmq_session::Message::repeated

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use spanmq_session::MessageId;

/// QoS 2 deliveries that a worker remembers: 24 bytes each, 1.5 MiB in all.
const DELIVERIES_MAX: usize = 65_536;
/// Deliveries of repeats that a worker remembers besides: what they repeat may come behind them, as
/// it came another way.
const REPEATS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// Of each client id only a hash: that of another client would pass for it once in 2⁶⁴.
    names: RandomState,
    deliveries: VecDeque<(MessageId, u64)>,
    /// The last repeat that was asked about, and who had it: it is asked for each session.
    asked: Option<(MessageId, HashSet<u64>)>,
    repeats: HashSet<(MessageId, u64)>,
    repeats_in_order: VecDeque<(MessageId, u64)>,
}

impl Recent {
    pub(crate) fn note(&mut self, message: MessageId, repeated: bool, client_id: &str) {
        let session = self.names.hash_one(client_id);
        if repeated && self.repeats.insert((message, session)) {
            self.repeats_in_order.push_back((message, session));
            if self.repeats_in_order.len() > REPEATS_MAX
                && let Some(oldest) = self.repeats_in_order.pop_front()
            {
                self.repeats.remove(&oldest);
            }
        }
        if self.deliveries.len() >= DELIVERIES_MAX {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back((message, session));
        if let Some((asked, had)) = &mut self.asked
            && *asked == message
        {
            had.insert(session);
        }
    }

    /// Whether the session has had the message, which may be a repeat, or be repeated.
    pub(crate) fn had(&mut self, message: MessageId, repeated: bool, client_id: &str) -> bool {
        if !repeated && self.repeats.is_empty() {
            return false;
        }
        let session = self.names.hash_one(client_id);
        if !repeated {
            return self.repeats.contains(&(message, session));
        }
        let known = self.asked.as_ref().is_some_and(|(asked, _)| *asked == message);
        if !known {
            let of = self.deliveries.iter().filter(|(id, _)| *id == message);
            self.asked = Some((message, of.map(|(_, session)| *session).collect()));
        }
        self.asked.as_ref().is_some_and(|(_, had)| had.contains(&session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> MessageId {
        MessageId(number.to_be_bytes())
    }

    #[test]
    fn who_had_a_message_is_known_also_after_it_was_asked() {
        let mut recent = Recent::default();
        recent.note(id(1), false, "a");
        assert!(recent.had(id(1), true, "a"));
        assert!(!recent.had(id(1), true, "b"));
        assert!(!recent.had(id(2), true, "a"));
        recent.note(id(2), false, "a");
        assert!(recent.had(id(2), true, "a"));
        assert!(recent.had(id(1), true, "a"));
    }

    #[test]
    fn what_comes_behind_its_own_repeat_is_known_too() {
        let mut recent = Recent::default();
        assert!(!recent.had(id(1), false, "a"));
        recent.note(id(1), true, "a");
        assert!(recent.had(id(1), false, "a"));
        assert!(!recent.had(id(1), false, "b") && !recent.had(id(2), false, "a"));
        for number in 2..2 + REPEATS_MAX as u128 {
            recent.note(id(number), true, "a");
        }
        assert!(!recent.had(id(1), false, "a"), "the oldest is forgotten first");
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut recent = Recent::default();
        for number in 0..=DELIVERIES_MAX as u128 {
            recent.note(id(number), false, "a");
        }
        assert!(!recent.had(id(0), true, "a"));
        assert!(recent.had(id(1), true, "a"));
    }
}
