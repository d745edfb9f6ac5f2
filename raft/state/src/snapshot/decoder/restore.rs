//! Builds a state from records. Each record is checked against those before it, so that no stream of
//! bytes can make a state that `apply` could not have made and would stumble over.

use std::sync::Arc;

use crate::remote::peer::{Actor, Peer};
use crate::routes::entry::{RouteEntry, SharedGroup};
use crate::routes::replace::{NodeRun, Replacing};
use crate::sessions::session::{ORPHANS_MAX, Session};
use crate::shards::SHARDS;
use crate::snapshot::record::{GroupMembers, Record};
use crate::state::State;
use crate::types::NodeId;

#[derive(Default)]
pub(super) struct Restore {
    state: State,
    node: Option<NodeId>,
    session: Option<(Arc<str>, Session)>,
    peer: Option<(Arc<str>, Peer, Vec<Claimed>)>,
}

/// What an actor's record says it holds; counted again from the routes.
struct Claimed {
    name: Arc<str>,
    routes: u64,
    stale_routes: u64,
}

type Checked = Result<(), &'static str>;

impl Restore {
    pub(super) fn applied(&mut self, index: u64) {
        self.state.applied = index;
    }

    pub(super) fn finish(mut self) -> Result<State, &'static str> {
        self.close_session()?;
        self.close_peer()?;
        self.state.refresh_small([true; 3]);
        Ok(self.state)
    }

    pub(super) fn record(&mut self, record: Record) -> Checked {
        if !matches!(record, Record::SessionSubscription(_)) {
            self.close_session()?;
        }
        if !matches!(record, Record::Actor { .. } | Record::Learnt { .. } | Record::Speaker { .. })
        {
            self.close_peer()?;
        }
        match record {
            Record::Cluster { identity, features, limits } => {
                let cluster = &mut self.state.cluster;
                (cluster.identity, cluster.features, cluster.limits) = (identity, features, limits);
                Ok(())
            }
            Record::Member(member) => {
                let old = self.state.cluster.members.insert(member.id, Arc::new(member));
                fresh(old, "member twice")
            }
            Record::Setting { key, setting } => {
                fresh(self.state.cluster.settings.insert(key, setting), "setting twice")
            }
            Record::Node { node, incarnation, live, replacing } => {
                let replacing = replacing.map(|next_part| Arc::new(Replacing::at(next_part)));
                let run = NodeRun { live, replacing, ..NodeRun::new(incarnation) };
                self.node = Some(node);
                fresh(self.state.routes.nodes.insert(node, run), "node twice")
            }
            Record::Seen { group, filter } => {
                let run = self.node.and_then(|node| self.state.routes.nodes.get_mut(&node));
                let replacing = run.and_then(|run| run.replacing.as_mut());
                let replacing = replacing.ok_or("a replacement without its node")?;
                Arc::make_mut(replacing).see((group, filter));
                Ok(())
            }
            Record::Route { filter, nodes, groups } => self.route(filter, nodes, groups),
            Record::Epochs { .. }
            | Record::Session { .. }
            | Record::SessionSubscription(_)
            | Record::Will { .. } => self.sessions(record),
            Record::LinkList { .. } | Record::LinkCounter { .. } | Record::Link(_) => {
                self.links(record)
            }
            Record::Retained { topic, message } => {
                spanmq_topic::check_name(&topic).map_err(|_| "retained topic")?;
                fresh(self.state.retained.put(&topic, message), "retained topic twice")
            }
            Record::Access { kind, name, record } => {
                self.state.access.put((kind, name), record);
                Ok(())
            }
            Record::Alarm(alarm) if alarm.deactivated_ms.is_some() => {
                self.state.alarms.history.push_back(alarm);
                Ok(())
            }
            Record::Alarm(alarm) => {
                let key = (alarm.name.clone(), alarm.node);
                fresh(self.state.alarms.standing.insert(key, alarm), "alarm twice")
            }
            of_a_remote => self.remotes(of_a_remote),
        }
    }

    fn route(
        &mut self,
        filter: Arc<str>,
        nodes: Vec<NodeId>,
        groups: Vec<GroupMembers>,
    ) -> Checked {
        spanmq_topic::check_filter(&filter).map_err(|_| "route filter")?;
        let ascending = nodes.is_sorted_by(|a, b| a < b)
            && groups.is_sorted_by(|a, b| a.0 < b.0)
            && groups.iter().all(|(_, members)| {
                let valid = members.iter().all(|(_, count)| *count > 0) && !members.is_empty();
                valid && members.is_sorted_by(|a, b| a.0 < b.0)
            });
        if !ascending || nodes.is_empty() && groups.is_empty() {
            return Err("route entry");
        }
        if self.state.routes.get(&filter).is_some() {
            return Err("route twice");
        }
        let holders = groups.iter().flat_map(|(_, members)| members.iter().map(|(node, _)| node));
        for node in nodes.iter().chain(holders) {
            let run = self.state.routes.nodes.get_mut(node).ok_or("a route of an unknown node")?;
            run.entries += 1;
        }
        let groups = groups.into_iter().map(|(group, members)| {
            let filter = filter.clone();
            Arc::new(SharedGroup { group, filter, members: members.into() })
        });
        let entry = RouteEntry::new(nodes, groups.collect());
        self.state.routes.restore(filter, entry);
        Ok(())
    }

    fn sessions(&mut self, record: Record) -> Checked {
        match record {
            Record::Epochs { shard, last } => {
                let number = usize::try_from(shard).ok().filter(|number| *number < SHARDS);
                let shard = number.and_then(|number| self.state.sessions.shards.at_mut(number));
                shard.ok_or("session shard")?.last_epoch = last;
                Ok(())
            }
            Record::Session {
                client_id,
                principal,
                owner,
                persistent,
                expiry_s,
                detached_at_ms,
                will,
                claim,
                orphans,
            } => {
                let newest = claim.as_ref().map_or(owner.epoch, |claim| claim.holder.epoch);
                let last_epoch = self.state.sessions.shards.of(&client_id).last_epoch;
                if newest > last_epoch || orphans.len() > ORPHANS_MAX {
                    return Err("session epoch");
                }
                if self.state.sessions.get(&client_id).is_some() {
                    return Err("session twice");
                }
                let session = Session {
                    principal,
                    owner,
                    persistent,
                    expiry_s,
                    detached_at_ms,
                    will: will.map(Box::new),
                    claim: claim.map(Box::new),
                    orphans,
                    subscriptions: Vec::new(),
                };
                self.session = Some((client_id, session));
                Ok(())
            }
            Record::SessionSubscription(subscription) => {
                let (_, session) = self.session.as_mut().ok_or("a subscription without session")?;
                let last = session.subscriptions.last();
                if last.is_some_and(|last| last.filter >= subscription.filter) {
                    return Err("subscriptions out of order");
                }
                session.subscriptions.push(subscription);
                Ok(())
            }
            Record::Will { client_id, epoch, will } => {
                self.state.sessions.shards.of_mut(&client_id).put_will(&client_id, epoch, will);
                Ok(())
            }
            _ => Err("record"),
        }
    }

    fn links(&mut self, record: Record) -> Checked {
        let links = &mut self.state.links;
        match record {
            Record::LinkList { revision } => links.revision = revision,
            Record::LinkCounter { name, counter } => {
                return fresh(links.counters.insert(name, counter), "link counter twice");
            }
            Record::Link(link) => {
                if links.get(&link.name).is_some() {
                    return Err("link twice");
                }
                links.list.push(Arc::new(link));
            }
            _ => return Err("record"),
        }
        Ok(())
    }

    fn remotes(&mut self, record: Record) -> Checked {
        match record {
            Record::Peer { name, view_slot, held_since_ms } => {
                let peers = &self.state.remotes.peers;
                if peers.contains_key(&name) || peers.values().any(|p| p.view_slot == view_slot) {
                    return Err("remote twice");
                }
                let mut peer = Peer::new(view_slot);
                peer.held_since_ms = held_since_ms;
                self.peer = Some((name, peer, Vec::new()));
                Ok(())
            }
            Record::Speaker { principal } => {
                let (_, peer, _) = self.peer.as_mut().ok_or("a speaker without remote")?;
                match peer.principal.replace(principal) {
                    None => Ok(()),
                    Some(_) => Err("speaker twice"),
                }
            }
            Record::Actor { name, actor } => {
                let (_, peer, claimed) = self.peer.as_mut().ok_or("an actor without remote")?;
                let (routes, stale_routes) = (actor.routes, actor.stale_routes);
                let slots = [Some(actor.slot), actor.stale_slot];
                let used = |other: &Actor| {
                    slots.contains(&Some(other.slot))
                        || other.stale_slot.is_some_and(|slot| slots.contains(&Some(slot)))
                };
                if peer.actors.values().any(used) || actor.stale_slot == Some(actor.slot) {
                    return Err("actor slot twice");
                }
                let empty = Actor { routes: 0, stale_routes: 0, ..actor };
                claimed.push(Claimed { name: name.clone(), routes, stale_routes });
                fresh(peer.actors.insert(name, empty), "actor twice")
            }
            Record::Learnt { filter, id, slots } => {
                spanmq_topic::check_filter(&filter).map_err(|_| "learnt filter")?;
                let (_, peer, _) = self.peer.as_mut().ok_or("a learnt route without remote")?;
                if slots.is_empty() || !slots.is_sorted_by(|a, b| a < b) {
                    return Err("learnt holders");
                }
                let id = id.unwrap_or_else(|| filter.clone());
                peer.restore(&filter, &id, &slots)
            }
            _ => Err("record"),
        }
    }

    fn close_session(&mut self) -> Checked {
        if let Some((client_id, session)) = self.session.take() {
            self.state.sessions.insert_new(&client_id, session);
        }
        Ok(())
    }

    fn close_peer(&mut self) -> Checked {
        let Some((name, peer, claimed)) = self.peer.take() else { return Ok(()) };
        for claim in claimed {
            let counted = peer.actors.get(&claim.name).map(|a| (a.routes, a.stale_routes));
            if counted != Some((claim.routes, claim.stale_routes)) {
                return Err("actor counts");
            }
        }
        self.state.remotes.peers.insert(name, Arc::new(peer));
        self.state.remotes.refresh_digests();
        Ok(())
    }
}

fn fresh<T>(old: Option<T>, what: &'static str) -> Checked {
    old.map_or(Ok(()), |_| Err(what))
}
