use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use super::Session;
use crate::{
    DropReason, Entry, JournalOp, Limits, Message, MessageId, SessionMeta, inbox::Inbox,
    queued::Queued, released::Released,
};

/// A journal that no session can have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The first op is not [`JournalOp::Meta`].
    #[error("the journal of a session does not begin with its meta data")]
    NoMeta,
    /// An entry takes a packet id, but it was never enqueued or is in flight already.
    #[error("the journal sends entry {seq}, which does not wait")]
    NotWaiting {
        /// Which entry.
        seq: u64,
    },
    /// An entry with this number exists already.
    #[error("the journal enqueues entry {seq} twice")]
    EnqueuedTwice {
        /// Which entry.
        seq: u64,
    },
    /// Two flows with one packet id, or the packet id 0.
    #[error("the journal uses packet id {packet_id} for two flows")]
    PacketIdTaken {
        /// Which packet id.
        packet_id: u16,
    },
}

/// The session as its ops tell it, still without messages.
struct Replay {
    session: Session,
    waiting: BTreeMap<u64, Entry>,
    flying: VecDeque<(u16, Entry)>,
}

impl Session {
    /// Rebuilds a session, not connected, from its journal: from any prefix of the ops that it
    /// wrote, or from a [`Self::snapshot`] and the ops after it.
    ///
    /// `find` gives the messages that are at hand. What waits and is not at hand stays in the
    /// store until [`Self::refill`] asks for it; what is in flight must be at hand, else it is
    /// counted as lost. So for a quick start `find` need only know the ids of [`in_flight_messages`].
    ///
    /// # Errors
    /// [`ReplayError`] when the ops contradict each other.
    pub fn replay(
        client_id: Arc<str>,
        limits: Arc<Limits>,
        ops: impl IntoIterator<Item = JournalOp>,
        find: impl FnMut(MessageId) -> Option<Arc<Message>>,
    ) -> Result<Self, ReplayError> {
        let mut ops = ops.into_iter();
        let Some(JournalOp::Meta(meta)) = ops.next() else { return Err(ReplayError::NoMeta) };
        let mut replay = Replay::new(client_id, limits, meta);
        ops.try_for_each(|op| replay.apply(op))?;
        Ok(replay.finish(find))
    }

    /// Numbers the next entries from at least `seq` on. After a replay of a shortened journal whose
    /// long form stays in the store: what ended there must not be taken for what comes now.
    pub fn number_from(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// The number of the next entry.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The shortest journal that rebuilds this session; replaces all its ops so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<JournalOp> {
        let mut ops = vec![JournalOp::Meta(self.meta.clone())];
        let subscriptions = self.subscriptions.sorted().into_iter();
        ops.extend(
            subscriptions.map(|(filter, options)| JournalOp::Subscribed { filter, options }),
        );
        let released = self.window.released().iter();
        ops.extend(
            released.map(|&Released { packet_id, seq }| JournalOp::Released { seq, packet_id }),
        );
        for flight in self.window.unacked() {
            let (entry, packet_id) = (flight.queued.entry.clone(), flight.packet_id);
            let seq = entry.seq;
            ops.extend([JournalOp::Enqueued(entry), JournalOp::InFlight { seq, packet_id }]);
        }
        ops.extend(self.inbox.acked_entries().cloned().map(JournalOp::Enqueued));
        let mut held: Vec<_> = self.inbound.held_ids().collect();
        held.sort_unstable();
        let held = held.into_iter();
        ops.extend(held.map(|packet_id| JournalOp::Qos2Received { packet_id }));
        let mut named: Vec<_> = self.inbound.named().collect();
        named.sort_unstable();
        let named = named.into_iter();
        ops.extend(named.map(|(packet_id, message)| JournalOp::Qos2Begun { packet_id, message }));
        let mut taken: Vec<_> = self.taken.iter().copied().collect();
        taken.sort_unstable();
        ops.extend(taken.into_iter().map(|message| JournalOp::Took { message }));
        ops
    }
}

/// The messages that a replay of these ops must have at hand: those in flight at their end.
#[must_use]
pub fn in_flight_messages(ops: &[JournalOp]) -> Vec<MessageId> {
    let mut entries = HashMap::new();
    let mut flying = BTreeMap::new();
    for op in ops {
        match op {
            JournalOp::Enqueued(entry) => {
                entries.insert(entry.seq, entry.message);
            }
            JournalOp::InFlight { seq, packet_id } => {
                flying.extend(entries.remove(seq).map(|id| (*packet_id, id)));
            }
            JournalOp::Released { packet_id, .. } | JournalOp::Acked { packet_id, .. } => {
                flying.remove(packet_id);
            }
            _ => {}
        }
    }
    flying.into_values().collect()
}

impl Replay {
    fn new(client_id: Arc<str>, limits: Arc<Limits>, meta: SessionMeta) -> Self {
        let session = Session::new(client_id, meta, limits);
        Self { session, waiting: BTreeMap::new(), flying: VecDeque::new() }
    }

    fn apply(&mut self, op: JournalOp) -> Result<(), ReplayError> {
        match op {
            JournalOp::Meta(meta) => self.session.meta = meta,
            JournalOp::Subscribed { filter, options } => {
                self.session.subscriptions.restore(filter, options);
            }
            JournalOp::Unsubscribed(filter) => {
                self.session.subscriptions.remove(&filter);
            }
            JournalOp::Enqueued(entry) => self.enqueue(entry)?,
            JournalOp::InFlight { seq, packet_id } => self.launch(seq, packet_id)?,
            JournalOp::Released { seq, packet_id } => self.release(seq, packet_id)?,
            JournalOp::Acked { packet_id, .. } => self.end_flow(packet_id),
            JournalOp::Dropped { seq } => {
                self.waiting.remove(&seq);
            }
            JournalOp::Qos2Received { packet_id } => {
                self.session.inbound.forget_unanswered(packet_id);
                self.session.inbound.add_held(packet_id);
            }
            JournalOp::Qos2Done { packet_id } => {
                self.session.inbound.forget_unanswered(packet_id);
                self.session.inbound.on_pubrel(packet_id);
            }
            JournalOp::Qos2Begun { packet_id, message } => {
                self.session.inbound.add_unanswered(packet_id, message);
            }
            JournalOp::Took { message } => {
                self.session.taken.insert(message);
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, entry: Entry) -> Result<(), ReplayError> {
        let seq = entry.seq;
        self.saw(seq);
        match self.waiting.insert(seq, entry) {
            None => Ok(()),
            Some(_) => Err(ReplayError::EnqueuedTwice { seq }),
        }
    }

    fn launch(&mut self, seq: u64, packet_id: u16) -> Result<(), ReplayError> {
        self.check_id(packet_id)?;
        let entry = self.waiting.remove(&seq).ok_or(ReplayError::NotWaiting { seq })?;
        self.flying.push_back((packet_id, entry));
        Ok(())
    }

    /// Also for a flow that the ops have not shown before: a snapshot begins with those.
    fn release(&mut self, seq: u64, packet_id: u16) -> Result<(), ReplayError> {
        self.saw(seq);
        match self.position(packet_id) {
            Some(index) => {
                self.flying.remove(index);
            }
            None => self.check_id(packet_id)?,
        }
        self.session.window.add_released(Released { packet_id, seq });
        Ok(())
    }

    fn end_flow(&mut self, packet_id: u16) {
        if let Some(index) = self.position(packet_id) {
            self.flying.remove(index);
        } else if let Some(index) = self.session.window.find_released(packet_id) {
            self.session.window.remove_released(index);
        }
    }

    fn position(&self, packet_id: u16) -> Option<usize> {
        self.flying.iter().position(|(id, _)| *id == packet_id)
    }

    fn check_id(&self, packet_id: u16) -> Result<(), ReplayError> {
        let taken = self.position(packet_id).is_some()
            || self.session.window.find_released(packet_id).is_some();
        if taken || packet_id == 0 {
            return Err(ReplayError::PacketIdTaken { packet_id });
        }
        Ok(())
    }

    fn saw(&mut self, seq: u64) {
        self.session.next_seq = self.session.next_seq.max(seq.saturating_add(1));
    }

    fn finish(self, mut find: impl FnMut(MessageId) -> Option<Arc<Message>>) -> Session {
        let Self { mut session, waiting, flying } = self;
        for (packet_id, entry) in flying {
            match find(entry.message) {
                Some(message) => session.window.add(packet_id, Queued { entry, message }),
                None => session.drops.add(DropReason::Lost),
            }
        }
        session.window.forget_free_run();
        session.inbox = Inbox::restore(waiting.into_values(), &session.limits, find);
        session
    }
}
