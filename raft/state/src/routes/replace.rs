//! The full set of a node that starts or comes back, part by part.

use std::collections::HashSet;
use std::sync::Arc;

use crate::digest::EntryHash;
use crate::types::{Incarnation, NodeId};

/// A group, if shared, and a filter.
pub(crate) type RouteKey = (Option<Arc<str>>, Arc<str>);

/// What is known of one node's run.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRun {
    /// The run whose batches count.
    pub incarnation: Incarnation,
    /// Whether the node has announced itself and was not collected since.
    pub live: bool,
    /// Entries the node holds.
    pub entries: u64,
    /// A replacement under way.
    pub(crate) replacing: Option<Arc<Replacing>>,
}

/// Which entries the parts so far have named; the others go with the last part.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Replacing {
    pub(crate) next_part: u32,
    pub(crate) seen: HashSet<RouteKey>,
    sum: u64,
}

impl Replacing {
    pub(crate) fn at(next_part: u32) -> Self {
        Self { next_part, ..Self::default() }
    }

    pub(crate) fn see(&mut self, key: RouteKey) {
        let hash = hash(&key);
        if self.seen.insert(key) {
            self.sum = self.sum.wrapping_add(hash);
        }
    }

    pub(crate) fn forget(&mut self, key: &RouteKey) {
        if self.seen.remove(key) {
            self.sum = self.sum.wrapping_sub(hash(key));
        }
    }
}

impl NodeRun {
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, live: false, entries: 0, replacing: None }
    }

    pub(crate) fn hash(&self, node: NodeId) -> u64 {
        let hash = EntryHash::new(21).u64(node).u64(self.incarnation).u64(u64::from(self.live));
        match &self.replacing {
            None => hash.finish(),
            Some(replacing) => {
                hash.u64(u64::from(replacing.next_part) + 1).u64(replacing.sum).finish()
            }
        }
    }
}

fn hash(key: &RouteKey) -> u64 {
    let hash = EntryHash::new(22).text(&key.1);
    key.0.as_ref().map_or(hash, |group| hash.text(group)).finish()
}
