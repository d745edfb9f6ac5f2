//! What is known about one topic filter: nodes with plain subscribers, and shared groups.

use std::collections::HashMap;
use std::sync::Arc;

use crate::digest::EntryHash;
use crate::types::NodeId;

/// Who wants a filter. Never changed in place: a change makes a new entry, which state and views
/// share, so that a route costs one pointer in each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteEntry {
    nodes: Box<[NodeId]>,
    groups: Box<[Arc<SharedGroup>]>,
}

/// One shared group on a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedGroup {
    /// Group name.
    pub group: Arc<str>,
    /// The filter.
    pub filter: Arc<str>,
    /// Members per node, by node; never empty, never zero.
    pub members: Box<[(NodeId, u32)]>,
}

impl RouteEntry {
    /// Nodes with at least one plain subscription, ascending.
    #[must_use]
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Shared groups, by name.
    #[must_use]
    pub fn groups(&self) -> &[Arc<SharedGroup>] {
        &self.groups
    }

    /// Whether nobody is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.groups.is_empty()
    }

    /// Members of a group on a node.
    #[must_use]
    pub fn members(&self, group: &str, node: NodeId) -> u32 {
        let Some(group) = self.groups.iter().find(|g| &*g.group == group) else { return 0 };
        group.members.iter().find(|(n, _)| *n == node).map_or(0, |(_, members)| *members)
    }

    pub(crate) fn new(nodes: Vec<NodeId>, groups: Vec<Arc<SharedGroup>>) -> Self {
        Self { nodes: nodes.into(), groups: groups.into() }
    }

    pub(crate) fn with_node(&self, node: NodeId, present: bool) -> Self {
        let mut nodes: Vec<_> = self.nodes.iter().copied().filter(|n| *n != node).collect();
        if present {
            let at = nodes.partition_point(|n| *n < node);
            nodes.insert(at, node);
        }
        Self { nodes: nodes.into(), groups: self.groups.clone() }
    }

    pub(crate) fn with_members(
        &self,
        group: &Arc<str>,
        filter: &Arc<str>,
        node: NodeId,
        members: u32,
    ) -> Self {
        let mut groups = self.groups.to_vec();
        let at = groups.partition_point(|g| g.group < *group);
        let known = groups.get(at).filter(|g| g.group == *group);
        let mut all = known.map_or_else(Vec::new, |g| g.members.to_vec());
        if known.is_some() {
            groups.remove(at);
        }
        all.retain(|(n, _)| *n != node);
        if members > 0 {
            let place = all.partition_point(|(n, _)| *n < node);
            all.insert(place, (node, members));
        }
        if !all.is_empty() {
            let (group, filter) = (group.clone(), filter.clone());
            let entry = SharedGroup { group, filter, members: all.into() };
            groups.insert(at, Arc::new(entry));
        }
        Self { nodes: self.nodes.clone(), groups: groups.into() }
    }

    /// How many entries (filter, node) or (group, filter, node) are the node's.
    pub(crate) fn count_of(&self, node: NodeId) -> u64 {
        let plain = u64::from(self.nodes.contains(&node));
        let shared = self.groups.iter().filter(|g| g.members.iter().any(|(n, _)| *n == node));
        plain + shared.count() as u64
    }

    /// Sum of the hashes of its parts, so that one node's change is one addition.
    pub(crate) fn hash(&self, filter: &str) -> u64 {
        let base = EntryHash::new(20).text(filter);
        let plain = self.nodes.iter().map(|node| base.u64(*node).finish());
        let shared = self.groups.iter().flat_map(|group| {
            let base = base.text(&group.group);
            group.members.iter().map(move |(n, m)| base.u64(*n).u64(u64::from(*m)).finish())
        });
        plain.chain(shared).fold(0, u64::wrapping_add)
    }
}

/// Equal plain entries share one allocation: a cluster of a few nodes has few different sets of
/// nodes. A cache only; what it holds is never compared or stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntryPool(HashMap<Box<[NodeId]>, Arc<RouteEntry>>);

/// Sets remembered; then the cache starts over.
const POOL_MAX: usize = 4096;

impl PartialEq for EntryPool {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl EntryPool {
    pub(crate) fn share(&mut self, entry: RouteEntry) -> Arc<RouteEntry> {
        if !entry.groups.is_empty() {
            return Arc::new(entry);
        }
        if let Some(shared) = self.0.get(&entry.nodes) {
            return shared.clone();
        }
        if self.0.len() >= POOL_MAX {
            self.0.clear();
        }
        let nodes = entry.nodes.clone();
        let shared = Arc::new(entry);
        self.0.insert(nodes, shared.clone());
        shared
    }
}
