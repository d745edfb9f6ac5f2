//! The table that both copies of the view hold.

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

#[derive(Clone)]
struct LinkSlot {
    name: Arc<str>,
    matched: bool,
}

#[derive(Clone, Default)]
pub(super) struct Table {
    filters: FilterTable<Interest>,
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

    fn edit(&mut self, filter: &TopicFilter, needs: bool, edit: impl FnOnce(&mut Interest)) {
        let interest = if needs {
            self.filters.get_or_insert_with(filter, Interest::default)
        } else {
            match self.filters.get_mut(filter) {
                Some(interest) => interest,
                None => return,
            }
        };
        edit(interest);
        if interest.route.is_none() && interest.links.is_empty() {
            self.filters.remove(filter);
        }
    }
}

impl Absorb<TableOp> for Table {
    fn absorb_first(&mut self, op: &mut TableOp, _: &Self) {
        match op {
            TableOp::Route(filter, entry) => {
                self.edit(filter, entry.is_some(), |interest| interest.route = entry.clone());
            }
            TableOp::Learnt(filter, slot, true) => {
                self.edit(filter, true, |interest| {
                    interest.links.insert(*slot);
                });
            }
            TableOp::Learnt(filter, slot, false) => {
                self.edit(filter, false, |interest| {
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
