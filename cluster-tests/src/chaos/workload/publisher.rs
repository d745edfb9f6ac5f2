//! A publisher: one message at a time, each with its number.
//!
//! One that keeps its session repeats what was not acknowledged, with the same packet id, on the
//! same node (MQTT 5.0 §4.4). The others leave it at that: the outcome is unknown, and the next
//! message goes through another node.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::peer::{Next, PATIENCE, connect, gone, next};
use crate::chaos::arena::Arena;
use crate::chaos::history::{Kind, Op};
use crate::client::{Client, Connect, Packet, Version, binary};

/// MQTT 5.0 §2.4: what a server says to a PUBREL whose id it has finished with.
const PACKET_ID_NOT_FOUND: u8 = 0x92;
/// Every so many retained messages one clears the topic.
const CLEAR_EVERY: u64 = 7;

/// One publisher of a workload.
pub(crate) struct Publisher {
    connect: Connect,
    qos: u8,
    places: Vec<usize>,
    at: usize,
    topics: Vec<String>,
    pub(super) persistent: bool,
    pub(super) retain: bool,
    pub(super) pace: Duration,
    number: u64,
    connection: u64,
    /// Sent and not acknowledged.
    open: Option<Open>,
}

struct Open {
    number: u64,
    topic: String,
    /// PUBREC came.
    released: bool,
}

/// How waiting for an acknowledgement ended.
enum End {
    Done(u8),
    Lost,
}

impl Publisher {
    pub(super) fn new(
        name: &str,
        version: Version,
        qos: u8,
        places: &[usize],
        first: usize,
    ) -> Self {
        Self {
            connect: Connect { version, ..Connect::new(name) },
            qos,
            places: places.to_vec(),
            at: first % places.len(),
            topics: Vec::new(),
            persistent: false,
            retain: false,
            pace: Duration::from_millis(100),
            number: 0,
            connection: 0,
            open: None,
        }
    }

    pub(super) fn topic(&mut self, topic: &str) {
        self.topics.push(topic.to_owned());
    }

    pub(super) fn run(mut self, arena: &Arena) {
        if self.persistent {
            self.connect = self.connect.persistent();
        }
        while !(arena.done() || arena.drain() && self.open.is_none()) {
            let place = self.places[self.at];
            let Some((mut client, present)) = connect(arena, &self.connect, place, self.persistent)
            else {
                self.elsewhere();
                thread::sleep(Duration::from_millis(150));
                continue;
            };
            self.connection += 1;
            if self.talk(arena, &mut client, present) {
                let _ = client.disconnect();
                return;
            }
            gone(arena, &self.connect.client_id, place);
            self.elsewhere();
        }
        self.give_up(arena);
    }

    /// One that keeps its session stays with its node: only that one knows its open packet ids.
    fn elsewhere(&mut self) {
        if !self.persistent {
            self.at = (self.at + 1) % self.places.len();
        }
    }

    /// True: all is said. False: the connection is lost.
    fn talk(&mut self, arena: &Arena, client: &mut Client, present: bool) -> bool {
        if self.open.is_some() {
            if !(self.persistent && present) {
                self.give_up(arena);
            } else if !self.finish(arena, client, true) {
                return false;
            }
        }
        while !arena.drain() {
            let begun = Instant::now();
            if !self.publish(arena, client) {
                return false;
            }
            thread::sleep(self.pace.saturating_sub(begun.elapsed()));
        }
        true
    }

    fn publish(&mut self, arena: &Arena, client: &mut Client) -> bool {
        self.number += 1;
        let topic = self.topics[self.number as usize % self.topics.len()].clone();
        let mut value = json!({"s": self.number, "c": self.connection, "qos": self.qos});
        if self.retain {
            value["retain"] = true.into();
            value["clear"] = self.clears(self.number).into();
        }
        let node = arena.name(self.places[self.at]);
        arena.recorder.add(Kind::Invoke, &self.connect.client_id, Op::Publish, &topic, value, node);
        self.open = Some(Open { number: self.number, topic, released: false });
        self.finish(arena, client, false)
    }

    fn clears(&self, number: u64) -> bool {
        self.retain && number.is_multiple_of(CLEAR_EVERY)
    }

    /// Sends what is open and waits for its acknowledgement; false when the connection is lost.
    fn finish(&mut self, arena: &Arena, client: &mut Client, dup: bool) -> bool {
        let Some(open) = &self.open else { return true };
        let sent = if open.released {
            client.ack(6, packet_id(open.number))
        } else {
            self.send(client, open, dup)
        };
        if sent.is_err() {
            return false;
        }
        match self.wait(client, dup) {
            End::Done(code) => {
                self.ended(arena, if code < 0x80 { Kind::Ok } else { Kind::Fail }, code);
                true
            }
            End::Lost => {
                if !self.persistent {
                    self.give_up(arena);
                }
                false
            }
        }
    }

    fn send(&self, client: &mut Client, open: &Open, dup: bool) -> anyhow::Result<()> {
        let mut body = Vec::new();
        binary(&mut body, open.topic.as_bytes());
        if self.qos > 0 {
            body.extend_from_slice(&packet_id(open.number).to_be_bytes());
        }
        if self.connect.version == Version::V5 {
            body.push(0);
        }
        if !self.clears(open.number) {
            let payload = json!({"p": self.connect.client_id, "s": open.number});
            body.extend_from_slice(payload.to_string().as_bytes());
        }
        let flags = u8::from(dup) << 3 | self.qos << 1 | u8::from(self.retain);
        client.send_packet(0x30 | flags, &body)
    }

    fn wait(&mut self, client: &mut Client, repeated: bool) -> End {
        let Some(open) = &mut self.open else { return End::Lost };
        if self.qos == 0 {
            return End::Done(0);
        }
        let id = packet_id(open.number);
        let end = Instant::now() + PATIENCE;
        let mut first = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let packet = match next(client, left.max(Duration::from_millis(1))) {
                Next::Packet(packet) => packet,
                Next::Nothing | Next::Ended => return End::Lost,
            };
            let Packet::Ack { kind, id: got, code, .. } = packet else { continue };
            match kind {
                _ if got != id => {}
                4 => return End::Done(code),
                5 if code >= 0x80 => return End::Done(code),
                5 => {
                    first = code;
                    open.released = true;
                    if client.ack(6, id).is_err() {
                        return End::Lost;
                    }
                }
                7 if code == 0 || (repeated && code == PACKET_ID_NOT_FOUND) => {
                    return End::Done(first);
                }
                _ => return End::Lost,
            }
        }
    }

    fn ended(&mut self, arena: &Arena, kind: Kind, code: u8) {
        let Some(open) = self.open.take() else { return };
        let (proc, node) = (&self.connect.client_id, arena.name(self.places[self.at]));
        let value = json!({"s": open.number, "code": code});
        arena.recorder.add(kind, proc, Op::Publish, &open.topic, value, node);
    }

    /// Nobody will ever know.
    fn give_up(&mut self, arena: &Arena) {
        self.ended(arena, Kind::Info, 0);
    }
}

/// Never 0.
fn packet_id(number: u64) -> u16 {
    (number % 65_535) as u16 + 1
}
