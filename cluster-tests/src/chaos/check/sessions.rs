//! Sessions and messages, put together from a history for the delivery and order checkers.

use std::collections::{BTreeMap, HashMap};

use crate::chaos::history::{Event, Kind, Op, Operation, Outcome, faults, operations};

/// Publisher and number: no two messages share it.
pub(crate) type MessageId<'a> = (&'a str, u64);

/// A message as its publisher saw it.
pub(crate) struct Message<'a> {
    pub(crate) operation: Operation<'a>,
    pub(crate) qos: u64,
    /// Connection of the publisher on which it was first sent.
    pub(crate) connection: u64,
}

impl Message<'_> {
    pub(crate) fn topic(&self) -> &str {
        &self.operation.invoke.key
    }

    /// Whether the broker took it over: acknowledged, and not refused.
    pub(crate) fn acknowledged(&self) -> bool {
        self.operation.outcome == Outcome::Ok && self.qos > 0
    }
}

/// A subscription with the time in which it certainly stood.
pub(crate) struct Subscription<'a> {
    pub(crate) filter: &'a str,
    pub(crate) qos: u64,
    pub(crate) from_us: u64,
    pub(crate) until_us: u64,
}

/// A receipt, with the epoch of the session in which it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt<'a> {
    pub(crate) event: &'a Event,
    pub(crate) epoch: u32,
}

impl<'a> Receipt<'a> {
    pub(crate) fn id(&self) -> MessageId<'a> {
        (self.event.value["p"].as_str().unwrap_or_default(), self.event.number("s"))
    }
}

/// One subscriber's session.
#[derive(Default)]
pub(crate) struct Session<'a> {
    pub(crate) persistent: bool,
    pub(crate) cluster: &'a str,
    pub(crate) subscriptions: Vec<Subscription<'a>>,
    pub(crate) receipts: Vec<Receipt<'a>>,
    /// Times at which its connection was lost or given up.
    pub(crate) disconnects: Vec<u64>,
    /// Times at which the broker had forgotten it.
    pub(crate) forgotten: Vec<u64>,
    /// Times at which it was taken from an owner that may have been out of reach.
    pub(crate) takeovers: Vec<u64>,
    node: &'a str,
    /// Where it connected last, answered or not.
    knocked: &'a str,
    epoch: u32,
}

/// All sessions that ever subscribed, and all messages.
pub(crate) struct Overview<'a> {
    pub(crate) sessions: BTreeMap<&'a str, Session<'a>>,
    pub(crate) messages: HashMap<MessageId<'a>, Message<'a>>,
    /// Begin and end of each fault.
    pub(crate) faults: Vec<(u64, u64)>,
    /// Those in which a process died and came back.
    pub(crate) restarts: Vec<(u64, u64)>,
    /// Those, and those in which one stood still.
    pub(crate) stops: Vec<(u64, u64)>,
}

impl<'a> Overview<'a> {
    pub(crate) fn of(history: &'a [Event]) -> Self {
        let windows: Vec<(u64, u64)> =
            faults(history).iter().map(|(from, until, _)| (*from, *until)).collect();
        let mut sessions: BTreeMap<&str, Session<'_>> = BTreeMap::new();
        for event in history {
            sessions.entry(&event.proc).or_default().take(event, &windows);
        }
        // Publishers too: their disconnects explain repeats.
        sessions.retain(|_, s| !s.node.is_empty() || !s.receipts.is_empty());
        let publishes = operations(history).into_iter().filter(|o| o.invoke.op == Op::Publish);
        let messages = publishes.map(|operation| {
            let invoke = operation.invoke;
            let (qos, connection) = (invoke.number("qos"), invoke.number("c"));
            ((invoke.proc.as_str(), invoke.number("s")), Message { operation, qos, connection })
        });
        let those = |starts: &[&str]| -> Vec<(u64, u64)> {
            let named = faults(history).into_iter().filter(|(_, _, event)| {
                let name = event.value["fault"].as_str().unwrap_or_default();
                starts.iter().any(|start| name.starts_with(start))
            });
            named.map(|(from, until, _)| (from, until)).collect()
        };
        let restarts = those(&["N8", "N15", "N16 link RemoteRestarts"]);
        let stops = those(&["N8", "N9", "N15", "N16 link RemoteRestarts"]);
        Self { sessions, messages: messages.collect(), faults: windows, restarts, stops }
    }
}

impl<'a> Session<'a> {
    fn take(&mut self, event: &'a Event, faults: &[(u64, u64)]) {
        match (event.op, event.kind) {
            (Op::Connect, Kind::Ok) => {
                self.moved(event, faults);
                self.connected(event);
            }
            (Op::Connect, Kind::Info) => self.moved(event, faults),
            (Op::Disconnect, _) => self.disconnects.push(event.t_us),
            (Op::Subscribe, Kind::Ok) => self.subscriptions.push(Subscription {
                filter: &event.key,
                qos: event.number("qos"),
                from_us: event.t_us,
                until_us: u64::MAX,
            }),
            (Op::Unsubscribe, Kind::Invoke) => self.end(&event.key, event.t_us),
            // What a late subscriber gets of retained values is no delivery of a publish.
            (Op::Deliver, Kind::Recv) if !event.flag("retain") => {
                self.receipts.push(Receipt { event, epoch: self.epoch });
            }
            _ => {}
        }
    }

    /// A session that is taken over while its owner may be out of reach gets what that one held
    /// later, as a late batch in its own order, and QoS 2 may repeat (ARCHITECTURE §4). A CONNECT
    /// without answer may have moved it too.
    fn moved(&mut self, event: &'a Event, faults: &[(u64, u64)]) {
        let left = self.disconnects.last().copied().unwrap_or(0);
        let hit = faults.iter().any(|(from, until)| *from <= event.t_us && left <= *until);
        if hit && !self.knocked.is_empty() && self.knocked != event.node {
            self.takeovers.push(event.t_us);
        }
        self.knocked = &event.node;
    }

    fn connected(&mut self, event: &'a Event) {
        let first = self.node.is_empty();
        let present = event.flag("present");
        self.persistent = event.flag("persistent");
        self.cluster = event.cluster();
        if !first && !present {
            self.epoch += 1;
            if self.persistent {
                self.forgotten.push(event.t_us);
            }
            self.subscriptions.iter_mut().for_each(|s| s.until_us = s.until_us.min(event.t_us));
        }
        self.node = &event.node;
    }

    fn end(&mut self, filter: &str, at_us: u64) {
        let open = self.subscriptions.iter_mut().filter(|s| s.filter == filter);
        open.for_each(|subscription| subscription.until_us = subscription.until_us.min(at_us));
    }

    /// The strongest subscription that certainly matched all through the publish.
    pub(crate) fn wanted(&self, message: &Message<'_>) -> Option<&Subscription<'a>> {
        let (from, until) = (message.operation.start_us(), message.operation.end_us());
        let stood = |s: &&Subscription<'_>| {
            s.from_us <= from && until <= s.until_us && matches(s.filter, message.topic())
        };
        self.subscriptions.iter().filter(stood).max_by_key(|s| s.qos)
    }
}

/// Whether `filter` matches `topic` (MQTT 5.0 §4.7), written apart from the broker's own code.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_match_as_mqtt_says() {
        for (filter, topic) in
            [("a/#", "a"), ("a/#", "a/b/c"), ("+/b", "a/b"), ("#", "a"), ("+/", "a/")]
        {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in
            [("a/+", "a"), ("a", "a/b"), ("a/b", "a"), ("#", "$SYS/x"), ("+", "a/b")]
        {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
