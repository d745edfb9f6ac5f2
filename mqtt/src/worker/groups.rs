//! Shared groups of this worker: a member that is full is passed over, a worker whose members all
//! are passes the message on, and when nobody on this node has room an acknowledged message waits,
//! which slows its publisher down instead of losing it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmq_session::{DropReason, Message};
use spanmq_topic::SharedFilter;

use super::Worker;
use crate::ports::Outcome;

/// How long a message waits for room; then its publisher is told 0x97.
const PATIENCE: Duration = Duration::from_secs(1);
/// Messages that wait in all groups of a worker.
const WAITING_MAX: usize = 100_000;

/// Messages for which no member has room.
#[derive(Default)]
pub(super) struct Waiting {
    groups: HashMap<Arc<SharedFilter>, VecDeque<Entry>>,
    len: usize,
}

struct Entry {
    message: Arc<Message>,
    ticket: u32,
    until: Instant,
}

impl Worker {
    /// Gives the message to one member of a group: on this worker, or on one that has not `passed`
    /// it yet. If all are full it waits here. False: there is none.
    pub(super) fn deliver_group(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        ticket: Option<u32>,
        passed: u64,
    ) -> bool {
        let behind_others = self.waiting.groups.contains_key(filter);
        let offered = if behind_others { None } else { self.offer_group(message, filter, ticket) };
        if offered == Some(true) || self.pass_on(message, filter, ticket, passed) {
            return true;
        }
        if offered.is_none() {
            self.wait_for_room(message, filter, ticket);
        }
        offered.is_none()
    }

    /// `None`: all members are full.
    fn offer_group(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        ticket: Option<u32>,
    ) -> Option<bool> {
        let mut tried = Vec::new();
        while let Some((slot, options)) = self.table.pick(filter, message, &tried) {
            let full = !self.may_take(slot)
                || self.offer(slot, message, &options, ticket) == Some(DropReason::QueueFull);
            if !full {
                return Some(true);
            }
            tried.push(u64::from(slot));
        }
        tried.is_empty().then_some(false)
    }

    /// Looked at first, so that a message that goes elsewhere is not counted as lost.
    fn may_take(&mut self, slot: u32) -> bool {
        let slot = self.slots.at_mut(slot);
        slot.is_none_or(|slot| slot.session.is_persistent() || slot.session.inbox_room() > 0)
    }

    fn wait_for_room(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        ticket: Option<u32>,
    ) {
        let Some(ticket) = ticket.filter(|_| self.waiting.len < WAITING_MAX) else {
            self.shared.metrics.count_drop(DropReason::QueueFull);
            return self.refuse_ticket(ticket);
        };
        self.tickets.hold(ticket);
        self.waiting.len += 1;
        let (message, until) = (message.clone(), self.now + PATIENCE);
        let queue = self.waiting.groups.entry(filter.clone()).or_default();
        queue.push_back(Entry { message, ticket, until });
    }

    /// Gives waiting messages to members that have room again. True: there were some.
    pub(super) fn serve_waiting(&mut self) -> bool {
        if self.waiting.len == 0 {
            return false;
        }
        let filters: Vec<_> = self.waiting.groups.keys().cloned().collect();
        for filter in filters {
            while let Some(entry) = self.next_waiting(&filter) {
                let Entry { message, ticket, until } = entry;
                let outcome = match self.offer_group(&message, &filter, Some(ticket)) {
                    Some(true) => Outcome::Held,
                    Some(false) => Outcome::NoSubscribers,
                    None if until > self.now => {
                        self.wait_again(&filter, Entry { message, ticket, until });
                        break;
                    }
                    None => {
                        self.shared.metrics.count_drop(DropReason::QueueFull);
                        Outcome::Refused(0x97)
                    }
                };
                self.release(ticket, outcome);
            }
        }
        true
    }

    fn next_waiting(&mut self, filter: &SharedFilter) -> Option<Entry> {
        let queue = self.waiting.groups.get_mut(filter)?;
        let entry = queue.pop_front();
        if entry.is_some() {
            self.waiting.len -= 1;
        } else {
            self.waiting.groups.remove(filter);
        }
        entry
    }

    fn wait_again(&mut self, filter: &SharedFilter, entry: Entry) {
        if let Some(queue) = self.waiting.groups.get_mut(filter) {
            queue.push_front(entry);
            self.waiting.len += 1;
        }
    }
}
