//! SUBSCRIBE and UNSUBSCRIBE: each filter is checked alone, and SUBACK leaves when the routes are
//! visible (ARCHITECTURE §4, subscribe visibility).

use std::num::NonZeroU16;

use spanmq_session::{MatchedOptions, SubscriptionOptions, reason};
use spanmq_state::Command;
use spanmq_state::command::{
    SessionCommand, Subscription as StoredSubscription, SubscriptionChange,
};
use spanmq_topic::{Subscription, TopicFilter, check_limits};

use super::Worker;
use super::close::Close;
use super::flush::CommandWaiter;
use super::slot::Replay;
use crate::codec::Subscribe;
use crate::local_routes::RouteOutcome;
use crate::mail::SlotKey;
use crate::ports::Action;

const FILTER_INVALID: u8 = 0x8F;
const NOT_AUTHORIZED: u8 = 0x87;
const NO_SUBSCRIPTION: u8 = 0x11;
const UNSPECIFIED: u8 = 0x80;

/// A SUBACK that waits for its routes.
pub(super) struct PendingSuback {
    key: SlotKey,
    connection: u64,
    id: NonZeroU16,
    codes: Vec<u8>,
    /// Route changes up to this batch must be visible.
    batch: u64,
    /// What to take back if they never are: place in `codes`, and the filter.
    added: Vec<(usize, Subscription)>,
    retained: Vec<(TopicFilter, MatchedOptions)>,
}

impl Worker {
    pub(super) fn on_subscribe(&mut self, key: SlotKey, packet: &Subscribe) -> Result<(), Close> {
        let Some(connection) = self.connection_number(key) else { return Ok(()) };
        let mut pending = PendingSuback {
            key,
            connection,
            id: packet.id,
            codes: Vec::with_capacity(packet.filters.len()),
            batch: 0,
            added: Vec::new(),
            retained: Vec::new(),
        };
        let too_many = packet.filters.len() > self.shared.limits.filters_per_subscribe_max as usize;
        let mut stored = Vec::new();
        for (text, options) in &packet.filters {
            let code = if too_many {
                reason::QUOTA_EXCEEDED
            } else {
                self.subscribe_one(key, text, *options, &mut pending, &mut stored)?
            };
            if code >= 0x80 {
                self.shared.metrics.subscribes_refused.inc();
            }
            pending.codes.push(code);
        }
        self.journal(key);
        self.store_subscriptions(key, stored);
        if pending.batch <= self.routes_visible {
            self.send_suback(pending, RouteOutcome::Visible);
        } else {
            self.subacks.push(pending);
        }
        Ok(())
    }

    fn connection_number(&self, key: SlotKey) -> Option<u64> {
        Some(self.slots.get(key)?.conn.as_ref()?.number)
    }

    /// One filter; yields its code.
    fn subscribe_one(
        &mut self,
        key: SlotKey,
        text: &str,
        asked: SubscriptionOptions,
        pending: &mut PendingSuback,
        stored: &mut Vec<SubscriptionChange>,
    ) -> Result<u8, Close> {
        // [MQTT-3.2.2-10]
        let qos = asked.qos.min(self.shared.config.rules.qos_max);
        let mut options = SubscriptionOptions { qos, ..asked };
        let filter = match self.check_filter(key, text, options) {
            Ok(filter) => filter,
            Err(code) => return Ok(code),
        };
        options.no_local |= self.hears_no_echo(key, &filter);
        let Some(slot) = self.slots.get_mut(key) else { return Ok(UNSPECIFIED) };
        let subscribed =
            match slot.session.subscribe(filter.clone(), options, &mut self.scratch.ops) {
                Ok(subscribed) => subscribed,
                Err(error) if error.closes() => {
                    return Err(Close::code(error.reason_code(), "shared and no local"));
                }
                Err(error) => return Ok(error.reason_code()),
            };
        if subscribed.before.is_none() {
            self.shared.metrics.subscriptions.add(1);
            pending.added.push((pending.codes.len(), filter.clone()));
        }
        if slot.session.is_persistent() {
            stored.push(SubscriptionChange::Put(stored_form(&filter, options)));
        }
        if subscribed.wants_retained
            && self.shared.config.rules.retainer.keeps
            && let Some(matched) = options.matched(false)
        {
            pending.retained.push((filter.filter().clone(), matched.for_retained()));
        }
        let added = self.table.add(key.index, &filter, options, true, self.route_batch);
        pending.batch = pending.batch.max(added.batch);
        if let Some(op) = added.op {
            self.turn.route(op);
        }
        Ok(options.qos.as_u8())
    }

    fn check_filter(
        &mut self,
        key: SlotKey,
        text: &str,
        options: SubscriptionOptions,
    ) -> Result<Subscription, u8> {
        let filter = Subscription::parse(text).map_err(|_| FILTER_INVALID)?;
        check_limits(filter.filter(), &self.shared.topic_limits)
            .map_err(|_| reason::QUOTA_EXCEEDED)?;
        self.shared.config.rules.check_filter(&filter)?;
        let client = self.slots.get(key).ok_or(UNSPECIFIED)?.client.clone();
        let action = Action::Subscribe { qos: options.qos };
        // Shared ones are asked about by their inner filter (A5).
        if self.shared.ports.authorize.allows(&client, action, filter.filter()) {
            return Ok(filter);
        }
        self.shared.metrics.subscribes_denied.inc();
        Err(NOT_AUTHORIZED)
    }

    /// 3.1.1 cannot say No Local for itself.
    fn hears_no_echo(&self, key: SlotKey, filter: &Subscription) -> bool {
        let v3 = self.slots.get(key).is_some_and(|slot| !slot.client.version.is_v5());
        v3 && !self.shared.config.rules.echo_v3 && matches!(filter, Subscription::Plain(_))
    }

    /// Subscriptions of persistent sessions are in the directory, so that another node can take
    /// them over (ARCHITECTURE §4).
    fn store_subscriptions(&mut self, key: SlotKey, changes: Vec<SubscriptionChange>) {
        if changes.is_empty() {
            return;
        }
        let Some(slot) = self.slots.get(key) else { return };
        let command = SessionCommand::Subscriptions {
            client_id: slot.client.client_id.clone(),
            epoch: slot.session.meta().epoch,
            changes,
        };
        self.turn.command(Command::Session(command), CommandWaiter::Nobody);
    }

    /// Route changes have become visible, or have failed.
    pub(super) fn on_routes(&mut self, batch: u64, outcome: RouteOutcome) {
        self.routes_visible = self.routes_visible.max(batch);
        for (of, tell) in self.route_waiters.extract_if(.., |(of, _)| *of <= batch) {
            // Whoever waited may have gone.
            let _ = tell.send(of < batch || outcome == RouteOutcome::Visible);
        }
        let mut index = 0;
        while let Some(pending) = self.subacks.get(index) {
            if pending.batch > batch {
                index += 1;
                continue;
            }
            let outcome = if pending.batch == batch { outcome } else { RouteOutcome::Visible };
            let pending = self.subacks.remove(index);
            let key = pending.key;
            self.guarded(key, |worker| worker.send_suback(pending, outcome));
        }
    }

    fn send_suback(&mut self, mut pending: PendingSuback, outcome: RouteOutcome) {
        let key = pending.key;
        if outcome == RouteOutcome::Failed {
            self.take_back(&mut pending);
        }
        if self.connection_number(key) != Some(pending.connection) {
            return;
        }
        let (id, codes) = (pending.id, pending.codes);
        self.write(key, |encoder, out| encoder.suback(id, &codes, out));
        if pending.retained.is_empty() {
            return;
        }
        if let Some(slot) = self.slots.get_mut(key) {
            let sys = &self.shared.sys;
            let replays = pending.retained.into_iter().map(|(filter, options)| Replay {
                waiting: sys.retained(&filter),
                filter,
                options,
                cursor: Some(0),
            });
            slot.replays.extend(replays);
        }
        self.mark_dirty(key);
    }

    /// Without a quorum nothing is promised: what was new is removed and refused (0x80).
    fn take_back(&mut self, pending: &mut PendingSuback) {
        pending.retained.clear();
        for (place, filter) in std::mem::take(&mut pending.added) {
            self.unsubscribe_one(pending.key, &filter);
            if let Some(code) = pending.codes.get_mut(place) {
                *code = UNSPECIFIED;
            }
        }
        self.journal(pending.key);
    }

    fn unsubscribe_one(&mut self, key: SlotKey, filter: &Subscription) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        if slot.session.unsubscribe(filter, &mut self.scratch.ops).is_none() {
            return false;
        }
        self.shared.metrics.subscriptions.add(-1);
        if let Some(op) = self.table.remove(key.index, filter) {
            self.turn.route(op);
        }
        true
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        key: SlotKey,
        id: NonZeroU16,
        filters: &[String],
    ) -> Result<(), Close> {
        let mut codes = Vec::with_capacity(filters.len());
        let mut stored = Vec::new();
        for text in filters {
            let code = match Subscription::parse(text) {
                Err(_) => FILTER_INVALID,
                Ok(filter) if self.unsubscribe_one(key, &filter) => {
                    stored.push(SubscriptionChange::Remove(filter.to_string().into()));
                    0
                }
                Ok(_) => NO_SUBSCRIPTION,
            };
            codes.push(code);
        }
        self.journal(key);
        if self.slots.get(key).is_some_and(|slot| slot.session.is_persistent()) {
            self.store_subscriptions(key, stored);
        }
        // The removal is proposed at the end of this turn, before the client reads this.
        self.write(key, |encoder, out| encoder.unsuback(id, &codes, out));
        Ok(())
    }
}

/// The form in the session directory.
fn stored_form(filter: &Subscription, options: SubscriptionOptions) -> StoredSubscription {
    let bits = options.qos.as_u8()
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4;
    StoredSubscription { filter: filter.to_string().into(), options: bits, id: options.id }
}

/// Reads the directory's form; `None` if another release wrote something unknown.
pub(crate) fn from_stored(
    stored: &StoredSubscription,
) -> Option<(Subscription, SubscriptionOptions)> {
    use spanmq_session::{QoS, RetainHandling};
    let options = SubscriptionOptions {
        qos: QoS::from_u8(stored.options & 3)?,
        no_local: stored.options & 4 != 0,
        retain_as_published: stored.options & 8 != 0,
        retain_handling: RetainHandling::from_u8(stored.options >> 4 & 3)?,
        id: stored.id,
    };
    Some((Subscription::parse(&stored.filter).ok()?, options))
}

impl Worker {
    /// Ends the subscriptions of one session that its client may no longer have (A7).
    pub(super) fn recheck_session(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let authorize = self.shared.ports.authorize.clone();
        let revoked: Vec<Subscription> = slot
            .session
            .subscriptions()
            .filter(|(filter, options)| {
                let action = Action::Subscribe { qos: options.qos };
                !authorize.allows(&slot.client, action, filter.filter())
            })
            .map(|(filter, _)| filter.clone())
            .collect();
        if revoked.is_empty() {
            return;
        }
        let persistent = slot.session.is_persistent();
        for filter in &revoked {
            self.unsubscribe_one(key, filter);
        }
        self.journal(key);
        if persistent {
            let removed =
                revoked.iter().map(|filter| SubscriptionChange::Remove(filter.to_string().into()));
            self.store_subscriptions(key, removed.collect());
        }
        if let Some(slot) = self.slots.get_mut(key) {
            slot.replays
                .retain(|replay| !revoked.iter().any(|filter| *filter.filter() == replay.filter));
        }
    }
}
