//! Subscriptions that come and go all the time, of clean sessions.

use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::peer::{Next, PATIENCE, connect, gone, next};
use crate::chaos::arena::Arena;
use crate::chaos::history::{Kind, Op};
use crate::client::{Client, Connect, Packet, binary};

/// Filters that one client uses.
const FILTERS: u32 = 40;
const PACE: Duration = Duration::from_millis(60);

pub(super) fn run(arena: &Arena, number: usize) {
    let name = format!("routes-c{number}");
    let places = arena.grid.in_cluster("a");
    let mut random = StdRng::seed_from_u64(arena.plan.seed.wrapping_add(number as u64));
    let mut at = number % places.len();
    while !arena.done() {
        let place = places[at];
        at = (at + 1) % places.len();
        let Some((mut client, _)) = connect(arena, &Connect::new(&name), place, false) else {
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        churn(arena, &mut client, &name, place, &mut random);
        gone(arena, &name, place);
    }
}

/// Until the connection is lost or the run ends; quiet after the heal.
fn churn(arena: &Arena, client: &mut Client, name: &str, place: usize, random: &mut StdRng) {
    let mut id: u16 = 0;
    while !arena.done() {
        if arena.calm() {
            match next(client, Duration::from_millis(500)) {
                Next::Ended => return,
                _ => continue,
            }
        }
        id = id.checked_add(1).unwrap_or(1);
        let filter = format!("rt/{name}/{}/+", random.random_range(0..FILTERS));
        let op = if random.random_ratio(3, 5) { Op::Subscribe } else { Op::Unsubscribe };
        let note = |kind, value: Value| {
            arena.recorder.add(kind, name, op, &filter, value, arena.name(place));
        };
        note(Kind::Invoke, Value::Null);
        if !asked(client, op, &filter, id) {
            note(Kind::Info, Value::Null);
            return;
        }
        note(Kind::Ok, json!({"qos": 0}));
        thread::sleep(PACE);
    }
}

/// Whether it was answered well.
fn asked(client: &mut Client, op: Op, filter: &str, id: u16) -> bool {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    binary(&mut body, filter.as_bytes());
    let first = if op == Op::Subscribe {
        body.push(0);
        0x82
    } else {
        0xa2
    };
    if client.send_packet(first, &body).is_err() {
        return false;
    }
    let end = Instant::now() + 2 * PATIENCE;
    while Instant::now() < end {
        match next(client, Duration::from_millis(100)) {
            Next::Packet(Packet::SubAck { codes, .. }) => return codes == [0],
            Next::Packet(Packet::UnsubAck { codes, .. }) => return codes.iter().all(|c| *c < 0x80),
            Next::Packet(_) | Next::Nothing => {}
            Next::Ended => return false,
        }
    }
    false
}
