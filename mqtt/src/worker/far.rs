//! The worker's part in moving a session between nodes; the order of the steps is in `handover`.

use std::collections::HashSet;
use std::sync::Arc;

use spanmq_session::{
    ConnectTerms, JournalOp, MatchedOptions, Message, MessageId, QoS, RetainFlag, Session,
    SessionExport, SessionMeta, reason::QUOTA_EXCEEDED,
};
use spanmq_state::{Epoch, NodeId};

use super::Worker;
use super::connect::rebuild;
use super::moving::{Left, Subscriptions};
use super::slot::Slot;
use super::timers::Due;
use crate::clients::Place;
use crate::mail::{SlotKey, TicketAddress};
use crate::owners::answer_all;
use crate::ports::{Client, Done, Forward, Outcome, Outcomes};

impl Worker {
    /// The session's place, if it is here and older than `epoch`.
    fn older_than(&self, client_id: &str, epoch: Epoch) -> Option<SlotKey> {
        let place = self.shared.clients.place(client_id).filter(|place| place.worker == self.id)?;
        let slot = self.slots.get(place.key)?;
        (slot.session.meta().epoch < epoch).then_some(place.key)
    }

    /// Step 1, on the former owner. The session stays until [`Worker::forget_copy`].
    pub(crate) fn freeze_for(&mut self, client_id: &str, epoch: Epoch) -> Option<Subscriptions> {
        self.begin();
        self.older_than(client_id, epoch)?;
        self.freeze(client_id)
    }

    /// The claim was given up: the session waits here for its client as before.
    pub(crate) fn thaw(&mut self, client_id: &str) {
        if let Some(place) = self.shared.clients.place(client_id)
            && place.worker == self.id
            && let Some(slot) = self.slots.get_mut(place.key)
        {
            (slot.moving, slot.handed) = (None, None);
        }
    }

    /// Step 5, on the former owner: a copy, but for messages that only the store has. `owing`: nodes
    /// that may still hold something for the session.
    pub(crate) fn copy_for(
        &mut self,
        client_id: &str,
        epoch: Epoch,
        owing: Vec<NodeId>,
    ) -> Option<Left> {
        let key = self.older_than(client_id, epoch)?;
        // Whoever completes the copy finds in the store what it names.
        self.send_store();
        let limits = self.shared.limits.clone();
        let slot = self.slots.get_mut(key)?;
        let got = slot.moving.clone().unwrap_or_default();
        let next = slot.session.next_seq();
        let export = slot.session.export();
        // An exported session takes nothing; should the claimant fail, this one goes on.
        if let Some(mut session) = rebuild(&export, limits) {
            session.number_from(next);
            slot.session = session;
        }
        slot.handed = Some((owing, next));
        Some(Left { export: Box::new(export), got })
    }

    /// Behind all that this worker has routed to a node.
    pub(crate) fn send_fence(&mut self, to: NodeId, fence: Forward, done: Done<Outcomes>) {
        self.send_store();
        self.send_peers();
        // A fence passes nothing; that the journal may be a moment behind matters only to a crash
        // in this moment.
        self.send_peers_stored(u64::MAX);
        self.shared.ports.peers.forward(to, vec![fence], done);
    }

    /// Step 5, on the new owner: the session gets its place, and what was buffered. Without what
    /// the former owner left, only its subscriptions go on.
    pub(crate) fn arrive(
        &mut self,
        buffer: SlotKey,
        client: &Arc<Client>,
        terms: &ConnectTerms,
        epoch: Epoch,
        left: Option<Left>,
        subscriptions: Subscriptions,
    ) -> SlotKey {
        self.begin();
        let (mut session, mut messages, mut got) = (None, Vec::new(), HashSet::new());
        if let Some(left) = left {
            messages.clone_from(&left.export.messages);
            session = self.import(*left.export, epoch);
            got = left.got;
        }
        let session = session.unwrap_or_else(|| {
            let limits = self.shared.limits.clone();
            let meta = SessionMeta {
                epoch,
                owner: Some(client.principal.clone()),
                expiry: terms.expiry,
                offline_since_ms: None,
            };
            let mut session = Session::new(client.client_id.clone(), meta, limits);
            let mut ignored = Vec::new();
            for (filter, options) in subscriptions {
                // They were accepted once; a limit that is lower now loses the last ones.
                let _ = session.subscribe(filter, options, &mut ignored);
            }
            session
        });
        let mut slot = Slot::new(session, client.clone());
        slot.ends_at = slot.session.meta().expiry.ends_at(self.now);
        let ends_at = slot.ends_at;
        let (key, _) = self.adopt(slot);
        self.shared.clients.put(client.client_id.clone(), Place { worker: self.id, key });
        if let Some(at) = ends_at {
            // In case its connection has gone meanwhile.
            self.timers.add(at, key, Due::SessionEnd);
        }
        self.journal_whole(key, &messages);
        let buffer = self.take_buffer(buffer);
        self.pour(buffer, key, got);
        key
    }

    /// Somebody claimed the session before this node had installed it.
    pub(crate) fn drop_copy(&mut self, key: SlotKey) {
        self.begin();
        self.forget(key);
    }

    /// What a session that has just come passes over.
    pub(crate) fn take_got(&mut self, client_id: &str) -> Option<HashSet<MessageId>> {
        let place = self.shared.clients.place(client_id).filter(|place| place.worker == self.id)?;
        self.slots.get_mut(place.key)?.got.take()
    }

    /// The same, for its next place.
    pub(crate) fn put_got(&mut self, key: SlotKey, got: Option<HashSet<MessageId>>) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.got = got;
        }
    }

    /// Another node has the session, or it has ended: what is here and older than `epoch` goes.
    /// `keep`: the session goes on elsewhere.
    pub(crate) fn forget_copy(&mut self, client_id: &Arc<str>, epoch: Epoch, keep: bool) {
        self.begin();
        let Some(key) = self.older_than(client_id, epoch) else { return };
        let Some(slot) = self.slots.get_mut(key) else { return };
        let (journaled, handed) = (slot.journaled, slot.handed.take());
        let subscriptions = slot.session.subscriptions();
        let subscriptions = subscriptions.map(|(filter, options)| (filter.clone(), *options));
        let subscriptions: Subscriptions = subscriptions.collect();
        let export = self.give_up(client_id, keep);
        // When each node has let a fence pass, what came after the copy has come to the new owner too.
        let handed = handed.filter(|(owing, _)| !owing.is_empty());
        if let (Some(export), Some((owing, from))) = (export, handed) {
            let mut came = queued(&export, from);
            came.retain(|(message, options)| is_acknowledged(message, options));
            self.keep_left_behind(client_id, subscriptions, owing, came);
        }
        if keep && journaled {
            self.forget_in_store(client_id);
        }
    }

    /// The late batch of a former owner that was away when its session was taken over: into the
    /// queue, in its order, behind what came since.
    pub(crate) fn take_late(&mut self, export: &SessionExport) -> bool {
        self.begin();
        let place = self.shared.clients.place(&export.client_id);
        let Some(place) = place.filter(|place| place.worker == self.id) else { return false };
        for (message, options) in queued(export, 0) {
            self.deliver_one(place.key.index, &message, &options, None);
        }
        true
    }

    fn keep_left_behind(
        &mut self,
        client_id: &Arc<str>,
        subscriptions: Subscriptions,
        owing: Vec<NodeId>,
        came: Vec<(Arc<Message>, MatchedOptions)>,
    ) {
        if !owing.is_empty() {
            tracing::info!(%client_id, ?owing, "a session left; these nodes may hold messages for it");
        }
        let given_up = self.shared.left_behind.keep(client_id, subscriptions, owing, came);
        answer_all(&self.shared, given_up, Outcome::Refused(QUOTA_EXCEEDED));
    }

    /// A message of another node, for sessions that have left this one. True: there is one.
    pub(super) fn take_left_behind(
        &mut self,
        from: NodeId,
        message: &Arc<Message>,
        ticket: u32,
    ) -> bool {
        if message.qos == QoS::AtMostOnce {
            return false;
        }
        let (worker, tickets) = (self.id, &mut self.tickets);
        let is_here = |client_id: &str| self.shared.clients.place(client_id).is_some();
        let token = || {
            tickets.hold(ticket);
            TicketAddress { worker, ticket }
        };
        let (wanted, refused) = self.shared.left_behind.take(from, message, is_here, token);
        for address in refused {
            self.release(address.ticket, Outcome::Refused(QUOTA_EXCEEDED));
        }
        wanted > 0
    }
}

/// Whether a delivery is acknowledged: only such ones follow a session.
pub(crate) fn is_acknowledged(message: &Message, options: &MatchedOptions) -> bool {
    message.qos.min(options.qos) != QoS::AtMostOnce
}

/// What waits in an export from an entry on, as far as its messages are at hand.
pub(crate) fn queued(export: &SessionExport, from: u64) -> Vec<(Arc<Message>, MatchedOptions)> {
    let messages = export.by_id();
    let entries = export.ops.iter().filter_map(|op| match op {
        JournalOp::Enqueued(entry) if entry.seq >= from => Some(entry),
        _ => None,
    });
    let queued = entries.filter_map(|entry| {
        let retain = if entry.retain { RetainFlag::Set } else { RetainFlag::Clear };
        let options = MatchedOptions {
            qos: entry.qos,
            retain,
            ids: entry.ids.clone(),
            shared: entry.shared.clone(),
        };
        Some((messages.get(&entry.message)?.clone(), options))
    });
    queued.collect()
}
