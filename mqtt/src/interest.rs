//! What this node's clients want, for cluster linking: a snapshot, then changes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use spanmq_topic::Subscription;
use tokio::sync::Notify;

/// A change of the node's interest: the first subscriber of a filter came, or the last went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterestChange {
    /// The filter, plain or shared.
    pub filter: Subscription,
    /// Whether it is wanted now.
    pub wanted: bool,
}

/// What [`InterestStream::next`] yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterestEvent {
    /// Everything that is wanted now; always the first event.
    Snapshot(Vec<Subscription>),
    /// What changed since; the newest change of each filter only.
    Changes(Vec<InterestChange>),
}

/// All filters of the node and those who follow them.
#[derive(Debug, Default)]
pub(crate) struct InterestHub {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wanted: std::collections::HashSet<Subscription>,
    streams: Vec<std::sync::Weak<Stream>>,
}

#[derive(Debug, Default)]
struct Stream {
    pending: Mutex<Pending>,
    changed: Notify,
}

/// Bounded by the number of distinct filters: a newer change replaces an older one.
#[derive(Debug, Default)]
struct Pending {
    snapshot: Option<Vec<Subscription>>,
    changes: HashMap<Subscription, bool>,
}

impl InterestHub {
    pub(crate) fn apply(&self, changes: &[InterestChange]) {
        if changes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for change in changes {
            if change.wanted {
                state.wanted.insert(change.filter.clone());
            } else {
                state.wanted.remove(&change.filter);
            }
        }
        state.streams.retain(|stream| {
            let Some(stream) = stream.upgrade() else { return false };
            let mut pending = stream.pending.lock();
            for change in changes {
                pending.changes.insert(change.filter.clone(), change.wanted);
            }
            stream.changed.notify_one();
            true
        });
    }

    pub(crate) fn follow(&self) -> InterestStream {
        let stream = Arc::new(Stream::default());
        let mut state = self.state.lock();
        stream.pending.lock().snapshot = Some(state.wanted.iter().cloned().collect());
        stream.changed.notify_one();
        state.streams.push(Arc::downgrade(&stream));
        InterestStream(stream)
    }
}

/// Follows the interest of this node. Works on any runtime.
#[derive(Debug)]
pub struct InterestStream(Arc<Stream>);

impl InterestStream {
    /// Waits for the next event; the first is a snapshot.
    pub async fn next(&mut self) -> InterestEvent {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            self.0.changed.notified().await;
        }
    }

    /// The next event, if there is one now.
    pub fn try_next(&mut self) -> Option<InterestEvent> {
        let mut pending = self.0.pending.lock();
        if let Some(snapshot) = pending.snapshot.take() {
            return Some(InterestEvent::Snapshot(snapshot));
        }
        if pending.changes.is_empty() {
            return None;
        }
        let changes = pending.changes.drain();
        let changes = changes.map(|(filter, wanted)| InterestChange { filter, wanted });
        Some(InterestEvent::Changes(changes.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(filter: &str, wanted: bool) -> InterestChange {
        InterestChange { filter: filter.parse().unwrap(), wanted }
    }

    #[test]
    fn a_follower_sees_what_is_there_and_then_the_newest_change_of_each_filter() {
        let hub = InterestHub::default();
        hub.apply(&[change("a", true), change("b", true), change("b", false)]);
        let mut stream = hub.follow();
        assert_eq!(stream.try_next(), Some(InterestEvent::Snapshot(vec!["a".parse().unwrap()])));
        assert_eq!(stream.try_next(), None);
        hub.apply(&[change("c", true)]);
        hub.apply(&[change("c", false)]);
        assert_eq!(stream.try_next(), Some(InterestEvent::Changes(vec![change("c", false)])));
    }

    #[test]
    fn a_dropped_follower_is_forgotten() {
        let hub = InterestHub::default();
        drop(hub.follow());
        hub.apply(&[change("a", true)]);
        assert!(hub.state.lock().streams.is_empty());
    }
}
