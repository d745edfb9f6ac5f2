//! From local subscriptions to the routes a remote must know (T-4, 2.5).
//!
//! Decides which (filter, route id) pairs exist, and when the first subscription adds and the last
//! one deletes them. Leaves sending to [`crate::replication`].

use crate::config::TopicList;
use crate::message::{RouteKey, RouteOp};
use std::collections::HashMap;

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
    live: HashMap<Box<str>, Live>,
}

#[derive(Debug)]
struct Live {
    filter: Box<str>,
    count: usize,
}
