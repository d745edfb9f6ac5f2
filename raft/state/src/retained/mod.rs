//! Retained messages: one per topic, with caps on count and bytes (SECURITY L8).

pub(crate) mod command;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spanmq_topic::{NameTable, TopicName, check_name};

use crate::changes::{Changes, Event};
use crate::command::Limits;
use crate::digest::EntryHash;
use crate::shards::{SHARDS, Shards, shard_of};
use crate::types::{Millis, Opaque, Revision};
use command::{RetainedCommand, RetainedRef, RetainedReply};

/// What is kept for one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedMessage {
    /// The encoded message.
    pub message: Opaque,
    /// When it expires.
    pub expiry_at_ms: Option<Millis>,
    /// Raft index of the write.
    pub revision: Revision,
}

#[derive(Clone, Default)]
pub(crate) struct RetainedShard {
    pub(crate) names: NameTable<RetainedMessage>,
    /// Derived: those that expire, by time.
    deadlines: BTreeSet<(Millis, Arc<str>)>,
    digest: u64,
}

/// All retained messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retained {
    pub(crate) shards: Shards<RetainedShard>,
    count: u64,
    bytes: u64,
}

impl Retained {
    /// Messages held.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes held, topics included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The message of one topic.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&RetainedMessage> {
        self.shards.of(topic).names.get(topic)
    }

    /// The messages whose topic `filter` matches, in no order, until `found` breaks. Walks the
    /// table under the caller's lock: give it a clone of the state when the filter is wide.
    pub fn matching<B>(
        &self,
        filter: &str,
        mut found: impl FnMut(&TopicName, &RetainedMessage) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if !filter.contains(['+', '#']) {
            let shard = self.shards.of(filter);
            return shard.names.try_for_each_matching(filter, &mut found);
        }
        for shard in self.shards.iter() {
            shard.names.try_for_each_matching(filter, &mut found)?;
        }
        ControlFlow::Continue(())
    }

    /// Messages that `filter` matches, a page at a time: from shard `cursor` on (0 = the first)
    /// until there are `limit` or more. Returns where to go on, none at the end. A page ends only
    /// between shards, so it may exceed `limit` by one shard's share.
    #[must_use]
    pub fn page(
        &self,
        filter: &str,
        cursor: usize,
        limit: usize,
    ) -> (Vec<(TopicName, RetainedMessage)>, Option<usize>) {
        let mut page = Vec::new();
        let wild = filter.contains(['+', '#']);
        let (first, end) = if wild {
            (cursor, SHARDS)
        } else {
            (shard_of(filter).max(cursor), shard_of(filter) + 1)
        };
        for number in first..end {
            let Some(shard) = self.shards.at(number) else { break };
            shard.names.for_each_matching(filter, |topic, message| {
                page.push((topic.clone(), message.clone()));
            });
            if page.len() >= limit && number + 1 < end {
                return (page, Some(number + 1));
            }
        }
        (page, None)
    }

    /// Up to `limit` messages whose expiry has passed, for the leader to propose
    /// [`RetainedCommand::Expire`].
    #[must_use]
    pub fn due(&self, now_ms: Millis, limit: usize) -> Vec<RetainedRef> {
        let due = self.shards.iter().flat_map(|shard| {
            let passed = shard.deadlines.iter().take_while(|(at, _)| *at <= now_ms);
            passed.filter_map(|(_, topic)| Some((topic, shard.names.get(topic)?.revision)))
        });
        let named = |(topic, revision): (&Arc<str>, Revision)| RetainedRef {
            topic: topic.clone(),
            revision,
        };
        due.take(limit).map(named).collect()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.shards.iter().fold(EntryHash::new(6), |h, shard| h.u64(shard.digest)).finish()
    }

    /// For a snapshot being read as well. Returns the message replaced.
    pub(crate) fn put(
        &mut self,
        topic: &Arc<str>,
        message: RetainedMessage,
    ) -> Option<RetainedMessage> {
        let Ok(name) = TopicName::new(topic.clone()) else { return None };
        self.count += 1;
        self.bytes += size(topic, &message);
        let shard = self.shards.of_mut(topic);
        shard.digest = shard.digest.wrapping_add(hash(topic, &message));
        if let Some(at) = message.expiry_at_ms {
            shard.deadlines.insert((at, topic.clone()));
        }
        let new_deadline = message.expiry_at_ms;
        let old = shard.names.insert(name, message)?;
        if let Some(at) = old.expiry_at_ms.filter(|_| old.expiry_at_ms != new_deadline) {
            shard.deadlines.remove(&(at, topic.clone()));
        }
        shard.digest = shard.digest.wrapping_sub(hash(topic, &old));
        self.count -= 1;
        self.bytes -= size(topic, &old);
        Some(old)
    }

    fn remove(&mut self, topic: &Arc<str>) -> Option<RetainedMessage> {
        self.get(topic)?;
        let shard = self.shards.of_mut(topic);
        let old = shard.names.remove(topic)?;
        if let Some(at) = old.expiry_at_ms {
            shard.deadlines.remove(&(at, topic.clone()));
        }
        shard.digest = shard.digest.wrapping_sub(hash(topic, &old));
        self.count -= 1;
        self.bytes -= size(topic, &old);
        Some(old)
    }

    pub(crate) fn apply(
        &mut self,
        index: u64,
        limits: &Limits,
        command: &RetainedCommand,
        changes: &mut Changes,
    ) -> RetainedReply {
        match command {
            RetainedCommand::Set { topic, message, expiry_at_ms } => {
                let message = RetainedMessage {
                    message: message.clone(),
                    expiry_at_ms: *expiry_at_ms,
                    revision: index,
                };
                self.set(limits, topic, message, changes)
            }
            RetainedCommand::Clear { topic } => {
                if check_name(topic).is_err() {
                    return RetainedReply::InvalidTopic;
                }
                let replaced = u32::from(self.remove(topic).is_some());
                if replaced > 0 {
                    changes.events.push(Event::Retained { topic: topic.clone(), revision: None });
                }
                RetainedReply::Done { revision: index, replaced }
            }
            RetainedCommand::Expire { messages } => {
                let mut replaced = 0;
                for expired in messages {
                    let same = |m: &RetainedMessage| m.revision == expired.revision;
                    if self.get(&expired.topic).is_some_and(same) {
                        self.remove(&expired.topic);
                        replaced += 1;
                        let topic = expired.topic.clone();
                        changes.events.push(Event::Retained { topic, revision: None });
                    }
                }
                RetainedReply::Done { revision: index, replaced }
            }
        }
    }

    /// Over a cap nothing changes: the old value stays, and the publisher hears it (L8).
    fn set(
        &mut self,
        limits: &Limits,
        topic: &Arc<str>,
        message: RetainedMessage,
        changes: &mut Changes,
    ) -> RetainedReply {
        if check_name(topic).is_err() {
            return RetainedReply::InvalidTopic;
        }
        if message.message.len() as u64 > limits.retained_message_max {
            return RetainedReply::TooLarge { limit: limits.retained_message_max };
        }
        let old = self.get(topic).map(|old| size(topic, old));
        let bytes = self.bytes - old.unwrap_or(0) + size(topic, &message);
        let count = self.count + u64::from(old.is_none());
        let grows = old.is_none_or(|old| size(topic, &message) > old);
        if count > limits.retained_count_max && old.is_none()
            || bytes > limits.retained_bytes_max && grows
        {
            return RetainedReply::Full { count: self.count, bytes: self.bytes };
        }
        let revision = message.revision;
        let replaced = u32::from(self.put(topic, message).is_some());
        changes.events.push(Event::Retained { topic: topic.clone(), revision: Some(revision) });
        RetainedReply::Done { revision, replaced }
    }
}

fn size(topic: &str, message: &RetainedMessage) -> u64 {
    topic.len() as u64 + message.message.len() as u64
}

fn hash(topic: &str, message: &RetainedMessage) -> u64 {
    EntryHash::new(60)
        .text(topic)
        .bytes(&message.message.0)
        .u64(message.revision)
        .u64(message.expiry_at_ms.unwrap_or(u64::MAX))
        .finish()
}

/// The tables compare by content; a trie has no order of its own.
impl PartialEq for RetainedShard {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.deadlines == other.deadlines
            && self.names.len() == other.names.len()
            && self.names.iter().all(|(topic, message)| other.names.get(topic) == Some(message))
    }
}

impl std::fmt::Debug for RetainedShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.names.iter()).finish()
    }
}
