use std::{collections::BTreeSet, sync::Arc, time::Instant};

use spanmq_topic::{NameTable, TopicFilter, TopicName};

use crate::{Limits, Message, RetainError};

/// The last retained message of each topic (MQTT 5.0 §3.3.1.3), within limits.
///
/// It never forgets on its own: in a cluster, expiry is a decision of the log, so that all nodes
/// hold the same. But nothing that has expired is ever found.
#[derive(Default)]
pub struct RetainedStore {
    messages: NameTable<Arc<Message>>,
    bytes: u64,
    /// Only of messages that have an expiry.
    deadlines: BTreeSet<(Instant, TopicName)>,
}

impl RetainedStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a message for its topic instead of the former one, which is returned. One with an
    /// empty payload only removes [MQTT-3.3.1-6] [MQTT-3.3.1-7].
    ///
    /// # Errors
    /// [`RetainError`]; the former message stays then.
    pub fn set(
        &mut self,
        message: Arc<Message>,
        limits: &Limits,
    ) -> Result<Option<Arc<Message>>, RetainError> {
        if message.payload.is_empty() {
            return Ok(self.remove(&message.topic));
        }
        self.check(&message, limits)?;
        let topic = message.topic.clone();
        self.bytes += message.weight() as u64;
        let deadline = message.deadline();
        let former = self.messages.insert(topic.clone(), message);
        if let Some(former) = &former {
            self.discount(former);
        }
        self.deadlines.extend(deadline.map(|deadline| (deadline, topic)));
        Ok(former)
    }

    /// Whether [`Self::set`] would keep the message. For whoever proposes it to the cluster.
    ///
    /// # Errors
    /// [`RetainError`] for the first limit that it would pass.
    pub fn check(&self, message: &Message, limits: &Limits) -> Result<(), RetainError> {
        if message.payload.is_empty() {
            return Ok(());
        }
        let (size, max) = (message.weight() as u64, u64::from(limits.retained_message_bytes_max));
        if size > max {
            return Err(RetainError::TooLarge { bytes: size, max });
        }
        let former = self.messages.get(&message.topic);
        if former.is_none() && self.messages.len() >= limits.retained_messages_max as usize {
            return Err(RetainError::TooMany { max: limits.retained_messages_max });
        }
        let bytes = self.bytes - former.map_or(0, |former| former.weight() as u64) + size;
        let max = limits.retained_bytes_max;
        if bytes > max { Err(RetainError::TooManyBytes { bytes, max }) } else { Ok(()) }
    }

    /// Forgets the message of a topic.
    pub fn remove(&mut self, topic: &TopicName) -> Option<Arc<Message>> {
        let message = self.messages.remove(topic)?;
        self.discount(&message);
        Some(message)
    }

    fn discount(&mut self, gone: &Message) {
        self.bytes -= gone.weight() as u64;
        if let Some(deadline) = gone.deadline() {
            self.deadlines.remove(&(deadline, gone.topic.clone()));
        }
    }

    /// The message of a topic.
    #[must_use]
    pub fn get(&self, now: Instant, topic: &str) -> Option<&Arc<Message>> {
        self.messages.get(topic).filter(|message| !message.is_expired(now))
    }

    /// Appends the messages that a filter matches. `#` and `+/…` match no `$` topic
    /// [MQTT-4.7.2-1].
    pub fn matching(&self, now: Instant, filter: &TopicFilter, out: &mut Vec<Arc<Message>>) {
        self.messages.for_each_matching(filter, |_, message| {
            if !message.is_expired(now) {
                out.push(Arc::clone(message));
            }
        });
    }

    /// Topics whose message has expired, the oldest first, at most `max`.
    pub fn expired(&self, now: Instant, max: usize) -> impl Iterator<Item = &TopicName> {
        let due = self.deadlines.iter().take_while(move |(deadline, _)| *deadline <= now);
        due.take(max).map(|(_, topic)| topic)
    }

    /// When the next message expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of all messages.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
