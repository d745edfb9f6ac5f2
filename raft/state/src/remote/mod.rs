//! What remote clusters want from us, as their actors reported it (LINK-SPEC W-13…W-16, 0.1).
//!
//! Here stands which run of an actor counts and which routes it holds. Who may speak for a remote,
//! when an actor is silent and when a bootstrap has ended are decided outside, with a clock.

pub(crate) mod command;
mod ids;
pub(crate) mod peer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::links::Links;
use crate::slots::lowest_free;
use crate::types::{Incarnation, Millis};
use crate::view::ViewOp;
use command::{ActorRef, RemoteCommand, RemoteOp, RemoteReply};
use peer::{Actor, Crossing, Edit, Peer};

/// All remotes, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remotes {
    pub(crate) peers: BTreeMap<Arc<str>, Arc<Peer>>,
    /// Of each peer, as of the last command about it.
    digests: BTreeMap<Arc<str>, u64>,
}

/// What a remote command may look at outside its table.
pub(crate) struct RemoteContext<'a> {
    pub(crate) links: &'a Links,
    pub(crate) routes_max: u64,
    pub(crate) actors_max: u32,
}

impl Remotes {
    /// One remote.
    #[must_use]
    pub fn peer(&self, name: &str) -> Option<&Arc<Peer>> {
        self.peers.get(name)
    }

    /// All remotes, by name.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<Peer>)> {
        self.peers.iter()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digests.values().fold(EntryHash::new(5), |h, digest| h.u64(*digest)).finish()
    }

    /// For a snapshot being read.
    pub(crate) fn refresh_digests(&mut self) {
        self.digests = self.peers.iter().map(|(name, p)| (name.clone(), p.digest(name))).collect();
    }

    fn refresh_digest(&mut self, name: &Arc<str>) {
        match self.peers.get(name) {
            Some(peer) => drop(self.digests.insert(name.clone(), peer.digest(name))),
            None => drop(self.digests.remove(name)),
        }
    }

    pub(crate) fn apply(
        &mut self,
        context: &RemoteContext<'_>,
        command: &RemoteCommand,
        changes: &mut Changes,
    ) -> RemoteReply {
        let (RemoteCommand::ActorInit { peer, .. }
        | RemoteCommand::RouteOps { peer, .. }
        | RemoteCommand::Sweep { peer, .. }
        | RemoteCommand::ActorsSeen { peer, .. }
        | RemoteCommand::Expire { peer, .. }
        | RemoteCommand::Hold { peer, .. }
        | RemoteCommand::PeerForget { peer }
        | RemoteCommand::ActorInitBy { peer, .. }) = command;
        let reply = self.dispatch(context, command, changes);
        self.refresh_digest(peer);
        reply
    }

    fn dispatch(
        &mut self,
        context: &RemoteContext<'_>,
        command: &RemoteCommand,
        changes: &mut Changes,
    ) -> RemoteReply {
        match command {
            RemoteCommand::ActorInit { peer, actor, incarnation, at_ms } => {
                self.actor_init(context, peer, (actor, *incarnation), *at_ms, changes)
            }
            RemoteCommand::RouteOps { peer, actor, incarnation, ops } => {
                self.route_ops(context, peer, (actor, *incarnation), ops, changes)
            }
            RemoteCommand::Sweep { peer, actor, incarnation } => {
                self.sweep(peer, actor, *incarnation, changes)
            }
            RemoteCommand::ActorsSeen { peer, actors, at_ms } => {
                self.seen(peer, actors, *at_ms, changes)
            }
            RemoteCommand::Expire { peer, actors } => self.expire(peer, actors, changes),
            RemoteCommand::Hold { peer, since_ms } => match self.peers.get_mut(peer) {
                Some(held) if held.held_since_ms.is_none() => {
                    Arc::make_mut(held).held_since_ms = Some(*since_ms);
                    changes.events.push(Event::Remote { peer: peer.clone() });
                    done(0, 0, 0)
                }
                Some(_) => done(0, 0, 0),
                None => RemoteReply::Unknown,
            },
            RemoteCommand::PeerForget { peer } => self.forget(peer, changes),
            RemoteCommand::ActorInitBy { peer, actor, incarnation, at_ms, principal } => {
                if let Some(holder) = self.peers.get(peer).and_then(|peer| peer.holder())
                    && holder != principal
                {
                    return RemoteReply::HeldBy { principal: holder.clone() };
                }
                let actor = (actor, *incarnation);
                let reply = self.actor_init(context, peer, actor, *at_ms, changes);
                if matches!(reply, RemoteReply::Accepted { .. })
                    && let Some(known) = self.peers.get_mut(peer).map(Arc::make_mut)
                {
                    known.principal = Some(principal.clone());
                }
                reply
            }
        }
    }

    /// W-13, with the refusals of W-21 that the replicated link list decides.
    fn actor_init(
        &mut self,
        context: &RemoteContext<'_>,
        peer: &Arc<str>,
        (name, incarnation): (&Arc<str>, Incarnation),
        at_ms: Millis,
        changes: &mut Changes,
    ) -> RemoteReply {
        match context.links.get(peer) {
            None => return RemoteReply::UnknownCluster,
            Some(link) if !link.enable => return RemoteReply::LinkDisabled,
            Some(_) => {}
        }
        let known = self.peers.get(peer);
        let stored = known.and_then(|peer| peer.actors.get(name)).map(|actor| actor.incarnation);
        if stored.is_some_and(|stored| stored > incarnation) {
            return RemoteReply::ProtocolError { stored };
        }
        let actors = known.map_or(0, |peer| peer.actors.len());
        let limit = context.actors_max.min(ACTORS_MAX);
        if stored.is_none() && actors >= limit as usize {
            return RemoteReply::TooManyActors { limit };
        }
        if known.is_none() {
            let view_slot = lowest_free(self.peers.values().map(|peer| peer.view_slot));
            self.peers.insert(peer.clone(), Arc::new(Peer::new(view_slot)));
            changes.view.push(ViewOp::Link { slot: view_slot, name: peer.clone(), matched: true });
        }
        changes.events.push(Event::Remote { peer: peer.clone() });
        let Some(known) = self.peers.get_mut(peer).map(Arc::make_mut) else {
            return RemoteReply::Unknown;
        };
        known.held_since_ms = None;
        match stored {
            None => {
                let slot = known.free_slot();
                let actor = Actor {
                    incarnation,
                    last_seen_ms: at_ms,
                    routes: 0,
                    stale_routes: 0,
                    slot,
                    stale_slot: None,
                };
                known.actors.insert(name.clone(), actor);
            }
            Some(stored) if stored < incarnation => start_run(known, name, incarnation),
            Some(_) => {}
        }
        let Some(actor) = known.actors.get_mut(name) else { return RemoteReply::Unknown };
        actor.last_seen_ms = at_ms;
        let sweep_pending = actor.stale_slot.is_some();
        RemoteReply::Accepted { need_bootstrap: stored != Some(incarnation), sweep_pending }
    }

    /// W-15 and W-16. Over the cap nothing of the batch is applied (K6).
    fn route_ops(
        &mut self,
        context: &RemoteContext<'_>,
        peer: &Arc<str>,
        (name, incarnation): (&Arc<str>, Incarnation),
        ops: &[RemoteOp],
        changes: &mut Changes,
    ) -> RemoteReply {
        let known = self.peers.get(peer);
        let stored = known.and_then(|peer| peer.actors.get(name)).map(|actor| actor.incarnation);
        let Some(known) = known.filter(|_| stored == Some(incarnation)) else {
            return RemoteReply::ProtocolError { stored };
        };
        let limit = context.routes_max;
        if known.routes().saturating_add(ops.len() as u64) > limit {
            let adds = ops.iter().filter_map(|op| match op {
                RemoteOp::Add { filter, id } => Some((filter, id)),
                RemoteOp::Delete { .. } => None,
            });
            if known.routes().saturating_add(known.would_add(adds)) > limit {
                return RemoteReply::TooManyRoutes { limit };
            }
        }
        let Some(known) = self.peers.get_mut(peer).map(Arc::make_mut) else {
            return RemoteReply::Unknown;
        };
        let Some(mut actor) = known.actors.get(name).cloned() else { return RemoteReply::Unknown };
        let (mut added, mut removed, mut invalid) = (0, 0, 0);
        for op in ops {
            let (filter, id, add) = match op {
                RemoteOp::Add { filter, id } => (filter, id, true),
                RemoteOp::Delete { filter, id } => (filter, id, false),
            };
            if spanmq_topic::check_filter(filter).is_err() {
                invalid += 1;
                continue;
            }
            let edit = if add {
                Edit { add: Some(actor.slot), remove: [None, actor.stale_slot] }
            } else {
                Edit { add: None, remove: [Some(actor.slot), actor.stale_slot] }
            };
            let (edited, crossing) = known.edit(filter, id, edit);
            actor.routes = actor.routes + u64::from(edited.added) - u64::from(edited.removed[0]);
            actor.stale_routes -= u64::from(edited.removed[1]);
            added += u32::from(edited.entry > 0);
            removed += u32::from(edited.entry < 0);
            if let Some((filter, present)) = crossing {
                let slot = known.view_slot;
                changes.view.push(ViewOp::Learnt { filter, slot, present });
            }
        }
        known.actors.insert(name.clone(), actor);
        done(added, removed, invalid)
    }

    fn sweep(
        &mut self,
        peer: &Arc<str>,
        name: &Arc<str>,
        incarnation: Incarnation,
        changes: &mut Changes,
    ) -> RemoteReply {
        let Some(known) = self.peers.get_mut(peer) else { return RemoteReply::Unknown };
        match known.actors.get(name) {
            Some(actor) if actor.incarnation == incarnation => {}
            _ => return RemoteReply::Unknown,
        }
        let known = Arc::make_mut(known);
        let Some(actor) = known.actors.get_mut(name) else { return RemoteReply::Unknown };
        let Some(stale) = actor.stale_slot.take() else { return done(0, 0, 0) };
        actor.stale_routes = 0;
        let mut crossings = Vec::new();
        let removed = known.clear_slots(&[stale], None, &mut crossings);
        push(known.view_slot, crossings, changes);
        changes.events.push(Event::Remote { peer: peer.clone() });
        done(0, removed, 0)
    }

    fn seen(
        &mut self,
        peer: &Arc<str>,
        actors: &[ActorRef],
        at_ms: Millis,
        changes: &mut Changes,
    ) -> RemoteReply {
        let Some(known) = self.peers.get_mut(peer).map(Arc::make_mut) else {
            return RemoteReply::Unknown;
        };
        let mut any = false;
        for heard in actors {
            match known.actors.get_mut(&heard.actor) {
                Some(actor) if actor.incarnation == heard.incarnation => {
                    actor.last_seen_ms = at_ms;
                    any = true;
                }
                _ => {}
            }
        }
        if any && known.held_since_ms.take().is_some() {
            changes.events.push(Event::Remote { peer: peer.clone() });
        }
        if any { done(0, 0, 0) } else { RemoteReply::Unknown }
    }

    /// Removes exactly the contributions of these actors (W-14).
    fn expire(
        &mut self,
        peer: &Arc<str>,
        actors: &[ActorRef],
        changes: &mut Changes,
    ) -> RemoteReply {
        let Some(known) = self.peers.get_mut(peer).map(Arc::make_mut) else {
            return RemoteReply::Unknown;
        };
        let mut slots = Vec::new();
        for silent in actors {
            let same = |actor: &Actor| actor.incarnation == silent.incarnation;
            if !known.actors.get(&silent.actor).is_some_and(same) {
                continue;
            }
            if let Some(actor) = known.actors.remove(&silent.actor) {
                slots.extend([Some(actor.slot), actor.stale_slot].into_iter().flatten());
            }
        }
        if slots.is_empty() {
            return RemoteReply::Unknown;
        }
        let mut crossings = Vec::new();
        let removed = known.clear_slots(&slots, None, &mut crossings);
        push(known.view_slot, crossings, changes);
        if known.actors.is_empty() {
            return match self.forget(peer, changes) {
                RemoteReply::Done { .. } => done(0, removed, 0),
                other => other,
            };
        }
        changes.events.push(Event::Remote { peer: peer.clone() });
        done(0, removed, 0)
    }

    /// Also when the link is deleted.
    pub(crate) fn forget(&mut self, peer: &Arc<str>, changes: &mut Changes) -> RemoteReply {
        let Some(known) = self.peers.remove(peer) else { return RemoteReply::Unknown };
        self.digests.remove(peer);
        let slot = known.view_slot;
        push(slot, known.filters().map(|filter| (filter.clone(), false)).collect(), changes);
        changes.view.push(ViewOp::LinkGone { slot });
        changes.events.push(Event::Remote { peer: peer.clone() });
        done(0, known.routes(), 0)
    }

    /// The link list has changed: only routes of enabled links are matched (LINK-SPEC 1.6).
    pub(crate) fn link_changed(&self, links: &Links, name: &Arc<str>, changes: &mut Changes) {
        if let Some(peer) = self.peers.get(name) {
            let matched = links.get(name).is_some_and(|link| link.enable);
            let op = ViewOp::Link { slot: peer.view_slot, name: name.clone(), matched };
            changes.view.push(op);
        }
    }
}

/// K6; slots leave room for two per actor.
const ACTORS_MAX: u32 = 256;

/// A higher incarnation: what the actor holds becomes stale (LINK-SPEC 0.1, W-13 row 3).
fn start_run(peer: &mut Peer, name: &Arc<str>, incarnation: Incarnation) {
    let fresh = peer.free_slot();
    let Some(actor) = peer.actors.get_mut(name) else { return };
    actor.incarnation = incarnation;
    if actor.routes == 0 {
        return;
    }
    let Some(stale) = actor.stale_slot else {
        actor.stale_slot = Some(std::mem::replace(&mut actor.slot, fresh));
        actor.stale_routes = std::mem::take(&mut actor.routes);
        return;
    };
    // A run that ended before its sweep: both runs' routes are stale now.
    let slot = actor.slot;
    actor.stale_routes += std::mem::take(&mut actor.routes);
    let mut crossings = Vec::new();
    peer.clear_slots(&[slot], Some(stale), &mut crossings);
}

fn push(slot: u16, crossings: Vec<Crossing>, changes: &mut Changes) {
    changes.view.extend(crossings.into_iter().map(|(filter, present)| ViewOp::Learnt {
        filter,
        slot,
        present,
    }));
}

fn done(added: u32, removed: impl TryInto<u32>, invalid: u32) -> RemoteReply {
    RemoteReply::Done { added, removed: removed.try_into().unwrap_or(u32::MAX), invalid }
}
