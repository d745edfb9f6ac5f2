//! What each workload name means, and one measured run of it against one broker.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::broker::{Broker, Recipe};
use crate::event_loop::Net;
use crate::scenario::{Messages, Shape, Subscribing};
use crate::wire::Version;

/// Names and meanings, as shown by `--help` and in the report.
pub(crate) const WORKLOADS: &[(&str, &str)] = &[
    ("q0", "50 pairs, QoS 0, up to 100 undelivered each, 20 messages a write"),
    ("q1", "the same at QoS 1"),
    ("q2", "the same at QoS 2"),
    ("pp", "200 pairs, QoS 0, one message in flight each"),
    ("fan", "1 publisher to 1,000 subscribers, QoS 0, 20 in flight"),
    ("fanin", "1,000 publishers, QoS 1, to 10 members of one shared group"),
    ("lat", "q1 in an open loop at 5,000 messages/s, latency from the due time"),
    ("big", "10 pairs, 64 KiB, QoS 1"),
    ("conn", "10,000 connects (window 90), then idle"),
    ("sub", "100,000 literal subscriptions by 100 clients"),
    ("wild", "100,000 wildcard subscriptions by 100 clients"),
];

/// What one run gave. CPU is of all broker processes, over the measured window.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) workload: String,
    pub(crate) broker: String,
    /// Deliveries, connects or subscriptions.
    pub(crate) operations: u64,
    pub(crate) per_second: f64,
    pub(crate) cpu_us_each: f64,
    pub(crate) generator_cpu_us_each: f64,
    pub(crate) memory_bytes: u64,
    /// Memory that each connection or subscription added, where that is measured.
    pub(crate) bytes_each: Option<f64>,
    /// Latency in microseconds: p50, p99, p99.9.
    pub(crate) latency_us: Option<[u64; 3]>,
}

fn shape(workload: &str) -> Option<Shape> {
    let pairs = |count, qos, payload_bytes, window, burst| Shape {
        publishers: count,
        subscribers: count,
        qos,
        payload_bytes,
        window,
        burst,
        copies: 1,
        rate: None,
    };
    Some(match workload {
        "q0" => pairs(50, 0, 64, 100, 20),
        "q1" => pairs(50, 1, 64, 100, 20),
        "q2" => pairs(50, 2, 64, 100, 20),
        "pp" => pairs(200, 0, 64, 1, 1),
        "big" => pairs(10, 1, 64 * 1024, 20, 4),
        "lat" => Shape { rate: Some(5_000.0), ..pairs(50, 1, 64, 100, 1) },
        "fan" => Shape { subscribers: 1_000, copies: 1_000, ..pairs(1, 0, 64, 20, 1) },
        "fanin" => Shape { subscribers: 10, ..pairs(1_000, 1, 64, 10, 1) },
        _ => return None,
    })
}

/// Runs `workload` once against a fresh broker.
pub(crate) fn run(
    workload: &str,
    recipe: &Recipe,
    version: Version,
    length: Duration,
) -> anyhow::Result<Outcome> {
    let broker = Broker::start(recipe)?;
    let measure = Measure::start(&broker, workload, &recipe.name)?;
    match (workload, shape(workload)) {
        (_, Some(shape)) => messages(&broker, shape, workload, version, length, measure),
        ("conn", _) => connects(&broker, version, measure),
        ("sub", _) => subscriptions(&broker, version, measure, |c, i| format!("s/{c}/{i}/x")),
        ("wild", _) => subscriptions(&broker, version, measure, |c, i| format!("s/{c}/+/{i}")),
        _ => bail!("no workload {workload:?}; `bench list` shows them"),
    }
    .with_context(|| format!("{workload} against {}", recipe.name))
}

/// Clocks and meters at the beginning of a measured window.
struct Measure {
    workload: String,
    broker: String,
    at: Instant,
    cpu: Duration,
    own_cpu: Duration,
    memory: u64,
}

impl Measure {
    fn start(broker: &Broker, workload: &str, name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            workload: workload.to_owned(),
            broker: name.to_owned(),
            at: Instant::now(),
            cpu: broker.cpu()?,
            own_cpu: own_cpu()?,
            memory: broker.memory()?,
        })
    }

    fn again(self, broker: &Broker) -> anyhow::Result<Self> {
        Self::start(broker, &self.workload, &self.broker)
    }

    fn end(self, broker: &Broker, operations: u64) -> anyhow::Result<Outcome> {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / operations.max(1) as f64;
        Ok(Outcome {
            operations,
            per_second: operations as f64 / self.at.elapsed().as_secs_f64(),
            cpu_us_each: each(broker.cpu()?.saturating_sub(self.cpu)),
            generator_cpu_us_each: each(own_cpu()?.saturating_sub(self.own_cpu)),
            memory_bytes: broker.memory()?,
            bytes_each: None,
            latency_us: None,
            workload: self.workload,
            broker: self.broker,
        })
    }
}

fn own_cpu() -> anyhow::Result<Duration> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |t: nix::sys::time::TimeVal| {
        use nix::sys::time::TimeValLike;
        Duration::from_micros(u64::try_from(t.num_microseconds()).unwrap_or(0))
    };
    Ok(micros(usage.user_time()) + micros(usage.system_time()))
}

fn messages(
    broker: &Broker,
    shape: Shape,
    workload: &str,
    version: Version,
    length: Duration,
    measure: Measure,
) -> anyhow::Result<Outcome> {
    let mut net = Net::new()?;
    let total = shape.publishers + shape.subscribers;
    let names: Vec<String> = (0..total).map(|i| format!("bench-{i}")).collect();
    net.connect(broker.address, version, &names, 90, false)?;
    let filter = |i: usize| match workload {
        "fan" => "bench/0".to_owned(),
        "fanin" => "$share/bench/bench/+".to_owned(),
        _ => format!("bench/{i}"),
    };
    let filters = (0..shape.subscribers).map(|i| vec![filter(i)]).collect();
    let mut subscribing = Subscribing::new(version, shape.publishers, filters, shape.qos);
    net.run(&mut subscribing, Duration::from_secs(30))?;
    let topics: Vec<String> = (0..shape.publishers).map(|i| format!("bench/{i}")).collect();
    // A second of warm-up, then the measured window.
    let limit = length + Duration::from_secs(30);
    let warm_up = Duration::from_secs(1).min(length);
    net.run(&mut Messages::new(shape.clone(), version, topics.clone(), warm_up), limit)?;
    let measure = measure.again(broker)?;
    let mut scenario = Messages::new(shape, version, topics, length);
    net.run(&mut scenario, limit)?;
    let mut outcome = measure.end(broker, scenario.delivered())?;
    let at = |p| scenario.latency.value_at_quantile(p);
    outcome.latency_us = Some([at(0.5), at(0.99), at(0.999)]);
    Ok(outcome)
}

fn connects(broker: &Broker, version: Version, measure: Measure) -> anyhow::Result<Outcome> {
    const COUNT: usize = 10_000;
    let before = measure.memory;
    let mut net = Net::new()?;
    let names: Vec<String> = (0..COUNT).map(|i| format!("bench-{i}")).collect();
    net.connect(broker.address, version, &names, 90, false)?;
    let mut outcome = measure.end(broker, net.len() as u64)?;
    outcome.bytes_each = Some(outcome.memory_bytes.saturating_sub(before) as f64 / COUNT as f64);
    Ok(outcome)
}

fn subscriptions(
    broker: &Broker,
    version: Version,
    measure: Measure,
    filter: impl Fn(usize, usize) -> String,
) -> anyhow::Result<Outcome> {
    const CLIENTS: usize = 100;
    const EACH: usize = 1_000;
    let mut net = Net::new()?;
    let names: Vec<String> = (0..CLIENTS).map(|i| format!("bench-{i}")).collect();
    net.connect(broker.address, version, &names, 90, false)?;
    let filters = (0..CLIENTS).map(|c| (0..EACH).map(|i| filter(c, i)).collect()).collect();
    let measure = measure.again(broker)?;
    let before = measure.memory;
    net.run(&mut Subscribing::new(version, 0, filters, 0), Duration::from_secs(120))?;
    let mut outcome = measure.end(broker, (CLIENTS * EACH) as u64)?;
    let added = outcome.memory_bytes.saturating_sub(before);
    outcome.bytes_each = Some(added as f64 / (CLIENTS * EACH) as f64);
    Ok(outcome)
}
