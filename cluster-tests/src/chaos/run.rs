//! One run: clusters up, load, faults, heal, drain, last look, verdict.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::arena::Arena;
use super::check::{self, Findings};
use super::grid::Grid;
use super::history::{self, Op};
use super::plan::{Plan, Workload};
use super::workload::{Worker, workers};
use super::{nemesis, observer, report};

/// P12 waits no longer than this for anything; its limits are shorter.
const RECOVERY_LIMIT: Duration = Duration::from_secs(45);
/// Subscriptions of all workloads stand within this time, or the run says what is missing.
const SUBSCRIBED_LIMIT: Duration = Duration::from_secs(30);
/// Without a delivery for so long nothing more will come.
const QUIET: Duration = Duration::from_millis(2_500);
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// What came of a run, and where it lies.
pub struct Done {
    pub plan: Plan,
    pub findings: Findings,
    pub dir: PathBuf,
    pub took: Duration,
}

/// Runs a plan; everything it leaves behind lies in `dir`, which is emptied first.
///
/// # Errors
/// When the clusters do not come up or files cannot be written; a broken promise is no error.
pub fn run(mut plan: Plan, dir: &Path, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Done> {
    let begun = Instant::now();
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("{} is in the way", dir.display()))?;
    }
    fs::create_dir_all(dir)?;
    plan.slowness = plan.slowness.max(slowness());
    fs::write(dir.join("plan.json"), serde_json::to_vec_pretty(&plan)?)?;
    tell(&format!("clusters start; this machine counts as {:.1} times slower", plan.slowness));
    let grid = Grid::start(&plan, &dir.join("nodes"))?;
    let arena = Arena::new(plan, grid);
    let performed = perform(&arena, tell);
    // The nodes end before their logs are read for the last time.
    let history = arena.recorder.history();
    history::write(&history, BufWriter::new(fs::File::create(dir.join("history.jsonl"))?))?;
    performed?;
    let plan = arena.plan.clone();
    drop(arena);
    let findings = check::all(&history, &plan);
    let done = Done { plan, findings, dir: dir.to_owned(), took: begun.elapsed() };
    report::write(&done, &history)?;
    Ok(done)
}

fn perform(arena: &Arena, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    thread::scope(|scope| {
        scope.spawn(|| observer::sample(arena));
        let (publishers, others): (Vec<_>, Vec<_>) =
            workers(arena).into_iter().partition(Worker::publishes);
        let subscribers =
            others.iter().filter(|worker| matches!(worker, Worker::Subscriber(_))).count();
        for worker in others {
            scope.spawn(move || worker.run(arena));
        }
        let load = || -> anyhow::Result<()> {
            subscribed(arena, subscribers)?;
            for worker in publishers {
                scope.spawn(move || worker.run(arena));
            }
            phases(arena, tell)
        };
        let result = load();
        arena.set_calm();
        arena.set_drain();
        arena.set_done();
        result
    })
}

fn phases(arena: &Arena, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    if arena.plan.workloads.contains(&Workload::Link) && arena.plan.remote_nodes > 0 {
        crossed(arena)?;
    }
    tell("load");
    arena.recorder.phase("load");
    observer::health(arena);
    thread::sleep(Duration::from_millis(arena.plan.warm_ms));
    arena.recorder.phase("faults");
    let faults = Instant::now();
    nemesis::run(arena, tell);
    let least = Duration::from_millis(arena.plan.faults_ms);
    thread::sleep(least.saturating_sub(faults.elapsed()));
    tell("healed; waiting until all is well");
    arena.set_calm();
    arena.recorder.phase("heal");
    let heal = Instant::now();
    observer::recovery(arena, RECOVERY_LIMIT);
    let after = Duration::from_millis(arena.plan.after_ms);
    thread::sleep(after.saturating_sub(heal.elapsed()));
    arena.recorder.phase("drain");
    arena.set_drain();
    tell("draining");
    drained(arena);
    observer::last_look(arena);
    observer::health(arena);
    arena.recorder.phase("done");
    Ok(())
}

/// All subscribers of the plan have their SUBACK.
fn subscribed(arena: &Arena, subscribers: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let history = arena.recorder.history();
        let mut names: Vec<&str> = history
            .iter()
            .filter(|e| e.op == Op::Subscribe && e.kind == history::Kind::Ok)
            .filter(|e| !e.proc.starts_with("routes-"))
            .map(|e| e.proc.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.len() >= subscribers {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < SUBSCRIBED_LIMIT,
            "only {} of {subscribers} subscribers had a SUBACK within {SUBSCRIBED_LIMIT:?}",
            names.len()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Messages have crossed the link both ways: from now on what crosses is claimed.
fn crossed(arena: &Arena) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let history = arena.recorder.history();
        let came = |to: &str, from: &str| {
            history.iter().any(|e| {
                e.op == Op::Deliver
                    && e.proc == to
                    && e.value["p"].as_str().is_some_and(|p| p.starts_with(from))
            })
        };
        if came("link-a-s0", "link-b-")
            && came("link-b-s0", "link-a-")
            && observer::links_run(arena)
        {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < SUBSCRIBED_LIMIT,
            "nothing crossed the link within {SUBSCRIBED_LIMIT:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until no message has come for a while.
fn drained(arena: &Arena) {
    let begun = Instant::now();
    let (mut seen, mut quiet_since) = (0, Instant::now());
    while begun.elapsed() < DRAIN_LIMIT && quiet_since.elapsed() < QUIET {
        let (new, all) = arena.recorder.count(Op::Deliver, seen);
        seen = all;
        if new > 0 {
            quiet_since = Instant::now();
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// How much slower this machine is, now, than one that has nothing else to do: a fixed piece of
/// work against the time it takes where the limits of P12 were set.
fn slowness() -> f64 {
    const USUAL: Duration = Duration::from_millis(60);
    let begun = Instant::now();
    let workers: Vec<_> = (0..2_u64).map(|seed| thread::spawn(move || spin(seed))).collect();
    let sum: u64 = workers.into_iter().map(|w| w.join().unwrap_or(0)).fold(0, u64::wrapping_add);
    let took = std::hint::black_box((sum, begun.elapsed())).1;
    (took.as_secs_f64() / USUAL.as_secs_f64()).clamp(1.0, 6.0)
}

fn spin(seed: u64) -> u64 {
    (0..4_000_000_u64)
        .fold(seed, |sum, n| sum.rotate_left(5) ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
