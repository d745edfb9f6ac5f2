//! Counters of the MQTT side, by reason. Relaxed atomics: summed on read, never a decision.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Several more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Changes the value.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)*) => {
        /// All counters of the MQTT side of one node.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: $kind,)*
            /// Messages that did not reach a session, by `DropReason`.
            pub dropped: [Counter; spanmq_session::DropReason::ALL.len()],
        }

        impl Metrics {
            /// Visits every number with its name, for Prometheus and REST. Dropped messages are
            /// named `messages_dropped_<reason>`.
            pub fn visit(&self, mut visit: impl FnMut(&str, i64)) {
                $(visit(stringify!($name), i64::try_from(self.$name.get()).unwrap_or(i64::MAX));)*
                for (reason, counter) in spanmq_session::DropReason::ALL.iter().zip(&self.dropped) {
                    let name = format!("messages_dropped_{}", reason.label());
                    visit(&name, i64::try_from(counter.get()).unwrap_or(i64::MAX));
                }
            }
        }
    };
}

metrics! {
    /// Connections that are open, whether authenticated or not.
    connections: Gauge,
    /// Of these, not authenticated yet.
    connections_pending: Gauge,
    /// Clients that are connected.
    clients: Gauge,
    /// Sessions, connected or not.
    sessions: Gauge,
    /// Subscriptions of all sessions.
    subscriptions: Gauge,
    /// Connections accepted by the operating system.
    accepted: Counter,
    /// Refused: total, listener or address limit, memory (L4, L10).
    refused_total: Counter,
    /// Refused: too many not authenticated yet (L4).
    refused_pending: Counter,
    /// Refused by limits per address (L4).
    refused_address: Counter,
    /// Times that the rate of accepted connections made a listener wait.
    accepts_delayed: Counter,
    /// Refused: memory high-water mark (L10).
    refused_memory: Counter,
    /// Closed: no TLS, upgrade or CONNECT in time (L2).
    closed_connect_timeout: Counter,
    /// Closed: malformed packets and protocol errors (L3).
    closed_protocol: Counter,
    /// Closed: packet above the limit (L1).
    closed_too_large: Counter,
    /// Closed: silent for 1.5 × keep-alive, or idle (L5).
    closed_keep_alive: Counter,
    /// Closed: output buffer full (L9).
    closed_slow: Counter,
    /// Closed without waiting for the peer to read our last words: too many were waited for.
    closed_unread: Counter,
    /// Closed: taken over by a new connection.
    closed_taken_over: Counter,
    /// Closed by an operator.
    closed_kicked: Counter,
    /// Closed by a panic in its handling (L11).
    closed_panic: Counter,
    /// CONNECTs that were accepted.
    connects_accepted: Counter,
    /// CONNECTs refused for bad credentials or rights.
    connects_denied: Counter,
    /// CONNECTs refused because the cluster could not answer.
    connects_unavailable: Counter,
    /// Publishes of clients.
    publishes_received: Counter,
    /// Publishes refused by the ACL.
    publishes_denied: Counter,
    /// Publishes refused by a limit.
    publishes_refused: Counter,
    /// Publishes that found no subscriber.
    publishes_unmatched: Counter,
    /// Control publishes handed to linking.
    publishes_control: Counter,
    /// Messages sent to clients.
    messages_sent: Counter,
    /// Messages handed to other nodes.
    messages_forwarded: Counter,
    /// Messages handed to links.
    messages_linked: Counter,
    /// Messages received from other nodes.
    messages_from_peers: Counter,
    /// Messages that came for sessions that had left this node, and were given on.
    messages_followed: Counter,
    /// Messages dropped because an inbox between threads was full.
    worker_inbox_full: Counter,
    /// Subscriptions refused by the ACL.
    subscribes_denied: Counter,
    /// Subscriptions refused by a limit or as invalid.
    subscribes_refused: Counter,
    /// Wills published.
    wills_published: Counter,
    /// Wills not published because the right was gone (A6).
    wills_denied: Counter,
    /// Retained messages refused by a cap (L8).
    retained_refused: Counter,
    /// Bytes received from clients.
    bytes_received: Counter,
    /// Bytes written for clients.
    bytes_sent: Counter,
}

impl Metrics {
    /// One message was dropped before any session had it.
    pub(crate) fn count_drop(&self, reason: spanmq_session::DropReason) {
        if let Some(counter) = self.dropped.get(reason as usize) {
            counter.inc();
        }
    }

    /// Adds what a session dropped.
    pub(crate) fn count_drops(&self, drops: &spanmq_session::Drops) {
        for (reason, count) in drops.iter() {
            if let Some(counter) = self.dropped.get(reason as usize) {
                counter.add(u64::from(count));
            }
        }
    }
}
