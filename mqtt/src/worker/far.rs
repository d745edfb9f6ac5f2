//! The worker's part in moving a session between nodes; the order of the steps is in `handover`.

use std::collections::HashSet;
use std::sync::Arc;

use spanmq_session::{
    ConnectTerms, JournalOp, MatchedOptions, MessageId, RetainFlag, Session, SessionExport,
    SessionMeta,
};
use spanmq_state::{Epoch, NodeId};

use super::Worker;
use super::connect::rebuild;
use super::moving::{Left, Subscriptions};
use super::slot::Slot;
use super::timers::Due;
use crate::clients::Place;
use crate::mail::SlotKey;
use crate::ports::{Client, Done, Forward, Outcomes};

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
            slot.moving = None;
        }
    }

    /// Step 5, on the former owner: a copy, but for messages that only the store has.
    pub(crate) fn copy_for(&mut self, client_id: &str, epoch: Epoch) -> Option<Left> {
        let key = self.older_than(client_id, epoch)?;
        // Whoever completes the copy finds in the store what it names.
        self.send_store();
        let limits = self.shared.limits.clone();
        let slot = self.slots.get_mut(key)?;
        let got = slot.moving.clone().unwrap_or_default();
        let export = slot.session.export();
        // An exported session takes nothing; should the claimant fail, this one goes on.
        if let Some(session) = rebuild(&export, limits) {
            slot.session = session;
        }
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
        let journaled = self.slots.get(key).is_some_and(|slot| slot.journaled);
        self.give_up(client_id, keep);
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
        let messages = export.by_id();
        for op in &export.ops {
            let JournalOp::Enqueued(entry) = op else { continue };
            let Some(message) = messages.get(&entry.message) else { continue };
            let retain = if entry.retain { RetainFlag::Set } else { RetainFlag::Clear };
            let options = MatchedOptions {
                qos: entry.qos,
                retain,
                ids: entry.ids.clone(),
                shared: entry.shared.clone(),
            };
            self.deliver_one(place.key.index, message, &options, None);
        }
        true
    }
}
