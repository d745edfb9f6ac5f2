//! What the journal holds: which records are still needed, and what may go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use spanmq_session::{JournalOp, MessageId};

/// A session's ops are rewritten when so many more are in the journal than it needs.
const SLACK_OPS: usize = 256;

/// Records by what they are for.
#[derive(Debug, Default)]
pub(super) struct Index {
    bodies: HashMap<MessageId, Body>,
    sessions: HashMap<Arc<str>, Journal>,
    /// First record of everything that is needed, oldest first.
    oldest: BTreeMap<u64, Owner>,
    body_bytes: u64,
    /// Messages of QoS 2 publishes that are not answered, with the sessions that have had them:
    /// their publishers may repeat them.
    open: HashMap<MessageId, HashSet<Arc<str>>>,
    /// What ops before resets needed, while the journal is read.
    remembered: Before,
}

/// What a session's ops before a reset needed. The ops behind it may need the same, so it is given
/// up only when they are in.
#[derive(Debug, Default)]
pub(super) struct Before {
    bodies: Vec<MessageId>,
    begun: Vec<(Arc<str>, MessageId)>,
}

impl Before {
    pub(super) fn extend(&mut self, more: Self) {
        self.bodies.extend(more.bodies);
        self.begun.extend(more.begun);
    }
}

#[derive(Debug, Default)]
struct Body {
    /// Where it is, and its size. While the journal is read, deliveries may come before the body
    /// that they need: cleaning has moved it.
    place: Option<(u64, u64)>,
    /// Deliveries that wait for it or have it in flight.
    needed_by: u32,
}

#[derive(Debug, Default)]
struct Journal {
    records: Vec<u64>,
    /// Deliveries that need a body, by their number.
    deliveries: HashMap<u64, MessageId>,
    /// QoS 2 publishes of the client that are not answered, by packet id.
    begun: HashMap<u16, MessageId>,
}

/// Whose record it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Body(MessageId),
    Session(Arc<str>),
}

impl Index {
    pub(super) fn body(&mut self, id: MessageId, sequence: u64, bytes: u64) {
        let body = self.bodies.entry(id).or_default();
        if let Some((before, bytes)) = body.place.replace((sequence, bytes)) {
            self.oldest.remove(&before);
            self.body_bytes -= bytes;
        }
        self.oldest.insert(sequence, Owner::Body(id));
        self.body_bytes += bytes;
    }

    pub(super) fn op(&mut self, client_id: &Arc<str>, op: &JournalOp, sequence: u64) {
        let journal = self.sessions.entry(client_id.clone()).or_default();
        if journal.records.is_empty() {
            self.oldest.insert(sequence, Owner::Session(client_id.clone()));
        }
        journal.records.push(sequence);
        match op {
            JournalOp::Enqueued(entry) => {
                if journal.deliveries.insert(entry.seq, entry.message).is_none() {
                    self.bodies.entry(entry.message).or_default().needed_by += 1;
                }
                self.took(client_id, entry.message);
            }
            JournalOp::Took { message } => self.took(client_id, *message),
            JournalOp::Acked { seq, .. }
            | JournalOp::Dropped { seq }
            | JournalOp::Released { seq, .. } => {
                if let Some(id) = journal.deliveries.remove(seq) {
                    self.release(id);
                }
            }
            JournalOp::Qos2Begun { packet_id, message } => {
                if let Some(before) = journal.begun.insert(*packet_id, *message) {
                    self.open.remove(&before);
                }
                self.open.entry(*message).or_default();
            }
            JournalOp::Qos2Received { packet_id } | JournalOp::Qos2Done { packet_id } => {
                if let Some(message) = journal.begun.remove(packet_id) {
                    self.open.remove(&message);
                }
            }
            _ => {}
        }
    }

    fn took(&mut self, client_id: &Arc<str>, message: MessageId) {
        if let Some(sessions) = self.open.get_mut(&message) {
            sessions.insert(client_id.clone());
        }
    }

    /// What a session has had of QoS 2 publishes that are not answered. Cost: their number, which
    /// the receive maximum of the publishers bounds.
    pub(super) fn taken_by(&self, client_id: &str) -> HashSet<MessageId> {
        let taken = self.open.iter().filter(|(_, sessions)| sessions.contains(client_id));
        taken.map(|(message, _)| *message).collect()
    }

    fn release(&mut self, id: MessageId) {
        let Some(body) = self.bodies.get_mut(&id) else { return };
        body.needed_by = body.needed_by.saturating_sub(1);
        if body.needed_by == 0
            && let Some(Body { place: Some((sequence, bytes)), .. }) = self.bodies.remove(&id)
        {
            self.oldest.remove(&sequence);
            self.body_bytes -= bytes;
        }
    }

    pub(super) fn forget(&mut self, client_id: &str) {
        let Some(journal) = self.sessions.remove(client_id) else { return };
        if let Some(first) = journal.records.first() {
            self.oldest.remove(first);
        }
        for id in journal.begun.values() {
            self.open.remove(id);
        }
        for id in journal.deliveries.into_values() {
            self.release(id);
        }
    }

    /// Bodies that came with no delivery: all sessions were full.
    pub(super) fn drop_unneeded(&mut self, ids: &[MessageId]) {
        for id in ids {
            if self.bodies.get(id).is_some_and(|body| body.needed_by == 0) {
                self.release(*id);
            }
        }
    }

    pub(super) fn sequence_of(&self, id: MessageId) -> Option<u64> {
        self.bodies.get(&id)?.place.map(|(sequence, _)| sequence)
    }

    pub(super) fn records_of(&self, client_id: &str) -> &[u64] {
        self.sessions.get(client_id).map_or(&[], |journal| &journal.records)
    }

    /// A session's ops begin anew; yields what its deliveries needed, to be given to
    /// [`Index::settle`] once the new ops are in.
    pub(super) fn reset(&mut self, client_id: &Arc<str>, sequence: u64) -> Before {
        let journal = self.sessions.entry(client_id.clone()).or_default();
        if let Some(first) = journal.records.first() {
            self.oldest.remove(first);
        }
        journal.records = vec![sequence];
        self.oldest.insert(sequence, Owner::Session(client_id.clone()));
        let begun = journal.begun.drain().map(|(_, id)| (client_id.clone(), id)).collect();
        let bodies = std::mem::take(&mut journal.deliveries).into_values().collect();
        Before { bodies, begun }
    }

    /// Gives up what the ops before a reset needed.
    pub(super) fn settle(&mut self, before: Before) {
        for id in before.bodies {
            self.release(id);
        }
        for (client_id, id) in before.begun {
            let mut begun =
                self.sessions.get(&client_id).into_iter().flat_map(|s| s.begun.values());
            if !begun.any(|of| *of == id) {
                self.open.remove(&id);
            }
        }
    }

    /// Keeps what a reset gave up until everything was read.
    pub(super) fn remember(&mut self, before: Before) {
        self.remembered.extend(before);
    }

    /// Everything was read.
    pub(super) fn settle_remembered(&mut self) {
        let before = std::mem::take(&mut self.remembered);
        self.settle(before);
    }

    /// Whether a session has many more ops in the journal than it needs.
    pub(super) fn is_slack(&self, client_id: &str) -> bool {
        self.sessions
            .get(client_id)
            .is_some_and(|journal| journal.records.len() > SLACK_OPS + 4 * journal.deliveries.len())
    }

    /// The oldest record that is needed, and whose it is.
    pub(super) fn first_needed(&self) -> Option<(u64, &Owner)> {
        self.oldest.first_key_value().map(|(sequence, owner)| (*sequence, owner))
    }

    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanmq_session::{Entry, QoS, SubscriptionIds};

    fn enqueued(seq: u64, id: u8) -> JournalOp {
        JournalOp::Enqueued(Entry {
            seq,
            message: MessageId([id; 16]),
            size: 1,
            qos: QoS::AtLeastOnce,
            retain: false,
            ids: SubscriptionIds::None,
            shared: None,
        })
    }

    #[test]
    fn a_body_that_cleaning_has_moved_behind_its_delivery_is_needed_all_the_same() {
        let mut index = Index::default();
        let id = MessageId([1; 16]);
        index.op(&"a".into(), &enqueued(1, 1), 0);
        index.body(id, 1, 10);
        index.drop_unneeded(&[id]);
        assert_eq!(index.sequence_of(id), Some(1));
        index.op(&"a".into(), &JournalOp::Acked { seq: 1, packet_id: 1 }, 2);
        assert_eq!((index.sequence_of(id), index.body_bytes()), (None, 0));
    }

    #[test]
    fn who_has_had_a_message_is_known_until_its_publisher_cannot_repeat_it() {
        let mut index = Index::default();
        let message = MessageId([1; 16]);
        index.op(&"p".into(), &JournalOp::Qos2Begun { packet_id: 7, message }, 0);
        index.op(&"a".into(), &enqueued(1, 1), 1);
        index.op(&"a".into(), &JournalOp::Acked { seq: 1, packet_id: 1 }, 2);
        index.reset(&"a".into(), 3);
        assert_eq!(index.taken_by("a"), HashSet::from([message]));
        assert!(index.taken_by("b").is_empty());
        let before = index.reset(&"p".into(), 4);
        index.op(&"p".into(), &JournalOp::Qos2Begun { packet_id: 7, message }, 5);
        index.settle(before);
        assert_eq!(index.taken_by("a"), HashSet::from([message]), "the publisher's new form");
        index.op(&"p".into(), &JournalOp::Qos2Received { packet_id: 7 }, 6);
        assert!(index.taken_by("a").is_empty());
    }

    #[test]
    fn a_body_stays_as_long_as_any_session_needs_it() {
        let mut index = Index::default();
        let id = MessageId([1; 16]);
        index.body(id, 0, 10);
        index.op(&"a".into(), &enqueued(1, 1), 1);
        index.op(&"b".into(), &enqueued(1, 1), 2);
        index.op(&"a".into(), &JournalOp::Acked { seq: 1, packet_id: 1 }, 3);
        assert_eq!(index.sequence_of(id), Some(0));
        index.forget("b");
        assert_eq!((index.sequence_of(id), index.body_bytes()), (None, 0));
        assert_eq!(index.first_needed().map(|(sequence, _)| sequence), Some(1));
    }
}
