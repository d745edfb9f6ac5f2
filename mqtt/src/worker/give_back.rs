//! What a member of a shared group has not acknowledged when it goes, goes to another member
//! (MQTT 5.0 §4.8.2): on this worker, else on another one, else at another node.

use spanmq_session::{Message, QoS, Redispatch};
use spanmq_topic::SharedFilter;

use super::Worker;
use super::choice::members_of;
use super::publish::lane_of;
use super::ticket::Owner;
use crate::mail::SlotKey;
use crate::ports::Outcome;

/// A message under way from a persistent session to a member elsewhere. The journal keeps it until
/// it has arrived; a crash in between leads to two copies, never to none.
pub(super) struct GivenBack {
    key: SlotKey,
    back: Redispatch,
}

impl Worker {
    pub(super) fn give_back_shared(&mut self, key: SlotKey) {
        self.give_back_here(key);
        self.give_back_elsewhere(key);
    }

    fn give_back_here(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let mut back = Vec::new();
        let table = &self.table;
        let elsewhere =
            |filter: &SharedFilter, _: &Message, _| table.has_other_member(filter, key.index);
        slot.session.reclaim_shared(elsewhere, &mut back);
        self.scratch.ops.extend(back.iter_mut().filter_map(|back| back.op.take()));
        self.journal(key);
        for Redispatch { filter, message, .. } in back {
            let tried = [u64::from(key.index)];
            if let Some((slot, options)) = self.table.pick(&filter, &message, &tried) {
                self.deliver_one(slot, &message, &options, None);
            }
        }
    }

    fn give_back_elsewhere(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let persistent = slot.session.is_persistent();
        let mut targets = std::mem::take(&mut self.scratch.targets);
        let (me, here) = (self.shared.ports.identity.node, u64::from(self.id));
        let (view, routes) = (&self.view, &mut self.routes);
        let elsewhere = |filter: &SharedFilter, message: &Message, qos: QoS| {
            // Two copies after a crash are one too many for QoS 2: it waits for its client.
            if persistent && qos == QoS::ExactlyOnce {
                return false;
            }
            view.has_online_besides(filter, here) || {
                routes.targets(&message.topic, &mut targets);
                members_of(&targets, filter).iter().any(|(node, _)| *node != me)
            }
        };
        let mut back = Vec::new();
        slot.session.reclaim_shared(elsewhere, &mut back);
        self.scratch.targets = targets;
        for back in back {
            self.give_elsewhere(key, back);
        }
    }

    fn give_elsewhere(&mut self, key: SlotKey, back: Redispatch) {
        let (message, filter) = (back.message.clone(), back.filter.clone());
        let index = self.given_back.insert(GivenBack { key, back });
        let index = u32::try_from(index).expect("fewer than 2^32 messages");
        let ticket = self.tickets.open(Owner::GivenBack { index });
        if !self.pass_on(&message, &filter, Some(ticket), 0) {
            let mut targets = std::mem::take(&mut self.scratch.targets);
            self.routes.targets(&message.topic, &mut targets);
            let lane = lane_of(&message);
            let all = members_of(&targets, &filter);
            self.pass_to_node(&message, &filter, all, lane, Some(ticket));
            self.scratch.targets = targets;
        }
        self.release(ticket, Outcome::NoSubscribers);
    }

    /// The member elsewhere has the message, or has not: then it waits for its old client.
    pub(super) fn on_given_back(&mut self, index: u32, outcome: Outcome) {
        let Some(GivenBack { key, back }) = self.given_back.try_remove(index as usize) else {
            return;
        };
        if outcome != Outcome::Held && !self.put_back(key, &back) {
            self.shared.metrics.count_drop(spanmq_session::DropReason::Offline);
        }
        if self.slots.get(key).is_some() {
            self.scratch.ops.extend(back.op);
            self.journal(key);
        }
    }

    fn put_back(&mut self, key: SlotKey, back: &Redispatch) -> bool {
        let options = self.table.options_of(key.index, &back.filter);
        let (Some(options), Some(_)) = (options, self.slots.get(key)) else { return false };
        self.deliver_one(key.index, &back.message, &options, None);
        true
    }
}
