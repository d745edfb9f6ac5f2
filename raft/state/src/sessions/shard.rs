//! A shard of the session directory: its entries, wills that wait, and what follows from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::digest::EntryHash;
use crate::sessions::command::{Subscription, SubscriptionChange};
use crate::sessions::session::{PendingWill, Session, subscription_hash, will_hash};
use crate::types::{Epoch, Millis};

/// Every change goes through the methods below, which keep the digest and the deadlines true.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SessionShard {
    pub(crate) sessions: HashMap<Arc<str>, Session>,
    pub(crate) wills: BTreeMap<(Arc<str>, Epoch), PendingWill>,
    /// The last epoch given to any client id of the shard. One counter per shard, so that a client
    /// id never sees an epoch again, even after its session has ended.
    pub(crate) last_epoch: Epoch,
    /// Derived: detached sessions by the time they end.
    deadlines: BTreeSet<(Millis, Arc<str>)>,
    /// Derived: waiting wills by the time they are due.
    due_wills: BTreeSet<(Millis, Arc<str>, Epoch)>,
    digest: u64,
}

impl SessionShard {
    pub(crate) fn next_epoch(&mut self) -> Epoch {
        self.last_epoch = self.last_epoch.saturating_add(1);
        self.last_epoch
    }

    pub(crate) fn digest(&self) -> u64 {
        EntryHash::new(33).u64(self.digest).u64(self.last_epoch).finish()
    }

    pub(crate) fn insert(&mut self, client_id: &Arc<str>, session: Session) {
        self.remove(client_id);
        self.digest = self.digest.wrapping_add(session.whole_hash(client_id));
        if let Some(at) = session.deadline_ms() {
            self.deadlines.insert((at, client_id.clone()));
        }
        self.sessions.insert(client_id.clone(), session);
    }

    pub(crate) fn remove(&mut self, client_id: &Arc<str>) -> Option<Session> {
        let session = self.sessions.remove(client_id)?;
        self.digest = self.digest.wrapping_sub(session.whole_hash(client_id));
        if let Some(at) = session.deadline_ms() {
            self.deadlines.remove(&(at, client_id.clone()));
        }
        Some(session)
    }

    /// Changes anything but the subscriptions.
    pub(crate) fn update(&mut self, client_id: &Arc<str>, change: impl FnOnce(&mut Session)) {
        let Some(session) = self.sessions.get_mut(client_id) else { return };
        let (hash, deadline) = (session.head_hash(client_id), session.deadline_ms());
        change(session);
        let now = session.head_hash(client_id);
        self.digest = self.digest.wrapping_sub(hash).wrapping_add(now);
        let new_deadline = session.deadline_ms();
        if deadline != new_deadline {
            if let Some(at) = deadline {
                self.deadlines.remove(&(at, client_id.clone()));
            }
            if let Some(at) = new_deadline {
                self.deadlines.insert((at, client_id.clone()));
            }
        }
    }

    /// Returns the filters that appeared (true) or disappeared (false).
    pub(crate) fn subscribe(
        &mut self,
        client_id: &Arc<str>,
        changes: &[SubscriptionChange],
    ) -> Vec<(Arc<str>, bool)> {
        let mut crossed = Vec::new();
        let Some(session) = self.sessions.get_mut(client_id) else { return crossed };
        for change in changes {
            let (old, new) = match change {
                SubscriptionChange::Put(new) => (session.subscribe(new), Some(new)),
                SubscriptionChange::Remove(filter) => (session.unsubscribe(filter), None),
            };
            let hash = |s: &Subscription| subscription_hash(client_id, s);
            let removed = old.as_ref().map_or(0, hash);
            let added = new.map_or(0, hash);
            self.digest = self.digest.wrapping_sub(removed).wrapping_add(added);
            match (&old, new) {
                (None, Some(new)) => crossed.push((new.filter.clone(), true)),
                (Some(old), None) => crossed.push((old.filter.clone(), false)),
                _ => {}
            }
        }
        crossed
    }

    pub(crate) fn put_will(&mut self, client_id: &Arc<str>, epoch: Epoch, will: PendingWill) {
        self.take_will(client_id, epoch);
        self.digest = self.digest.wrapping_add(will_hash(client_id, epoch, &will));
        self.due_wills.insert((will.due_at_ms, client_id.clone(), epoch));
        self.wills.insert((client_id.clone(), epoch), will);
    }

    pub(crate) fn take_will(&mut self, client_id: &Arc<str>, epoch: Epoch) -> Option<PendingWill> {
        let will = self.wills.remove(&(client_id.clone(), epoch))?;
        self.digest = self.digest.wrapping_sub(will_hash(client_id, epoch, &will));
        self.due_wills.remove(&(will.due_at_ms, client_id.clone(), epoch));
        Some(will)
    }

    /// Epochs of a client id whose wills wait.
    pub(crate) fn wills_of(&self, client_id: &Arc<str>) -> Vec<Epoch> {
        let all = (client_id.clone(), 0)..=(client_id.clone(), Epoch::MAX);
        self.wills.range(all).map(|((_, epoch), _)| *epoch).collect()
    }

    pub(crate) fn ended_by(&self, now_ms: Millis) -> impl Iterator<Item = &Arc<str>> {
        self.deadlines.iter().take_while(move |(at, _)| *at <= now_ms).map(|(_, id)| id)
    }

    pub(crate) fn wills_due_by(&self, now_ms: Millis) -> impl Iterator<Item = (&Arc<str>, Epoch)> {
        self.due_wills
            .iter()
            .take_while(move |(at, _, _)| *at <= now_ms)
            .map(|(_, id, epoch)| (id, *epoch))
    }
}
