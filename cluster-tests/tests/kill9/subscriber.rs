//! A subscriber with a session: it acknowledges what it got, and takes a QoS 2 message once per
//! packet id until the id is released, also over reconnects (MQTT 5.0 §4.3.3).

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cluster_tests::client::{Client, Connect, Packet, Version};

use crate::load::{Load, Next, next};

const POLL: Duration = Duration::from_millis(100);
/// After the last publisher ended, everything must come within this time.
const REST_LIMIT: Duration = Duration::from_secs(60);
/// Without any message for so long, nothing more will come; what is missing is then named.
const QUIET: Duration = Duration::from_secs(10);

pub(crate) struct Subscriber {
    connect: Connect,
    filter: &'static str,
    absent: bool,
    got: Got,
    /// Packet ids of QoS 2 between PUBLISH and PUBREL.
    held: HashSet<u16>,
}

/// Numbers in the order of their receipt.
pub(crate) struct Got {
    pub(crate) name: &'static str,
    pub(crate) qos: u8,
    pub(crate) by_topic: BTreeMap<String, Vec<u64>>,
    prefix: &'static str,
}

impl Got {
    /// Whether the subscription matches; filters of this test are a text and one wildcard.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        topic.starts_with(self.prefix)
    }

    fn is_complete(&self, totals: &BTreeMap<String, u64>) -> bool {
        totals.iter().filter(|(topic, _)| self.wants(topic)).all(|(topic, total)| {
            // Order is checked later; here the highest number tells that all came.
            *total == 0
                || self.by_topic.get(topic).is_some_and(|numbers| numbers.contains(&(total - 1)))
        })
    }
}

impl Subscriber {
    pub(crate) fn new(name: &'static str, version: Version, filter: &'static str, qos: u8) -> Self {
        let prefix = filter.trim_end_matches(['#', '+']);
        Self {
            connect: Connect { version, ..Connect::new(name) }.persistent(),
            filter,
            absent: false,
            got: Got { name, qos, by_topic: BTreeMap::new(), prefix },
            held: HashSet::new(),
        }
    }

    /// Subscribes, goes, and comes back when the publishers have ended.
    pub(crate) fn absent(mut self) -> Self {
        self.absent = true;
        self
    }

    pub(crate) fn run(mut self, load: &Load) -> anyhow::Result<Got> {
        let name = self.got.name;
        self.receive_all(load).with_context(|| name)?;
        Ok(self.got)
    }

    fn receive_all(&mut self, load: &Load) -> anyhow::Result<()> {
        let mut client = load.connect(&self.connect, false)?;
        client.subscribe(self.filter, self.got.qos)?;
        load.subscribed.fetch_add(1, Ordering::Relaxed);
        if self.absent {
            client.disconnect()?;
            while load.totals.get().is_none() {
                load.go_on()?;
                std::thread::sleep(POLL);
            }
            client = load.connect(&self.connect, true)?;
        }
        while !self.talk(&mut client, load)? {
            load.go_on()?;
            client = load.connect(&self.connect, true)?;
        }
        Ok(())
    }

    /// Receives until everything is there (`true`) or the connection is lost.
    fn talk(&mut self, client: &mut Client, load: &Load) -> anyhow::Result<bool> {
        let mut end: Option<Instant> = None;
        let mut last = Instant::now();
        loop {
            load.go_on()?;
            if let Some(totals) = load.totals.get() {
                let end = *end.get_or_insert_with(|| Instant::now() + REST_LIMIT);
                let over = last.elapsed() > QUIET || Instant::now() > end;
                if over || (self.got.is_complete(totals) && self.held.is_empty()) {
                    return Ok(true);
                }
            }
            match next(client, POLL)? {
                Next::Packet(packet) => {
                    last = Instant::now();
                    if self.take(client, packet)?.is_err() {
                        return Ok(false);
                    }
                }
                Next::Nothing => {}
                Next::Ended => return Ok(false),
            }
        }
    }

    /// The inner error is a lost connection.
    fn take(&mut self, client: &mut Client, packet: Packet) -> anyhow::Result<anyhow::Result<()>> {
        match packet {
            Packet::Publish { qos, id, topic, payload, dup, .. } => {
                let (number, _) = payload.split_first_chunk().context("a number")?;
                let number = u64::from_be_bytes(*number);
                let is_new = qos != 2 || self.held.insert(id);
                ensure!(is_new || dup, "packet id {id} is used again before its PUBREL");
                if is_new {
                    self.got.by_topic.entry(topic).or_default().push(number);
                }
                Ok(client.ack(if qos == 2 { 5 } else { 4 }, id))
            }
            Packet::Ack { kind: 6, id, .. } => {
                self.held.remove(&id);
                Ok(client.ack(7, id))
            }
            other => anyhow::bail!("unexpected {other:?}"),
        }
    }
}
