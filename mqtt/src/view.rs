//! The node's worker view: which workers want a topic. Two copies (left-right), so that readers
//! never wait and never make the writer's lock visible.

use std::collections::HashMap;
use std::sync::Arc;

use left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use spanmq_session::Share;
use spanmq_topic::{FilterTable, SharedFilter, TopicFilter, TopicName};

/// Workers as bits; more than 64 are never started.
pub(crate) type WorkerSet = u64;

#[derive(Default)]
pub(crate) struct View {
    plain: FilterTable<WorkerSet>,
    shared: HashMap<Arc<SharedFilter>, Vec<Members>>,
}

/// The members of a group on one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) worker: u16,
    pub(crate) members: u32,
    /// Of these, with a client that is connected.
    pub(crate) online: u32,
}

pub(crate) enum ViewOp {
    /// These workers have plain subscribers now; 0 removes the filter.
    Plain { filter: TopicFilter, workers: WorkerSet },
    /// These workers have members of the group now.
    Shared { filter: Arc<SharedFilter>, workers: Vec<Members> },
}

impl Absorb<ViewOp> for View {
    fn absorb_first(&mut self, op: &mut ViewOp, _: &Self) {
        match op {
            ViewOp::Plain { filter, workers: 0 } => {
                self.plain.remove(filter.as_str());
            }
            ViewOp::Plain { filter, workers } => {
                self.plain.insert(filter.clone(), *workers);
            }
            ViewOp::Shared { filter, workers } if workers.is_empty() => {
                self.shared.remove(&**filter);
            }
            ViewOp::Shared { filter, workers } => {
                self.shared.insert(filter.clone(), workers.clone());
            }
        }
    }

    fn sync_with(&mut self, _: &Self) {
        // Called once, by the first publish, which the writer makes while both are empty.
    }
}

/// The writing end.
pub(crate) struct ViewWriter(WriteHandle<View, ViewOp>);

/// One thread's reading end.
pub(crate) struct ViewReader(ReadHandle<View>);

/// A new view and a maker of readers.
pub(crate) fn view() -> (ViewWriter, ReadHandleFactory<View>) {
    let (mut write, read) = left_right::new();
    write.publish();
    (ViewWriter(write), read.factory())
}

impl ViewWriter {
    pub(crate) fn append(&mut self, op: ViewOp) {
        self.0.append(op);
    }

    /// Makes all that was appended visible; waits until readers have left the old copy, which
    /// takes as long as one match.
    pub(crate) fn publish(&mut self) {
        if self.0.has_pending_operations() {
            self.0.publish();
        }
    }
}

impl ViewReader {
    pub(crate) fn new(factory: &ReadHandleFactory<View>) -> Self {
        Self(factory.handle())
    }

    /// The workers with plain subscribers of the topic.
    pub(crate) fn workers(&self, topic: &TopicName) -> WorkerSet {
        let mut workers = 0;
        if let Some(view) = self.0.enter() {
            view.plain.for_each_match(topic, |set| workers |= set);
        }
        workers
    }

    /// Members of a group on each worker that may be chosen: the connected ones, or, if none is,
    /// all of them.
    pub(crate) fn members(&self, filter: &SharedFilter, into: &mut Vec<Share>) {
        into.clear();
        if let Some(view) = self.0.enter()
            && let Some(workers) = view.shared.get(filter)
        {
            let online = workers.iter().any(|of| of.online > 0);
            let count = |of: &Members| if online { of.online } else { of.members };
            into.extend(workers.iter().map(|of| (u64::from(of.worker), count(of))));
        }
    }

    /// Whether a group has a connected member on a worker besides this one.
    pub(crate) fn has_online_besides(&self, filter: &SharedFilter, worker: u64) -> bool {
        self.0.enter().is_some_and(|view| {
            let workers = view.shared.get(filter);
            workers.is_some_and(|workers| {
                workers.iter().any(|of| u64::from(of.worker) != worker && of.online > 0)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_what_was_published_and_nothing_before() {
        let (mut writer, factory) = view();
        let reader = ViewReader::new(&factory);
        let topic: TopicName = "a/b".parse().unwrap();
        writer.append(ViewOp::Plain { filter: "a/+".parse().unwrap(), workers: 0b10 });
        writer.append(ViewOp::Plain { filter: "a/b".parse().unwrap(), workers: 0b01 });
        assert_eq!(reader.workers(&topic), 0);
        writer.publish();
        assert_eq!(reader.workers(&topic), 0b11);
        writer.append(ViewOp::Plain { filter: "a/+".parse().unwrap(), workers: 0 });
        writer.publish();
        assert_eq!(reader.workers(&topic), 0b01);
        writer.publish();
        assert_eq!(reader.workers(&topic), 0b01, "both copies agree");
    }
}
