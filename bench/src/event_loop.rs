//! One thread, many connections: reads all that is there, lets the scenario answer into output
//! buffers, then writes each dirty connection once.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::wire::{self, Packet, Version};

/// One MQTT connection.
struct Connection {
    stream: TcpStream,
    version: Version,
    /// Start of a packet that is not whole yet.
    input: Vec<u8>,
    /// The socket took less than all; waiting until it is writable.
    blocked: bool,
}

/// What a scenario does with packets. `index` is the connection's number.
pub(crate) trait Scenario {
    /// A packet came in; answers go to `net.out(index)`.
    fn on_packet(
        &mut self,
        net: &mut Outputs<'_>,
        index: usize,
        packet: Packet<'_>,
    ) -> anyhow::Result<()>;
    /// Called once per turn, with the time; open-loop scenarios send here.
    fn on_turn(&mut self, _net: &mut Outputs<'_>, _now: Instant) {}
    /// Whether the run is over.
    fn done(&self) -> bool;
}

/// The output side of all connections while a packet is looked at.
pub(crate) struct Outputs<'a> {
    buffers: &'a mut [Vec<u8>],
    dirty: &'a mut Vec<usize>,
}

impl Outputs<'_> {
    /// The output buffer of connection `index`, which will be written at the end of this turn.
    pub(crate) fn out(&mut self, index: usize) -> &mut Vec<u8> {
        if self.buffers[index].is_empty() {
            self.dirty.push(index);
        }
        &mut self.buffers[index]
    }
}

/// All connections of one generator.
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// By connection: bytes not written yet.
    outputs: Vec<Vec<u8>>,
    dirty: Vec<usize>,
    chunk: Vec<u8>,
}

impl Net {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            connections: Vec::new(),
            outputs: Vec::new(),
            dirty: Vec::new(),
            chunk: vec![0; 64 * 1024],
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Connects `count` clients, `window` at a time, and waits for each CONNACK.
    pub(crate) fn connect(
        &mut self,
        address: SocketAddr,
        version: Version,
        names: &[String],
        window: usize,
        keep: bool,
    ) -> anyhow::Result<()> {
        let first = self.connections.len();
        let mut scenario = Connecting { open: 0, done: 0, count: names.len() };
        let mut next = 0;
        while scenario.done < names.len() {
            while next < names.len() && next - scenario.done < window {
                let stream = std::net::TcpStream::connect(address).context("broker refuses TCP")?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                let token = Token(first + next);
                self.poll.registry().register(&mut stream, token, Interest::READABLE)?;
                let mut out = Vec::with_capacity(64);
                wire::connect(&mut out, version, &names[next], keep);
                self.connections.push(Connection {
                    stream,
                    version,
                    input: Vec::new(),
                    blocked: false,
                });
                self.outputs.push(out);
                self.flush(first + next)?;
                next += 1;
            }
            scenario.open = next;
            self.turn(&mut scenario, Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// Runs a scenario to its end, or fails after `limit`.
    pub(crate) fn run(
        &mut self,
        scenario: &mut dyn Scenario,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !scenario.done() {
            if start.elapsed() > limit {
                bail!("not done after {limit:?}");
            }
            self.turn(scenario, Duration::from_millis(1))?;
        }
        Ok(())
    }

    fn turn(&mut self, scenario: &mut dyn Scenario, wait: Duration) -> anyhow::Result<()> {
        self.poll.poll(&mut self.events, Some(wait))?;
        let mut net = Outputs { buffers: &mut self.outputs, dirty: &mut self.dirty };
        for event in &self.events {
            let index = event.token().0;
            if event.is_writable() {
                self.connections[index].blocked = false;
                net.dirty.push(index);
            }
            if event.is_readable() {
                self.connections[index].read(index, scenario, &mut net, &mut self.chunk)?;
            }
        }
        scenario.on_turn(&mut net, Instant::now());
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            self.flush(index)?;
        }
        self.dirty = dirty;
        Ok(())
    }

    fn flush(&mut self, index: usize) -> anyhow::Result<()> {
        let (connection, out) = (&mut self.connections[index], &mut self.outputs[index]);
        if out.is_empty() || connection.blocked {
            return Ok(());
        }
        let mut written = 0;
        while written < out.len() {
            match connection.stream.write(&out[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("write to the broker"),
            }
        }
        out.drain(..written);
        if !out.is_empty() {
            // Edge-triggered: asking again makes the next writable moment an event.
            connection.blocked = true;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().reregister(&mut connection.stream, Token(index), both)?;
        }
        Ok(())
    }
}

impl Connection {
    fn read(
        &mut self,
        index: usize,
        scenario: &mut dyn Scenario,
        net: &mut Outputs<'_>,
        chunk: &mut [u8],
    ) -> anyhow::Result<()> {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => bail!("the broker closed connection {index}"),
                Ok(count) => self.feed(&chunk[..count], index, scenario, net)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("read from the broker"),
            }
        }
    }

    /// Packets that are whole in `bytes` are read in place; only a cut one is copied.
    fn feed(
        &mut self,
        bytes: &[u8],
        index: usize,
        scenario: &mut dyn Scenario,
        net: &mut Outputs<'_>,
    ) -> anyhow::Result<()> {
        let mut joined = std::mem::take(&mut self.input);
        let mut rest = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        while let Some((packet, size)) = wire::packet(rest, self.version) {
            scenario.on_packet(net, index, packet)?;
            rest = &rest[size..];
        }
        let rest = rest.to_vec();
        self.input = rest;
        Ok(())
    }
}

struct Connecting {
    open: usize,
    done: usize,
    count: usize,
}

impl Scenario for Connecting {
    fn on_packet(
        &mut self,
        _: &mut Outputs<'_>,
        _: usize,
        packet: Packet<'_>,
    ) -> anyhow::Result<()> {
        match packet {
            Packet::Connack { code: 0 } => self.done += 1,
            Packet::Connack { code } => bail!("CONNACK 0x{code:02x}"),
            _ => {}
        }
        Ok(())
    }

    fn done(&self) -> bool {
        self.done == self.count && self.open == self.count
    }
}
