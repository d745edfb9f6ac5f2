//! Prints insert and match rates and bytes per filter of the table, and the cost of hostile filters.
//!
//! Rates are per second of CPU, so that a busy machine does not spoil them much; times are the best of ten. Bytes are the growth of the resident set (Linux), texts included. Run in release.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use spanmq_topic::{FilterTable, NameTable, TopicFilter, TopicName};

const FILTERS: u32 = 1_000_000;

/// CPU seconds of this thread so far (Linux).
fn cpu_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    status.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = status.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// A cheap permutation, so that look-ups do not follow the order of insertion.
fn shuffled(i: u32) -> u32 {
    u32::try_from((u64::from(i) * 7_919 + 13) % u64::from(FILTERS)).unwrap()
}

fn measure(what: &str, filter: impl Fn(u32) -> String, name: impl Fn(u32) -> String) {
    let before = resident_bytes();
    let mut table = FilterTable::new();
    let start = cpu_seconds();
    for i in 0..FILTERS {
        table.insert(TopicFilter::new(filter(i)).unwrap(), i);
    }
    let insert = f64::from(FILTERS) / (cpu_seconds() - start);
    let bytes = resident_bytes().saturating_sub(before) / FILTERS as usize;

    let names: Vec<String> = (0..FILTERS).map(|i| name(shuffled(i))).collect();
    let mut found = 0u64;
    let start = cpu_seconds();
    for name in &names {
        table.for_each_match(name, |value| found += u64::from(black_box(*value) < FILTERS));
    }
    let matched = f64::from(FILTERS) / (cpu_seconds() - start);

    let start = cpu_seconds();
    for i in 0..FILTERS {
        black_box(table.remove(&filter(shuffled(i))));
    }
    let remove = f64::from(FILTERS) / (cpu_seconds() - start);
    println!(
        "{what:28} insert {:>5.2} M/s  match {:>5.2} M/s ({found} hits)  remove {:>5.2} M/s  {bytes} B per filter",
        insert / 1e6,
        matched / 1e6,
        remove / 1e6
    );
}

fn hostile(what: &str, depth: usize, filter: impl Fn(u32) -> String) {
    let mut table = FilterTable::new();
    let mut i = 0;
    while table.len() < 100_000 && i < 1_000_000 {
        table.insert(TopicFilter::new(filter(i)).unwrap(), i);
        i += 1;
    }
    let name = vec!["a"; depth].join("/");
    let mut best = f64::MAX;
    let mut found = 0;
    for _ in 0..10 {
        found = 0;
        // The kernel counts CPU by the tick, which may be 4 ms.
        let start = Instant::now();
        table.for_each_match(&name, |_| found += 1);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("hostile {what:40} {} filters, {found} hits: {:.2} ms", table.len(), best * 1e3);
}

/// `+` or `a` per level, by the bits of a mixed number.
fn mixed(i: u32, depth: usize, last: &str) -> String {
    let mut bits = u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut words = Vec::new();
    for _ in 0..depth {
        words.push(if bits >> 63 == 0 { "+" } else { "a" });
        bits = bits.rotate_left(1).wrapping_mul(5).wrapping_add(1);
    }
    words.push(last);
    words.join("/")
}

fn names() {
    let before = resident_bytes();
    let mut table = NameTable::new();
    let start = cpu_seconds();
    for i in 0..FILTERS {
        table.insert(TopicName::new(format!("site/{}/dev/{i}/state", i % 1000)).unwrap(), i);
    }
    let insert = f64::from(FILTERS) / (cpu_seconds() - start);
    let bytes = resident_bytes().saturating_sub(before) / FILTERS as usize;
    let mut found = 0;
    let start = cpu_seconds();
    table.for_each_matching("#", |_, _| found += 1);
    let all = f64::from(found) / (cpu_seconds() - start);
    println!(
        "names: insert {:.2} M/s, replay of # {:.2} M/s, {bytes} B per name",
        insert / 1e6,
        all / 1e6
    );
}

/// Runs one part in a process of its own, so that its bytes are not hidden by memory freed before.
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some(part) => run(part),
        None => {
            for part in ["exact", "wild-tail", "wild-head", "wild-shared", "names", "hostile"] {
                let program = std::env::current_exe().unwrap();
                assert!(std::process::Command::new(program).arg(part).status().unwrap().success());
            }
        }
    }
}

fn run(part: &str) {
    let exact = |i: u32| format!("site/{}/dev/{i}/state", i % 1000);
    let grid = |i: u32, word: &str| format!("{}/{}/{word}/{}", i % 100, i / 100 % 100, i / 10_000);
    match part {
        "exact" => measure("exact site/S/dev/N/state", exact, exact),
        "wild-tail" => {
            measure("wild site/S/dev/N/+", |i| format!("site/{}/dev/{i}/+", i % 1000), exact)
        }
        "wild-head" => {
            measure("wild +/N/cmd/#", |i| format!("+/{i}/cmd/#"), |i| format!("site/{i}/cmd/on"))
        }
        "wild-shared" => measure("wild A/B/+/C", |i| grid(i, "+"), |i| grid(i, "x")),
        "names" => names(),
        _ => {
            let early = |i: u32| format!("{}x{i}/#", "+/".repeat(i as usize % 126));
            hostile("+/+/…/xN/#, 127 deep", 127, early);
            hostile("+ or a, 20 deep, all match", 24, |i| mixed(i, 20, "#"));
            hostile("+ or a, 20 deep, none match", 24, |i| mixed(i, 20, "z/#"));
            hostile("+ or a, 126 deep, all match", 127, |i| mixed(i, 126, "#"));
            hostile("+ or a, 126 deep, none match", 127, |i| mixed(i, 126, "z"));
        }
    }
}
