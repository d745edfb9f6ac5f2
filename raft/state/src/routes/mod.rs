//! The route table: topic filter → nodes with subscribers, shared groups → members per node.
//!
//! A node speaks for itself, in batches that carry its incarnation. After its routes were collected
//! (`NodeGone`) its batches are refused until it has sent its full set, so nothing can get lost
//! between a collection and a return (CHAOS P5).

pub(crate) mod command;
pub(crate) mod entry;
pub(crate) mod replace;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::shards::{SHARDS, Shards, page};
use crate::types::{Incarnation, NodeId};
use crate::view::ViewOp;
use command::{RouteChange, RouteCommand, RouteReply};
use entry::{EntryPool, RouteEntry};
use replace::{NodeRun, RouteKey};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RouteShard {
    pub(crate) entries: HashMap<Arc<str>, Arc<RouteEntry>>,
    digest: u64,
}

/// All routes of the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routes {
    pub(crate) shards: Shards<RouteShard>,
    pub(crate) nodes: BTreeMap<NodeId, NodeRun>,
    filters: u64,
    pool: EntryPool,
}

#[derive(Default)]
struct Tally {
    changed: u32,
    removed: u32,
    invalid: u32,
}

impl Tally {
    fn reply(self) -> RouteReply {
        RouteReply::Done { changed: self.changed, removed: self.removed, invalid: self.invalid }
    }
}

impl Routes {
    /// Filters that somebody wants.
    #[must_use]
    pub fn filters(&self) -> u64 {
        self.filters
    }

    /// Who wants a filter, if anyone.
    #[must_use]
    pub fn get(&self, filter: &str) -> Option<&Arc<RouteEntry>> {
        self.shards.of(filter).entries.get(filter)
    }

    /// What is known of a node's run.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&NodeRun> {
        self.nodes.get(&node)
    }

    /// Up to `limit` filters after `after`, in shard order; the last filter is the next `after`.
    #[must_use]
    pub fn page(&self, after: Option<&str>, limit: usize) -> Vec<(&Arc<str>, &Arc<RouteEntry>)> {
        page(&self.shards, |shard| &shard.entries, after, limit)
    }

    /// Every filter, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<RouteEntry>)> {
        self.shards.iter().flat_map(|shard| &shard.entries)
    }

    pub(crate) fn digest(&self) -> u64 {
        let nodes = self.nodes.iter().fold(0u64, |sum, (n, run)| sum.wrapping_add(run.hash(*n)));
        self.shards.iter().fold(EntryHash::new(2).u64(nodes), |h, s| h.u64(s.digest)).finish()
    }

    /// For a snapshot being read; the filter must be new.
    pub(crate) fn restore(&mut self, filter: Arc<str>, entry: RouteEntry) {
        let entry = self.pool.share(entry);
        self.filters += 1;
        let shard = self.shards.of_mut(&filter);
        shard.digest = shard.digest.wrapping_add(entry.hash(&filter));
        shard.entries.insert(filter, entry);
    }

    pub(crate) fn apply(&mut self, command: &RouteCommand, changes: &mut Changes) -> RouteReply {
        match command {
            RouteCommand::RouteBatch { node, incarnation, changes: batch } => {
                match self.nodes.get(node) {
                    Some(run) if run.incarnation > *incarnation => {
                        RouteReply::StaleIncarnation { stored: run.incarnation }
                    }
                    Some(run) if run.live && run.incarnation == *incarnation => {
                        let mut tally = Tally::default();
                        for change in batch {
                            self.change(*node, change, &mut tally, changes);
                        }
                        tally.reply()
                    }
                    _ => RouteReply::NeedReplace,
                }
            }
            RouteCommand::NodeGone { node, incarnation } => {
                self.node_gone(*node, *incarnation, changes)
            }
            RouteCommand::ReplaceNode { node, incarnation, part, last, routes } => {
                if let Err(reply) = self.begin_part(*node, *incarnation, *part) {
                    return reply;
                }
                let mut tally = Tally::default();
                for change in routes {
                    if !matches!(change, RouteChange::Remove(_)) {
                        self.change(*node, change, &mut tally, changes);
                    }
                }
                if *last {
                    self.end_replacement(*node, &mut tally, changes);
                }
                tally.reply()
            }
        }
    }

    fn change(
        &mut self,
        node: NodeId,
        change: &RouteChange,
        tally: &mut Tally,
        changes: &mut Changes,
    ) {
        let (group, filter, members) = match change {
            RouteChange::Add(filter) => (None, filter, 1),
            RouteChange::Remove(filter) => (None, filter, 0),
            RouteChange::Shared { group, filter, members } => (Some(group), filter, *members),
        };
        if spanmq_topic::check_filter(filter).is_err() || group.is_some_and(|g| g.is_empty()) {
            tally.invalid += 1;
            return;
        }
        let run = self.nodes.get_mut(&node).and_then(|run| run.replacing.as_mut());
        if let Some(replacing) = run {
            let key = (group.cloned(), filter.clone());
            let replacing = Arc::make_mut(replacing);
            if members > 0 { replacing.see(key) } else { replacing.forget(&key) }
        }
        match self.set(node, group, filter, members, changes) {
            Some(_) if members > 0 => tally.changed += 1,
            Some(_) => tally.removed += 1,
            None => {}
        }
    }

    /// Sets one entry of one node; none when it was so already.
    fn set(
        &mut self,
        node: NodeId,
        group: Option<&Arc<str>>,
        filter: &Arc<str>,
        members: u32,
        changes: &mut Changes,
    ) -> Option<()> {
        let (old_key, old) = match self.shards.of(filter).entries.get_key_value(filter) {
            Some((key, entry)) => (Some(key), Some(entry)),
            None => (None, None),
        };
        let had = match group {
            None => u32::from(old.is_some_and(|entry| entry.nodes().contains(&node))),
            Some(group) => old.map_or(0, |entry| entry.members(group, node)),
        };
        if had == members {
            return None;
        }
        // The first spelling in memory is the one all share.
        let filter = old_key.unwrap_or(filter).clone();
        let none = RouteEntry::default();
        let before = old.map_or(&none, |entry| &**entry);
        let after = match group {
            None => before.with_node(node, members > 0),
            Some(group) => before.with_members(group, &filter, node, members),
        };
        let hash = after.hash(&filter).wrapping_sub(before.hash(&filter));
        let is_new = old.is_none();
        let entry = (!after.is_empty()).then(|| self.pool.share(after));
        let shard = self.shards.of_mut(&filter);
        shard.digest = shard.digest.wrapping_add(hash);
        match &entry {
            Some(entry) => drop(shard.entries.insert(filter.clone(), entry.clone())),
            None => drop(shard.entries.remove(&filter)),
        }
        self.filters = self.filters + u64::from(is_new) - u64::from(entry.is_none());
        if let Some(run) = self.nodes.get_mut(&node) {
            run.entries = run.entries + u64::from(had == 0) - u64::from(members == 0);
        }
        changes.view.push(ViewOp::Route { filter, entry });
        Some(())
    }

    /// The run stays known, so that a late batch of it is told to replace. Costs a pass over the
    /// table, which is rare and measured in `examples/apply_routes.rs`.
    fn node_gone(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        changes: &mut Changes,
    ) -> RouteReply {
        let run = self.nodes.entry(node).or_insert_with(|| NodeRun::new(incarnation));
        if run.incarnation > incarnation {
            return RouteReply::StaleIncarnation { stored: run.incarnation };
        }
        (run.incarnation, run.live, run.replacing) = (incarnation, false, None);
        let mut tally = Tally::default();
        self.remove_all(node, |_| true, &mut tally, changes);
        changes.events.push(Event::RoutesCollected { node });
        tally.reply()
    }

    fn begin_part(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        part: u32,
    ) -> Result<(), RouteReply> {
        let run = self.nodes.entry(node).or_insert_with(|| NodeRun::new(incarnation));
        if run.incarnation > incarnation {
            return Err(RouteReply::StaleIncarnation { stored: run.incarnation });
        }
        if part == 0 {
            (run.incarnation, run.live) = (incarnation, true);
            run.replacing = Some(Arc::default());
        }
        let same_run = run.incarnation == incarnation;
        match run.replacing.as_mut().filter(|_| same_run) {
            Some(replacing) if replacing.next_part == part => {
                let replacing = Arc::make_mut(replacing);
                replacing.next_part = replacing.next_part.saturating_add(1);
                Ok(())
            }
            other => {
                let expected = other.map_or(0, |replacing| replacing.next_part);
                Err(RouteReply::PartOutOfOrder { expected })
            }
        }
    }

    fn end_replacement(&mut self, node: NodeId, tally: &mut Tally, changes: &mut Changes) {
        let Some(run) = self.nodes.get_mut(&node) else { return };
        let Some(replacing) = run.replacing.take() else { return };
        if run.entries > replacing.seen.len() as u64 {
            self.remove_all(node, |key| !replacing.seen.contains(key), tally, changes);
        }
    }

    /// One pass that edits in place.
    fn remove_all(
        &mut self,
        node: NodeId,
        unwanted: impl Fn(&RouteKey) -> bool,
        tally: &mut Tally,
        changes: &mut Changes,
    ) {
        if self.nodes.get(&node).is_none_or(|run| run.entries == 0) {
            return;
        }
        let mut removed = 0;
        for number in 0..SHARDS {
            let holds = |shard: &RouteShard| shard.entries.values().any(|e| e.count_of(node) > 0);
            if !self.shards.at(number).is_some_and(holds) {
                continue;
            }
            let Some(shard) = self.shards.at_mut(number) else { continue };
            let RouteShard { entries, digest } = shard;
            let (pool, filters) = (&mut self.pool, &mut self.filters);
            entries.retain(|filter, entry| {
                let (smaller, gone) = without(entry, filter, node, &unwanted);
                if gone == 0 {
                    return true;
                }
                removed += gone;
                *digest =
                    digest.wrapping_sub(entry.hash(filter)).wrapping_add(smaller.hash(filter));
                let keep = !smaller.is_empty();
                let smaller = keep.then(|| pool.share(smaller));
                changes.view.push(ViewOp::Route { filter: filter.clone(), entry: smaller.clone() });
                match smaller {
                    Some(smaller) => *entry = smaller,
                    None => *filters -= 1,
                }
                keep
            });
        }
        tally.removed += removed;
        if let Some(run) = self.nodes.get_mut(&node) {
            run.entries -= u64::from(removed);
        }
    }
}

/// The entry less what is unwanted of the node, and how many parts that were.
fn without(
    entry: &RouteEntry,
    filter: &Arc<str>,
    node: NodeId,
    unwanted: impl Fn(&RouteKey) -> bool,
) -> (RouteEntry, u32) {
    let mut smaller = entry.clone();
    let mut gone = 0;
    if entry.nodes().contains(&node) && unwanted(&(None, filter.clone())) {
        smaller = smaller.with_node(node, false);
        gone += 1;
    }
    for group in entry.groups() {
        let name = &group.group;
        if entry.members(name, node) > 0 && unwanted(&(Some(name.clone()), filter.clone())) {
            smaller = smaller.with_members(name, filter, node, 0);
            gone += 1;
        }
    }
    (smaller, gone)
}
