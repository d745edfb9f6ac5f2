//! The end of a turn: everything that was collected leaves in one batch per destination.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use spanmq_session::Message;
use spanmq_state::{Command, NodeId, Reply};

use super::Worker;
use super::moving::Barrier;
use crate::local_routes::{RouteBatch, RouteOp};
use crate::mail::{Delivery, Mail, SlotKey};
use crate::ports::{Done, Forward, LinkForward, Outcome, ProposeError};

/// Stands for "nobody waits" in the list of a batch's tickets.
const NO_TICKET: u32 = u32::MAX;

/// What a turn has collected.
pub(crate) struct Turn {
    deliveries: Vec<Vec<Delivery>>,
    answers: Vec<Vec<(u32, Outcome)>>,
    peers: Vec<PeerBatch>,
    /// Forwards of QoS 2 publishes that must be in the journal first.
    peers_stored: Vec<PeerBatch>,
    /// What is routed now belongs to those.
    pub(super) only_when_stored: bool,
    /// Sent to the store with the batch of this number, and then to the peers. Bounded by the
    /// receive maximum of the publishers.
    peers_waiting: VecDeque<(u64, Vec<PeerBatch>)>,
    links: Vec<LinkForward>,
    link_tickets: Vec<u32>,
    routes: Vec<RouteOp>,
    commands: Vec<Command>,
    /// Who gets the reply to the command at the same place.
    waiters: Vec<CommandWaiter>,
    /// Sessions to pump.
    dirty: Vec<SlotKey>,
    /// Connections with control publishes.
    control: Vec<SlotKey>,
    /// Barriers to send behind this turn's deliveries.
    barriers: Vec<(u16, Arc<Barrier>)>,
}

struct PeerBatch {
    node: NodeId,
    batch: Vec<Forward>,
    tickets: Vec<u32>,
}

/// Who waits for the reply to a proposed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandWaiter {
    Nobody,
    /// A retained write, which is one destination of a publish.
    Retained {
        ticket: Option<u32>,
    },
}

impl Turn {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            deliveries: (0..workers).map(|_| Vec::new()).collect(),
            answers: (0..workers).map(|_| Vec::new()).collect(),
            peers: Vec::new(),
            peers_stored: Vec::new(),
            only_when_stored: false,
            peers_waiting: VecDeque::new(),
            links: Vec::new(),
            link_tickets: Vec::new(),
            routes: Vec::new(),
            commands: Vec::new(),
            waiters: Vec::new(),
            dirty: Vec::new(),
            control: Vec::new(),
            barriers: Vec::new(),
        }
    }

    pub(crate) fn deliver(&mut self, worker: u16, delivery: Delivery) {
        if let Some(batch) = self.deliveries.get_mut(usize::from(worker)) {
            batch.push(delivery);
        }
    }

    pub(crate) fn answer(&mut self, worker: u16, ticket: u32, outcome: Outcome) {
        if let Some(batch) = self.answers.get_mut(usize::from(worker)) {
            batch.push((ticket, outcome));
        }
    }

    pub(crate) fn forward(&mut self, node: NodeId, forward: Forward, ticket: Option<u32>) {
        let ticket = ticket.unwrap_or(NO_TICKET);
        let peers = if self.only_when_stored { &mut self.peers_stored } else { &mut self.peers };
        match peers.iter_mut().find(|batch| batch.node == node) {
            Some(batch) => {
                batch.batch.push(forward);
                batch.tickets.push(ticket);
            }
            None => {
                peers.push(PeerBatch { node, batch: vec![forward], tickets: vec![ticket] });
            }
        }
    }

    pub(crate) fn link(&mut self, forward: LinkForward, ticket: Option<u32>) {
        self.links.push(forward);
        self.link_tickets.push(ticket.unwrap_or(NO_TICKET));
    }

    pub(crate) fn route(&mut self, op: RouteOp) {
        self.routes.push(op);
    }

    pub(crate) fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    pub(crate) fn command(&mut self, command: Command, waiter: CommandWaiter) {
        self.commands.push(command);
        self.waiters.push(waiter);
    }

    pub(crate) fn dirty(&mut self, key: SlotKey) {
        self.dirty.push(key);
    }

    pub(crate) fn control(&mut self, key: SlotKey) {
        self.control.push(key);
    }

    pub(crate) fn barrier(&mut self, to: u16, barrier: Arc<Barrier>) {
        self.barriers.push((to, barrier));
    }
}

impl Worker {
    /// Ends the turn.
    pub(crate) fn flush(&mut self) {
        self.now = Instant::now();
        // First: whoever publishes now on another worker finds the new subscriber.
        self.send_routes();
        self.send_control();
        self.pump_dirty();
        if self.serve_waiting() {
            self.pump_dirty();
        }
        self.send_routes();
        self.send_commands();
        // Before the deliveries: the journal gets the beginning of a QoS 2 flow ahead of what the
        // other workers write of it.
        self.send_store();
        self.send_deliveries();
        self.send_barriers();
        self.send_peers();
        self.send_links();
        self.send_answers();
    }

    /// Writes what waits for each session; a session may become dirty again while others are
    /// pumped (a replay of retained messages), which the next turn looks at.
    fn pump_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.turn.dirty);
        for key in dirty.drain(..) {
            self.guarded(key, |worker| worker.pump(key));
        }
        if self.turn.dirty.is_empty() {
            self.turn.dirty = dirty;
        } else {
            self.flusher.arm();
        }
    }

    pub(super) fn send_routes(&mut self) {
        if !self.turn.has_routes() {
            return;
        }
        let ops = std::mem::take(&mut self.turn.routes);
        let batch = RouteBatch { worker: self.id, batch: self.route_batch, ops };
        self.route_batch += 1;
        self.shared.routes.report(batch);
    }

    fn send_commands(&mut self) {
        if self.turn.commands.is_empty() {
            return;
        }
        let commands = std::mem::take(&mut self.turn.commands);
        let waiters = std::mem::take(&mut self.turn.waiters);
        let replies = self.shared.ports.propose.propose(commands);
        let mailbox = self.shared.workers[usize::from(self.id)].clone();
        tokio::task::spawn_local(async move {
            let replies = replies.await;
            mailbox.send(Mail::Task(Box::new(move |worker| worker.on_replies(&waiters, replies))));
        });
    }

    fn on_replies(&mut self, waiters: &[CommandWaiter], replies: Result<Vec<Reply>, ProposeError>) {
        if let Err(error) = &replies {
            tracing::warn!(%error, commands = waiters.len(), "changes were not committed");
        }
        for (index, waiter) in waiters.iter().enumerate() {
            let reply = replies.as_ref().ok().and_then(|replies| replies.get(index));
            match waiter {
                CommandWaiter::Nobody => {}
                CommandWaiter::Retained { ticket } => {
                    let reply = reply.ok_or(replies.as_ref().err());
                    self.on_retained_reply(*ticket, reply);
                }
            }
        }
    }

    fn send_deliveries(&mut self) {
        for worker in 0..self.turn.deliveries.len() {
            let Some(batch) = self.turn.deliveries.get_mut(worker).map(std::mem::take) else {
                continue;
            };
            if batch.is_empty() {
                continue;
            }
            let bytes = batch.iter().map(|delivery| delivery.message.payload.len()).sum();
            let mailbox = &self.shared.workers[worker];
            if mailbox.reserve(batch.len(), bytes) {
                mailbox.send(Mail::Deliver(batch));
            } else {
                self.refuse_deliveries(batch);
            }
        }
    }

    fn send_barriers(&mut self) {
        for (worker, barrier) in self.turn.barriers.drain(..) {
            if let Some(mailbox) = self.shared.workers.get(usize::from(worker)) {
                mailbox.send(Mail::Task(Box::new(move |_| barrier.reached())));
            }
        }
    }

    /// That worker has more to do than it may have: QoS 0 is dropped, QoS 1/2 refused.
    fn refuse_deliveries(&mut self, batch: Vec<Delivery>) {
        self.shared.metrics.worker_inbox_full.add(batch.len() as u64);
        for delivery in batch {
            if let Some(address) = delivery.ticket {
                self.turn.answer(address.worker, address.ticket, Outcome::Refused(0x97));
            }
        }
    }

    pub(super) fn send_peers(&mut self) {
        let batches = std::mem::take(&mut self.turn.peers);
        self.send_to_peers(batches);
        let stored = std::mem::take(&mut self.turn.peers_stored);
        if !stored.is_empty() {
            // Its journal op went to the store earlier in this turn.
            self.turn.peers_waiting.push_back((self.stored_last(), stored));
        }
    }

    /// Everything up to this batch is in the journal.
    pub(super) fn send_peers_stored(&mut self, batch: u64) {
        while self.turn.peers_waiting.front().is_some_and(|(of, _)| *of <= batch) {
            let Some((_, batches)) = self.turn.peers_waiting.pop_front() else { break };
            self.send_to_peers(batches);
        }
    }

    fn send_to_peers(&mut self, batches: Vec<PeerBatch>) {
        for PeerBatch { node, batch, tickets } in batches {
            self.shared.metrics.messages_forwarded.add(batch.len() as u64);
            let done = self.external(tickets);
            self.shared.ports.peers.forward(node, batch, done);
        }
    }

    fn send_links(&mut self) {
        if self.turn.links.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.turn.links);
        let tickets = std::mem::take(&mut self.turn.link_tickets);
        self.shared.metrics.messages_linked.add(batch.len() as u64);
        let done = self.external(tickets);
        self.shared.ports.link_out.append(batch, done);
    }

    /// An answer that comes back as mail, if anybody waits for it.
    fn external(&self, tickets: Vec<u32>) -> Done<crate::ports::Outcomes> {
        if tickets.iter().all(|ticket| *ticket == NO_TICKET) {
            return Done::ignore();
        }
        let mailbox = self.shared.workers[usize::from(self.id)].clone();
        Done::new(move |outcomes| mailbox.send(Mail::External { tickets, outcomes }))
    }

    pub(super) fn on_external(
        &mut self,
        tickets: &[u32],
        outcomes: Option<&crate::ports::Outcomes>,
    ) {
        for (index, ticket) in tickets.iter().enumerate() {
            if *ticket != NO_TICKET {
                // Unanswered: the destination has gone and holds nothing.
                let outcome =
                    outcomes.map_or(Outcome::Refused(0x80), |outcomes| outcomes.get(index));
                self.release(*ticket, outcome);
            }
        }
    }

    fn send_answers(&mut self) {
        for worker in 0..self.turn.answers.len() {
            if let Some(answers) = self.turn.answers.get_mut(worker)
                && !answers.is_empty()
            {
                let answers = std::mem::take(answers);
                self.shared.workers[worker].send(Mail::Answers(answers));
            }
        }
    }

    fn send_control(&mut self) {
        for key in std::mem::take(&mut self.turn.control) {
            self.send_control_of(key);
        }
    }

    /// A message of our own: wills, `$SYS`.
    pub(crate) fn publish_own(&mut self, message: Message, lane: u64) {
        let message = Arc::new(message);
        self.publish(&message, lane, None);
    }
}
