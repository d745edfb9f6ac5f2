//! Which member of a shared group gets a message: the node, and on this node the worker.

use std::sync::Arc;

use spanmq_session::Message;
use spanmq_state::{NodeId, SharedGroup};
use spanmq_topic::{SharedFilter, TopicFilter};

use super::Worker;
use super::ticket::Owner;
use crate::mail::{Delivery, TicketAddress};
use crate::ports::{Forward, Outcome, Targets};
use crate::turns::Turn;

/// Shared groups whose parsed form and turn are kept.
const GROUPS_MAX: usize = 4_096;

/// Where the chosen member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    Node(NodeId),
    Worker(u16),
}

/// A message that is under way to a member on another node. Bounded as the tickets are: by what
/// publishers may leave unanswered.
pub(super) struct Given {
    message: Arc<Message>,
    filter: Arc<SharedFilter>,
    lane: u64,
    /// Who waits for it.
    ticket: u32,
    tried: Vec<NodeId>,
}

impl Worker {
    /// The group's name and filter in our form, made once per state of the group.
    pub(super) fn group_filter(&mut self, group: &Arc<SharedGroup>) -> Option<Arc<SharedFilter>> {
        let address = Arc::as_ptr(group) as usize;
        if let Some((_, filter)) = self.group_filters.get(&address) {
            return Some(filter.clone());
        }
        if self.group_filters.len() >= GROUPS_MAX {
            self.group_filters.clear();
        }
        let filter = TopicFilter::new(group.filter.clone()).ok()?;
        let filter = Arc::new(SharedFilter { group: group.group.clone(), filter });
        // Holding the group keeps its address from being used again.
        self.group_filters.insert(address, (group.clone(), filter.clone()));
        Some(filter)
    }

    fn turn_of(&mut self, filter: &Arc<SharedFilter>) -> Turn {
        if let Some(turn) = self.turns.get(filter) {
            return turn.clone();
        }
        if self.turns.len() >= GROUPS_MAX {
            self.turns.clear();
        }
        let turn = self.shared.turns.of(filter);
        self.turns.insert(filter.clone(), turn.clone());
        turn
    }

    /// One member of the group in the whole cluster. What this node knows of itself is newer than
    /// the replicated count.
    pub(super) fn route_group(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        replicated: &[(NodeId, u32)],
        lane: u64,
        ticket: Option<u32>,
    ) -> bool {
        let mut workers = std::mem::take(&mut self.scratch.workers);
        self.view.members(filter, &mut workers);
        let chosen = self.choose(message, filter, replicated, &workers);
        self.scratch.workers = workers;
        match chosen {
            None => false,
            Some(Chosen::Worker(worker)) => self.give_worker(worker, message, filter, ticket),
            Some(Chosen::Node(node)) => {
                self.give_node(node, message, filter, lane, ticket);
                true
            }
        }
    }

    fn choose(
        &mut self,
        message: &Message,
        filter: &Arc<SharedFilter>,
        replicated: &[(NodeId, u32)],
        workers: &[(u64, u32)],
    ) -> Option<Chosen> {
        let me = self.shared.ports.identity.node;
        let mut nodes = std::mem::take(&mut self.scratch.nodes);
        nodes.clear();
        nodes.extend(replicated.iter().filter(|(node, _)| *node != me));
        let here = workers.iter().map(|(_, members)| members).sum();
        nodes.insert(nodes.partition_point(|(node, _)| *node < me), (me, here));
        let turn = self.turn_of(filter);
        let mut turn = turn.lock();
        let chosen = match turn.node(&nodes, me, message) {
            Some((node, place)) if node == me => {
                worker_of(turn.worker(workers, Some(place), message))
            }
            Some((node, _)) => Some(Chosen::Node(node)),
            None => None,
        };
        self.scratch.nodes = nodes;
        chosen
    }

    /// Of a message from another node, which has chosen this one.
    pub(super) fn route_group_here(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        ticket: Option<u32>,
    ) -> bool {
        let mut workers = std::mem::take(&mut self.scratch.workers);
        self.view.members(filter, &mut workers);
        let chosen = worker_of(self.turn_of(filter).lock().worker(&workers, None, message));
        self.scratch.workers = workers;
        let Some(Chosen::Worker(worker)) = chosen else { return false };
        self.give_worker(worker, message, filter, ticket)
    }

    fn give_worker(
        &mut self,
        worker: u16,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        ticket: Option<u32>,
    ) -> bool {
        if worker == self.id {
            return self.deliver_group(message, filter, ticket, 0);
        }
        self.deliver_to(worker, message, false, vec![filter.clone()], ticket);
        true
    }

    fn give_node(
        &mut self,
        node: NodeId,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        lane: u64,
        ticket: Option<u32>,
    ) {
        let given = ticket.map(|ticket| {
            self.tickets.hold(ticket);
            let (message, filter) = (message.clone(), filter.clone());
            self.given.insert(Given { message, filter, lane, ticket, tried: vec![node] })
        });
        self.send_given(node, message, filter, lane, given);
    }

    fn send_given(
        &mut self,
        node: NodeId,
        message: &Arc<Message>,
        filter: &SharedFilter,
        lane: u64,
        given: Option<usize>,
    ) {
        let ticket = given.map(|index| {
            let index = u32::try_from(index).expect("fewer than 2^32 messages");
            self.tickets.open(Owner::Given { index })
        });
        let groups = vec![(filter.group.clone(), filter.filter.as_str().into())];
        let message = message.clone();
        self.turn.forward(node, Forward { message, plain: false, groups, lane }, ticket);
    }

    /// The node that was chosen answered. If its members have gone meanwhile, others are chosen
    /// from; each node is tried once.
    pub(super) fn on_given(&mut self, index: u32, outcome: Outcome) {
        let index = index as usize;
        let Some(given) = self.given.get(index).filter(|_| outcome == Outcome::NoSubscribers)
        else {
            return self.end_given(index, outcome);
        };
        let (message, filter) = (given.message.clone(), given.filter.clone());
        let (lane, ticket, tried) = (given.lane, given.ticket, given.tried.clone());
        let mut targets = std::mem::take(&mut self.scratch.targets);
        self.routes.targets(&message.topic, &mut targets);
        let left: Vec<_> = members_of(&targets, &filter)
            .iter()
            .copied()
            .filter(|(node, _)| !tried.contains(node))
            .collect();
        self.scratch.targets = targets;
        let mut workers = Vec::new();
        self.view.members(&filter, &mut workers);
        match self.choose(&message, &filter, &left, &workers) {
            Some(Chosen::Node(node)) => {
                if let Some(given) = self.given.get_mut(index) {
                    given.tried.push(node);
                }
                self.send_given(node, &message, &filter, lane, Some(index));
            }
            Some(Chosen::Worker(worker)) => {
                let taken = self.give_worker(worker, &message, &filter, Some(ticket));
                let outcome = if taken { Outcome::Held } else { Outcome::NoSubscribers };
                self.end_given(index, outcome);
            }
            None => self.end_given(index, outcome),
        }
    }

    fn end_given(&mut self, index: usize, outcome: Outcome) {
        if let Some(given) = self.given.try_remove(index) {
            self.release(given.ticket, outcome);
        }
    }

    /// Passes a message on to another worker with members, as none here has taken it. `passed`:
    /// the workers that have seen it, as bits. False: there is no other.
    pub(super) fn pass_on(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        ticket: Option<u32>,
        passed: u64,
    ) -> bool {
        let passed = passed | 1 << self.id;
        let mut workers = std::mem::take(&mut self.scratch.workers);
        self.view.members(filter, &mut workers);
        workers.retain(|(worker, _)| passed >> worker & 1 == 0);
        let chosen = worker_of(self.turn_of(filter).lock().worker(&workers, None, message));
        self.scratch.workers = workers;
        let Some(Chosen::Worker(worker)) = chosen else { return false };
        self.hold(ticket);
        let ticket = ticket.map(|ticket| TicketAddress { worker: self.id, ticket });
        let (message, groups) = (message.clone(), vec![filter.clone()]);
        self.turn.deliver(worker, Delivery { message, plain: false, groups, passed, ticket });
        true
    }

    /// To a member on another node. `members`: the group in the whole cluster.
    pub(super) fn pass_to_node(
        &mut self,
        message: &Arc<Message>,
        filter: &Arc<SharedFilter>,
        members: &[(NodeId, u32)],
        lane: u64,
        ticket: Option<u32>,
    ) -> bool {
        match self.choose(message, filter, members, &[]) {
            Some(Chosen::Node(node)) => {
                self.give_node(node, message, filter, lane, ticket);
                true
            }
            Some(Chosen::Worker(_)) | None => false,
        }
    }
}

/// The members of a group in the cluster.
pub(super) fn members_of<'a>(targets: &'a Targets, filter: &SharedFilter) -> &'a [(NodeId, u32)] {
    let is_it = |group: &&Arc<SharedGroup>| {
        group.group == filter.group && *group.filter == *filter.filter.as_str()
    };
    targets.groups.iter().find(is_it).map_or(&[], |group| &group.members)
}

fn worker_of(chosen: Option<u64>) -> Option<Chosen> {
    chosen.and_then(|worker| u16::try_from(worker).ok()).map(Chosen::Worker)
}
