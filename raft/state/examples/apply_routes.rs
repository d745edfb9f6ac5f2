//! Applies 1,000,000 routes in batches of 1,000 and prints rates and bytes (PERFORMANCE `route`).
//!
//! `cargo run --release -p spanmq-state --example apply_routes`
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use spanmq_state::command::{Command, RouteChange, RouteCommand};
use spanmq_state::view::{Targets, ViewWriter};
use spanmq_state::{Batch, Changes, SnapshotDecoder, State, decode_batch, encode_batch};

const ROUTES: usize = 1_000_000;
const BATCH: usize = 1_000;

/// Resident bytes of the process; 0 where there is no /proc.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn filter(n: usize) -> String {
    format!("site/{}/device/{n}/cmd", n % 997)
}

fn per_second(n: usize, took: Duration) -> f64 {
    n as f64 / took.as_secs_f64()
}

fn entries() -> impl Iterator<Item = Vec<u8>> {
    let announce = RouteCommand::ReplaceNode {
        node: 1,
        incarnation: 1,
        part: 0,
        last: true,
        routes: Vec::new(),
    };
    let batches = (0..ROUTES / BATCH).map(|batch| {
        let routes = (0..BATCH).map(|n| RouteChange::Add(filter(batch * BATCH + n).into()));
        RouteCommand::RouteBatch { node: 1, incarnation: 1, changes: routes.collect() }
    });
    std::iter::once(announce)
        .chain(batches)
        .map(|command| encode_batch(&Batch::from(Command::Route(command))))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut state = State::default();
    let mut view = ViewWriter::new();
    let mut reader = view.reader();
    let before = resident();
    let (mut decoding, mut applying, mut publishing) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut slowest = Duration::ZERO;
    let mut index = 0;
    for entry in entries() {
        index += 1;
        let t0 = Instant::now();
        let batch = decode_batch(&entry)?;
        let t1 = Instant::now();
        let mut changes = Changes::default();
        state.apply(index, &batch, &mut changes);
        let t2 = Instant::now();
        view.absorb(changes.view, index);
        let t3 = Instant::now();
        decoding += t1 - t0;
        applying += t2 - t1;
        publishing += t3 - t2;
        slowest = slowest.max(t3 - t0);
    }
    let bytes = resident().saturating_sub(before);
    let all = decoding + applying + publishing;
    println!("routes            {ROUTES} in batches of {BATCH}");
    println!(
        "apply + view      {:.0}/s, all {all:.2?}, slowest batch {slowest:.2?}",
        per_second(ROUTES, all)
    );
    println!(
        "  decode          {decoding:.2?}\n  apply           {applying:.2?}\n  view            {publishing:.2?}"
    );
    println!(
        "memory            {:.0} B per route, state and both copies of the view",
        bytes as f64 / ROUTES as f64
    );

    let started = Instant::now();
    let digest = state.digest();
    println!("digest            {:.1?}", started.elapsed());

    let started = Instant::now();
    let snapshot = state.snapshot();
    println!("snapshot taken    {:.1?}", started.elapsed());
    let started = Instant::now();
    let chunks: Vec<_> = snapshot.encode_chunks().collect();
    let size: usize = chunks.iter().map(Vec::len).sum();
    println!(
        "snapshot encoded  {:.2?}, {} MB in {} chunks",
        started.elapsed(),
        size >> 20,
        chunks.len()
    );
    let started = Instant::now();
    let mut decoder = SnapshotDecoder::new(1 << 32);
    for chunk in &chunks {
        decoder.push(chunk)?;
    }
    let restored = decoder.finish()?;
    assert_eq!(restored.digest(), digest);
    println!("snapshot read     {:.2?}", started.elapsed());
    let started = Instant::now();
    let mut second = ViewWriter::new();
    second.rebuild(&restored);
    println!("view rebuilt      {:.2?}", started.elapsed());
    drop((second, restored, chunks));

    let started = Instant::now();
    let mut targets = Targets::default();
    let mut found = 0;
    for n in 0..ROUTES {
        reader.targets(&filter(n * 7 % ROUTES), &mut targets);
        found += targets.nodes.len();
    }
    let took = started.elapsed();
    println!(
        "match             {:.0}/s, {found} found (with making the topic)",
        per_second(ROUTES, took)
    );

    let mut changes = Changes::default();
    let gone = Command::Route(RouteCommand::NodeGone { node: 1, incarnation: 1 });
    let started = Instant::now();
    state.apply(index + 1, &Batch::from(gone), &mut changes);
    let applied = started.elapsed();
    view.absorb(changes.view, index + 1);
    println!(
        "node gone         apply {applied:.2?}, with view {:.2?}, while a snapshot is held",
        started.elapsed()
    );
    drop(snapshot);
    Ok(())
}
