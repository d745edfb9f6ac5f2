//! Performs the faults of a plan and writes down what each really did.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::arena::Arena;
use super::damage;
use super::grid::{Effect, Way};
use super::history::{Kind, Op};
use super::plan::{Fault as Planned, LinkFault, Lost, Mode, Shape, Step, Target};
use super::workload::storm;
use crate::harness::{Fault, eventually};

/// A node that was killed or paused must serve again within this time.
const BACK_LIMIT: Duration = Duration::from_secs(40);
/// Between two deaths in a short plan.
const SETTLE: Duration = Duration::from_secs(3);
/// How long the log may take to be purged behind a snapshot.
const PURGE_LIMIT: Duration = Duration::from_secs(12);

/// Faults of processes happen one after the other: two dead members of three are a fault of their
/// own (`KillMajority`).
static PROCESSES: Mutex<()> = Mutex::new(());

/// Performs all steps; returns when all faults have ended and all nodes serve.
pub(crate) fn run(arena: &Arena, tell: &(dyn Fn(&str) + Sync)) {
    let begun = Instant::now();
    thread::scope(|scope| {
        for (number, step) in arena.plan.steps.iter().enumerate() {
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(step.at_ms).saturating_sub(begun.elapsed()));
                tell(&format!("fault {number}: {}", step.fault));
                arena.fault(true);
                one(arena, number, step);
                arena.fault(false);
            });
        }
    });
}

fn one(arena: &Arena, number: usize, step: &Step) {
    let act = Act { arena, number, step, time: Duration::from_millis(step.for_ms) };
    match &step.fault {
        Planned::Partition { shape } => act.partition(*shape),
        Planned::Asymmetric { target, lost } => act.asymmetric(*target, *lost),
        Planned::HalfOpen { target } => {
            act.net(*target, Fault::partition(), true);
        }
        Planned::Reset { target } => act.net(*target, Fault::reset(), true),
        Planned::Flapping { target, period_ms } => act.flap(*target, *period_ms),
        Planned::Slow { target, delay_ms, slice_bytes } => {
            let delay = Duration::from_millis(*delay_ms);
            let fault = Fault { delay, slice_bytes: *slice_bytes, ..Fault::default() };
            act.net(*target, fault, false);
        }
        Planned::Kill { target, torn } => act.kill_one(*target, *torn),
        Planned::KillMajority => act.kill_many(2),
        Planned::KillAll => act.kill_many(arena.plan.nodes),
        Planned::Pause { target } => act.pause(*target),
        Planned::Snapshot { down } => act.snapshot(*down),
        Planned::Link { what } => act.link(*what),
        Planned::Storm { clients } => act.storm(*clients),
    }
}

/// One step under way.
struct Act<'a> {
    arena: &'a Arena,
    number: usize,
    step: &'a Step,
    time: Duration,
}

/// Every connection of a node with its peers, and with its clients if wanted.
fn around(node: usize, clients: bool) -> impl Fn(Way) -> bool {
    move |way| match way {
        Way::Peer { from, to } => from == node || to == node,
        Way::Mqtt { to } | Way::Rest { to } => clients && to == node,
        Way::Link { .. } => false,
    }
}

fn between(nodes: [usize; 2]) -> impl Fn(Way) -> bool {
    move |way| matches!(way, Way::Peer { from, to } if nodes.contains(&from) && nodes.contains(&to))
}

impl Act<'_> {
    fn begin(&self, affected: &[usize]) {
        let names: Vec<&str> = affected.iter().map(|place| self.arena.name(*place)).collect();
        let all = affected.len() > 1 && affected.len() * 2 > self.arena.plan.nodes;
        let names = if all { json!(["*"]) } else { json!(names) };
        let value = json!({"fault": self.step.fault.to_string(), "affected": names});
        self.note(Op::Fault, value);
    }

    fn end(&self, effective: bool, details: Value) {
        self.note(Op::Healed, json!({"effective": effective, "details": details}));
    }

    fn note(&self, op: Op, value: Value) {
        let key = self.number.to_string();
        self.arena.recorder.add(Kind::Nemesis, "nemesis", op, &key, value, "");
    }

    /// The place that the target means now. Without a leader any node will do.
    fn place(&self, target: Target) -> usize {
        let places = self.arena.grid.in_cluster("a");
        let leader = self.arena.grid.leader();
        match (target, leader) {
            (Target::Leader, Some(leader)) => leader,
            (Target::Leader, None) => places[0],
            (Target::Follower(number), _) => {
                let others: Vec<usize> =
                    places.into_iter().filter(|place| Some(*place) != leader).collect();
                others[usize::from(number) % others.len()]
            }
        }
    }

    /// A fault of the network for the time of the step.
    fn through(&self, affected: &[usize], fault: Fault, chosen: impl Fn(Way) -> bool + Copy) {
        let before = self.arena.grid.effect(chosen);
        self.begin(affected);
        self.arena.grid.apply(self.number, fault, chosen);
        thread::sleep(self.time);
        self.arena.grid.lift(self.number);
        let after = self.arena.grid.effect(chosen);
        self.end(had_effect(fault, before, after), details(before, after));
    }

    fn partition(&self, shape: Shape) {
        let grid = &self.arena.grid;
        let all = grid.in_cluster("a");
        let one = match shape {
            Shape::FollowerAlone => self.place(Target::Follower(self.number as u8)),
            _ => self.place(Target::Leader),
        };
        let fault = Fault::partition();
        match shape {
            Shape::LeaderAlone | Shape::FollowerAlone => {
                self.through(&[one], fault, &around(one, false));
            }
            Shape::Bridge => {
                let other = self.place(Target::Follower(0));
                self.through(&[one, other], fault, &between([one, other]));
            }
            Shape::All => self.through(
                &all,
                fault,
                |way| matches!(way, Way::Peer { from, .. } if all.contains(&from)),
            ),
        }
    }

    fn asymmetric(&self, target: Target, lost: Lost) {
        let place = self.place(target);
        let fault = Fault {
            hold_requests: lost == Lost::Requests,
            hold_replies: lost == Lost::Replies,
            ..Fault::default()
        };
        self.through(&[place], fault, |way| matches!(way, Way::Peer { from, .. } if from == place));
    }

    fn net(&self, target: Target, fault: Fault, clients: bool) {
        let place = self.place(target);
        self.through(&[place], fault, &around(place, clients));
    }

    fn flap(&self, target: Target, period_ms: u64) {
        let place = self.place(target);
        let chosen = around(place, false);
        let before = self.arena.grid.effect(&chosen);
        self.begin(&[place]);
        let begun = Instant::now();
        let half = Duration::from_millis(period_ms / 2);
        while begun.elapsed() < self.time {
            self.arena.grid.apply(self.number, Fault::partition(), &chosen);
            thread::sleep(half);
            self.arena.grid.lift(self.number);
            thread::sleep(half);
        }
        let after = self.arena.grid.effect(&chosen);
        self.end(after.held > before.held, details(before, after));
    }

    fn kill_one(&self, target: Target, torn: bool) {
        let _turn = PROCESSES.lock();
        let place = self.place(target);
        self.begin(&[place]);
        self.arena.grid.node(place).kill();
        let damaged =
            torn.then(|| damage::torn_tail(&self.arena.grid.data_dir(place).join("sessions")));
        thread::sleep(self.time);
        let back = self.start(place);
        let effective = back.is_ok() && damaged.as_ref().is_none_or(Result::is_ok);
        let details = json!({
            "killed": self.arena.name(place), "back": told(back),
            "damaged": damaged.map(|d| d.unwrap_or_else(|error| format!("{error:#}"))),
        });
        self.end(effective, details);
        self.settle();
    }

    fn kill_many(&self, count: usize) {
        let _turn = PROCESSES.lock();
        let leader = self.place(Target::Leader);
        let mut places = self.arena.grid.in_cluster("a");
        places.sort_by_key(|place| *place != leader);
        places.truncate(count);
        self.begin(&places);
        places.iter().for_each(|place| self.arena.grid.node(*place).kill());
        thread::sleep(self.time);
        // All at once: none of them is ready without the others.
        let backs: Vec<Result<(), String>> = thread::scope(|scope| {
            let starts: Vec<_> =
                places.iter().map(|place| scope.spawn(|| self.start(*place))).collect();
            let joined = starts.into_iter().map(|start| start.join());
            joined.map(|start| start.unwrap_or_else(|_| Err("panicked".into()))).collect()
        });
        let effective = backs.iter().all(Result::is_ok);
        self.end(effective, json!(backs.into_iter().map(told).collect::<Vec<_>>()));
    }

    /// Starts a node again. Somebody's outgoing connection may have been given its port meanwhile.
    fn start(&self, place: usize) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let started = self.arena.grid.node(place).start();
            match started {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > BACK_LIMIT => return Err(format!("{error:#}")),
                Err(error) => {
                    let text = format!("{error:#}");
                    self.arena.grid.node(place).kill();
                    if !text.contains("Address already in use") {
                        return Err(text);
                    }
                    thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    /// A node that dies again while it is given its spool is a known hole (docs/guarantees.md):
    /// short plans leave it the time.
    fn settle(&self) {
        if self.arena.plan.mode == Mode::Short {
            thread::sleep(SETTLE);
        }
    }

    fn pause(&self, target: Target) {
        let _turn = PROCESSES.lock();
        let place = self.place(target);
        let grid = &self.arena.grid;
        self.begin(&[place]);
        let paused = grid.node(place).signal(Signal::SIGSTOP);
        let silent = grid.state_within(place, Duration::from_millis(500)).is_err();
        thread::sleep(self.time.saturating_sub(Duration::from_millis(500)));
        let awake = grid.node(place).signal(Signal::SIGCONT);
        let effective = paused.is_ok() && awake.is_ok() && silent;
        self.end(effective, json!({"paused": self.arena.name(place), "silent": silent}));
    }

    fn snapshot(&self, down: u8) {
        let _turn = PROCESSES.lock();
        let grid = &self.arena.grid;
        let straggler = self.place(Target::Follower(down));
        let last = grid.state(straggler).ok().and_then(|s| s["last_log"].as_u64()).unwrap_or(0);
        self.begin(&[straggler]);
        grid.node(straggler).kill();
        thread::sleep(self.time);
        let purged = eventually(PURGE_LIMIT, || {
            let leader = grid.leader().ok_or_else(|| anyhow::anyhow!("no leader"))?;
            for place in grid.in_cluster("a").into_iter().filter(|place| *place != straggler) {
                grid.direct(place, Duration::from_secs(3))
                    .post("/debug/snapshot", &Value::Null)?
                    .expect(204)?;
            }
            let purged = grid.state(leader)?["purged"].as_u64().unwrap_or(0);
            anyhow::ensure!(purged > last, "purged up to {purged}, the straggler has {last}");
            Ok(purged)
        });
        let back = self.start(straggler);
        let caught_up = eventually(BACK_LIMIT, || {
            let applied = grid.state(straggler)?["applied"].as_u64().unwrap_or(0);
            anyhow::ensure!(Some(&applied) >= purged.as_ref().ok(), "applied {applied}");
            Ok(())
        });
        let effective = purged.is_ok() && back.is_ok() && caught_up.is_ok();
        let details = json!({
            "straggler": self.arena.name(straggler), "had": last,
            "purged": told(purged.map(|_| ()).map_err(|e| format!("{e:#}"))),
            "back": told(back),
            "caught_up": told(caught_up.map_err(|e| format!("{e:#}"))),
        });
        self.end(effective, details);
        self.settle();
    }

    fn link(&self, what: LinkFault) {
        let grid = &self.arena.grid;
        let Some(remote) = grid.in_cluster("b").first().copied() else {
            self.begin(&[]);
            return self.end(false, json!("the plan has no remote cluster"));
        };
        let to_remote = move |way: Way| matches!(way, Way::Link { to } if to == remote);
        match what {
            LinkFault::Silent => self.through(&[], Fault::partition(), to_remote),
            LinkFault::Reset => self.through(&[], Fault::reset(), to_remote),
            LinkFault::RemoteRestarts => {
                let _turn = PROCESSES.lock();
                self.begin(&[remote]);
                grid.node(remote).kill();
                thread::sleep(self.time);
                let back = self.start(remote);
                self.end(back.is_ok(), json!({"back": told(back)}));
            }
            LinkFault::Paused => {
                self.begin(&[]);
                let paused = self.switch_link("pause");
                thread::sleep(self.time);
                let resumed = self.switch_link("resume");
                let effective = paused.is_ok() && resumed.is_ok();
                self.end(effective, json!({"paused": told(paused), "resumed": told(resumed)}));
            }
        }
    }

    fn switch_link(&self, what: &str) -> Result<(), String> {
        let grid = &self.arena.grid;
        let places = grid.in_cluster("a");
        let switched = eventually(BACK_LIMIT, || {
            for place in &places {
                let rest = grid.direct(*place, Duration::from_secs(3));
                let path = format!("/cluster/links/link/b/{what}");
                if rest.post(&path, &Value::Null).is_ok_and(|a| a.status == 200) {
                    return Ok(());
                }
            }
            anyhow::bail!("no node could {what} the link")
        });
        switched.map_err(|error| format!("{error:#}"))
    }

    fn storm(&self, clients: u32) {
        self.begin(&[]);
        let begun = Instant::now();
        let well = storm(self.arena, clients);
        thread::sleep(self.time.saturating_sub(begun.elapsed()));
        self.end(well * 2 >= clients, json!({"clients": clients, "got_in": well}));
    }
}

fn had_effect(fault: Fault, before: Effect, after: Effect) -> bool {
    if fault.reset {
        after.resets > before.resets
    } else if fault.hold_requests || fault.hold_replies {
        after.held > before.held
    } else {
        after.bytes > before.bytes
    }
}

fn details(before: Effect, after: Effect) -> Value {
    json!({
        "pieces_held": after.held - before.held,
        "resets": after.resets - before.resets,
        "bytes": after.bytes - before.bytes,
    })
}

fn told(result: Result<(), String>) -> String {
    result.map_or_else(|error| error, |()| "yes".to_owned())
}
