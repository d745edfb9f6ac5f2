//! The two steps of a take-over, and giving up between them.

use std::sync::Arc;

use crate::changes::{Changes, Event};
use crate::sessions::command::{Handover, Holder, SessionCommand, SessionReply, WillFate};
use crate::sessions::session::{ORPHANS_MAX, PendingClaim, PendingWill, Session};
use crate::sessions::{Ending, Sessions};
use crate::types::Epoch;

impl Sessions {
    /// Step 1.
    pub(super) fn claim(
        &mut self,
        command: &SessionCommand,
        changes: &mut Changes,
    ) -> SessionReply {
        let SessionCommand::Claim {
            client_id,
            node,
            clean_start,
            principal,
            expiry_s,
            persistent,
            will,
            at_ms,
        } = command
        else {
            return SessionReply::Unknown;
        };
        let before = self.get(client_id);
        if before.is_some_and(|session| session.principal != *principal) {
            return SessionReply::PrincipalDiffers;
        }
        let previous = before.map(|session| session.owner);
        // A session that is not persistent ends with its connection, which this claim ends (MQTT
        // 5.0 §4.1): the client starts afresh then, too.
        let session_present = !clean_start && before.is_some_and(|session| session.persistent);
        let epoch = self.shards.of_mut(client_id).next_epoch();
        let holder = Holder { node: *node, epoch };
        let claim = PendingClaim {
            holder,
            persistent: *persistent,
            expiry_s: *expiry_s,
            will: will.clone(),
            at_ms: *at_ms,
        };
        let mut subscriptions = Vec::new();
        // What one node has it can give to another of its connections without a second entry.
        let installed = !session_present || previous.is_some_and(|owner| owner.node == *node);
        if session_present {
            subscriptions = self.get(client_id).map_or_else(Vec::new, |s| s.subscriptions.clone());
            self.shards.of_mut(client_id).update(client_id, |s| s.claim = Some(Box::new(claim)));
            if installed {
                self.install(client_id, changes);
            }
        } else {
            if previous.is_some() {
                self.end(client_id, WillFate::Publish, *at_ms, changes);
            }
            self.insert_new(client_id, fresh(principal, &claim));
        }
        changes.events.push(Event::SessionClaimed {
            client_id: client_id.clone(),
            claim: holder,
            previous,
            installed,
            session_present,
        });
        SessionReply::Claimed { epoch, previous, session_present, installed, subscriptions }
    }

    /// Step 2.
    pub(super) fn installed(
        &mut self,
        client_id: &Arc<str>,
        epoch: Epoch,
        handover: Handover,
        changes: &mut Changes,
    ) -> SessionReply {
        let Some(session) = self.get(client_id) else { return SessionReply::Unknown };
        let previous = session.owner;
        match &session.claim {
            Some(claim) if claim.holder.epoch == epoch => {}
            // Said twice, or after a claim that needed no second step.
            None if previous.epoch == epoch => return SessionReply::Done,
            _ => return SessionReply::Stale { current: session.newest_epoch() },
        }
        self.install(client_id, changes);
        if handover == Handover::WithoutOwner {
            self.shards.of_mut(client_id).update(client_id, |session| {
                if session.orphans.len() == ORPHANS_MAX {
                    session.orphans.remove(0);
                }
                session.orphans.push(previous);
            });
        }
        let Some(session) = self.get(client_id) else { return SessionReply::Unknown };
        changes.events.push(Event::SessionInstalled {
            client_id: client_id.clone(),
            owner: session.owner,
            previous,
            complete: handover == Handover::Complete,
        });
        SessionReply::Done
    }

    /// The owner goes on; it thaws when it sees the event.
    pub(super) fn abandon(
        &mut self,
        client_id: &Arc<str>,
        epoch: Epoch,
        changes: &mut Changes,
    ) -> SessionReply {
        let Some(session) = self.get(client_id) else { return SessionReply::Unknown };
        let (owner, current) = (session.owner, session.newest_epoch());
        if session.claim.is_none() || current != epoch {
            return SessionReply::Stale { current };
        }
        self.shards.of_mut(client_id).update(client_id, |session| session.claim = None);
        changes.events.push(Event::SessionReturned { client_id: client_id.clone(), owner });
        SessionReply::Done
    }

    /// Makes the claimant the owner. The will of the old connection is published now, unless it has
    /// a delay: the session goes on, so it is cancelled (MQTT 5.0 §3.1.2.5). So are delayed wills
    /// of connections before.
    fn install(&mut self, client_id: &Arc<str>, changes: &mut Changes) {
        let Some(session) = self.get(client_id) else { return };
        let Some(claim) = session.claim.clone() else { return };
        let delayed = session.will.as_ref().is_some_and(|will| will.delay_s > 0);
        let will = if delayed { WillFate::Discard } else { WillFate::Publish };
        self.retire_will(client_id, &Ending { at_ms: claim.at_ms, expiry_s: 0, will }, changes);
        let shard = self.shards.of_mut(client_id);
        for epoch in shard.wills_of(client_id) {
            // The clocks of two nodes meet here: only a will that has a delay can be cancelled.
            let waits = |w: &PendingWill| w.will.delay_s > 0 && w.due_at_ms > claim.at_ms;
            if shard.wills.get(&(client_id.clone(), epoch)).is_some_and(waits) {
                shard.take_will(client_id, epoch);
            }
        }
        shard.update(client_id, |session| {
            session.owner = claim.holder;
            session.persistent = claim.persistent;
            session.expiry_s = claim.expiry_s;
            session.detached_at_ms = None;
            session.will = claim.will.map(Box::new);
            session.claim = None;
        });
    }
}

fn fresh(principal: &Arc<str>, claim: &PendingClaim) -> Session {
    Session {
        principal: principal.clone(),
        owner: claim.holder,
        persistent: claim.persistent,
        expiry_s: claim.expiry_s,
        detached_at_ms: None,
        will: claim.will.clone().map(Box::new),
        claim: None,
        orphans: Vec::new(),
        subscriptions: Vec::new(),
    }
}
