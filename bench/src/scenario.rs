//! The workloads of docs/benchmarks.md, each a closed loop (nothing lost, a window of undelivered
//! messages) or an open loop (due times, latency counted from them).

use std::time::{Duration, Instant};

use anyhow::bail;
use hdrhistogram::Histogram;

use crate::event_loop::{Outputs, Scenario};
use crate::wire::{self, Packet, Version};

/// Shape of one message workload.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) qos: u8,
    pub(crate) payload_bytes: usize,
    /// Undelivered messages per publisher.
    pub(crate) window: usize,
    /// Messages a publisher writes at once.
    pub(crate) burst: usize,
    /// Deliveries that each message causes.
    pub(crate) copies: usize,
    /// Messages per second in all; none = closed loop.
    pub(crate) rate: Option<f64>,
}

/// Publishers and subscribers of one [`Shape`]; connections `0..publishers` publish.
pub(crate) struct Messages {
    shape: Shape,
    version: Version,
    topics: Vec<String>,
    payload: Vec<u8>,
    /// By publisher: deliveries still owed.
    owed: Vec<usize>,
    next_id: Vec<u16>,
    delivered: u64,
    start: Instant,
    end: Instant,
    sent: u64,
    pub(crate) latency: Histogram<u64>,
}

impl Messages {
    pub(crate) fn new(
        shape: Shape,
        version: Version,
        topics: Vec<String>,
        length: Duration,
    ) -> Self {
        let start = Instant::now();
        Self {
            owed: vec![0; shape.publishers],
            next_id: vec![0; shape.publishers],
            payload: vec![b'x'; shape.payload_bytes.max(16)],
            topics,
            version,
            delivered: 0,
            start,
            end: start + length,
            sent: 0,
            latency: Histogram::new_with_max(60_000_000, 3).expect("constant bounds are valid"),
            shape,
        }
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Fills the windows for the first time.
    fn fill(&mut self, net: &mut Outputs<'_>) {
        let room = self.shape.window * self.shape.copies;
        for publisher in 0..self.shape.publishers {
            while self.owed[publisher] + self.shape.burst * self.shape.copies <= room {
                self.send(net, publisher, self.shape.burst, Instant::now());
            }
        }
    }

    fn send(&mut self, net: &mut Outputs<'_>, publisher: usize, count: usize, due: Instant) {
        let micros = due.saturating_duration_since(self.start).as_micros() as u64;
        self.payload[..8].copy_from_slice(&micros.to_be_bytes());
        self.payload[8..16].copy_from_slice(&(publisher as u64).to_be_bytes());
        let out = net.out(publisher);
        for _ in 0..count {
            let id = &mut self.next_id[publisher];
            *id = id.checked_add(1).unwrap_or(1);
            let flags = (self.shape.qos, false);
            wire::publish(out, self.version, &self.topics[publisher], flags, *id, &self.payload);
        }
        self.owed[publisher] += count * self.shape.copies;
        self.sent += count as u64;
    }

    fn on_delivery(&mut self, net: &mut Outputs<'_>, payload: &[u8]) -> anyhow::Result<()> {
        let (Some(Ok(micros)), Some(Ok(publisher))) = (
            payload.get(..8).map(<[u8; 8]>::try_from),
            payload.get(8..16).map(<[u8; 8]>::try_from),
        ) else {
            bail!("a message that nobody sent");
        };
        let due = self.start + Duration::from_micros(u64::from_be_bytes(micros));
        self.latency.saturating_record(due.elapsed().as_micros() as u64);
        self.delivered += 1;
        let publisher = usize::try_from(u64::from_be_bytes(publisher))?;
        self.owed[publisher] = self.owed[publisher].saturating_sub(1);
        let room = self.shape.window * self.shape.copies;
        let open = self.shape.rate.is_none() && Instant::now() < self.end;
        if open && self.owed[publisher] + self.shape.burst * self.shape.copies <= room {
            self.send(net, publisher, self.shape.burst, Instant::now());
        }
        Ok(())
    }
}

impl Scenario for Messages {
    fn on_packet(
        &mut self,
        net: &mut Outputs<'_>,
        index: usize,
        packet: Packet<'_>,
    ) -> anyhow::Result<()> {
        match packet {
            Packet::Publish { qos, id, payload } => {
                match qos {
                    1 => wire::ack(net.out(index), 4, id),
                    2 => wire::ack(net.out(index), 5, id),
                    _ => {}
                }
                self.on_delivery(net, payload)?;
            }
            Packet::Ack { kind: 5, id } => wire::ack(net.out(index), 6, id),
            Packet::Ack { kind: 6, id } => wire::ack(net.out(index), 7, id),
            Packet::Ack { .. } => {}
            other => bail!("unexpected packet {other:?} on connection {index}"),
        }
        Ok(())
    }

    fn on_turn(&mut self, net: &mut Outputs<'_>, now: Instant) {
        let Some(rate) = self.shape.rate else {
            if self.sent == 0 {
                self.fill(net);
            }
            return;
        };
        let due = |sent: u64| self.start + Duration::from_secs_f64(sent as f64 / rate);
        let mut at = due(self.sent);
        while at <= now && at < self.end {
            let publisher = usize::try_from(self.sent).unwrap_or(0) % self.shape.publishers;
            self.send(net, publisher, 1, at);
            at = self.start + Duration::from_secs_f64(self.sent as f64 / rate);
        }
    }

    fn done(&self) -> bool {
        Instant::now() >= self.end && self.owed.iter().all(|owed| *owed == 0)
    }
}

/// Sends SUBSCRIBE packets of `per_packet` filters on each connection and waits for every SUBACK.
pub(crate) struct Subscribing {
    version: Version,
    /// By connection: filters still to ask for.
    waiting: Vec<Vec<String>>,
    qos: u8,
    per_packet: usize,
    first: usize,
    open: usize,
    started: bool,
}

impl Subscribing {
    /// Filters of connection `first + i` are `filters[i]`.
    pub(crate) fn new(version: Version, first: usize, filters: Vec<Vec<String>>, qos: u8) -> Self {
        let open = filters.iter().filter(|f| !f.is_empty()).count();
        Self { version, waiting: filters, qos, per_packet: 100, first, open, started: false }
    }

    fn next(&mut self, net: &mut Outputs<'_>, position: usize) {
        let waiting = &mut self.waiting[position];
        let count = waiting.len().min(self.per_packet);
        if count == 0 {
            self.open -= 1;
            return;
        }
        let part: Vec<String> = waiting.drain(..count).collect();
        wire::subscribe(net.out(self.first + position), self.version, 1, &part, self.qos);
    }
}

impl Scenario for Subscribing {
    fn on_packet(
        &mut self,
        net: &mut Outputs<'_>,
        index: usize,
        packet: Packet<'_>,
    ) -> anyhow::Result<()> {
        match packet {
            Packet::Suback { refused: false } => self.next(net, index - self.first),
            Packet::Suback { refused: true } => bail!("a subscription was refused"),
            _ => {}
        }
        Ok(())
    }

    fn on_turn(&mut self, net: &mut Outputs<'_>, _: Instant) {
        if !std::mem::replace(&mut self.started, true) {
            for position in 0..self.waiting.len() {
                if !self.waiting[position].is_empty() {
                    self.next(net, position);
                }
            }
        }
    }

    fn done(&self) -> bool {
        self.open == 0
    }
}
