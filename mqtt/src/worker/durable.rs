//! What a turn wants written to the session store, and what waits until it is.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use spanmq_session::{JournalOp, Message, MessageId, ProtocolVersion, Session};
use spanmq_state::Command;
use spanmq_state::command::SessionCommand;
use tokio::sync::oneshot;

use super::Worker;
use super::flush::CommandWaiter;
use super::slot::Slot;
use super::timers::Due;
use crate::clients::Place;
use crate::mail::SlotKey;
use crate::ports::{Client, Outcome};
use crate::shared::{Shared, wall_ms};
use crate::store::{Record, StoreBatch, StoreHandle};

/// The store as one worker uses it. Without a store (durability `memory`) nothing waits.
pub(super) struct StoreTurn {
    handle: Option<StoreHandle>,
    /// Number of the batch that this turn will send; batches are answered in order.
    batch: u64,
    records: Vec<Record>,
    /// Bodies that are in `records` already: one per message, however many sessions want it.
    bodies: HashSet<MessageId>,
    tickets: Vec<u32>,
    waiting: VecDeque<(u64, Vec<u32>)>,
    gated: VecDeque<(u64, SlotKey)>,
    waiters: Vec<(u64, oneshot::Sender<bool>)>,
}

impl StoreTurn {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            handle: shared.store.clone(),
            batch: 1,
            records: Vec::new(),
            bodies: HashSet::new(),
            tickets: Vec::new(),
            waiting: VecDeque::new(),
            gated: VecDeque::new(),
            waiters: Vec::new(),
        }
    }
}

impl Worker {
    /// Hands the collected ops of a session to the store. Packets that must not leave before
    /// them wait (`JournalOp::goes_before_the_packet`).
    pub(super) fn journal(&mut self, key: SlotKey) {
        self.journal_enqueued(key, None, None);
    }

    /// The same for a delivery: the body goes in once, and the publisher's answer waits.
    pub(super) fn journal_enqueued(
        &mut self,
        key: SlotKey,
        body: Option<&Arc<Message>>,
        ticket: Option<u32>,
    ) {
        if self.scratch.ops.is_empty() {
            return;
        }
        if self.store.handle.is_none() {
            self.scratch.ops.clear();
            return;
        }
        let Some(slot) = self.slots.get_mut(key) else {
            self.scratch.ops.clear();
            return;
        };
        if let Some(body) = body
            && self.store.bodies.insert(body.id)
        {
            self.store.records.push(Record::Body(body.clone()));
        }
        slot.journaled = true;
        let client_id = slot.client.client_id.clone();
        let gates = self.scratch.ops.iter().any(JournalOp::goes_before_the_packet);
        for op in self.scratch.ops.drain(..) {
            self.store.records.push(Record::Op { client_id: client_id.clone(), op });
        }
        if gates && let Some(conn) = slot.conn.as_mut() {
            conn.hold_until(self.store.batch);
            self.store.gated.push_back((self.store.batch, key));
        }
        if let Some(ticket) = ticket {
            self.tickets.hold(ticket);
            self.store.tickets.push(ticket);
        }
        self.flusher.arm();
    }

    /// Whether anything outlives this run of the node.
    pub(super) fn has_store(&self) -> bool {
        self.store.handle.is_some()
    }

    /// Number of the batch that was sent last; [`Worker::on_stored`] tells when it is written.
    pub(super) fn stored_last(&self) -> u64 {
        self.store.batch - 1
    }

    /// Sends the turn's batch.
    pub(super) fn send_store(&mut self) {
        if self.store.records.is_empty() {
            return;
        }
        let Some(handle) = &self.store.handle else { return };
        let records = std::mem::take(&mut self.store.records);
        self.store.bodies.clear();
        let tickets = std::mem::take(&mut self.store.tickets);
        let batch = self.store.batch;
        self.store.batch += 1;
        self.store.waiting.push_back((batch, tickets));
        handle.write(StoreBatch { worker: self.id, batch, records });
    }

    /// The store has written everything up to `batch`, or could not.
    pub(super) fn on_stored(&mut self, batch: u64, written: bool) {
        let outcome = if written { Outcome::Held } else { Outcome::Refused(0x97) };
        while self.store.waiting.front().is_some_and(|(of, _)| *of <= batch) {
            let Some((_, tickets)) = self.store.waiting.pop_front() else { break };
            for ticket in tickets {
                self.release(ticket, outcome);
            }
        }
        for (_, tell) in self.store.waiters.extract_if(.., |(of, _)| *of <= batch) {
            // Whoever waited may have gone.
            let _ = tell.send(written);
        }
        while self.store.gated.front().is_some_and(|(of, _)| *of <= batch) {
            let Some((_, key)) = self.store.gated.pop_front() else { break };
            if let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) {
                conn.stored(batch);
            }
        }
        self.send_peers_stored(batch);
    }

    /// Asks the store for messages that were spilled, once memory has drained.
    pub(super) fn refill(&mut self, key: SlotKey) {
        let Some(handle) = self.store.handle.clone() else { return };
        let Some(slot) = self.slots.get_mut(key) else { return };
        if slot.session.spilled_messages() == 0 {
            return;
        }
        let mut ids = Vec::new();
        slot.session.refill(&mut ids);
        if ids.is_empty() {
            return;
        }
        // What was spilled in this turn must be written before it is asked for.
        self.send_store();
        let mailbox = self.shared.workers[usize::from(self.id)].clone();
        handle.load(ids, move |messages| {
            mailbox.send(crate::mail::Mail::Task(Box::new(move |worker| {
                if let Some(slot) = worker.slots.get_mut(key) {
                    slot.session.loaded(messages, &mut worker.scratch.ops);
                    worker.journal(key);
                    worker.mark_dirty(key);
                }
            })));
        });
    }

    /// The session has ended or left: its journal goes.
    pub(super) fn forget_journal(&mut self, slot: &Slot) {
        if self.store.handle.is_some() && slot.journaled {
            let client_id = slot.client.client_id.clone();
            self.store.records.push(Record::Forget { client_id });
            self.flusher.arm();
        }
    }

    /// Removes a session that has left from the store.
    pub(super) fn forget_in_store(&mut self, client_id: &Arc<str>) {
        if self.store.handle.is_some() {
            self.store.records.push(Record::Forget { client_id: client_id.clone() });
            self.flusher.arm();
        }
    }

    /// Waits until the store has written what this turn has collected so far; false: it could not.
    pub(crate) fn when_stored(&mut self) -> oneshot::Receiver<bool> {
        let (tell, stored) = oneshot::channel();
        if self.store.records.is_empty() {
            let _ = tell.send(true);
        } else {
            self.store.waiters.push((self.store.batch, tell));
        }
        stored
    }

    /// A delayed will was published: nobody else shall (ARCHITECTURE §4, wills).
    pub(super) fn will_done(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let client_id = slot.client.client_id.clone();
        let epoch = slot.session.meta().epoch;
        let command = SessionCommand::WillDone { client_id, epoch };
        self.turn.command(Command::Session(command), CommandWaiter::Nobody);
    }
}

impl Worker {
    /// Takes the sessions of an earlier run, not connected, and reports what they want. Their
    /// clocks go on.
    pub(crate) fn adopt_recovered(&mut self, sessions: Vec<Session>) {
        self.begin();
        for session in sessions {
            let meta = session.meta().clone();
            let away_ms = wall_ms().saturating_sub(meta.offline_since_ms.unwrap_or_else(wall_ms));
            let left = meta
                .expiry
                .ends_at(self.now)
                .map(|at| at.checked_sub(Duration::from_millis(away_ms)).unwrap_or(self.now));
            let client_id = session.client_id().clone();
            let client = Arc::new(unknown_client(&client_id, meta.owner));
            let mut slot = Slot::new(session, client);
            (slot.ends_at, slot.journaled) = (left, true);
            tracing::debug!(
                ?client_id,
                worker = self.id,
                epoch = meta.epoch,
                in_flight = slot.session.in_flight(),
                waiting = slot.session.inbox_messages() + slot.session.spilled_messages(),
                "a session was recovered"
            );
            let (key, _) = self.adopt(slot);
            self.shared.clients.put(client_id, Place { worker: self.id, key });
            if let Some(at) = left {
                self.timers.add(at, key, Due::SessionEnd);
            }
        }
        self.send_routes();
    }

    /// Writes a session that came from elsewhere, or is new, into the journal.
    pub(super) fn journal_whole(&mut self, key: SlotKey, messages: &[Arc<Message>]) {
        if self.store.handle.is_none() {
            return;
        }
        let Some(slot) = self.slots.get_mut(key) else { return };
        if !slot.session.is_persistent() {
            return;
        }
        slot.journaled = true;
        let bodies = messages.iter().filter(|message| message.qos.is_acknowledged());
        self.store.records.extend(bodies.cloned().map(Record::Body));
        let client_id = slot.client.client_id.clone();
        let ops = slot.session.snapshot();
        self.store.records.push(Record::Replace { client_id, ops });
        self.flusher.arm();
    }
}

/// What is known of a client before it comes back: enough to own its session.
fn unknown_client(client_id: &Arc<str>, owner: Option<Arc<str>>) -> Client {
    let principal = owner.unwrap_or_else(|| "".into());
    Client {
        client_id: client_id.clone(),
        username: Some(principal.clone()).filter(|name| !name.is_empty()),
        cert_cn: None,
        peer: None,
        listener: "".into(),
        zone: "default".into(),
        version: ProtocolVersion::V5,
        principal,
        is_superuser: false,
    }
}
