//! Routing: one match in the node's views, then a batch for each destination.

use std::sync::Arc;

use spanmq_session::{FlowId, Message, Origin, PublishAnswer, QoS};
use spanmq_state::NodeId;
use spanmq_topic::{SharedFilter, TopicFilter};

use super::Worker;
use super::flush::CommandWaiter;
use super::slot::{Answer, ReadyAnswer};
use super::ticket::Owner;
use crate::codec::kind;
use crate::mail::{Delivery, SlotKey, TicketAddress};
use crate::ports::{Done, Forward, LinkForward, Outcome, Outcomes};

const NOT_AUTHORIZED: u8 = 0x87;

/// A batch that came from outside of the workers and waits for its answers.
pub(crate) struct OuterBatch {
    outcomes: Vec<Outcome>,
    open: usize,
    done: Done<Outcomes>,
}

impl Worker {
    /// Publishes one message; `owner` is told when every destination holds it.
    pub(crate) fn publish(&mut self, message: &Arc<Message>, lane: u64, owner: Option<Owner>) {
        let ticket = owner.map(|owner| self.tickets.open(owner));
        if message.retain && self.shared.config.rules.retainer.keeps {
            self.keep_retained(message, ticket);
            if message.payload.is_empty() && self.shared.config.rules.retainer.hides_clearing {
                if let Some(ticket) = ticket {
                    self.release(ticket, Outcome::NoSubscribers);
                }
                return;
            }
        }
        if let Some(ticket) = ticket
            && self.park(message, lane, ticket)
        {
            return;
        }
        self.route_and_release(message, lane, ticket);
    }

    pub(super) fn route_and_release(
        &mut self,
        message: &Arc<Message>,
        lane: u64,
        ticket: Option<u32>,
    ) {
        let matched = self.route(message, lane, ticket);
        if let Some(ticket) = ticket {
            let outcome = if matched { Outcome::Held } else { Outcome::NoSubscribers };
            self.release(ticket, outcome);
        }
        if !matched {
            self.shared.metrics.publishes_unmatched.inc();
        }
    }

    /// Finds all destinations. True: somebody wants it.
    fn route(&mut self, message: &Arc<Message>, lane: u64, ticket: Option<u32>) -> bool {
        let mut targets = std::mem::take(&mut self.scratch.targets);
        let known = self.routes.targets(&message.topic, &mut targets);
        if !known && let Some(ticket) = ticket {
            self.hold(Some(ticket));
            self.release(ticket, Outcome::Refused(0x80));
        }
        let mut matched = self.route_local(message, ticket);
        for group in &targets.groups {
            if let Some(filter) = self.group_filter(group) {
                matched |= self.route_group(message, &filter, &group.members, lane, ticket);
            }
        }
        let me = self.shared.ports.identity.node;
        for &node in targets.nodes.iter().filter(|node| **node != me) {
            matched = true;
            let message = message.clone();
            self.hold(ticket);
            let forward = Forward { message, plain: true, groups: Vec::new(), lane };
            self.turn.forward(node, forward, ticket);
        }
        if message.origin == Origin::Local && !targets.links.is_empty() {
            matched = true;
            self.hold(ticket);
            let links = std::mem::take(&mut targets.links);
            self.turn.link(LinkForward { message: message.clone(), links, lane }, ticket);
        }
        self.scratch.targets = targets;
        matched
    }

    /// Plain subscribers of this node, on this worker and the others.
    pub(super) fn route_local(&mut self, message: &Arc<Message>, ticket: Option<u32>) -> bool {
        let own = 1u64 << self.id;
        let only_worker = self.shared.workers.len() == 1;
        let workers = if only_worker { own } else { self.view.workers(&message.topic) };
        let mut matched = false;
        if workers & own != 0 {
            matched |= self.deliver_plain(message, ticket);
        }
        let mut others = workers & !own;
        while others != 0 {
            let worker = others.trailing_zeros() as u16;
            others &= others - 1;
            matched = true;
            self.deliver_to(worker, message, true, Vec::new(), ticket);
        }
        matched
    }

    pub(super) fn deliver_to(
        &mut self,
        worker: u16,
        message: &Arc<Message>,
        plain: bool,
        groups: Vec<Arc<SharedFilter>>,
        ticket: Option<u32>,
    ) {
        self.hold(ticket);
        let ticket = ticket.map(|ticket| TicketAddress { worker: self.id, ticket });
        let message = message.clone();
        self.turn.deliver(worker, Delivery { message, plain, groups, passed: 0, ticket });
    }

    /// One more destination that will answer.
    pub(super) fn hold(&mut self, ticket: Option<u32>) {
        if let Some(ticket) = ticket {
            self.tickets.hold(ticket);
        }
    }

    /// A destination answered.
    pub(crate) fn release(&mut self, ticket: u32, outcome: Outcome) {
        let Some((owner, outcome)) = self.tickets.release(ticket, outcome) else { return };
        match owner {
            Owner::Flow { key, flow } => self.answer_flow(key, flow, outcome),
            Owner::Worker(address) => self.turn.answer(address.worker, address.ticket, outcome),
            Owner::Batch { batch, index } => self.answer_outer(batch, index, outcome),
            Owner::Given { index } => self.on_given(index, outcome),
            Owner::GivenBack { index } => self.on_given_back(index, outcome),
        }
    }

    /// Answers a QoS 1/2 publish of a client of this worker.
    pub(super) fn answer_flow(
        &mut self,
        key: SlotKey,
        flow: spanmq_session::FlowId,
        outcome: Outcome,
    ) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let mut ops = std::mem::take(&mut self.scratch.ops);
        let is_v5 = slot.conn.as_ref().is_some_and(|conn| conn.version().is_v5());
        // 3.1.1 cannot be told a refusal; for missing rights it gets a plain answer, so that it
        // does not send again and again [MQTT-3.3.5-2]; for a quota it gets none, and may.
        let can_tell = |code| is_v5 || code == NOT_AUTHORIZED;
        let (answer, code) = match outcome {
            Outcome::Held => (slot.session.publish_held(flow, &mut ops), 0),
            Outcome::NoSubscribers => (slot.session.publish_held(flow, &mut ops), 0x10),
            Outcome::Refused(code) => {
                let answer = slot.session.publish_refused(flow, can_tell(code), &mut ops);
                (answer.filter(|_| can_tell(code)), code)
            }
        };
        self.scratch.ops = ops;
        self.journal(key);
        let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) else {
            return;
        };
        let packet = answer.map(|answer| match answer {
            PublishAnswer::Puback => kind::PUBACK,
            PublishAnswer::Pubrec => kind::PUBREC,
        });
        let Some(id) = std::num::NonZeroU16::new(flow.packet_id) else { return };
        conn.answer(flow, ReadyAnswer { packet, id, code });
    }

    /// A batch of this node's other parts.
    pub(super) fn publish_batch(&mut self, messages: Vec<Arc<Message>>, done: Done<Outcomes>) {
        let bytes = messages.iter().map(|message| message.payload.len()).sum();
        self.shared.workers[usize::from(self.id)].release(messages.len(), bytes);
        let batch = self.open_batch(messages.len(), done);
        for (index, message) in messages.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let lane = lane_of(message);
            self.publish(message, lane, Some(Owner::Batch { batch, index }));
        }
        self.close_batch(batch);
    }

    /// A batch from another node: local sessions only, it has been routed already.
    pub(super) fn on_peer_batch(
        &mut self,
        from: NodeId,
        forwards: Vec<Forward>,
        done: Done<Outcomes>,
    ) {
        self.shared.metrics.messages_from_peers.add(forwards.len() as u64);
        let bytes = forwards.iter().map(|forward| forward.message.payload.len()).sum();
        self.shared.workers[usize::from(self.id)].release(forwards.len(), bytes);
        let batch = self.open_batch(forwards.len(), done);
        for (index, forward) in forwards.into_iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let ticket = self.tickets.open(Owner::Batch { batch, index });
            let mut matched = forward.plain && self.route_local(&forward.message, Some(ticket));
            if forward.plain && self.shared.left_behind.any() {
                matched |= self.take_left_behind(from, &forward.message, ticket);
            }
            for (group, filter) in forward.groups {
                // Only members here: the publisher's node has picked this one.
                let Ok(filter) = TopicFilter::new(filter) else { continue };
                let filter = Arc::new(SharedFilter { group, filter });
                matched |= self.route_group_here(&forward.message, &filter, Some(ticket));
            }
            let outcome = if matched { Outcome::Held } else { Outcome::NoSubscribers };
            self.release(ticket, outcome);
        }
        self.close_batch(batch);
    }

    fn open_batch(&mut self, len: usize, done: Done<Outcomes>) -> u32 {
        // Held once by the caller until all messages are routed.
        let outcomes = vec![Outcome::NoSubscribers; len];
        let batch = self.batches.insert(OuterBatch { outcomes, open: len + 1, done });
        u32::try_from(batch).expect("fewer than 2^32 batches")
    }

    fn close_batch(&mut self, batch: u32) {
        self.batch_step(batch);
    }

    fn answer_outer(&mut self, batch: u32, index: u32, outcome: Outcome) {
        if let Some(entry) = self.batches.get_mut(batch as usize)
            && let Some(place) = entry.outcomes.get_mut(index as usize)
        {
            *place = outcome;
        }
        self.batch_step(batch);
    }

    fn batch_step(&mut self, batch: u32) {
        let Some(entry) = self.batches.get_mut(batch as usize) else { return };
        entry.open -= 1;
        if entry.open == 0 {
            let OuterBatch { outcomes, done, .. } = self.batches.remove(batch as usize);
            let first = outcomes.first().copied().unwrap_or(Outcome::Held);
            let same = outcomes.iter().all(|outcome| *outcome == first);
            done.answer(if same { Outcomes::All(first) } else { Outcomes::Each(outcomes) });
        }
    }

    /// Proposes the new retained value; one more destination for the publisher's answer.
    fn keep_retained(&mut self, message: &Arc<Message>, ticket: Option<u32>) {
        let rules = self.shared.config.rules.retainer;
        match super::retained::command(message, self.now, &self.shared.limits, rules) {
            Ok(command) => {
                self.hold(ticket);
                self.turn.command(command, CommandWaiter::Retained { ticket });
            }
            Err(code) => {
                self.shared.metrics.retained_refused.inc();
                if let Some(ticket) = ticket {
                    self.hold(Some(ticket));
                    self.release(ticket, Outcome::Refused(code));
                }
            }
        }
    }
}

/// Messages without a connection keep their order per sender.
pub(crate) fn lane_of(message: &Message) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    message.from.hash(&mut hasher);
    hasher.finish()
}

impl super::slot::Conn {
    /// Puts an answer in its place and writes those whose turn it is.
    fn answer(&mut self, flow: spanmq_session::FlowId, ready: ReadyAnswer) {
        if self.answers.front().is_some_and(|first| first.flow == flow) {
            self.answers.pop_front();
            self.write_answer(ready);
            while let Some(ready) = self.answers.front().and_then(|answer| answer.ready) {
                self.answers.pop_front();
                self.write_answer(ready);
            }
        } else if let Some(answer) = self.answers.iter_mut().find(|answer| answer.flow == flow) {
            answer.ready = Some(ready);
        }
    }

    /// An answer that is known, after all that are owed already [MQTT-4.6.0-3].
    pub(super) fn answer_in_turn(&mut self, ready: ReadyAnswer) {
        if self.answers.is_empty() {
            self.write_answer(ready);
        } else {
            // No flow of the session has this id, so nothing else answers it.
            let flow = FlowId { packet_id: ready.id.get(), qos: QoS::ExactlyOnce, run: u32::MAX };
            self.answers.push_back(Answer { flow, ready: Some(ready) });
        }
    }

    fn write_answer(&mut self, ready: ReadyAnswer) {
        let ReadyAnswer { packet: Some(packet), id, code } = ready else { return };
        let encoder = self.encoder;
        self.write(|out| encoder.ack(packet, id, code, out));
    }

    /// An answer to this flow is owed, after all that are owed already.
    pub(super) fn owe(&mut self, flow: spanmq_session::FlowId) {
        self.answers.push_back(Answer { flow, ready: None });
    }
}

/// Whether a level needs an answer.
pub(crate) fn wants_answer(qos: QoS) -> bool {
    qos.is_acknowledged()
}
