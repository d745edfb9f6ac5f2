//! From one seed to everything that a run will do: which faults, when, on whom, under which load.
//!
//! A plan is data (`plan.json`): it is printed, stored, and can be run again. What is replayed is
//! the plan, not the interleaving of threads and packets.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::check::{Promise, Violation};

/// Version of `plan.json`.
pub const VERSION: u32 = 1;

/// Which node a fault is aimed at; decided when it begins, because leaders move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Who leads at that moment.
    Leader,
    /// Somebody else; the number picks one.
    Follower(u8),
}

/// Whom a partition cuts off (N1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The leader sees nobody.
    LeaderAlone,
    /// A follower sees nobody.
    FollowerAlone,
    /// Leader and one follower do not see each other, the third one sees both.
    Bridge,
    /// Nobody sees anybody.
    All,
}

/// Which half of a conversation is lost (N2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// What the target dials out and sends.
    Requests,
    /// What comes back to it.
    Replies,
}

/// What befalls a link (N16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkFault {
    /// The remote's listener is silent.
    Silent,
    /// Connections to the remote are reset.
    Reset,
    /// The remote is killed and started again.
    RemoteRestarts,
    /// The link is paused and resumed over REST.
    Paused,
}

/// One entry of the nemesis menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// N1: nodes do not hear each other; connections stay open.
    Partition { shape: Shape },
    /// N2: one direction only.
    Asymmetric { target: Target, lost: Lost },
    /// N3: to nodes and clients alike the target is silent, without FIN or RST.
    HalfOpen { target: Target },
    /// N4: every connection of the target is reset, again and again.
    Reset { target: Target },
    /// N5: the target is cut off and back every `period_ms`.
    Flapping { target: Target, period_ms: u64 },
    /// N6: latency, and bytes in small pieces.
    Slow { target: Target, delay_ms: u64, slice_bytes: usize },
    /// N8: kill -9; `torn` damages what was written last.
    Kill { target: Target, torn: bool },
    /// N8: the majority, the leader among them.
    KillMajority,
    /// N8: everybody at once.
    KillAll,
    /// N9: SIGSTOP, then SIGCONT.
    Pause { target: Target },
    /// N15: snapshot on all nodes, log purged, while a follower is down.
    Snapshot { down: u8 },
    /// N16.
    Link { what: LinkFault },
    /// N17: so many connects at once, each client id on two nodes.
    Storm { clients: u32 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { shape } => write!(f, "N1 partition {shape:?}"),
            Self::Asymmetric { target, lost } => write!(f, "N2 {lost:?} lost at {target:?}"),
            Self::HalfOpen { target } => write!(f, "N3 half-open {target:?}"),
            Self::Reset { target } => write!(f, "N4 resets at {target:?}"),
            Self::Flapping { target, period_ms } => {
                write!(f, "N5 {target:?} flaps, {period_ms} ms")
            }
            Self::Slow { target, delay_ms, slice_bytes } => {
                write!(f, "N6 {target:?} slow, {delay_ms} ms, {slice_bytes} B")
            }
            Self::Kill { target, torn } => {
                write!(f, "N8 kill {target:?}{}", if *torn { ", torn tail" } else { "" })
            }
            Self::KillMajority => write!(f, "N8 kill majority"),
            Self::KillAll => write!(f, "N8 kill all"),
            Self::Pause { target } => write!(f, "N9 pause {target:?}"),
            Self::Snapshot { .. } => write!(f, "N15 snapshot and purge while one is down"),
            Self::Link { what } => write!(f, "N16 link {what:?}"),
            Self::Storm { clients } => write!(f, "N17 storm of {clients}"),
        }
    }
}

/// A fault with its time, counted from the beginning of the fault phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at_ms: u64,
    pub for_ms: u64,
    pub fault: Fault,
}

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    Seq,
    Retained,
    Shared,
    Link,
    Routes,
    Config,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix().trim_end_matches('-'))
    }
}

impl Workload {
    /// How the names of its processes begin.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Seq => "seq-",
            Self::Retained => "retained-",
            Self::Shared => "shared-",
            Self::Link => "link-",
            Self::Routes => "routes-",
            Self::Config => "config-",
        }
    }

    /// Operations that must end well for the workload to count as run.
    #[must_use]
    pub fn least(self) -> usize {
        match self {
            Self::Seq => 100,
            Self::Link => 50,
            _ => 20,
        }
    }
}

/// A broken promise that the plan does not claim, with the reason, told in every report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excuse {
    pub promise: Promise,
    /// Part of the violation's text.
    pub contains: String,
    pub reason: String,
}

impl Excuse {
    pub(crate) fn covers(&self, violation: &Violation) -> bool {
        violation.promise == self.promise && violation.text.contains(&self.contains)
    }
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    pub seed: u64,
    /// `short` or `long`.
    pub mode: Mode,
    /// Nodes of cluster `a`.
    pub nodes: usize,
    /// Nodes of cluster `b`, linked both ways with `a`; 0 = no link.
    pub remote_nodes: usize,
    /// `memory`, `local` or `local+fsync`.
    pub durability: String,
    pub workloads: Vec<Workload>,
    /// Whether subscribers change nodes while faults go on.
    pub moves: bool,
    /// Load before the first fault.
    pub warm_ms: u64,
    pub faults_ms: u64,
    /// Load after the heal.
    pub after_ms: u64,
    pub steps: Vec<Step>,
    pub ok_per_phase_min: u64,
    pub lease_ms: u64,
    /// Factor of P12, measured when the run begins.
    #[serde(default = "one")]
    pub slowness: f64,
    #[serde(default)]
    pub not_claimed: Vec<Excuse>,
}

fn one() -> f64 {
    1.0
}

/// How long, and which part of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Short,
    Long,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            version: VERSION,
            seed: 0,
            mode: Mode::Short,
            nodes: 3,
            remote_nodes: 1,
            durability: "local".into(),
            workloads: vec![
                Workload::Seq,
                Workload::Retained,
                Workload::Shared,
                Workload::Link,
                Workload::Routes,
                Workload::Config,
            ],
            moves: true,
            warm_ms: 4_000,
            faults_ms: 20_000,
            after_ms: 6_000,
            steps: Vec::new(),
            ok_per_phase_min: 30,
            lease_ms: 3_000,
            slowness: 1.0,
            not_claimed: not_claimed(),
        }
    }
}

impl Plan {
    /// The plan of a seed: always the same one.
    #[must_use]
    pub fn of_seed(seed: u64, mode: Mode) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut plan = Self { seed, mode, ..Self::default() };
        if mode == Mode::Long {
            plan.faults_ms = 60_000;
            plan.after_ms = 15_000;
            plan.remote_nodes = 3;
            plan.durability =
                (*["local", "local", "local+fsync"].choose(&mut random).unwrap_or(&"local")).into();
        }
        // What sessions lose that leave a node which then dies is a known hole
        // (docs/guarantees.md), so a short plan has either moves or dying processes.
        let menu = match mode {
            Mode::Long => Menu::Whole,
            Mode::Short if seed.is_multiple_of(2) => Menu::Processes,
            Mode::Short => Menu::Network,
        };
        plan.moves = menu != Menu::Processes;
        let mut at_ms = 0;
        while at_ms + 3_000 < plan.faults_ms {
            let for_ms = random.random_range(1_500..4_500_u64).min(plan.faults_ms - at_ms - 500);
            let fault = draw(&mut random, menu);
            plan.steps.push(Step { at_ms, for_ms, fault });
            // A third of the faults overlap with the one before.
            at_ms += if random.random_ratio(1, 3) { for_ms / 2 } else { for_ms + 1_500 };
        }
        plan
    }
}

/// Half of the faults aim at the leader.
fn target(random: &mut StdRng) -> Target {
    match random.random_bool(0.5) {
        true => Target::Leader,
        false => Target::Follower(random.random_range(0..8)),
    }
}

/// Parts of the nemesis menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Menu {
    Network,
    /// The network, and processes that die or pause.
    Processes,
    Whole,
}

fn draw(random: &mut StdRng, menu: Menu) -> Fault {
    let target = target(random);
    let range = match menu {
        Menu::Network => 0..8,
        Menu::Processes => 5..13,
        Menu::Whole => 0..15,
    };
    let shapes = [Shape::LeaderAlone, Shape::FollowerAlone, Shape::Bridge, Shape::All];
    match random.random_range(range) {
        0 | 1 => Fault::Partition { shape: *shapes.choose(random).unwrap_or(&Shape::LeaderAlone) },
        2 => {
            let lost = if random.random() { Lost::Requests } else { Lost::Replies };
            Fault::Asymmetric { target, lost }
        }
        3 => Fault::HalfOpen { target },
        4 => Fault::Reset { target },
        5 => Fault::Flapping { target, period_ms: random.random_range(200..2_000) },
        6 => Fault::Slow {
            target,
            delay_ms: random.random_range(5..200),
            slice_bytes: if random.random() { 0 } else { 256 },
        },
        7 => {
            let links = [LinkFault::Silent, LinkFault::Reset, LinkFault::Paused];
            Fault::Link { what: *links.choose(random).unwrap_or(&LinkFault::Silent) }
        }
        8 => Fault::Kill { target, torn: random.random_ratio(1, 3) },
        9 => Fault::Pause { target },
        10 => Fault::Snapshot { down: random.random_range(0..8) },
        11 => Fault::Storm { clients: if menu == Menu::Whole { 500 } else { 60 } },
        12 => Fault::Link { what: LinkFault::RemoteRestarts },
        13 => Fault::KillMajority,
        _ => Fault::KillAll,
    }
}

/// What no plan claims, each with its reason (docs/guarantees.md).
fn not_claimed() -> Vec<Excuse> {
    let taken_over = "the late batch of an owner that was out of reach may repeat what the new one \
                      has delivered (ARCHITECTURE §4)";
    let restarted = "the receiver of a peer queue keeps its place in memory only: what was under \
                     way when a node died may come twice";
    let excuse = |promise, contains: &str, reason: &str| Excuse {
        promise,
        contains: contains.to_owned(),
        reason: reason.to_owned(),
    };
    let mut all = Vec::new();
    for promise in [Promise::P1, Promise::P2, Promise::P7, Promise::P8] {
        all.push(excuse(promise, "after a take-over from an owner out of reach", taken_over));
        all.push(excuse(promise, "across the restart of a node", restarted));
    }
    let repeated = "a QoS 2 publish that was refused after it was routed is known to a session's worker \
                    only: not to the next one when the session moves";
    all.push(excuse(Promise::P2, "repeated by its publisher", repeated));
    let overtaken = "what the remote's node had taken over a link when it died or stood still comes \
                     after what the link then gave to another node";
    all.push(excuse(Promise::P7, "after the death or pause of a node", overtaken));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_plan_and_a_plan_reads_back() {
        for seed in 0..200 {
            for mode in [Mode::Short, Mode::Long] {
                let plan = Plan::of_seed(seed, mode);
                assert_eq!(plan, Plan::of_seed(seed, mode));
                let text = serde_json::to_string(&plan).expect("a plan is JSON");
                assert_eq!(serde_json::from_str::<Plan>(&text).expect("reads back"), plan);
                assert!(!plan.steps.is_empty());
                let end = |step: &Step| step.at_ms + step.for_ms;
                assert!(plan.steps.iter().all(|step| end(step) <= plan.faults_ms), "{plan:?}");
            }
        }
    }

    #[test]
    fn the_seeds_reach_the_whole_menu() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let plan = Plan::of_seed(seed, Mode::Long);
            seen.extend(plan.steps.iter().map(|s| s.fault.to_string()[..3].to_owned()));
        }
        let menu = ["N1 ", "N15", "N16", "N17", "N2 ", "N3 ", "N4 ", "N5 ", "N6 ", "N8 ", "N9 "];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), menu);
    }
}
