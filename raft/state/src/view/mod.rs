//! The publishers' view: topic → nodes, shared groups and links that want it.
//!
//! Two copies of one table behind `left-right`: the apply thread writes one while readers match in
//! the other, and no reader ever waits (ARCHITECTURE §3: match once, no locks). Routes and learnt
//! routes share the table, as the question is the same. What a filter maps to is 24 bytes; the sets
//! of nodes themselves are shared with the state.

mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use left_right::{ReadHandle, ReadHandleFactory, WriteHandle};
use spanmq_topic::TopicFilter;

use crate::routes::entry::{RouteEntry, SharedGroup};
use crate::state::State;
use crate::types::NodeId;
use table::{Table, TableOp};

/// One change of the view, made by [`State::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewOp {
    /// Who wants a filter inside the cluster; none = nobody.
    Route {
        /// The filter.
        filter: Arc<str>,
        /// The whole entry.
        entry: Option<Arc<RouteEntry>>,
    },
    /// A remote wants a filter, or no more.
    Learnt {
        /// The filter.
        filter: Arc<str>,
        /// The remote's number.
        slot: u16,
        /// Whether it wants it.
        present: bool,
    },
    /// A remote has this number; its routes count or not (disabled link).
    Link {
        /// The number.
        slot: u16,
        /// The link's name.
        name: Arc<str>,
        /// Whether messages go there.
        matched: bool,
    },
    /// The number is free again; its filters were removed before.
    LinkGone {
        /// The number.
        slot: u16,
    },
}

/// Where a message goes. Reuse it: matching then allocates nothing.
#[derive(Debug, Default)]
pub struct Targets {
    /// Nodes with a plain subscriber, ascending, each once.
    pub nodes: Vec<NodeId>,
    /// Shared groups: one member of each is to be picked.
    pub groups: Vec<Arc<SharedGroup>>,
    /// Links whose remote wants it, each once.
    pub links: Vec<Arc<str>>,
    /// The raft index the view stood at: what the lease and SUBACK rules compare.
    pub index: u64,
    slots: Vec<u16>,
}

impl Targets {
    /// Nothing wants the message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.groups.is_empty() && self.links.is_empty()
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.groups.clear();
        self.links.clear();
        self.slots.clear();
        self.index = 0;
    }
}

/// The writing end; the thread that applies the log owns it.
pub struct ViewWriter {
    handle: WriteHandle<Table, TableOp>,
}

/// A reading end; one per thread (it is `Send` but not `Sync`), cloned freely.
#[derive(Clone)]
pub struct ViewReader {
    handle: ReadHandle<Table>,
}

/// Makes readers from any thread.
#[derive(Clone)]
pub struct ViewReaderFactory {
    factory: ReadHandleFactory<Table>,
}

impl ViewReaderFactory {
    /// One more reader.
    #[must_use]
    pub fn reader(&self) -> ViewReader {
        ViewReader { handle: self.factory.handle() }
    }
}

impl Default for ViewWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ViewWriter {
    /// An empty view at index 0.
    #[must_use]
    pub fn new() -> Self {
        let (mut handle, _) = left_right::new_from_empty(Table::default());
        handle.publish();
        Self { handle }
    }

    /// A reader of this view.
    #[must_use]
    pub fn reader(&self) -> ViewReader {
        ViewReader { handle: self.handle.clone() }
    }

    /// What makes readers on other threads.
    #[must_use]
    pub fn factory(&self) -> ViewReaderFactory {
        ViewReaderFactory { factory: self.handle.factory() }
    }

    /// Takes over the changes up to `index` and shows them to readers. Waits for readers that are in
    /// the middle of a match, never the other way round.
    pub fn absorb(&mut self, ops: impl IntoIterator<Item = ViewOp>, index: u64) {
        self.append(ops);
        self.handle.append(TableOp::Applied(index));
        self.handle.publish();
    }

    /// Shows `state` instead of what was there, after a snapshot was installed. Readers see the old
    /// view until all of the new one stands: a view never goes back.
    pub fn rebuild(&mut self, state: &State) {
        self.handle.append(TableOp::Clear);
        self.append(ops_of(state));
        self.handle.append(TableOp::Applied(state.applied()));
        self.handle.publish();
        // Once more, so that the second copy follows now and the operations' memory is given back.
        self.handle.publish();
    }

    fn append(&mut self, ops: impl IntoIterator<Item = ViewOp>) {
        for op in ops {
            if let Some(op) = TableOp::from_view(op) {
                self.handle.append(op);
            }
        }
    }
}

impl ViewReader {
    /// Fills `targets` with all that wants `topic`. False when the view is gone (the node stops):
    /// nothing is known then, and the caller must not acknowledge.
    pub fn targets(&mut self, topic: &str, targets: &mut Targets) -> bool {
        targets.clear();
        let Some(table) = self.handle.enter() else { return false };
        table.collect(topic, targets);
        true
    }

    /// The filters that make `topic` match, with the nodes and links of each: for `explain`.
    #[must_use]
    pub fn explain(&mut self, topic: &str) -> Vec<Explained> {
        let Some(table) = self.handle.enter() else { return Vec::new() };
        table.explain(topic)
    }

    /// The raft index the view stands at; 0 when it is gone.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.handle.enter().map_or(0, |table| table.index)
    }

    /// Filters held.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.handle.enter().map_or(0, |table| table.len())
    }
}

/// One filter that matches a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The filter.
    pub filter: TopicFilter,
    /// Who wants it inside the cluster.
    pub route: Option<Arc<RouteEntry>>,
    /// Links that want it, and whether each is matched.
    pub links: Vec<(Arc<str>, bool)>,
}

/// The whole view of a state, as changes of an empty one.
fn ops_of(state: &State) -> impl Iterator<Item = ViewOp> + '_ {
    let routes = state.routes().iter().map(|(filter, entry)| ViewOp::Route {
        filter: filter.clone(),
        entry: Some(entry.clone()),
    });
    let links = state.remotes().peers().flat_map(|(name, peer)| {
        let slot = peer.view_slot;
        let matched = state.links().get(name).is_some_and(|link| link.enable);
        let link = ViewOp::Link { slot, name: name.clone(), matched };
        let learnt = peer.filters().map(move |filter| ViewOp::Learnt {
            filter: filter.clone(),
            slot,
            present: true,
        });
        std::iter::once(link).chain(learnt)
    });
    routes.chain(links)
}
