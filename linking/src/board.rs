//! What one link does on this node, as its actors write it and REST reads it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use spanmq_link_protocol::forward::{ConnectionState, ForwardCounters};
use spanmq_link_protocol::reason::Reason;
use spanmq_link_protocol::replication::{PERSISTENT_ACTOR, Phase, ReplicationCounters};

use crate::buffer::BufferStats;

/// State changes kept per link (issue: last 200 events).
const EVENTS_KEPT: usize = 200;

/// One state change, for people.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// `replication` or `forwarding`.
    pub part: &'static str,
    /// Actor name or number of the connection.
    pub who: String,
    /// New state.
    pub state: &'static str,
    /// Why.
    pub reason: Option<Reason>,
}

/// A state with its cause and its beginning.
#[derive(Debug, Clone)]
pub struct Standing<S> {
    /// The state.
    pub state: S,
    /// Its cause, where there is one.
    pub reason: Option<Reason>,
    /// When it began.
    pub since: SystemTime,
    /// Since when it is not up, over all attempts in between; of no meaning while it is up.
    pub down_since: SystemTime,
}

/// Which states are up.
trait Up {
    fn is_up(&self) -> bool;
}

impl Up for Phase {
    fn is_up(&self) -> bool {
        *self == Phase::Online
    }
}

impl Up for ConnectionState {
    fn is_up(&self) -> bool {
        *self == ConnectionState::Connected
    }
}

/// Counters of inbound messages.
#[derive(Debug, Default)]
pub struct InboundCounters {
    /// Messages that arrived.
    pub received: AtomicU64,
    /// Delivered to somebody.
    pub delivered: AtomicU64,
    /// Not wanted by the link's topics, or the link is disabled.
    pub filtered: AtomicU64,
    /// Not allowed, or not a message.
    pub rejected: AtomicU64,
    /// Seen before (W-44).
    pub duplicates: AtomicU64,
    /// Bytes of their payloads on the wire.
    pub bytes: AtomicU64,
}

impl InboundCounters {
    fn reset(&self) {
        let all = [&self.received, &self.delivered, &self.filtered, &self.rejected];
        for counter in all.into_iter().chain([&self.duplicates, &self.bytes]) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Inner {
    replication: BTreeMap<String, (Standing<Phase>, ReplicationCounters)>,
    connections: BTreeMap<u32, (Standing<ConnectionState>, ForwardCounters, usize)>,
    /// All connections since start or reset, also those of earlier pools.
    forwarded: ForwardCounters,
    failed_reasons: BTreeMap<&'static str, u64>,
    /// Counters of buffers that are closed.
    dropped: BufferStats,
    events: VecDeque<Event>,
    latency: Histogram<u64>,
    /// Sum of all latencies, in microseconds.
    latency_sum: u64,
    rates: Rates,
    /// Why the buffer cannot be used, if so.
    trouble: Option<Reason>,
    /// What did not fit into the buffer by now, and when that was seen to grow.
    overflow: (u64, Option<Instant>),
}

/// Messages handed to the link, sampled every 10 s (2.9).
#[derive(Debug)]
struct Rates {
    sampled_at: Instant,
    matched_then: u64,
    last: f64,
    max: f64,
    /// One per 10 s for five minutes.
    recent: VecDeque<f64>,
}

impl Rates {
    fn new(matched_then: u64) -> Self {
        let sampled_at = Instant::now();
        Self { sampled_at, matched_then, last: 0.0, max: 0.0, recent: VecDeque::new() }
    }
}

/// A copy for one answer.
#[derive(Debug, Clone)]
pub struct BoardView {
    /// By actor; the node's own, not that of durable sessions.
    pub replication: BTreeMap<String, (Standing<Phase>, ReplicationCounters)>,
    /// By connection of the pool, from 1: state, counters, in flight.
    pub connections: BTreeMap<u32, (Standing<ConnectionState>, ForwardCounters, usize)>,
    /// All connections since start or reset, also those of earlier pools.
    pub forwarded: ForwardCounters,
    /// Failures by reason word.
    pub failed_reasons: BTreeMap<&'static str, u64>,
    /// The actor of durable sessions, once there is one (W-12).
    pub durable: Option<(Standing<Phase>, ReplicationCounters)>,
    /// Messages handed to the link since start or reset.
    pub matched: u64,
    /// Per second: last 10 s, last five minutes, highest.
    pub rates: [f64; 3],
    /// Why the buffer cannot be used, if so.
    pub trouble: Option<Reason>,
}

/// From append to acknowledgement, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyView {
    /// p50, p95, p99.
    pub quantiles_us: [u64; 3],
    /// Messages that were measured.
    pub count: u64,
    /// Upper bounds, and how many messages took at most so long.
    pub buckets: [(u64, u64); LATENCY_BOUNDS_US.len()],
    /// Of all messages.
    pub sum_us: u64,
}

/// Upper bounds of the latency histogram (O-1), 1 ms to 5 minutes.
pub(crate) const LATENCY_BOUNDS_US: [u64; 14] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// A buffer that was full is named for so long.
const OVERFLOW_SHOWN: Duration = Duration::from_secs(60);

/// The board of one link.
#[derive(Debug)]
pub struct Board {
    inner: Mutex<Inner>,
    /// Messages handed to the link.
    pub matched: AtomicU64,
    /// Inbound counters.
    pub inbound: InboundCounters,
}

impl Board {
    pub(crate) fn new() -> Arc<Self> {
        let latency = Histogram::new_with_bounds(1, 3_600_000_000, 2);
        Arc::new(Self {
            inner: Mutex::new(Inner {
                replication: BTreeMap::new(),
                connections: BTreeMap::new(),
                forwarded: ForwardCounters::default(),
                failed_reasons: BTreeMap::new(),
                dropped: BufferStats::default(),
                events: VecDeque::new(),
                latency: latency.expect("constant bounds are valid"),
                latency_sum: 0,
                rates: Rates::new(0),
                trouble: None,
                overflow: (0, None),
            }),
            matched: AtomicU64::new(0),
            inbound: InboundCounters::default(),
        })
    }

    /// `shown` is what the actor's machine had counted at its last call; a machine that starts
    /// over begins with zeros and takes nothing away from the totals.
    pub(crate) fn replication(
        &self,
        actor: &str,
        phase: Phase,
        reason: Option<Reason>,
        counters: ReplicationCounters,
        shown: &mut ReplicationCounters,
    ) {
        let mut inner = self.inner.lock();
        let old = inner.replication.get(actor).cloned();
        let mut total = old.as_ref().map(|(_, counters)| *counters).unwrap_or_default();
        add_replication(&mut total, &counters, shown);
        *shown = counters;
        let standing = follow(old.map(|(standing, _)| standing), phase, reason.clone());
        if standing.1 {
            inner.note("replication", actor.to_owned(), phase.as_str(), reason);
        }
        inner.replication.insert(actor.to_owned(), (standing.0, total));
    }

    /// As [`Self::replication`], for one connection of the pool.
    pub(crate) fn connection(
        &self,
        number: u32,
        state: ConnectionState,
        reason: Option<Reason>,
        inflight: usize,
    ) {
        let mut inner = self.inner.lock();
        let old = inner.connections.get(&number).cloned();
        let counters = old.as_ref().map(|(_, counters, _)| *counters).unwrap_or_default();
        let old = old.map(|(standing, ..)| standing);
        let standing = follow(old, state, reason.clone());
        if standing.1 {
            inner.note("forwarding", number.to_string(), state_word(state), reason);
        }
        inner.connections.insert(number, (standing.0, counters, inflight));
    }

    /// What a connection has counted since its last call.
    pub(crate) fn counted(&self, number: u32, now: &ForwardCounters, shown: &mut ForwardCounters) {
        if now == shown {
            return;
        }
        let mut inner = self.inner.lock();
        add_forwarded(&mut inner.forwarded, now, shown);
        if let Some((_, counters, _)) = inner.connections.get_mut(&number) {
            add_forwarded(counters, now, shown);
        }
        *shown = *now;
    }

    pub(crate) fn failed(&self, word: &'static str) {
        *self.inner.lock().failed_reasons.entry(word).or_default() += 1;
    }

    pub(crate) fn forget_connections_above(&self, count: u32) {
        self.inner.lock().connections.retain(|number, _| *number <= count);
    }

    pub(crate) fn latency(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock();
        inner.latency.saturating_record(micros.max(1));
        inner.latency_sum = inner.latency_sum.saturating_add(micros);
    }

    /// Why the buffer cannot be used; none: it can.
    pub(crate) fn buffer_trouble(&self, trouble: Option<Reason>) {
        let mut inner = self.inner.lock();
        let news = inner.trouble.as_ref().map(|t| t.word) != trouble.as_ref().map(|t| t.word);
        if news {
            let state = if trouble.is_some() { "disconnected" } else { "connecting" };
            inner.note("forwarding", "buffer".to_owned(), state, trouble.clone());
        }
        inner.trouble = trouble;
    }

    /// How many messages did not fit into the buffer since it was opened.
    pub(crate) fn overflowed(&self, total: u64) {
        let mut inner = self.inner.lock();
        let grown = total > inner.overflow.0;
        inner.overflow.0 = total;
        if grown {
            inner.overflow.1 = Some(Instant::now());
        }
    }

    /// A buffer is closed; what it counted stays.
    pub(crate) fn buffer_closed(&self, counted: &BufferStats) {
        self.inner.lock().dropped.add(counted);
    }

    /// What closed buffers counted.
    pub(crate) fn dropped(&self) -> BufferStats {
        self.inner.lock().dropped
    }

    /// Counters and rates begin anew; what waits in the buffer counts as handed over.
    pub(crate) fn reset(&self, waiting: u64) {
        let mut inner = self.inner.lock();
        self.matched.store(waiting, Ordering::Relaxed);
        self.inbound.reset();
        inner.forwarded = ForwardCounters::default();
        inner.failed_reasons.clear();
        inner.dropped = BufferStats::default();
        inner.connections.values_mut().for_each(|(_, counters, _)| *counters = Default::default());
        inner.replication.values_mut().for_each(|(_, counters)| *counters = Default::default());
        inner.latency.reset();
        inner.latency_sum = 0;
        inner.rates = Rates::new(waiting);
    }

    /// Called every 10 s.
    pub(crate) fn sample(&self) {
        let matched = self.matched.load(Ordering::Relaxed);
        let mut inner = self.inner.lock();
        let rates = &mut inner.rates;
        let seconds = rates.sampled_at.elapsed().as_secs_f64().max(0.001);
        rates.last = matched.saturating_sub(rates.matched_then) as f64 / seconds;
        rates.max = rates.max.max(rates.last);
        rates.recent.push_back(rates.last);
        if rates.recent.len() > 30 {
            rates.recent.pop_front();
        }
        (rates.sampled_at, rates.matched_then) = (Instant::now(), matched);
    }

    /// The last state changes, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.inner.lock().events.iter().cloned().collect()
    }

    /// A copy of all of it.
    #[must_use]
    pub fn view(&self) -> BoardView {
        let inner = self.inner.lock();
        let rates = &inner.rates;
        let mean = rates.recent.iter().sum::<f64>() / rates.recent.len().max(1) as f64;
        let mut replication = inner.replication.clone();
        let durable = replication.remove(PERSISTENT_ACTOR);
        BoardView {
            replication,
            durable,
            connections: inner.connections.clone(),
            forwarded: inner.forwarded,
            failed_reasons: inner.failed_reasons.clone(),
            matched: self.matched.load(Ordering::Relaxed),
            rates: [rates.last, mean, rates.max],
            trouble: inner.trouble.clone(),
        }
    }
}

impl Board {
    /// Costs a pass over the histogram: for whoever shows it, not for states.
    #[must_use]
    pub fn latency_view(&self) -> LatencyView {
        let inner = self.inner.lock();
        let latency = &inner.latency;
        LatencyView {
            quantiles_us: [0.5, 0.95, 0.99].map(|quantile| latency.value_at_quantile(quantile)),
            count: latency.len(),
            buckets: LATENCY_BOUNDS_US.map(|bound| (bound, latency.count_between(0, bound))),
            sum_us: inner.latency_sum,
        }
    }

    /// Messages did not fit into the buffer within the last minute.
    pub(crate) fn overflows(&self) -> bool {
        let at = self.inner.lock().overflow.1;
        at.is_some_and(|at| at.elapsed() < OVERFLOW_SHOWN)
    }

    /// Whether it is known what became of each of the `size` connections of the pool, or why there
    /// is none.
    pub(crate) fn is_settled(&self, size: usize) -> bool {
        let inner = self.inner.lock();
        let mut states = inner.connections.values().map(|(standing, ..)| standing.state);
        let known = states.all(|state| state != ConnectionState::Connecting);
        inner.trouble.is_some() || (inner.connections.len() == size && known)
    }
}

impl Inner {
    fn note(
        &mut self,
        part: &'static str,
        who: String,
        state: &'static str,
        reason: Option<Reason>,
    ) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Event { at: SystemTime::now(), part, who, state, reason });
    }
}

macro_rules! add_growth {
    ($total:ident, $now:ident, $before:ident: $($field:ident),*) => {
        $($total.$field += $now.$field.saturating_sub($before.$field);)*
    };
}

fn add_forwarded(total: &mut ForwardCounters, now: &ForwardCounters, before: &ForwardCounters) {
    add_growth!(total, now, before: success, failed, expired, retried, late_reply, bytes, reconnects);
}

fn add_replication(
    total: &mut ReplicationCounters,
    now: &ReplicationCounters,
    before: &ReplicationCounters,
) {
    add_growth!(total, now, before: sent_adds, sent_deletes, batches, bootstraps);
    (total.last_bootstrap_ms, total.pending) = (now.last_bootstrap_ms, now.pending);
}

/// The new standing, and whether it is news. A state that stays keeps its beginning.
fn follow<S: PartialEq + Copy + Up>(
    old: Option<Standing<S>>,
    state: S,
    reason: Option<Reason>,
) -> (Standing<S>, bool) {
    let now = SystemTime::now();
    let before = old.as_ref().filter(|old| !old.state.is_up()).map(|old| old.down_since);
    let down_since = before.unwrap_or(now);
    match old {
        Some(old) if old.state == state => {
            let news = old.reason.as_ref().map(|r| r.word) != reason.as_ref().map(|r| r.word);
            (Standing { state, reason, since: old.since, down_since }, news)
        }
        _ => (Standing { state, reason, since: now, down_since }, true),
    }
}

pub(crate) fn state_word(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connecting => "connecting",
        ConnectionState::Connected => "connected",
        ConnectionState::Disconnected => "disconnected",
        ConnectionState::Stopped => "stopped",
    }
}
