//! What all clients of the load share: when to stop, what to expect, and how to connect again.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use cluster_tests::client::{Client, Connect, Packet};
use cluster_tests::harness::eventually;

/// How long a client tries to get in again.
const RECONNECT_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Load {
    pub(crate) port: u16,
    /// Publishers finish what is on its way and end.
    pub(crate) stop: AtomicBool,
    /// Topic → messages, once all publishers have ended.
    pub(crate) totals: OnceLock<BTreeMap<String, u64>>,
    pub(crate) resent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) subscribed: AtomicUsize,
    connections: AtomicU64,
    /// Somebody failed: all others end.
    failed: AtomicBool,
}

impl Load {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            stop: AtomicBool::new(false),
            totals: OnceLock::new(),
            resent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            subscribed: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Lets the others know of a failure.
    pub(crate) fn guard<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        ensure!(!self.failed.load(Ordering::Relaxed), "another part of the load failed");
        Ok(())
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn wait_subscribed(&self, count: usize) -> anyhow::Result<()> {
        self.wait("subscriptions", || self.subscribed.load(Ordering::Relaxed) >= count)
    }

    /// Waits until messages flow.
    pub(crate) fn wait_running(&self) -> anyhow::Result<()> {
        self.wait("messages", || self.acknowledged.load(Ordering::Relaxed) > 20)
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
        eventually(RECONNECT_LIMIT, || {
            // A failure elsewhere is not waited for.
            ensure!(self.go_on().is_err() || done(), "no {what}");
            Ok(())
        })?;
        self.go_on()
    }

    /// Time in which the load runs: the moment of a kill is what the seed chooses.
    pub(crate) fn pause(&self, time: Duration) -> anyhow::Result<()> {
        std::thread::sleep(time);
        self.go_on()
    }

    /// Connects, again and again while the node is away. A session that was there must be there.
    pub(crate) fn connect(&self, connect: &Connect, again: bool) -> anyhow::Result<Client> {
        let (client, present) = eventually(RECONNECT_LIMIT, || {
            if let Err(failed) = self.go_on() {
                return Ok(Err(failed));
            }
            Client::connect(self.port, connect).map(Ok)
        })??;
        ensure!(present == again, "{}: session present is {present}", connect.client_id);
        self.connections.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }
}

/// What came of waiting for a packet.
pub(crate) enum Next {
    Packet(Packet),
    Nothing,
    /// The connection is gone, perhaps in the middle of a packet.
    Ended,
}

/// Waits for a packet. What the server breaks is an error; a kill is not.
pub(crate) fn next(client: &mut Client, limit: Duration) -> anyhow::Result<Next> {
    let start = Instant::now();
    match client.receive(limit) {
        Ok(Some(packet)) => Ok(Next::Packet(packet)),
        Ok(None) => Ok(Next::Ended),
        Err(error) => match error.to_string() {
            text if text.starts_with("nothing came") && start.elapsed() >= limit => {
                Ok(Next::Nothing)
            }
            text if text == "the server closed in the middle of a packet" => Ok(Next::Ended),
            _ => Err(error),
        },
    }
}
