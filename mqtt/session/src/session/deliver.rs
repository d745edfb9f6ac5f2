use std::{sync::Arc, time::Instant};

use super::Session;
use crate::{
    Delivered, DropReason, Entry, JournalOp, MatchedOptions, Message, MessageId, Overflow, QoS,
    inbox::Placement, queued::Queued,
};

impl Session {
    /// Takes a message that matched a subscription of this session.
    ///
    /// Hot path: no allocation beyond growth of the queue and of `ops`.
    pub fn deliver(
        &mut self,
        now: Instant,
        message: &Arc<Message>,
        options: &MatchedOptions,
        ops: &mut Vec<JournalOp>,
    ) -> Delivered {
        if !self.taken.is_empty() && self.taken.remove(&message.id) {
            return Delivered::Repeat;
        }
        let qos = message.qos.min(options.qos);
        if let Some(reason) = self.refusal(now, message, qos) {
            return self.dropped(reason);
        }
        let queued = self.queue_up(message, options, qos);
        let journaled = (self.is_persistent() && qos.is_acknowledged())
            .then(|| JournalOp::Enqueued(queued.entry.clone()));
        let delivered = match self.place(now, queued, ops) {
            Placement::Memory => Delivered::Queued,
            Placement::Spilled => Delivered::Spilled,
            Placement::Full => return self.dropped(DropReason::QueueFull),
        };
        ops.extend(journaled);
        delivered
    }

    /// Why the session does not even queue a message.
    fn refusal(&self, now: Instant, message: &Message, qos: QoS) -> Option<DropReason> {
        if self.moved {
            return Some(DropReason::Moved);
        }
        let stores_qos0 = self.limits.store_offline_qos0 && self.is_persistent();
        if !qos.is_acknowledged() && self.connection.is_none() && !stores_qos0 {
            return Some(DropReason::Offline);
        }
        message.is_expired(now).then_some(DropReason::Expired)
    }

    fn dropped(&mut self, reason: DropReason) -> Delivered {
        self.drops.add(reason);
        Delivered::Dropped(reason)
    }

    fn queue_up(&mut self, message: &Arc<Message>, options: &MatchedOptions, qos: QoS) -> Queued {
        let entry = Entry {
            seq: self.next_seq,
            message: message.id,
            size: u32::try_from(message.weight()).unwrap_or(u32::MAX),
            qos,
            retain: options.retain.apply(message.retain),
            ids: options.ids.clone(),
            shared: options.shared.clone(),
        };
        self.next_seq += 1;
        Queued { entry, message: Arc::clone(message) }
    }

    fn place(&mut self, now: Instant, queued: Queued, ops: &mut Vec<JournalOp>) -> Placement {
        if self.inbox.is_full(&self.limits) && self.inbox.sweep_is_due(now) {
            self.sweep(now, ops);
        }
        let may_spill = self.is_persistent();
        // For a shared message another member is better than the loss of an older one.
        let shared = queued.entry.shared.is_some();
        let drop_oldest = self.limits.overflow == Overflow::DropOldest && !shared;
        let drops = &mut self.drops;
        self.inbox.push(queued, may_spill, drop_oldest, &self.limits, |evicted| {
            drops.add(DropReason::Evicted);
            if may_spill && evicted.qos.is_acknowledged() {
                ops.push(JournalOp::Dropped { seq: evicted.seq });
            }
        })
    }

    /// Drops what waited too long. For sessions that are offline or stuck: call it every minute
    /// or so. (Nothing that has expired is ever sent, whether this was called or not.)
    pub fn sweep(&mut self, now: Instant, ops: &mut Vec<JournalOp>) {
        let journaled = self.is_persistent();
        let drops = &mut self.drops;
        self.inbox.expire(now, self.limits.message_expiry_max_s, |entry| {
            drops.add(DropReason::Expired);
            if journaled && entry.qos.is_acknowledged() {
                ops.push(JournalOp::Dropped { seq: entry.seq });
            }
        });
    }

    /// Asks for messages that wait in the store, once the memory has drained. Answer with
    /// [`Self::loaded`], in the same order.
    pub fn refill(&mut self, out: &mut Vec<MessageId>) {
        self.inbox.refill(&self.limits, out);
    }

    /// Takes what the store had for [`Self::refill`]; `None` for a message that it lost. Then pump.
    pub fn loaded(
        &mut self,
        messages: impl IntoIterator<Item = (MessageId, Option<Arc<Message>>)>,
        ops: &mut Vec<JournalOp>,
    ) {
        for (id, message) in messages {
            if let Some(lost) = self.inbox.load(id, message) {
                self.drops.add(DropReason::Lost);
                self.log(ops, || JournalOp::Dropped { seq: lost.seq });
            }
        }
        self.inbox.end_of_load();
    }
}
