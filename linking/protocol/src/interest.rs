//! From local subscriptions to the routes a remote must know (T-4, 2.5).
//!
//! Decides which (filter, route id) pairs exist, and when the first subscription adds and the last
//! one deletes them. Leaves sending to [`crate::replication`].

use crate::config::TopicList;
use crate::message::{RouteKey, RouteOp};
use std::collections::BTreeMap;

/// Where a subscription comes from; part of the route id (2.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    Plain,
    /// Also `$queue/F`, with the group `$queue`.
    Shared {
        group: String,
    },
    Durable {
        session: String,
    },
    DurableShared {
        group: String,
        session: String,
    },
}

/// One local subscription, without `$share/…` or `$exclusive/` in its filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalSubscription {
    pub filter: String,
    pub source: Source,
}

impl LocalSubscription {
    /// The id that goes with every intersection of this subscription.
    pub fn route_id(&self) -> String {
        let filter = &self.filter;
        match &self.source {
            Source::Plain => filter.clone(),
            Source::Shared { group } => format!("$s/{group}/{filter}"),
            Source::Durable { session } => format!("$p/{session}/{filter}"),
            Source::DurableShared { group, session } => format!("$sp/{group}/{session}/{filter}"),
        }
    }
}

/// The routes of one link on one node: subscriptions × the link's topics.
#[derive(Debug)]
pub struct Interest {
    topics: TopicList,
    /// Live subscriptions per route id that meet the topics at all; the id implies the filter.
    /// Ordered, so that a schedule replays exactly.
    live: BTreeMap<Box<str>, Live>,
}

#[derive(Debug)]
struct Live {
    filter: Box<str>,
    count: usize,
}

impl Interest {
    pub fn new(topics: TopicList) -> Interest {
        Interest { topics, live: BTreeMap::new() }
    }

    /// A subscription came. Only the first of an id leads to adds: one per intersection.
    pub fn subscribe(&mut self, subscription: &LocalSubscription) -> Vec<RouteOp> {
        let id = subscription.route_id();
        if let Some(live) = self.live.get_mut(id.as_str()) {
            live.count = live.count.saturating_add(1);
            return Vec::new();
        }
        let filters = self.topics.intersections(&subscription.filter);
        if filters.is_empty() {
            return Vec::new();
        }
        let live = Live { filter: subscription.filter.as_str().into(), count: 1 };
        self.live.insert(id.as_str().into(), live);
        filters.iter().map(|filter| RouteOp::add(filter, &id)).collect()
    }

    /// A subscription went. Only the last of an id leads to deletes.
    pub fn unsubscribe(&mut self, subscription: &LocalSubscription) -> Vec<RouteOp> {
        let id = subscription.route_id();
        let Some(live) = self.live.get_mut(id.as_str()) else { return Vec::new() };
        live.count = live.count.saturating_sub(1);
        if live.count > 0 {
            return Vec::new();
        }
        self.live.remove(id.as_str());
        self.deletes(&subscription.filter, &id)
    }

    /// Starts over from a full list, and says what that changes. For a feed that was interrupted.
    pub fn replace_all(&mut self, subscriptions: &[LocalSubscription]) -> Vec<RouteOp> {
        let old = std::mem::take(&mut self.live);
        let mut ops = Vec::new();
        for subscription in subscriptions {
            ops.extend(self.subscribe(subscription));
        }
        ops.retain(|op| !old.contains_key(&*op.key.id));
        for (id, live) in old {
            if !self.live.contains_key(&id) {
                ops.extend(self.deletes(&live.filter, &id));
            }
        }
        ops
    }

    /// All routes now, for a bootstrap.
    pub fn snapshot(&self) -> Vec<RouteKey> {
        let mut routes = Vec::with_capacity(self.live.len());
        for (id, live) in &self.live {
            let filters = self.topics.intersections(&live.filter);
            routes.extend(filters.iter().map(|filter| RouteKey::new(filter, id)));
        }
        routes
    }

    fn deletes(&self, filter: &str, id: &str) -> Vec<RouteOp> {
        let filters = self.topics.intersections(filter);
        filters.iter().map(|filter| RouteOp::delete(filter, id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(filters: &[&str]) -> TopicList {
        TopicList::new(&filters.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn plain(filter: &str) -> LocalSubscription {
        LocalSubscription { filter: filter.into(), source: Source::Plain }
    }

    #[test]
    fn ids_are_spelled_as_the_reference_spells_them() {
        let group = || "g1".to_owned();
        let session = || "client-7".to_owned();
        for (source, id) in [
            (Source::Plain, "sh/1"),
            (Source::Shared { group: group() }, "$s/g1/sh/1"),
            (Source::Shared { group: "$queue".into() }, "$s/$queue/sh/1"),
            (Source::Durable { session: session() }, "$p/client-7/sh/1"),
            (Source::DurableShared { group: group(), session: session() }, "$sp/g1/client-7/sh/1"),
        ] {
            let subscription = LocalSubscription { filter: "sh/1".into(), source };
            assert_eq!(subscription.route_id(), id);
        }
    }

    #[test]
    fn each_intersection_becomes_a_route_with_the_same_id() {
        let mut interest = Interest::new(topics(&["t/1", "t/2"]));
        let ops = interest.subscribe(&plain("t/+"));
        assert_eq!(ops, [RouteOp::add("t/1", "t/+"), RouteOp::add("t/2", "t/+")]);
        assert_eq!(interest.snapshot().len(), 2);
    }

    #[test]
    fn only_the_first_subscription_adds_and_only_the_last_deletes() {
        let mut interest = Interest::new(topics(&["t/#"]));
        assert_eq!(interest.subscribe(&plain("t/6")), [RouteOp::add("t/6", "t/6")]);
        assert_eq!(interest.subscribe(&plain("t/6")), []);
        assert_eq!(interest.unsubscribe(&plain("t/6")), []);
        assert_eq!(interest.unsubscribe(&plain("t/6")), [RouteOp::delete("t/6", "t/6")]);
        assert_eq!(interest.unsubscribe(&plain("t/6")), []);
        assert_eq!(interest.snapshot(), []);
    }

    #[test]
    fn two_sources_of_one_intersection_are_two_routes() {
        let mut interest = Interest::new(topics(&["t/1"]));
        assert_eq!(interest.subscribe(&plain("t/+")), [RouteOp::add("t/1", "t/+")]);
        assert_eq!(interest.subscribe(&plain("#")), [RouteOp::add("t/1", "#")]);
        assert_eq!(interest.unsubscribe(&plain("#")), [RouteOp::delete("t/1", "#")]);
        assert_eq!(interest.snapshot(), [RouteKey::new("t/1", "t/+")]);
    }

    #[test]
    fn what_the_link_does_not_want_is_no_route() {
        let mut interest = Interest::new(topics(&["a/#", "$SYS/#"]));
        assert_eq!(interest.subscribe(&plain("b/c")), []);
        assert_eq!(interest.subscribe(&plain("#")), [RouteOp::add("a/#", "#")]);
        assert_eq!(interest.unsubscribe(&plain("b/c")), []);
        let mut nothing = Interest::new(topics(&[]));
        assert_eq!(nothing.subscribe(&plain("#")), []);
    }

    #[test]
    fn starting_over_says_only_what_differs() {
        let mut interest = Interest::new(topics(&["t/#"]));
        interest.subscribe(&plain("t/1"));
        interest.subscribe(&plain("t/2"));
        let ops = interest.replace_all(&[plain("t/2"), plain("t/3"), plain("x")]);
        assert_eq!(ops, [RouteOp::add("t/3", "t/3"), RouteOp::delete("t/1", "t/1")]);
    }
}
