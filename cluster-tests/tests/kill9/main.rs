//! SIGKILL at random moments under load: nothing acknowledged is lost, QoS 2 is never doubled,
//! the order of each publisher and QoS is kept (CHAOS §1).
//!
//! `SPANMQ_KILLS` says how often each of the nodes dies (8, so that CI stays short), `SPANMQ_SEED` repeats a run.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use cluster_tests::client::Version;
use cluster_tests::harness::{Cluster, Node};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

mod load;
mod publisher;
mod subscriber;

use load::Load;
use publisher::Publisher;
use subscriber::{Got, Subscriber};

const KILLS: u32 = 8;
/// Nodes with clients of their own that are killed at the same time.
const AT_A_TIME: u64 = 3;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_or_reordered_by_kill_9() -> anyhow::Result<()> {
    let seed = setting("SPANMQ_SEED")?.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
    });
    let kills = setting("SPANMQ_KILLS")?.map_or(KILLS, |kills| kills as u32);
    // Several at a time: what is slow finds races that a quiet machine hides.
    let seeds: Vec<u64> = (0..AT_A_TIME).map(|n| seed.wrapping_add(n)).collect();
    told(&format!("seeds {seeds:?}, {kills} kills each"));
    thread::scope(|scope| {
        let runs: Vec<_> = seeds.iter().map(|seed| scope.spawn(|| run(*seed, kills))).collect();
        runs.into_iter().try_for_each(|run| joined(run.join()))
    })
    .with_context(|| format!("SPANMQ_SEED={seed} SPANMQ_KILLS={kills} repeats it"))
}

fn setting(name: &str) -> anyhow::Result<Option<u64>> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    Ok(Some(text.parse().with_context(|| format!("{name}={text} is no number"))?))
}

#[expect(clippy::print_stderr, reason = "a run is of no use without its seed")]
fn told(text: &str) {
    eprintln!("kill9: {text}");
}

fn run(seed: u64, kills: u32) -> anyhow::Result<()> {
    let mut cluster = Cluster::start("kill9", 1)?;
    let node = &mut cluster.nodes[0];
    let load = Load::new(node.mqtt_port());
    let subscribers = subscribers();
    let publishers = publishers();
    let waiting = subscribers.len();
    let sent: Vec<(String, u8)> = publishers.iter().map(|p| (p.topic.clone(), p.qos)).collect();
    let (totals, received) = thread::scope(|scope| {
        let receiving: Vec<_> =
            subscribers.into_iter().map(|one| scope.spawn(|| load.guard(one.run(&load)))).collect();
        let sending = scope.spawn(|| -> anyhow::Result<BTreeMap<String, u64>> {
            load.wait_subscribed(waiting)?;
            thread::scope(|inner| {
                let all: Vec<_> =
                    publishers.into_iter().map(|one| inner.spawn(|| one.run(&load))).collect();
                all.into_iter().map(|one| load.guard(joined(one.join()))).collect()
            })
        });
        let killed = load.guard(kill_again_and_again(node, &load, seed, kills));
        load.stop.store(true, Ordering::Relaxed);
        let totals = load.guard(joined(sending.join()));
        let expected = totals.as_ref().map(Clone::clone).unwrap_or_default();
        let _ = load.totals.set(expected);
        let received: Vec<_> = receiving.into_iter().map(|one| joined(one.join())).collect();
        killed?;
        anyhow::Ok((totals?, received.into_iter().collect::<anyhow::Result<Vec<Got>>>()?))
    })?;
    let resent = load.resent.load(Ordering::Relaxed);
    told(&format!("{totals:?}, {resent} sent again, {} connections", load.connections()));
    ensure!(resent > 0 || kills == 0, "no kill hit a message on its way; the load is too small");
    check(&sent, &totals, &received)
}

fn joined<T>(joined: thread::Result<anyhow::Result<T>>) -> anyhow::Result<T> {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn publishers() -> Vec<Publisher> {
    let kinds = [(Version::V311, 1), (Version::V311, 2), (Version::V5, 1), (Version::V5, 2)];
    kinds.into_iter().map(|(version, qos)| Publisher::new(version, qos)).collect()
}

fn subscribers() -> Vec<Subscriber> {
    vec![
        Subscriber::new("all-v3", Version::V311, "kill9/#", 2),
        Subscriber::new("all-v5", Version::V5, "kill9/#", 2),
        Subscriber::new("half-v5", Version::V5, "kill9/V5/+", 1),
        // Comes when all is over, and finds everything in its session.
        Subscriber::new("late-v3", Version::V311, "kill9/V311/2", 2).absent(),
        Subscriber::new("late-v5", Version::V5, "kill9/V5/2", 2).absent(),
    ]
}

fn kill_again_and_again(node: &mut Node, load: &Load, seed: u64, kills: u32) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    load.wait_running()?;
    for number in 1..=kills {
        load.pause(Duration::from_millis(random.random_range(20..700)))?;
        node.kill();
        // Some come while the node reads its journal.
        while random.random_ratio(1, 4) {
            node.spawn()?;
            load.pause(Duration::from_millis(random.random_range(1..250)))?;
            node.kill();
        }
        start(node, load).with_context(|| format!("after kill {number}"))?;
    }
    load.pause(Duration::from_millis(300))
}

/// Starts the node on the ports of its first run; while it was away, somebody's outgoing connection
/// may have been given one of them.
fn start(node: &mut Node, load: &Load) -> anyhow::Result<()> {
    for _ in 0..50 {
        match node.start() {
            Err(error) if format!("{error:#}").contains("Address already in use") => {
                node.kill();
                load.pause(Duration::from_millis(200))?;
            }
            other => return other,
        }
    }
    bail!("somebody else keeps a port of the node")
}

/// Compares what each subscriber got with what was acknowledged.
fn check(
    sent: &[(String, u8)],
    totals: &BTreeMap<String, u64>,
    received: &[Got],
) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for got in received {
        for (topic, qos) in sent.iter().filter(|(topic, _)| got.wants(topic)) {
            let total = totals.get(topic).context("each publisher has a total")?;
            let numbers = got.by_topic.get(topic).map_or(&[][..], Vec::as_slice);
            let exactly_once = *qos == 2 && got.qos == 2;
            if let Err(error) = check_one(numbers, *total, exactly_once) {
                wrong.push(format!("{} from {topic}: {error}", got.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// First receipts are 0, 1, 2 … `total`; repetitions are for QoS 1.
fn check_one(numbers: &[u64], total: u64, exactly_once: bool) -> anyhow::Result<()> {
    let mut next = 0;
    for (place, number) in numbers.iter().enumerate() {
        let around = &numbers[place.saturating_sub(5)..numbers.len().min(place + 5)];
        if *number == next {
            next += 1;
        } else if *number > next {
            let late = numbers.iter().skip(place).position(|later| *later == next);
            let fate = match late {
                Some(after) => format!("is {after} messages late"),
                None => "is lost".to_owned(),
            };
            bail!("{next} {fate}, {number} came; around: {around:?}");
        } else if exactly_once {
            bail!("{number} came twice, {next} was due; around: {around:?}");
        }
    }
    ensure!(next == total, "{next} of {total} acknowledged messages came");
    Ok(())
}

#[test]
fn the_check_finds_what_is_lost_doubled_or_out_of_order() {
    assert!(check_one(&[0, 1, 2], 3, true).is_ok());
    assert!(check_one(&[0, 1, 0, 1, 2], 3, false).is_ok());
    assert!(check_one(&[0, 1, 1, 2], 3, true).is_err());
    assert!(check_one(&[0, 2, 1], 3, false).is_err());
    assert!(check_one(&[0, 1], 3, false).is_err());
}
