//! A subscriber with a session that outlives its connections, and perhaps its node.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::peer::{Next, PATIENCE, connect, gone, next};
use crate::chaos::arena::Arena;
use crate::chaos::history::{Kind, Op};
use crate::client::{Client, Connect, Packet, Version, binary};

const POLL: Duration = Duration::from_millis(100);
/// After so long without a packet it asks whether the connection lives.
const QUIET: Duration = Duration::from_millis(1_500);

/// One subscriber of a workload.
pub(crate) struct Subscriber {
    connect: Connect,
    filter: (String, u8),
    places: Vec<usize>,
    at: usize,
    /// Whether it leaves now and then and comes back through another node.
    pub(super) moves: bool,
    subscribed: bool,
    next_id: u16,
    /// QoS 2 packet ids between PUBLISH and PUBREL.
    held: HashSet<u16>,
    random: StdRng,
}

impl Subscriber {
    pub(super) fn new(
        name: &str,
        version: Version,
        filter: (&str, u8),
        places: &[usize],
        first: usize,
    ) -> Self {
        let seed = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        Self {
            connect: Connect { version, ..Connect::new(name) }.persistent(),
            filter: (filter.0.to_owned(), filter.1),
            places: places.to_vec(),
            at: first % places.len(),
            moves: false,
            subscribed: false,
            next_id: 0,
            held: HashSet::new(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) fn run(mut self, arena: &Arena) {
        self.random = StdRng::seed_from_u64(arena.plan.seed ^ self.random.random::<u64>());
        while !arena.done() {
            let place = self.places[self.at];
            let Some((mut client, present)) = connect(arena, &self.connect, place, true) else {
                thread::sleep(Duration::from_millis(200));
                // A session that moves knocks elsewhere; others wait for their node.
                self.step(arena);
                continue;
            };
            if !present {
                self.held.clear();
                self.subscribed = false;
            }
            if (self.subscribed || self.subscribe(arena, &mut client))
                && self.listen(arena, &mut client)
            {
                // It left by itself; half of the time politely.
                if self.random.random() {
                    let _ = client.disconnect();
                }
                gone(arena, &self.connect.client_id, place);
                let away = self.random.random_range(0..1_200);
                thread::sleep(Duration::from_millis(away));
            } else {
                gone(arena, &self.connect.client_id, place);
            }
            self.step(arena);
        }
    }

    fn step(&mut self, arena: &Arena) {
        if self.moves && arena.may_move() {
            self.at = (self.at + 1) % self.places.len();
        }
    }

    fn subscribe(&mut self, arena: &Arena, client: &mut Client) -> bool {
        self.next_id += 1;
        let (filter, qos) = self.filter.clone();
        let node = arena.name(self.places[self.at]);
        let proc = self.connect.client_id.clone();
        let note = |kind, value: Value| {
            arena.recorder.add(kind, &proc, Op::Subscribe, &filter, value, node);
        };
        note(Kind::Invoke, Value::Null);
        let mut body = self.next_id.to_be_bytes().to_vec();
        if self.connect.version == Version::V5 {
            body.push(0);
        }
        binary(&mut body, filter.as_bytes());
        body.push(qos);
        let end = Instant::now() + 2 * PATIENCE;
        if client.send_packet(0x82, &body).is_err() {
            return false;
        }
        while Instant::now() < end {
            match next(client, POLL) {
                Next::Packet(Packet::SubAck { codes, .. }) if codes == [qos] => {
                    note(Kind::Ok, json!({"qos": qos}));
                    self.subscribed = true;
                    return true;
                }
                Next::Packet(Packet::SubAck { codes, .. }) => {
                    note(Kind::Fail, json!({"codes": codes}));
                    return false;
                }
                Next::Packet(packet) => {
                    if !self.took(arena, client, &packet) {
                        break;
                    }
                }
                Next::Nothing => {}
                Next::Ended => break,
            }
        }
        note(Kind::Info, Value::Null);
        false
    }

    /// True: it is time to leave. False: the connection is lost.
    fn listen(&mut self, arena: &Arena, client: &mut Client) -> bool {
        let stay = Duration::from_millis(self.random.random_range(1_500..5_000));
        let (begun, mut heard, mut asked) = (Instant::now(), Instant::now(), false);
        loop {
            if arena.done() || (self.moves && arena.may_move() && begun.elapsed() > stay) {
                return true;
            }
            match next(client, POLL) {
                Next::Packet(packet) => {
                    (heard, asked) = (Instant::now(), false);
                    if !self.took(arena, client, &packet) {
                        return false;
                    }
                }
                Next::Nothing if heard.elapsed() > QUIET + PATIENCE => return false,
                Next::Nothing if heard.elapsed() > QUIET && !asked => {
                    asked = true;
                    if client.send_packet(0xc0, &[]).is_err() {
                        return false;
                    }
                }
                Next::Nothing => {}
                Next::Ended => return false,
            }
        }
    }

    /// Acknowledges a message and writes it down; false when the connection is lost.
    fn took(&mut self, arena: &Arena, client: &mut Client, packet: &Packet) -> bool {
        match packet {
            Packet::Publish { dup, qos, retain, topic, id, payload, .. } => {
                // A repeat of what is not released yet is no new message (MQTT 5.0 §4.3.3).
                let repeat = *qos == 2 && !self.held.insert(*id) && *dup;
                if !repeat {
                    self.note(
                        arena,
                        topic,
                        payload,
                        json!({"qos": qos, "dup": dup, "retain": retain}),
                    );
                }
                match qos {
                    0 => true,
                    1 => client.ack(4, *id).is_ok(),
                    _ => client.ack(5, *id).is_ok(),
                }
            }
            Packet::Ack { kind: 6, id, .. } => {
                self.held.remove(id);
                client.ack(7, *id).is_ok()
            }
            Packet::Disconnect { .. } => false,
            _ => true,
        }
    }

    fn note(&self, arena: &Arena, topic: &str, payload: &[u8], mut value: Value) {
        // A message that clears a retained value has no payload and so no number.
        let Ok(message) = serde_json::from_slice::<Value>(payload) else { return };
        value["p"] = message["p"].clone();
        value["s"] = message["s"].clone();
        let node = arena.name(self.places[self.at]);
        arena.recorder.add(Kind::Recv, &self.connect.client_id, Op::Deliver, topic, value, node);
    }
}
