//! The session directory: who owns a client id, and what another node needs to take it over when
//! the owner is dead (ARCHITECTURE §4, "one session per client id", "a dead owner does not hold its
//! clients"). The sessions' content is not here; it lives with the owner, fenced by the epoch.
//!
//! A take-over is two entries. `Claim` gives out a new epoch and freezes the old owner: from then on
//! it may not change the session, but still has it. `Installed` makes the claimant the owner. A
//! later claim before that makes the first one void; the old owner then serves the later one.

pub(crate) mod command;
pub(crate) mod session;
pub(crate) mod shard;
mod takeover;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::shards::{Shards, page};
use crate::types::{Epoch, Millis, NodeId};
use command::{SessionCommand, SessionReply, SubscriptionChange, WillFate};
use session::{PendingWill, Session};
use shard::SessionShard;

/// All sessions of the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sessions {
    pub(crate) shards: Shards<SessionShard>,
    count: u64,
}

impl Sessions {
    /// Sessions known.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// One session.
    #[must_use]
    pub fn get(&self, client_id: &str) -> Option<&Session> {
        self.shards.of(client_id).sessions.get(client_id)
    }

    /// Up to `limit` sessions after `after`, in shard order; the last id is the next `after`.
    #[must_use]
    pub fn page(&self, after: Option<&str>, limit: usize) -> Vec<(&Arc<str>, &Session)> {
        page(&self.shards, |shard| &shard.sessions, after, limit)
    }

    /// Whether `node` owns a session that outlives its connection: then messages for it must still
    /// be kept for the node. Cost: one pass, which ends at the first such session.
    #[must_use]
    pub fn owns_persistent(&self, node: NodeId) -> bool {
        let mine = |session: &Session| session.owner.node == node && session.persistent;
        self.shards.iter().any(|shard| shard.sessions.values().any(mine))
    }

    /// Up to `limit` sessions that `node` owns, after `after`; for the leader when a node died.
    /// Passes over the directory until it has them.
    #[must_use]
    pub fn of_node(
        &self,
        node: NodeId,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(&Arc<str>, &Session)> {
        let mut found = Vec::new();
        let mut after = after;
        while found.len() < limit {
            let part = self.page(after, 4096);
            let Some((last, _)) = part.last() else { break };
            after = Some(last);
            found.extend(part.into_iter().filter(|(_, s)| s.owner.node == node));
        }
        found.truncate(limit);
        found
    }

    /// Up to `limit` sessions whose expiry has passed, with the epoch to name in
    /// [`SessionCommand::Expire`].
    #[must_use]
    pub fn due(&self, now_ms: Millis, limit: usize) -> Vec<(Arc<str>, Epoch)> {
        let ended = self.shards.iter().flat_map(|shard| {
            shard.ended_by(now_ms).filter_map(|id| Some((id, shard.sessions.get(id)?)))
        });
        ended.map(|(id, session)| (id.clone(), session.owner.epoch)).take(limit).collect()
    }

    /// Up to `limit` wills that are due: published by their node, or by a survivor.
    #[must_use]
    pub fn due_wills(&self, now_ms: Millis, limit: usize) -> Vec<(Arc<str>, Epoch, &PendingWill)> {
        let due = self.shards.iter().flat_map(|shard| {
            shard.wills_due_by(now_ms).filter_map(|(id, epoch)| {
                Some((id.clone(), epoch, shard.wills.get(&(id.clone(), epoch))?))
            })
        });
        due.take(limit).collect()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.shards.iter().fold(EntryHash::new(3), |h, shard| h.u64(shard.digest())).finish()
    }

    pub(crate) fn insert_new(&mut self, client_id: &Arc<str>, session: Session) {
        self.count += 1;
        self.shards.of_mut(client_id).insert(client_id, session);
    }

    pub(crate) fn apply(
        &mut self,
        command: &SessionCommand,
        changes: &mut Changes,
    ) -> SessionReply {
        match command {
            SessionCommand::Claim { .. } => self.claim(command, changes),
            SessionCommand::Installed { client_id, epoch, handover } => {
                self.installed(client_id, *epoch, *handover, changes)
            }
            SessionCommand::Abandon { client_id, epoch } => {
                self.abandon(client_id, *epoch, changes)
            }
            SessionCommand::Subscriptions { client_id, epoch, changes: subscriptions } => {
                self.subscriptions(client_id, *epoch, subscriptions, changes)
            }
            SessionCommand::Detached { client_id, epoch, at_ms, expiry_s, will } => {
                let end = Ending { at_ms: *at_ms, expiry_s: *expiry_s, will: *will };
                self.detached(client_id, *epoch, &end, changes)
            }
            SessionCommand::End { client_id, epoch, will, at_ms } => {
                if let Err(reply) = self.check_newest(client_id, *epoch) {
                    return reply;
                }
                self.end(client_id, *will, *at_ms, changes);
                SessionReply::Done
            }
            SessionCommand::Expire { client_id, epoch, at_ms } => {
                self.expire(client_id, *epoch, *at_ms, changes)
            }
            SessionCommand::WillDone { client_id, epoch } => {
                let shard = self.shards.of_mut(client_id);
                let done = shard.take_will(client_id, *epoch).is_some();
                if done { SessionReply::Done } else { SessionReply::Unknown }
            }
            SessionCommand::OrphanDrained { client_id, epoch } => self.drained(client_id, *epoch),
        }
    }

    /// `Ok` when `epoch` is the owner's and nobody has claimed the session.
    fn check_newest(&self, client_id: &str, epoch: Epoch) -> Result<&Session, SessionReply> {
        let session = self.get(client_id).ok_or(SessionReply::Unknown)?;
        let current = session.newest_epoch();
        if epoch == current && session.claim.is_none() {
            Ok(session)
        } else {
            Err(SessionReply::Stale { current })
        }
    }

    fn subscriptions(
        &mut self,
        client_id: &Arc<str>,
        epoch: Epoch,
        subscriptions: &[SubscriptionChange],
        changes: &mut Changes,
    ) -> SessionReply {
        if let Err(reply) = self.check_newest(client_id, epoch) {
            return reply;
        }
        let crossed = self.shards.of_mut(client_id).subscribe(client_id, subscriptions);
        changes.events.extend(crossed.into_iter().map(|(filter, present)| {
            Event::PersistentSubscribed { client_id: client_id.clone(), filter, present }
        }));
        SessionReply::Done
    }

    /// The owner's connection has ended. This is a fact even when somebody has claimed the session
    /// meanwhile, so only the owner's epoch counts here.
    fn detached(
        &mut self,
        client_id: &Arc<str>,
        epoch: Epoch,
        end: &Ending,
        changes: &mut Changes,
    ) -> SessionReply {
        let Some(session) = self.get(client_id) else { return SessionReply::Unknown };
        if session.owner.epoch != epoch {
            return SessionReply::Stale { current: session.newest_epoch() };
        }
        if session.claim.is_none() && (!session.persistent || end.expiry_s == 0) {
            self.end(client_id, end.will, end.at_ms, changes);
            return SessionReply::Done;
        }
        let expiry_s = end.expiry_s;
        self.retire_will(client_id, end, changes);
        self.shards.of_mut(client_id).update(client_id, |session| {
            session.detached_at_ms = Some(end.at_ms);
            session.expiry_s = expiry_s;
        });
        SessionReply::Done
    }

    /// Ignored when the client is back, or when somebody is taking the session over.
    fn expire(
        &mut self,
        client_id: &Arc<str>,
        epoch: Epoch,
        at_ms: Millis,
        changes: &mut Changes,
    ) -> SessionReply {
        match self.check_newest(client_id, epoch) {
            Err(reply) => reply,
            Ok(session) if session.detached_at_ms.is_none() => {
                SessionReply::Stale { current: epoch }
            }
            Ok(_) => {
                self.end(client_id, WillFate::Publish, at_ms, changes);
                SessionReply::Done
            }
        }
    }

    fn drained(&mut self, client_id: &Arc<str>, epoch: Epoch) -> SessionReply {
        let known = |s: &Session| s.orphans.iter().any(|orphan| orphan.epoch == epoch);
        if !self.get(client_id).is_some_and(known) {
            return SessionReply::Unknown;
        }
        self.shards.of_mut(client_id).update(client_id, |session| {
            session.orphans.retain(|orphan| orphan.epoch != epoch);
        });
        SessionReply::Done
    }

    /// Removes the session; waiting wills of it become due now (MQTT 5.0 §3.1.2.5: at the session's
    /// end or after the delay, whichever is first).
    fn end(&mut self, client_id: &Arc<str>, fate: WillFate, at_ms: Millis, changes: &mut Changes) {
        let end = Ending { at_ms, expiry_s: 0, will: fate };
        self.retire_will(client_id, &end, changes);
        let shard = self.shards.of_mut(client_id);
        for epoch in shard.wills_of(client_id) {
            if let Some(mut will) = shard.take_will(client_id, epoch) {
                will.due_at_ms = DUE_NOW;
                shard.put_will(client_id, epoch, will);
                changes.events.push(Event::WillPending { client_id: client_id.clone(), epoch });
            }
        }
        let Some(session) = shard.remove(client_id) else { return };
        self.count -= 1;
        for subscription in &session.subscriptions {
            changes.events.push(Event::PersistentSubscribed {
                client_id: client_id.clone(),
                filter: subscription.filter.clone(),
                present: false,
            });
        }
        changes
            .events
            .push(Event::SessionEnded { client_id: client_id.clone(), owner: session.owner });
    }

    /// Takes the will off the connection; it waits for its time or is gone.
    fn retire_will(&mut self, client_id: &Arc<str>, end: &Ending, changes: &mut Changes) {
        let shard = self.shards.of_mut(client_id);
        let mut taken = None;
        shard.update(client_id, |session| {
            taken =
                session.will.take().map(|will| (*will, session.owner, session.principal.clone()));
        });
        let Some((will, owner, principal)) = taken else { return };
        if end.will == WillFate::Discard {
            return;
        }
        let due_at_ms = match u64::from(will.delay_s.min(end.expiry_s)) {
            0 => DUE_NOW,
            delay_s => end.at_ms.saturating_add(delay_s * 1000),
        };
        let pending = PendingWill { node: owner.node, due_at_ms, will, principal };
        shard.put_will(client_id, owner.epoch, pending);
        let epoch = owner.epoch;
        changes.events.push(Event::WillPending { client_id: client_id.clone(), epoch });
    }
}

/// A time that has passed by every clock.
const DUE_NOW: Millis = 0;

/// How a connection ended.
struct Ending {
    at_ms: Millis,
    expiry_s: u32,
    will: WillFate,
}
