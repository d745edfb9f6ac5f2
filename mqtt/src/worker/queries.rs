//! Answers about this worker's sessions, for REST.

use super::Worker;
use super::close::Close;
use crate::query::{ClientInfo, ClientQuery, SubscriptionInfo, SubscriptionQuery};

impl Worker {
    /// Sessions that live here; not those that are still on their way.
    fn sessions(&self) -> impl Iterator<Item = &super::slot::Slot> {
        self.slots.iter().map(|(_, slot)| slot).filter(|slot| slot.buffer.is_none())
    }

    pub(crate) fn clients(&self, query: &ClientQuery) -> Vec<ClientInfo> {
        let wanted = |info: &ClientInfo| {
            query.client_id.as_ref().is_none_or(|id| *id == info.client_id)
                && (query.username.is_none() || query.username == info.username)
                && query.connected.is_none_or(|connected| connected == info.connected)
        };
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        self.sessions().map(info).filter(wanted).take(limit).collect()
    }

    pub(crate) fn subscriptions(&self, query: &SubscriptionQuery) -> Vec<SubscriptionInfo> {
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let slots = self
            .sessions()
            .filter(|slot| query.client_id.as_ref().is_none_or(|id| *id == slot.client.client_id));
        let subscriptions = slots.flat_map(|slot| {
            slot.session.subscriptions().map(|(filter, options)| SubscriptionInfo {
                client_id: slot.client.client_id.clone(),
                filter: filter.to_string(),
                qos: options.qos.as_u8(),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                id: options.id,
            })
        });
        let wanted = |info: &SubscriptionInfo| {
            query.filter.as_ref().is_none_or(|filter| **filter == *info.filter)
        };
        subscriptions.filter(wanted).take(limit).collect()
    }

    /// Ends the connection of a client (DISCONNECT 0x98) and, with `purge`, its session.
    pub(crate) fn kick(&mut self, client_id: &str, purge: bool) -> bool {
        let Some(place) = self.shared.clients.place(client_id) else { return false };
        if place.worker != self.id || self.slots.get(place.key).is_none() {
            return false;
        }
        self.begin();
        self.close(place.key, Close::kicked());
        if purge {
            self.end_session(place.key);
        }
        true
    }

    /// Tells every client that the broker stops (0x8B); sessions stay.
    pub(crate) fn disconnect_all(&mut self) {
        self.begin();
        let keys: Vec<_> =
            self.slots.iter().filter(|(_, slot)| slot.conn.is_some()).map(|(key, _)| key).collect();
        for key in keys {
            self.close(key, Close::shutdown());
        }
        self.flush();
    }

    /// Rights have changed: subscriptions that are no longer allowed end (A7).
    pub(crate) fn recheck_rights(&mut self) {
        self.begin();
        let keys: Vec<_> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.recheck_session(key);
        }
    }
}

fn info(slot: &super::slot::Slot) -> ClientInfo {
    let conn = slot.conn.as_ref();
    ClientInfo {
        client_id: slot.client.client_id.clone(),
        username: slot.client.username.clone(),
        peer: conn.and(slot.client.peer),
        listener: conn.map(|_| slot.client.listener.clone()),
        version: conn.map(|conn| conn.version()),
        connected: conn.is_some(),
        connected_at_ms: conn.map(|conn| conn.connected_at_ms),
        keep_alive_s: conn.map_or(0, |conn| conn.keep_alive_s),
        session_expiry_s: slot.session.meta().expiry.interval(),
        subscriptions: slot.session.subscription_count(),
        inbox_messages: slot.session.inbox_messages(),
        spilled_messages: slot.session.spilled_messages(),
        in_flight: slot.session.in_flight(),
        epoch: slot.session.meta().epoch,
    }
}
