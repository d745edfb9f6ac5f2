//! Asks the nodes what they think, past the proxies, and writes it down.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::arena::Arena;
use super::check;
use super::history::{Kind, Op};
use super::workload::ping;
use crate::client::Client;
use crate::client::Packet;

/// Samples of Raft's state per node: ten a second would cost more than they show on two cores.
const SAMPLE: Duration = Duration::from_millis(200);
const ASK: Duration = Duration::from_millis(700);

/// Samples Raft's state until the run ends, one thread per node.
pub(crate) fn sample(arena: &Arena) {
    thread::scope(|scope| {
        for place in 0..arena.grid.places.len() {
            scope.spawn(move || {
                while !arena.done() {
                    let begun = Instant::now();
                    if let Ok(state) = arena.grid.state_within(place, ASK) {
                        note(arena, Op::Raft, place, state);
                    }
                    thread::sleep(SAMPLE.saturating_sub(begun.elapsed()));
                }
            });
        }
    });
}

fn note(arena: &Arena, op: Op, place: usize, value: Value) {
    arena.recorder.add(Kind::State, "observer", op, "", value, arena.name(place));
}

fn recovered(arena: &Arena, what: &str, done: bool) {
    arena.recorder.add(Kind::State, "observer", Op::Recovered, what, json!({"done": done}), "");
}

/// Waits for everything of P12, all at the same time, and writes down when it came.
pub(crate) fn recovery(arena: &Arena, limit: Duration) {
    let wait = |what: &'static str, well: &dyn Fn() -> bool| {
        let begun = Instant::now();
        let mut done = well();
        while !done && begun.elapsed() < limit {
            thread::sleep(Duration::from_millis(150));
            done = well();
        }
        recovered(arena, what, done);
    };
    thread::scope(|scope| {
        scope.spawn(|| wait("leader", &|| one_leader(arena)));
        scope.spawn(|| wait("clients", &|| clients_served(arena)));
        scope.spawn(|| wait("routes", &|| routes_equal(arena)));
        if arena.plan.remote_nodes > 0 {
            scope.spawn(|| wait("link", &|| links_run(arena)));
        }
    });
}

fn one_leader(arena: &Arena) -> bool {
    let places = arena.grid.in_cluster("a");
    let leaders: Option<Vec<Value>> = places
        .iter()
        .map(|place| arena.grid.state_within(*place, ASK).ok().map(|state| state["leader"].clone()))
        .collect();
    leaders.is_some_and(|all| all.iter().all(|l| !l.is_null() && *l == all[0]))
}

fn clients_served(arena: &Arena) -> bool {
    (0..arena.grid.places.len())
        .all(|place| ping(arena.grid.mqtt_port(place), &format!("observer-{place}")))
}

/// Whether every node of every cluster says that its link runs.
pub(crate) fn links_run(arena: &Arena) -> bool {
    [("a", "b"), ("b", "a")].iter().all(|(cluster, link)| {
        let Some(place) = arena.grid.in_cluster(cluster).first().copied() else { return false };
        let nodes = arena.grid.in_cluster(cluster).len();
        let answer = arena.grid.direct(place, ASK).get(&format!("/cluster/links/{link}"));
        let object = answer.and_then(|answer| answer.expect(200)).unwrap_or_default();
        object["status"] == "running"
            && object["node_status"].as_array().map_or(0, Vec::len) == nodes
    })
}

/// Writes down all tables; whether they equal what lives.
fn routes_equal(arena: &Arena) -> bool {
    let mut all = true;
    for place in 0..arena.grid.places.len() {
        match arena.grid.direct(place, ASK).get("/debug/routes").and_then(|a| a.expect(200)) {
            Ok(table) => note(arena, Op::Routes, place, named(arena, place, &table)),
            Err(_) => all = false,
        }
    }
    all && check::routes_hold(&arena.recorder.history())
}

/// Node names as the history has them: `n1@127.0.0.1` of cluster a is `a/n1`.
fn named(arena: &Arena, place: usize, table: &Value) -> Value {
    let cluster = &arena.grid.places[place].cluster;
    let name = |node: &Value| {
        let text = node.as_str().unwrap_or_default();
        json!(format!("{cluster}/{}", text.split('@').next().unwrap_or_default()))
    };
    let empty = Map::new();
    let rows = table.as_object().unwrap_or(&empty).iter();
    rows.filter(|(filter, _)| !filter.starts_with('$') || filter.starts_with("$share/"))
        .map(|(filter, nodes)| {
            let nodes: Value = nodes.as_array().into_iter().flatten().map(name).collect();
            (filter.clone(), nodes)
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Writes down route tables and retained values as they are at the end.
pub(crate) fn last_look(arena: &Arena) {
    routes_equal(arena);
    for place in 0..arena.grid.places.len() {
        match retained(arena.grid.mqtt_port(place)) {
            Ok(values) => note(arena, Op::Retained, place, values),
            Err(error) => note(arena, Op::Health, place, json!({"retained": format!("{error:#}")})),
        }
    }
}

/// What a subscriber that comes late gets.
fn retained(port: u16) -> anyhow::Result<Value> {
    let mut client = Client::simple(port, "observer-late")?;
    client.subscribe("r/#", 0)?;
    let mut values = Map::new();
    client.send_packet(0xc0, &[])?;
    let mut quiet = Instant::now() + Duration::from_millis(500);
    while let Some(left) = quiet.checked_duration_since(Instant::now()) {
        if let Ok(Some(Packet::Publish { topic, payload, .. })) = client.receive(left) {
            values.insert(topic, serde_json::from_slice(&payload)?);
            quiet = Instant::now() + Duration::from_millis(500);
        }
    }
    Ok(values.into())
}

/// Writes down what each process holds.
pub(crate) fn health(arena: &Arena) {
    for place in 0..arena.grid.places.len() {
        let node = arena.grid.node(place);
        let (pid, fatal, log) = (node.pid().unwrap_or(0), node.fatal_line(), node.log());
        drop(node);
        let errors = log.lines().filter(|line| line.contains(" ERROR ")).count();
        let minutes = f64::from(u32::try_from(arena.plan.faults_ms).unwrap_or(60_000)) / 60_000.0;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse::<u64>().ok())
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let value = json!({
            "pid": pid, "fatal": fatal, "descriptors": descriptors,
            "threads": field("Threads:"), "rss_kib": field("VmRSS:"),
            "errors_per_minute": (errors as f64 / minutes.max(1.0)) as u64,
        });
        note(arena, Op::Health, place, value);
    }
}
