//! A client that was accepted gets its session.

use std::collections::HashSet;
use std::sync::Arc;

use spanmq_session::{
    ConnectTerms, JournalOp, Limits, MessageId, Session, SessionExport, SessionMeta, Will,
};
use spanmq_state::Epoch;
use spanmq_state::command::Subscription as StoredSubscription;

use super::Worker;
use super::close::Close;
use super::slot::{Conn, ConnStart, Slot};
use super::subscribe::from_stored;
use crate::clients::Place;
use crate::codec::ConnAck;
use crate::mail::SlotKey;
use crate::ports::Client;

/// Everything that is decided when a connection gets its session.
pub(crate) struct Attach {
    pub(crate) client: Arc<Client>,
    pub(crate) terms: ConnectTerms,
    pub(crate) will: Option<Will>,
    pub(crate) epoch: Epoch,
    /// The session that goes on, if this node has it.
    pub(crate) session: Option<Box<SessionExport>>,
    /// Its subscriptions by the directory, if nobody has the session itself any more.
    pub(crate) subscriptions: Vec<StoredSubscription>,
    pub(crate) conn: ConnStart,
    pub(crate) connack: ConnAck,
    /// It came from another worker: the place of what came before it, and what it has got.
    pub(crate) moved: Option<(SlotKey, HashSet<MessageId>)>,
}

impl Worker {
    /// Puts session and connection together and sends CONNACK.
    pub(crate) fn attach(&mut self, attach: Attach) -> SlotKey {
        let Attach { client, terms, will, epoch, session, subscriptions, conn, connack, moved } =
            attach;
        let client_id = client.client_id.clone();
        let messages = session.as_ref().map(|export| export.messages.clone()).unwrap_or_default();
        let mut session = self.session_for(&client, &terms, epoch, session, &subscriptions);
        session.connect(&terms, &mut self.scratch.ops);
        // The whole of it is journaled instead.
        self.scratch.ops.clear();
        let conn = Conn::new(conn, self.now);
        let mut slot = Slot::new(session, client);
        (slot.conn, slot.will) = (Some(conn), will);
        let (key, _) = self.adopt(slot);
        self.shared.clients.put(client_id, Place { worker: self.id, key });
        self.shared.metrics.clients.add(1);
        self.shared.metrics.connects_accepted.inc();
        self.journal_whole(key, &messages);
        let came = moved.as_ref().map(|(_, got)| got.len());
        if let Some((buffer, got)) = moved {
            let buffer = self.take_buffer(buffer);
            self.pour(buffer, key, got);
        }
        if let Some(slot) = self.slots.get(key) {
            tracing::debug!(
                client_id = ?slot.client.client_id, worker = self.id, epoch, present = connack.session_present,
                waiting = slot.session.inbox_messages() + slot.session.spilled_messages(),
                in_flight = slot.session.in_flight(), moved = came, "a client has its session"
            );
        }
        self.write(key, |encoder, out| encoder.connack(&connack, out));
        self.mark_dirty(key);
        key
    }

    /// Puts a session into its place and its subscriptions into the table.
    /// Also the batch of route changes after which all of them are visible.
    pub(super) fn adopt(&mut self, slot: Slot) -> (SlotKey, u64) {
        let online = slot.conn.is_some();
        let filters: Vec<_> = slot
            .session
            .subscriptions()
            .map(|(filter, options)| (filter.clone(), *options))
            .collect();
        let key = self.slots.insert(slot);
        let mut batch = 0;
        for (filter, options) in &filters {
            let added = self.table.add(key.index, filter, *options, online, self.route_batch);
            batch = batch.max(added.batch);
            if let Some(op) = added.op {
                self.turn.route(op);
            }
        }
        let count = i64::try_from(filters.len()).unwrap_or(0);
        self.shared.metrics.subscriptions.add(count);
        self.shared.metrics.sessions.add(1);
        (key, batch)
    }

    fn session_for(
        &mut self,
        client: &Client,
        terms: &ConnectTerms,
        epoch: Epoch,
        session: Option<Box<SessionExport>>,
        subscriptions: &[StoredSubscription],
    ) -> Session {
        let limits = self.shared.limits.clone();
        if let Some(session) = session.and_then(|export| self.import(*export, epoch)) {
            return session;
        }
        let meta = SessionMeta {
            epoch,
            owner: Some(client.principal.clone()),
            expiry: terms.expiry,
            offline_since_ms: None,
        };
        let mut session = Session::new(client.client_id.clone(), meta, limits);
        // Only what the directory knows is left; it is journaled with the connection.
        let mut ignored = Vec::new();
        for (filter, options) in subscriptions.iter().filter_map(from_stored) {
            if let Err(error) = session.subscribe(filter, options, &mut ignored) {
                tracing::warn!(%error, client_id = %client.client_id, "a subscription was lost");
            }
        }
        session
    }

    pub(super) fn import(&self, export: SessionExport, epoch: Epoch) -> Option<Session> {
        let limits = self.shared.limits.clone();
        if let Some(JournalOp::Meta(meta)) = export.ops.first()
            && meta.epoch == epoch
        {
            // It came from another node under this very claim and only waited for its connection.
            return rebuild(&export, limits);
        }
        Session::import(export, epoch, limits)
            .inspect_err(|error| tracing::error!(%error, "a session could not be resumed"))
            .ok()
    }

    /// Ends this worker's part in a session: the connection is closed (0x8E), subscriptions and
    /// state leave. `keep`: the session goes on elsewhere, else it ends.
    pub(crate) fn give_up(&mut self, client_id: &str, keep: bool) -> Option<Box<SessionExport>> {
        let place = self.shared.clients.place(client_id)?;
        if place.worker != self.id {
            return None;
        }
        self.close(place.key, Close::taken_over(!keep));
        let delayed_will = self.slots.get(place.key).is_some_and(|slot| slot.will_due.is_some());
        if !keep && delayed_will {
            // The session ends, so its will is due [MQTT-3.1.2-8].
            self.publish_will(place.key);
        }
        let mut slot = if keep { self.remove(place.key) } else { self.forget(place.key) }?;
        // The new place writes the whole journal anew: what is collected here must come before it.
        self.send_store();
        keep.then(|| Box::new(slot.session.export()))
    }
}

/// The session of an export, under the same epoch.
pub(super) fn rebuild(export: &SessionExport, limits: Arc<Limits>) -> Option<Session> {
    let messages = export.by_id();
    let find = |id| messages.get(&id).cloned();
    Session::replay(export.client_id.clone(), limits, export.ops.clone(), find)
        .inspect_err(|error| tracing::error!(%error, "a session could not be rebuilt"))
        .ok()
}
