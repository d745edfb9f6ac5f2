//! What still comes here for sessions that other nodes have taken over (ARCHITECTURE §4, "one
//! session per client id").
//!
//! A session moves behind fences: what its former node gets after them, the new one gets too. A
//! node that cannot reach the former one lets no fence pass; it holds what it has acknowledged for
//! the session in its queue or spool for the former node, and delivers it there when it can. So the
//! former node keeps the session's filters, gives on what those nodes bring, and answers for it
//! only when the new node has it. It ends when each of them has let a fence pass.
//!
//! Pure but for the lock. `T` is who waits for the answer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use spanmq_session::{Entry, JournalOp, MatchedOptions, Message, SessionExport};
use spanmq_state::NodeId;
use spanmq_topic::Subscription;

use crate::worker::far::is_acknowledged;
use crate::worker::moving::Subscriptions;
use crate::worker::table::Table;

/// Sessions of which the filters are kept; for one more, the oldest is given up.
const SESSIONS_MAX: usize = 10_000;
/// Messages that wait to be given on, of all sessions; more are refused.
const WAITING_MAX: usize = 100_000;
/// Messages given on at once, and their bytes: together below what a frame holds.
const BATCH_MESSAGES: usize = 1_000;
const BATCH_BYTES: usize = 4 << 20;
/// Sessions of which parts are given on at a time.
const PARTS: usize = 32;

/// A message that waits to be given on.
struct Waiting<T> {
    message: Arc<Message>,
    options: MatchedOptions,
    token: Option<T>,
}

struct Left<T> {
    client_id: Arc<str>,
    filters: Vec<Subscription>,
    /// Nodes that may hold something for it.
    owing: HashSet<NodeId>,
    waiting: VecDeque<Waiting<T>>,
    /// Grows from one to the next.
    number: u64,
}

struct Inner<T> {
    table: Table,
    left: slab::Slab<Left<T>>,
    names: HashMap<Arc<str>, usize>,
    waiting: usize,
    next: u64,
    /// Where the next parts begin, so that one session whose node is away does not keep others back.
    turn: usize,
}

/// A part of what waits for one session.
pub(crate) struct Part {
    pub(crate) client_id: Arc<str>,
    pub(crate) count: usize,
    pub(crate) export: SessionExport,
}

/// See the module.
pub(crate) struct LeftBehind<T> {
    /// Whether there is anything: looked at for each batch of a peer.
    any: AtomicBool,
    inner: Mutex<Inner<T>>,
}

impl<T> Default for LeftBehind<T> {
    fn default() -> Self {
        let inner = Inner {
            table: Table::default(),
            left: slab::Slab::new(),
            names: HashMap::new(),
            waiting: 0,
            next: 0,
            turn: 0,
        };
        Self { any: AtomicBool::new(false), inner: Mutex::new(inner) }
    }
}

impl<T> LeftBehind<T> {
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// A session has left: `owing` may still hold something for it, and `came` came after its copy
    /// was taken. Yields who waited for what can no longer be given on.
    pub(crate) fn keep(
        &self,
        client_id: &Arc<str>,
        subscriptions: Subscriptions,
        owing: impl IntoIterator<Item = NodeId>,
        came: impl IntoIterator<Item = (Arc<Message>, MatchedOptions)>,
    ) -> Vec<T> {
        let came = came.into_iter();
        let came = came.map(|(message, options)| Waiting { message, options, token: None });
        let (mut owing, mut came) = (owing.into_iter().collect::<HashSet<_>>(), came.collect());
        let mut inner = self.inner.lock();
        // It may have come back and left again.
        if let Some(before) = inner.remove(client_id) {
            owing.extend(before.owing);
            let mut waiting: VecDeque<_> = before.waiting;
            waiting.append(&mut came);
            came = waiting;
        }
        if owing.is_empty() && came.is_empty() {
            self.note(&inner);
            return Vec::new();
        }
        let given_up = inner.make_room();
        inner.add(client_id, subscriptions, owing, came);
        self.note(&inner);
        given_up.map_or_else(Vec::new, Left::tokens)
    }

    /// A message that a node brought; `token` makes who waits, for each session that it is for.
    /// Yields how many sessions want it, and who is refused.
    pub(crate) fn take(
        &self,
        from: NodeId,
        message: &Arc<Message>,
        is_here: impl Fn(&str) -> bool,
        mut token: impl FnMut() -> T,
    ) -> (usize, Vec<T>) {
        let mut inner = self.inner.lock();
        let Inner { table, left, waiting, .. } = &mut *inner;
        let mut matches = Vec::new();
        let is_own =
            |slot| left.get(slot as usize).is_some_and(|of| *of.client_id == *message.from);
        table.matches(message, is_own, &mut matches);
        let (mut wanted, mut refused) = (0, Vec::new());
        for (slot, options) in matches {
            let Some(of) = left.get_mut(slot as usize) else { continue };
            let counts = is_acknowledged(message, &options);
            if !counts || !of.owing.contains(&from) || is_here(&of.client_id) {
                continue;
            }
            wanted += 1;
            if *waiting >= WAITING_MAX {
                refused.push(token());
                continue;
            }
            *waiting += 1;
            let (message, token) = (message.clone(), Some(token()));
            of.waiting.push_back(Waiting { message, options, token });
        }
        (wanted, refused)
    }

    /// The nodes that may hold something, and up to which session that is asked.
    pub(crate) fn owing(&self) -> (HashSet<NodeId>, u64) {
        let inner = self.inner.lock();
        let nodes = inner.left.iter().flat_map(|(_, left)| left.owing.iter().copied());
        (nodes.collect(), inner.next)
    }

    /// A node has let a fence pass that was asked for after [`Self::owing`] had said `upto`.
    pub(crate) fn settled(&self, node: NodeId, upto: u64) {
        let mut inner = self.inner.lock();
        for (_, left) in inner.left.iter_mut().filter(|(_, left)| left.number < upto) {
            left.owing.remove(&node);
        }
        let done = |left: &Left<T>| left.owing.is_empty() && left.waiting.is_empty();
        let done: Vec<Arc<str>> = inner
            .left
            .iter()
            .filter(|(_, left)| done(left))
            .map(|(_, left)| left.client_id.clone())
            .collect();
        for client_id in done {
            inner.remove(&client_id);
        }
        self.note(&inner);
    }

    /// What waits, one part for each of the next sessions. The messages are marked: some may be
    /// known there.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut inner = self.inner.lock();
        let turn = inner.turn;
        let waits = |(slot, left): (usize, &Left<T>)| (!left.waiting.is_empty()).then_some(slot);
        let mut slots: Vec<usize> = inner.left.iter().filter_map(waits).collect();
        let from = slots.partition_point(|slot| *slot < turn);
        slots.rotate_left(from);
        slots.truncate(PARTS);
        inner.turn = slots.last().map_or(0, |slot| slot + 1);
        slots.iter().filter_map(|slot| inner.left.get(*slot)?.part()).collect()
    }

    /// The first `count` messages of a session are with its node; yields who waits for that.
    pub(crate) fn given(&self, client_id: &str, count: usize) -> Vec<T> {
        let mut inner = self.inner.lock();
        let Some(&slot) = inner.names.get(client_id) else { return Vec::new() };
        let Some(left) = inner.left.get_mut(slot) else { return Vec::new() };
        let count = count.min(left.waiting.len());
        let tokens = left.waiting.drain(..count).filter_map(|waiting| waiting.token).collect();
        let done = left.owing.is_empty() && left.waiting.is_empty();
        inner.waiting -= count;
        if done {
            inner.remove(client_id);
        }
        self.note(&inner);
        tokens
    }

    /// The session has ended; yields who waited.
    pub(crate) fn forget(&self, client_id: &str) -> Vec<T> {
        let mut inner = self.inner.lock();
        let left = inner.remove(client_id);
        self.note(&inner);
        left.map_or_else(Vec::new, Left::tokens)
    }

    fn note(&self, inner: &Inner<T>) {
        self.any.store(!inner.left.is_empty(), Ordering::Relaxed);
    }
}

impl<T> Inner<T> {
    fn add(
        &mut self,
        client_id: &Arc<str>,
        subscriptions: Subscriptions,
        owing: HashSet<NodeId>,
        waiting: VecDeque<Waiting<T>>,
    ) {
        self.waiting += waiting.len();
        let number = self.next;
        self.next += 1;
        let entry = self.left.vacant_entry();
        let slot = entry.key();
        let place = u32::try_from(slot).unwrap_or(u32::MAX);
        let mut filters = Vec::new();
        for (filter, options) in subscriptions {
            // Of a shared group, another member takes what this one does not.
            if matches!(filter, Subscription::Plain(_)) {
                self.table.add(place, &filter, options, false, 0);
                filters.push(filter);
            }
        }
        let client_id = client_id.clone();
        self.names.insert(client_id.clone(), slot);
        entry.insert(Left { client_id, filters, owing, waiting, number });
    }

    fn make_room(&mut self) -> Option<Left<T>> {
        if self.left.len() < SESSIONS_MAX {
            return None;
        }
        let (_, oldest) = self.left.iter().min_by_key(|(_, left)| left.number)?;
        let client_id = oldest.client_id.clone();
        self.remove(&client_id)
    }

    fn remove(&mut self, client_id: &str) -> Option<Left<T>> {
        let slot = self.names.remove(client_id)?;
        let left = self.left.try_remove(slot)?;
        let place = u32::try_from(slot).unwrap_or(u32::MAX);
        for filter in &left.filters {
            self.table.remove(place, filter);
        }
        self.waiting -= left.waiting.len();
        Some(left)
    }
}

impl<T> Left<T> {
    fn tokens(self) -> Vec<T> {
        self.waiting.into_iter().filter_map(|waiting| waiting.token).collect()
    }

    fn part(&self) -> Option<Part> {
        let mut bytes = 0;
        let (mut ops, mut messages) = (Vec::new(), Vec::new());
        for waiting in self.waiting.iter().take(BATCH_MESSAGES) {
            bytes += waiting.message.weight();
            if bytes > BATCH_BYTES && !ops.is_empty() {
                break;
            }
            let Waiting { message, options, .. } = waiting;
            ops.push(JournalOp::Enqueued(Entry {
                seq: ops.len() as u64,
                message: message.id,
                size: u32::try_from(message.weight()).unwrap_or(u32::MAX),
                qos: message.qos.min(options.qos),
                retain: options.retain.apply(message.retain),
                ids: options.ids.clone(),
                shared: None,
            }));
            messages.push(Arc::new(Message { repeated: true, ..(**message).clone() }));
        }
        let (client_id, count) = (self.client_id.clone(), ops.len());
        let export = SessionExport { client_id: client_id.clone(), ops, messages };
        (count > 0).then_some(Part { client_id, count, export })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use spanmq_session::{
        MessageId, Origin, Properties, ProtocolVersion, Publisher, QoS, RetainHandling,
        SubscriptionOptions,
    };

    use super::*;

    fn message(topic: &str, number: u8) -> Arc<Message> {
        Arc::new(Message {
            id: MessageId([number; 16]),
            topic: topic.parse().unwrap(),
            payload: "p".into(),
            qos: QoS::ExactlyOnce,
            retain: false,
            properties: Properties::default(),
            from: "publisher".into(),
            publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
            timestamp_ms: 0,
            received: Instant::now(),
            origin: Origin::Local,
            repeated: false,
        })
    }

    fn wants(filters: &[&str]) -> Subscriptions {
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Skip,
            id: None,
        };
        filters.iter().map(|filter| (filter.parse().unwrap(), options)).collect()
    }

    fn take(left: &LeftBehind<u8>, from: NodeId, topic: &str, number: u8) -> usize {
        let (wanted, refused) = left.take(from, &message(topic, number), |_| false, || number);
        assert_eq!(refused, []);
        wanted
    }

    fn parts(left: &LeftBehind<u8>) -> Vec<(String, usize)> {
        let parts = left.parts().into_iter();
        parts.map(|part| (part.client_id.to_string(), part.count)).collect()
    }

    #[test]
    fn what_a_node_that_owes_brings_follows_the_session_and_is_answered_when_it_is_there() {
        let left = LeftBehind::default();
        assert!(!left.any());
        left.keep(&"c".into(), wants(&["a/+", "a/#", "$share/g/b"]), [2, 3], []);
        assert!(left.any());
        assert_eq!(take(&left, 2, "a/1", 1), 1, "once, though two filters match");
        assert_eq!(take(&left, 2, "x", 2), 0);
        assert_eq!(take(&left, 2, "b", 3), 0, "a shared group has other members");
        assert_eq!(take(&left, 4, "a/1", 4), 0, "its fence has passed");
        assert_eq!(take(&left, 3, "a/2", 5), 1);
        let all = left.parts();
        assert_eq!((all.len(), all[0].count), (1, 2));
        assert!(all[0].export.messages.iter().all(|message| message.repeated));
        assert_eq!(left.given("c", 1), [1]);
        assert_eq!(parts(&left), [("c".to_owned(), 1)]);
        assert_eq!(left.given("c", 9), [5]);
        assert!(left.any(), "the nodes may bring more");
    }

    #[test]
    fn it_ends_when_each_node_has_let_a_fence_pass_that_was_asked_later() {
        let left = LeftBehind::<u8>::default();
        left.keep(&"c".into(), wants(&["a"]), [2, 3], []);
        let (nodes, upto) = left.owing();
        assert_eq!(nodes, [2, 3].into());
        left.keep(&"d".into(), wants(&["a"]), [2], []);
        left.settled(2, upto);
        assert_eq!(take(&left, 2, "a", 1), 1, "d has left since");
        left.settled(3, upto);
        let (nodes, upto) = left.owing();
        assert_eq!(nodes, [2].into());
        left.settled(2, upto);
        assert!(left.any(), "one message waits");
        assert_eq!(left.given("d", 1), [1]);
        assert!(!left.any());
    }

    #[test]
    fn what_came_after_the_copy_waits_too_and_a_second_leave_keeps_the_first() {
        let left = LeftBehind::<u8>::default();
        let options = MatchedOptions { qos: QoS::AtLeastOnce, ..MatchedOptions::default() };
        left.keep(&"c".into(), wants(&["a"]), [], [(message("a", 1), options)]);
        assert_eq!(parts(&left), [("c".to_owned(), 1)]);
        left.keep(&"c".into(), wants(&["b"]), [2], []);
        assert_eq!(parts(&left), [("c".to_owned(), 1)]);
        assert_eq!(take(&left, 2, "a", 2), 0, "the filters of the last time");
        assert_eq!(take(&left, 2, "b", 3), 1);
        assert_eq!(left.forget("c"), [3]);
        assert!(!left.any());
        assert_eq!(left.given("c", 1), []);
    }

    #[test]
    fn a_session_that_is_here_again_gets_its_messages_itself() {
        let left = LeftBehind::<u8>::default();
        left.keep(&"c".into(), wants(&["a"]), [2], []);
        let (wanted, _) = left.take(2, &message("a", 1), |client_id| client_id == "c", || 1);
        assert_eq!(wanted, 0);
    }

    #[test]
    fn each_session_has_its_turn() {
        let left = LeftBehind::<u8>::default();
        for number in 0..PARTS + 2 {
            left.keep(&number.to_string().into(), wants(&["a"]), [2], []);
        }
        take(&left, 2, "a", 1);
        let mut seen: Vec<_> = parts(&left).into_iter().map(|(name, _)| name).collect();
        assert_eq!(seen.len(), PARTS);
        seen.extend(parts(&left).into_iter().take(2).map(|(name, _)| name));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), PARTS + 2);
    }

    #[test]
    fn the_oldest_session_is_given_up_for_one_too_many() {
        let left = LeftBehind::<u8>::default();
        for number in 0..=SESSIONS_MAX {
            let refused = left.keep(&number.to_string().into(), wants(&["a"]), [2], []);
            assert_eq!(refused, if number == SESSIONS_MAX { vec![7] } else { vec![] });
            if number == 0 {
                take(&left, 2, "a", 7);
            }
        }
        assert_eq!(left.given("0", 1), []);
    }
}
