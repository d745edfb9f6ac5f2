//! Link configuration through random nodes. The links are disabled and lead nowhere; what is
//! checked is the register behind each name.

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::chaos::arena::Arena;
use crate::chaos::history::{Kind, Op};
use crate::harness::Answer;

const NAMES: u32 = 4;
const PACE: Duration = Duration::from_millis(250);
const LIMIT: Duration = Duration::from_secs(4);

pub(super) fn run(arena: &Arena, number: usize) {
    let proc = format!("config-c{number}");
    let mut random = StdRng::seed_from_u64(arena.plan.seed ^ (number as u64 + 99));
    let places = arena.grid.in_cluster("a");
    let mut value = number as u64;
    while !arena.drain() {
        let place = places[random.random_range(0..places.len())];
        let name = format!("cfg{}", random.random_range(0..NAMES));
        // Numbers that the two processes never share.
        value += 2;
        let op = match random.random_range(0..10) {
            0..3 => Op::LinkCreate,
            3..5 => Op::LinkUpdate,
            5..6 => Op::LinkDelete,
            _ => Op::LinkRead,
        };
        let node = arena.name(place);
        let input = json!({"value": value});
        arena.recorder.add(Kind::Invoke, &proc, op, &name, input, node);
        let (kind, seen, rev) = outcome(op, ask(arena, place, op, &name, value));
        arena.recorder.add_at(kind, &proc, op, &name, seen, node, rev);
        thread::sleep(PACE);
    }
}

fn ask(arena: &Arena, place: usize, op: Op, name: &str, value: u64) -> anyhow::Result<Answer> {
    let rest = arena.grid.rest(place, LIMIT);
    let body = json!({
        "name": name, "server": "127.0.0.1:9", "enable": false, "topics": ["cfg/#"],
        "clientid": format!("config-{name}"), "max_inflight": value,
    });
    let path = format!("/cluster/links/link/{name}");
    match op {
        Op::LinkCreate => rest.post("/cluster/links", &body),
        Op::LinkUpdate => rest.put(&path, &body),
        Op::LinkDelete => rest.delete(&path),
        _ => rest.get(&path),
    }
}

/// Only what is certain counts: an answer that may also come after a change that another one undid
/// leaves the outcome open.
fn outcome(op: Op, answer: anyhow::Result<Answer>) -> (Kind, Value, Option<u64>) {
    let Ok(answer) = answer else { return (Kind::Info, Value::Null, None) };
    let unknown = (Kind::Info, json!({"status": answer.status}), None);
    if answer.stale {
        return unknown;
    }
    let body = answer.json().unwrap_or_default();
    let seen = json!({"value": body["max_inflight"], "status": answer.status});
    let rev = body["revision"].as_u64();
    match (op, answer.status) {
        (Op::LinkCreate, 201) | (Op::LinkUpdate | Op::LinkRead, 200) => (Kind::Ok, seen, rev),
        (Op::LinkDelete, 204) => (Kind::Ok, Value::Null, None),
        (Op::LinkCreate, 400) if body["code"] == "ALREADY_EXISTS" => (Kind::Fail, seen, None),
        (Op::LinkRead | Op::LinkDelete, 404) => (Kind::Fail, Value::Null, None),
        _ => unknown,
    }
}
