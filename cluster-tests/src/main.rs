//! `cargo run -p cluster-tests`: the chaos suite for people and for CI.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Parser;
use cluster_tests::chaos::check::{self, Verdict};
use cluster_tests::chaos::history;
use cluster_tests::chaos::plan::{Mode, Plan, VERSION};
use cluster_tests::chaos::report;
use cluster_tests::chaos::run::{Done, run};
use cluster_tests::harness::binary;
use cluster_tests::sim;

/// Seeds of `--short`; fixed, so that CI always runs the same plans.
const SHORT_SEEDS: [u64; 2] = [1, 2];
/// Time of T0 in `--short` and `--long`.
const SIMULATED: Duration = Duration::from_secs(60);
/// Seeds of `--long`: about 30 minutes.
const LONG_SEEDS: u64 = 16;

/// Chaos suite of SpanMQ: real nodes, faults by plan, checkers that judge what happened.
///
/// Exit code 0: all promises held. 1: one was broken. 2: faults or load that the run claims did
/// not really happen, or the suite could not run.
#[derive(Parser)]
#[command(name = "cluster-tests", after_help = MENU)]
struct Args {
    /// Two short runs with fixed seeds, for CI: at most five minutes on two cores
    #[arg(long, group = "what")]
    short: bool,
    /// About thirty minutes, the whole menu
    #[arg(long, group = "what")]
    long: bool,
    /// Runs with new seeds for so long: 90s, 30m, 8h
    #[arg(long, value_name = "TIME", group = "what")]
    soak: Option<String>,
    /// A plan.json of an earlier run
    #[arg(long, value_name = "FILE", group = "what")]
    plan: Option<PathBuf>,
    /// One run with this seed; with --long the long plan of it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    out: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Judges a stored run again: DIR holds history.jsonl and plan.json
    Check { dir: PathBuf },
    /// Simulates the pure machines for so long: 10s, 10m
    Simulate { time: String },
    /// Prints the plan of a seed and ends
    Plan { seed: u64 },
}

const MENU: &str = "\
Faults:
  N1  partition (leader alone, follower alone, bridge, all)   N8  kill -9 (one, leader, majority, all; torn tail)
  N2  one direction lost                                      N9  SIGSTOP, SIGCONT
  N3  half-open      N4 resets      N5 flapping               N15 snapshot and log purge while a node is down
  N6  latency, small pieces                                   N16 link silent, reset, remote restarted, paused
                                                              N17 connection storm
Workloads: seq retained shared link routes config
The nodes run target/debug/spanmq, built by `cargo build -p spanmq --features testing` (or SPANMQ_BIN).";

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(verdict) => ExitCode::from(verdict.code()),
        Err(error) => {
            eprintln!("cluster-tests: {error:#}");
            ExitCode::from(Verdict::Unknown.code())
        }
    }
}

fn start(args: &Args) -> anyhow::Result<Verdict> {
    match &args.command {
        Some(Command::Check { dir }) => return judge(dir),
        Some(Command::Simulate { time }) => return Ok(simulate(duration(time)?)),
        Some(Command::Plan { seed }) => {
            let mode = if args.long { Mode::Long } else { Mode::Short };
            println!("{}", serde_json::to_string_pretty(&Plan::of_seed(*seed, mode))?);
            return Ok(Verdict::Pass);
        }
        None => {}
    }
    // Said before a cluster is started, not after.
    binary()?;
    let mode = if args.long { Mode::Long } else { Mode::Short };
    if let Some(path) = &args.plan {
        return all(vec![read_plan(path)?], &args.out);
    }
    if let Some(time) = &args.soak {
        return soak(duration(time)?, &args.out);
    }
    let whole = args.seed.is_none() && (args.short || args.long);
    let simulated = if whole { simulate(SIMULATED) } else { Verdict::Pass };
    let seeds: Vec<u64> = match args.seed {
        Some(seed) => vec![seed],
        None if args.short => SHORT_SEEDS.to_vec(),
        None if args.long => (1..=LONG_SEEDS).collect(),
        None => bail!(
            "say what to run: --short, --long, --soak TIME, --seed N or --plan FILE; --help shows the menu"
        ),
    };
    let plans = seeds.into_iter().map(|seed| Plan::of_seed(seed, mode)).collect();
    Ok(all(plans, &args.out)?.and(simulated))
}

/// T0: as many schedules as the time allows, from seed 1 on.
fn simulate(time: Duration) -> Verdict {
    eprintln!("simulating for {} s", time.as_secs());
    let summary = sim::run(1, time);
    println!(
        "simulation: {} schedules, {} events, {} states",
        summary.schedules,
        summary.events,
        summary.states.len()
    );
    for (seed, broken) in &summary.broken {
        println!("  FAIL simulation, seed {seed}: {broken}");
    }
    match (summary.broken.is_empty(), summary.schedules) {
        (false, _) => Verdict::Fail,
        (true, 0) => Verdict::Unknown,
        (true, _) => Verdict::Pass,
    }
}

fn all(plans: Vec<Plan>, out: &Path) -> anyhow::Result<Verdict> {
    let mut runs = Vec::new();
    for plan in plans {
        runs.push(one(plan, out)?);
    }
    Ok(told(&runs))
}

fn one(plan: Plan, out: &Path) -> anyhow::Result<Done> {
    let begun = Instant::now();
    let seed = plan.seed;
    let tell =
        |text: &str| eprintln!("{:>6.1}s seed {seed}: {text}", begun.elapsed().as_secs_f64());
    let dir = std::path::absolute(out)?.join(seed.to_string());
    run(plan, &dir, &tell).with_context(|| format!("the run with seed {seed} could not be made"))
}

fn told(runs: &[Done]) -> Verdict {
    println!("{}", report::table(runs));
    runs.iter().fold(Verdict::Pass, |verdict, done| verdict.and(done.findings.verdict))
}

fn soak(time: Duration, out: &Path) -> anyhow::Result<Verdict> {
    let begun = Instant::now();
    let first = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut verdict = Verdict::Pass;
    let mut number = 0;
    while begun.elapsed() < time {
        let done = one(Plan::of_seed(first + number, Mode::Long), out)?;
        verdict = verdict.and(told(&[done]));
        number += 1;
    }
    Ok(verdict)
}

fn judge(dir: &Path) -> anyhow::Result<Verdict> {
    let path = dir.join("history.jsonl");
    let file = fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let history = history::read(BufReader::new(file))?;
    let plan = read_plan(&dir.join("plan.json"))?;
    let findings = check::all(&history, &plan);
    let took = Duration::from_micros(history.last().map_or(0, |event| event.t_us));
    let done = Done { plan, findings, dir: dir.to_owned(), took };
    report::write(&done, &history)?;
    Ok(told(&[done]))
}

fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let text =
        fs::read(path).with_context(|| format!("cannot read the plan {}", path.display()))?;
    let plan: Plan = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no plan of this suite", path.display()))?;
    if plan.version != VERSION {
        bail!(
            "{} is a plan of version {}, this suite runs {VERSION}",
            path.display(),
            plan.version
        );
    }
    Ok(plan)
}

/// `90s`, `30m`, `8h`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text)
        .with_context(|| format!("{text:?} is no time; write 90s, 30m or 8h"))
}
