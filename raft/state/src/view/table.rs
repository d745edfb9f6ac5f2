//! The table that both copies of the view hold.

use std::collections::HashMap;
use std::sync::Arc;

use left_right::Absorb;
use spanmq_topic::{FilterTable, TopicFilter};

use crate::routes::entry::RouteEntry;
use crate::slots::SlotSet;
use crate::view::{Explained, Targets, ViewOp};

/// Who wants a filter.
#[derive(Clone, Default)]
struct Interest {
    route: Option<Arc<RouteEntry>>,
    links: SlotSet,
}

/// Equal interests share one allocation, so that a filter costs one pointer in each copy: a million
/// filters have few different sets of nodes and links.
#[derive(Clone, Default)]
struct Pool(HashMap<(usize, SlotSet), Arc<Interest>>);

/// Interests remembered; then the cache starts over.
const POOL_MAX: usize = 4096;

impl Pool {
    /// The state shares equal entries already, so the address tells them apart. It cannot be that of
    /// another one, as the pool keeps the entry alive.
    fn share(&mut self, interest: Interest) -> Arc<Interest> {
        let address = interest.route.as_ref().map_or(0, |route| Arc::as_ptr(route).addr());
        let alone = interest.route.as_ref().is_some_and(|route| !route.groups().is_empty());
        if alone {
            return Arc::new(interest);
        }
        if self.0.len() >= POOL_MAX {
            self.0.clear();
        }
        let key = (address, interest.links.clone());
        self.0.entry(key).or_insert_with(|| Arc::new(interest)).clone()
    }
}

#[derive(Clone)]
struct LinkSlot {
    name: Arc<str>,
    matched: bool,
}

#[derive(Clone, Default)]
pub(super) struct Table {
    filters: FilterTable<Arc<Interest>>,
    pool: Pool,
    links: Vec<Option<LinkSlot>>,
    pub(super) index: u64,
}

/// A [`ViewOp`] with its filter checked once for both copies.
pub(super) enum TableOp {
    Route(TopicFilter, Option<Arc<RouteEntry>>),
    Learnt(TopicFilter, u16, bool),
    Link(u16, Option<(Arc<str>, bool)>),
    Applied(u64),
    Clear,
}

impl TableOp {
    /// None when the filter is not valid, which the state has refused before.
    pub(super) fn from_view(op: ViewOp) -> Option<Self> {
        Some(match op {
            ViewOp::Route { filter, entry } => Self::Route(TopicFilter::new(filter).ok()?, entry),
            ViewOp::Learnt { filter, slot, present } => {
                Self::Learnt(TopicFilter::new(filter).ok()?, slot, present)
            }
            ViewOp::Link { slot, name, matched } => Self::Link(slot, Some((name, matched))),
            ViewOp::LinkGone { slot } => Self::Link(slot, None),
        })
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn collect(&self, topic: &str, targets: &mut Targets) {
        let mut filters = 0;
        self.filters.for_each_match(topic, |interest| {
            filters += 1;
            if let Some(route) = &interest.route {
                targets.nodes.extend_from_slice(route.nodes());
                targets.groups.extend(route.groups().iter().cloned());
            }
            targets.slots.extend_from_slice(interest.links.as_slice());
        });
        if filters > 1 {
            targets.nodes.sort_unstable();
            targets.nodes.dedup();
            targets.slots.sort_unstable();
            targets.slots.dedup();
        }
        let matched = |slot: &u16| {
            let link = self.links.get(usize::from(*slot))?.as_ref()?;
            link.matched.then(|| link.name.clone())
        };
        targets.links.extend(targets.slots.iter().filter_map(matched));
        targets.index = self.index;
    }

    pub(super) fn explain(&self, topic: &str) -> Vec<Explained> {
        let mut found = Vec::new();
        self.filters.for_each_match_with_filter(topic, |filter, interest| {
            let links = interest.links.as_slice().iter().filter_map(|slot| {
                let link = self.links.get(usize::from(*slot))?.as_ref()?;
                Some((link.name.clone(), link.matched))
            });
            found.push(Explained {
                filter: filter.clone(),
                route: interest.route.clone(),
                links: links.collect(),
            });
        });
        found.sort_by(|a, b| a.filter.cmp(&b.filter));
        found
    }

    fn edit(&mut self, filter: &TopicFilter, edit: impl FnOnce(&mut Interest)) {
        let mut old = self.filters.get_mut(filter);
        let mut interest = old.as_ref().map_or_else(Interest::default, |old| (***old).clone());
        edit(&mut interest);
        if interest.route.is_none() && interest.links.is_empty() {
            self.filters.remove(filter);
            return;
        }
        let interest = self.pool.share(interest);
        match &mut old {
            Some(old) => **old = interest,
            None => drop(self.filters.insert(filter.clone(), interest)),
        }
    }
}

impl Absorb<TableOp> for Table {
    fn absorb_first(&mut self, op: &mut TableOp, _: &Self) {
        match op {
            TableOp::Route(filter, entry) => {
                self.edit(filter, |interest| interest.route = entry.clone());
            }
            TableOp::Learnt(filter, slot, true) => {
                self.edit(filter, |interest| {
                    interest.links.insert(*slot);
                });
            }
            TableOp::Learnt(filter, slot, false) => {
                self.edit(filter, |interest| {
                    interest.links.remove(*slot);
                });
            }
            TableOp::Link(slot, link) => {
                let at = usize::from(*slot);
                if self.links.len() <= at {
                    self.links.resize(at + 1, None);
                }
                self.links[at] = link.clone().map(|(name, matched)| LinkSlot { name, matched });
            }
            TableOp::Applied(index) => self.index = *index,
            TableOp::Clear => *self = Self::default(),
        }
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}
