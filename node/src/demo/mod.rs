//! `spanmq demo`: two linked clusters of three nodes each on this machine, with devices that
//! publish in one and services that listen in the other.

#![allow(clippy::print_stdout, reason = "printing is what a demo does")]

mod clusters;
mod report;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use clusters::Clusters;
use report::Report;
use traffic::Traffic;

/// Pause between two lines of output.
const LINE: Duration = Duration::from_secs(1);
/// With `--chaos`, a node is killed so often, and started again half a period later.
const KILL_PERIOD: Duration = Duration::from_secs(10);
/// After the publishers have stopped, what is under way may take so long.
const DRAIN: Duration = Duration::from_secs(20);

/// Shows two linked clusters at work.
///
/// Starts us-east and eu-west, three nodes each, as processes on free loopback ports in a temporary
/// folder, links them both ways, publishes in one and listens in the other. Ctrl-C ends it and
/// removes everything it made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Until Ctrl-C:
    spanmq demo
  Kill and restart nodes for a minute; the exit code says whether an acknowledged message was lost:
    spanmq demo --chaos --seconds 60")]
pub(crate) struct DemoArgs {
    /// End after this many seconds [default: until Ctrl-C]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Messages per second in all
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Kill a node every ten seconds and start it again
    #[arg(long)]
    chaos: bool,
}

/// Runs the demo. True: nothing that was acknowledged got lost.
///
/// # Errors
/// In one sentence, what kept it from running; what it started is gone by then.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    let stop = stop_on_signal()?;
    let start = Instant::now();
    let mut clusters = Clusters::start()?;
    println!("two clusters of three nodes in {:.1} s; linking them", start.elapsed().as_secs_f64());
    clusters.link()?;
    println!("{}", clusters.describe());
    let traffic = Traffic::start(&clusters, args.rate)?;
    let report = Report;
    println!("{}", Report::header());
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut killed: Option<(usize, usize, Instant)> = None;
    let mut next_kill = Instant::now() + KILL_PERIOD / 2;
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        std::thread::sleep(LINE);
        println!("{}", report.line(start.elapsed(), &traffic.counters()));
        if !args.chaos {
            continue;
        }
        if let Some((cluster, node, at)) = killed
            && at.elapsed() > KILL_PERIOD / 2
        {
            clusters.restart(cluster, node)?;
            println!("  {} is back", clusters.name(cluster, node));
            killed = None;
        }
        if killed.is_none() && Instant::now() > next_kill {
            let (cluster, node) = (rand::random_range(0..2), rand::random_range(0..3));
            clusters.kill(cluster, node);
            println!("  kill -9 {}", clusters.name(cluster, node));
            killed = Some((cluster, node, Instant::now()));
            next_kill = Instant::now() + KILL_PERIOD;
        }
    }
    if let Some((cluster, node, _)) = killed {
        clusters.restart(cluster, node)?;
    }
    let counters = traffic.finish(DRAIN);
    println!("{}", report.verdict(&counters));
    println!("{}", Report::next_steps());
    Ok(counters.lost() == 0)
}

/// Ctrl-C and SIGTERM end the demo at its next line, so that it can clean up.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("demo-signals".into())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                flag.store(true, Ordering::Relaxed);
            });
        })
        .context("the system refuses a thread")?;
    Ok(stop)
}
