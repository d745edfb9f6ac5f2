//! The QoS 1 and 2 PUBLISH packets of the client that are not finished.
//!
//! A QoS 2 id stays from its PUBLISH to its PUBREL, over reconnects, so that a repeat is not routed
//! twice. Quota (MQTT 5.0 §4.9): what one connection has unfinished is at most the receive maximum;
//! ids left by earlier connections, which a client that lost its state never releases, are at
//! most as many again, and the oldest of them is forgotten first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::{FlowId, InboundDecision, MessageId, PublishAnswer, QoS, reason};

#[derive(Debug, Clone, Copy)]
struct Flow {
    packet_id: u16,
    /// The connection that began it.
    begun: u32,
    /// The last connection that sent its PUBLISH; only that one gets an answer.
    asked: u32,
    qos2: bool,
    /// All destinations hold the message.
    held: bool,
    /// Since when its PUBREL is missed, on this connection.
    missed_since: Option<Instant>,
    /// The name under which it is routed, once the journal knows it.
    message: Option<MessageId>,
}

#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// In order of first arrival; usually the front ends first.
    flows: VecDeque<Flow>,
    /// Number of the present connection.
    run: u32,
    /// How many of `flows` the present connection has sent.
    asked_now: usize,
    /// How many of `flows` are not held yet.
    routing: usize,
    /// QoS 2 publishes that were routed and never answered, by packet id: an earlier run of the node
    /// died, or they were refused and the client could not be told. Oldest first.
    unanswered: Vec<(u16, MessageId)>,
}

impl Inbound {
    /// A connection has begun. QoS 1 flows of earlier ones can no longer be answered.
    pub(crate) fn restart(&mut self) {
        self.run = self.run.wrapping_add(1);
        self.asked_now = 0;
        self.flows.retain(|flow| flow.qos2);
        for flow in &mut self.flows {
            flow.missed_since = None;
        }
        self.routing = self.flows.iter().filter(|flow| !flow.held).count();
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(crate) const fn routing(&self) -> usize {
        self.routing
    }

    /// Ids that a restart must know.
    pub(crate) fn held_ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.flows.iter().filter(|flow| flow.qos2 && flow.held).map(|flow| flow.packet_id)
    }

    /// Decides on a PUBLISH; `forgotten` hears which old id had to make room.
    pub(crate) fn on_publish(
        &mut self,
        packet_id: u16,
        qos: QoS,
        max: u16,
        awaiting_max: u32,
        mut forgotten: impl FnMut(u16),
    ) -> InboundDecision {
        let (run, max) = (self.run, usize::from(max));
        let qos2 = qos == QoS::ExactlyOnce;
        if let Some(index) = self.find(packet_id, qos2) {
            return self.on_repeat(index, max);
        }
        if self.asked_now >= max {
            return InboundDecision::Close(reason::RECEIVE_MAXIMUM_EXCEEDED);
        }
        if self.flows.len() >= 2 * max {
            self.forget_oldest(&mut forgotten);
        }
        // The sum of both kinds is at hand: they are counted only when there may be too many.
        let awaiting_max = awaiting_max as usize;
        while qos2 && self.flows.len() >= awaiting_max && self.qos2() >= awaiting_max {
            if !self.forget_oldest(&mut forgotten) {
                return InboundDecision::Refuse(reason::QUOTA_EXCEEDED);
            }
        }
        self.asked_now += 1;
        self.routing += 1;
        let (begun, asked, held, message, missed_since) = (run, run, false, None, None);
        self.flows.push_back(Flow { packet_id, begun, asked, qos2, held, message, missed_since });
        InboundDecision::Route(FlowId { packet_id, qos, run })
    }

    fn on_repeat(&mut self, index: usize, max: usize) -> InboundDecision {
        let run = self.run;
        let Some(flow) = self.flows.get_mut(index) else { return InboundDecision::Pending };
        if flow.asked != run {
            if self.asked_now >= max {
                return InboundDecision::Close(reason::RECEIVE_MAXIMUM_EXCEEDED);
            }
            flow.asked = run;
            self.asked_now += 1;
        }
        if flow.held { InboundDecision::Repeat } else { InboundDecision::Pending }
    }

    /// Forgets an id of an earlier connection, if there is one.
    fn forget_oldest(&mut self, mut forgotten: impl FnMut(u16)) -> bool {
        let run = self.run;
        let Some(index) = self.flows.iter().position(|flow| flow.asked != run) else {
            return false;
        };
        if let Some(flow) = self.remove(index).filter(|flow| flow.held) {
            forgotten(flow.packet_id);
        }
        true
    }

    fn qos2(&self) -> usize {
        self.flows.iter().filter(|flow| flow.qos2).count()
    }

    /// Whether there are ids whose PUBREL has not come.
    pub(crate) fn awaits_release(&self) -> bool {
        self.flows.iter().any(|flow| flow.held)
    }

    /// Forgets the ids that the client has left for too long while it was connected.
    pub(crate) fn forget_missed(
        &mut self,
        now: Instant,
        time: Duration,
        mut forgotten: impl FnMut(u16),
    ) {
        let mut index = 0;
        while let Some(flow) = self.flows.get_mut(index) {
            let held = flow.held;
            let missed = held.then(|| *flow.missed_since.get_or_insert(now));
            if missed.is_some_and(|since| now.saturating_duration_since(since) >= time) {
                if let Some(flow) = self.remove(index) {
                    forgotten(flow.packet_id);
                }
            } else {
                index += 1;
            }
        }
    }

    /// All destinations hold the message: QoS 1 is over, a QoS 2 id is kept until PUBREL.
    pub(crate) fn on_held(&mut self, flow: FlowId) -> Option<(PublishAnswer, bool)> {
        let index = self.find_flow(flow)?;
        let found = self.flows.get_mut(index)?;
        let (qos2, asked) = (found.qos2, found.asked == self.run);
        if qos2 {
            found.held = true;
            self.routing -= 1;
        } else {
            self.remove(index);
        }
        let answer = if qos2 { PublishAnswer::Pubrec } else { PublishAnswer::Puback };
        Some((answer, asked))
    }

    /// Names the message of a QoS 2 flow that is about to be routed: `fresh`, or, for the repeat of
    /// one that was left unanswered, the name it had then. True: the name is new.
    ///
    /// Without DUP it is no repeat [MQTT-3.3.1-1]: the client has lost its state and means
    /// another message.
    pub(crate) fn name(&mut self, id: FlowId, is_dup: bool, fresh: MessageId) -> (MessageId, bool) {
        let earlier = self.unanswered.iter().position(|(of, _)| *of == id.packet_id);
        let earlier = earlier.map(|at| self.unanswered.swap_remove(at).1).filter(|_| is_dup);
        let message = earlier.unwrap_or(fresh);
        if let Some(flow) = self.find_flow(id).and_then(|index| self.flows.get_mut(index)) {
            flow.message = Some(message);
        }
        (message, earlier.is_none())
    }

    /// QoS 2 flows that are named and not held: a restart must know them.
    pub(crate) fn named(&self) -> impl Iterator<Item = (u16, MessageId)> + '_ {
        let routing = self.flows.iter().filter(|flow| !flow.held);
        let routing = routing.filter_map(|flow| Some((flow.packet_id, flow.message?)));
        self.unanswered.iter().copied().chain(routing)
    }

    /// A flow that the journal leaves unanswered.
    pub(crate) fn add_unanswered(&mut self, packet_id: u16, message: MessageId) {
        self.forget_unanswered(packet_id);
        self.unanswered.push((packet_id, message));
    }

    /// The journal goes on: it was answered or given up.
    /// True: there was such a flow.
    pub(crate) fn forget_unanswered(&mut self, packet_id: u16) -> bool {
        let before = self.unanswered.len();
        self.unanswered.retain(|(of, _)| *of != packet_id);
        self.unanswered.len() < before
    }

    /// The message was refused: its id is free, a repeat will be routed. A client that is not told
    /// of it may repeat it, so its name is kept, for `max` of them; `over` hears which packet ids
    /// nobody can repeat any more.
    pub(crate) fn on_refused(
        &mut self,
        flow: FlowId,
        told: bool,
        max: u16,
        mut over: impl FnMut(u16),
    ) -> Option<PublishAnswer> {
        let index = self.find_flow(flow)?;
        let refused = self.remove(index)?;
        let asked = refused.asked == self.run;
        if let Some(message) = refused.message {
            self.unanswered.push((flow.packet_id, message));
        }
        if told && asked && refused.qos2 && self.forget_unanswered(flow.packet_id) {
            over(flow.packet_id);
        }
        if self.unanswered.len() > usize::from(max) {
            over(self.unanswered.remove(0).0);
        }
        let answer = if refused.qos2 { PublishAnswer::Pubrec } else { PublishAnswer::Puback };
        asked.then_some(answer)
    }

    /// PUBREL: true if it ended a flow.
    pub(crate) fn on_pubrel(&mut self, packet_id: u16) -> bool {
        match self.find(packet_id, true) {
            Some(index) if self.flows.get(index).is_some_and(|flow| flow.held) => {
                self.remove(index).is_some()
            }
            _ => false,
        }
    }

    /// An id that the journal knows.
    pub(crate) fn add_held(&mut self, packet_id: u16) {
        let begun = self.run.wrapping_sub(1);
        let asked = begun;
        let (qos2, held, message, missed_since) = (true, true, None, None);
        self.flows.push_back(Flow { packet_id, begun, asked, qos2, held, message, missed_since });
    }

    fn find(&self, packet_id: u16, qos2: bool) -> Option<usize> {
        self.flows.iter().position(|flow| flow.packet_id == packet_id && flow.qos2 == qos2)
    }

    /// The flow that is still being routed for this connection's PUBLISH.
    fn find_flow(&self, id: FlowId) -> Option<usize> {
        self.flows.iter().position(|flow| {
            flow.packet_id == id.packet_id
                && flow.begun == id.run
                && flow.qos2 == (id.qos == QoS::ExactlyOnce)
                && !flow.held
        })
    }

    fn remove(&mut self, index: usize) -> Option<Flow> {
        let flow = self.flows.remove(index)?;
        if flow.asked == self.run {
            self.asked_now -= 1;
        }
        if !flow.held {
            self.routing -= 1;
        }
        Some(flow)
    }
}
