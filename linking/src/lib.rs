//! Link actors, the MQTT client to the remote cluster, buffers on disk.
//!
//! The decisions are in `linking/protocol`; here they are performed: one replication actor and
//! `pool_size` forwarding actors per link (`supervisor`), one task per inbound connection
//! (`upstream`), one thread that appends to buffers (`store`), and on the leader the watch over
//! learnt actors (`keeper`).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod alarms;
mod beats;
mod board;
mod buffer;
mod certs;
mod client;
mod forwarder;
mod incarnation;
mod keeper;
pub mod ports;
mod probe;
mod registry;
mod replicator;
mod store;
mod supervisor;
mod throttle;
mod timer;
mod upstream;

pub use beats::Beat;
pub use board::{Board, BoardView, Event, InboundCounters, LatencyView, Standing};
pub use client::Stage;
pub use probe::{PeerLimits, ProbeReport};
pub use registry::{LinkEntry, Speaker};
pub use store::{Kept, Kepts, Outbound};
pub use upstream::{Answer, ControlPublish, InboundClient, Verdict};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, Addr};
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::expiry::ExpirySettings;
use spanmq_link_protocol::reason::{Reason, ReasonWord};
use spanmq_link_protocol::replication::HEARTBEAT_INTERVAL;

use beats::Beats;
use incarnation::Incarnations;
use keeper::Keeper;
use ports::Ports;
use registry::Registry;
use store::Store;
use supervisor::{Common, Configure, LinkSupervisor, StopAll};
use throttle::Throttle;
use upstream::Upstream;

/// How often a caller that waits for a pool looks again.
const SETTLE_PERIOD: Duration = Duration::from_millis(20);

/// What linking is started with.
#[derive(Debug, Clone)]
pub struct LinkingConfig {
    /// `cluster.name`.
    pub cluster: Arc<str>,
    /// `NAME@HOST`.
    pub node: Arc<str>,
    /// The node's data folder; linking uses `links/` in it.
    pub data_dir: PathBuf,
    /// `links.resync_interval`; none = off.
    pub resync_interval: Option<Duration>,
    /// Every append to a buffer is synced (`durability = local-fsync`).
    pub fsync: bool,
    /// Number of this node in the cluster; alarms carry it.
    pub node_id: u64,
    /// Actor TTL, `links.route_hold` and `links.gc_interval`.
    pub expiry: ExpirySettings,
}

/// Linking on this node.
pub struct Linking {
    registry: Arc<Registry>,
    upstream: Upstream,
    store: Store,
    keeper: Arc<Keeper>,
    beats: Arc<Beats>,
    supervisor: Addr<LinkSupervisor>,
    runtime: tokio::runtime::Handle,
    actor_ttl: Duration,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// What.
    pub reason: Reason,
    /// Who speaks for the remote on this node, if that matters.
    pub speaker: Option<Speaker>,
}

/// Buffer gauges and counters of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BufferView {
    /// Messages that wait or are under way.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these on disk.
    pub disk_bytes: u64,
    /// Unix milliseconds of the oldest.
    pub oldest_at_ms: Option<u64>,
    /// Dropped for their age.
    pub dropped_expired: u64,
    /// Dropped for lack of room.
    pub dropped_queue_full: u64,
    /// Dropped for other reasons.
    pub dropped_other: u64,
    /// Refused to the publisher.
    pub rejected: u64,
}

impl Linking {
    /// Starts the threads of linking. `runtime` runs the tasks of inbound connections and the
    /// leader's watch.
    ///
    /// # Errors
    /// When a thread or a folder cannot be made.
    pub fn start(
        config: &LinkingConfig,
        ports: Ports,
        runtime: tokio::runtime::Handle,
    ) -> std::io::Result<Self> {
        let links = config.data_dir.join("links");
        std::fs::create_dir_all(&links)?;
        let registry = Arc::new(Registry::default());
        let common = Common {
            local_cluster: config.cluster.clone(),
            node: config.node.clone(),
            data_dir: config.data_dir.clone(),
            resync_interval: config.resync_interval,
            heartbeat_interval: HEARTBEAT_INTERVAL.min(config.expiry.ttl / 3),
            fsync: config.fsync,
            throttle: Arc::new(Throttle::default()),
            registry: registry.clone(),
            interest: ports.interest.clone(),
            incarnations: Arc::new(Incarnations::open(links.join("incarnations"))),
        };
        let keeper = Keeper::new(config.expiry, ports.clone());
        runtime.spawn(keeper.clone().run());
        runtime.spawn(alarms::run(registry.clone(), ports.clone(), config.node_id));
        let beats = Arc::new(Beats::default());
        Ok(Self {
            upstream: Upstream::new(
                config.cluster.clone(),
                registry.clone(),
                ports,
                beats.clone(),
                runtime.clone(),
            ),
            store: Store::start(registry.clone())?,
            supervisor: start_actors(common)?,
            registry,
            keeper,
            beats,
            runtime,
            actor_ttl: config.expiry.ttl,
        })
    }

    /// The replicated list of links, whole, whenever it has changed.
    pub fn configure(&self, links: Vec<LinkEntry>) {
        self.supervisor.do_send(Configure(links));
    }

    /// The first list: afterwards the buffers of its links are open, or cannot be.
    pub async fn begin(&self, links: Vec<LinkEntry>) {
        // An actor that has gone is stopping; nothing is left to wait for.
        let _ = self.supervisor.send(Configure(links)).await;
    }

    /// Appends messages to the buffers of their links; never waits for a remote or a disk.
    pub fn append(&self, batch: Vec<Outbound>, done: Kepts) {
        self.store.append(batch, done);
    }

    /// Intercepted control publishes of one connection, in order.
    pub fn receive(&self, client: &InboundClient, batch: Vec<ControlPublish>, answer: Answer) {
        self.upstream.receive(client, batch, answer);
    }

    /// An inbound connection ended.
    pub fn closed(&self, connection: u64) {
        self.upstream.closed(connection);
    }

    /// What was heard of remote actors here since the last call; for the leader, every few seconds
    /// (W-28).
    #[must_use]
    pub fn beats(&self) -> Vec<Beat> {
        self.beats.take()
    }

    /// What a node heard, on the leader.
    pub fn heard(&self, beats: Vec<Beat>) {
        let commands = self.keeper.heard(beats);
        let keeper = self.keeper.clone();
        self.runtime.spawn(async move { keeper.propose(commands).await });
    }

    /// Counters and rates of a link begin anew on this node; false when there is none.
    pub fn reset(&self, link: &str) -> bool {
        let Some(state) = self.registry.get(link) else { return false };
        let mut waiting = 0;
        if let Some(buffer) = state.buffer.read().as_ref() {
            let mut buffer = buffer.lock();
            buffer.reset();
            waiting = buffer.stats().messages;
        }
        state.board.reset(waiting);
        true
    }

    /// Waits until this node runs the link as of `revision` and each connection of its pool is up
    /// or has failed once, or `limit` has passed (C-16). A disabled link needs no pool.
    pub async fn settled(&self, link: &str, revision: u64, limit: Duration) {
        let holds = || {
            let state = self.registry.get(link)?;
            if state.applied.load(Ordering::Acquire) < revision {
                return None;
            }
            let (enabled, size) = {
                let entry = state.entry.read();
                (entry.config.enable, entry.config.pool_size as usize)
            };
            (!enabled || state.board.is_settled(size)).then_some(())
        };
        let wait = async {
            while holds().is_none() {
                tokio::time::sleep(SETTLE_PERIOD).await;
            }
        };
        // What it is then is told by the status.
        let _ = tokio::time::timeout(limit, wait).await;
    }

    /// Waits until this node has stopped a link that was deleted at `revision`, or `limit` has
    /// passed (C-16).
    pub async fn gone(&self, link: &str, revision: u64, limit: Duration) {
        let stopped = || {
            let state = self.registry.get(link);
            // It may have been created anew.
            state.is_none_or(|state| state.applied.load(Ordering::Acquire) >= revision)
        };
        let wait = async {
            while !stopped() {
                tokio::time::sleep(SETTLE_PERIOD).await;
            }
        };
        // It will stop as soon as its actors have the time.
        let _ = tokio::time::timeout(limit, wait).await;
    }

    /// What is not as it should be although the link may work: who may speak for the remote is not
    /// fixed (A-7; with who does here), the buffer overflows, the clocks differ (O-6).
    #[must_use]
    pub fn warnings(&self, link: &str) -> Vec<Warning> {
        let Some(state) = self.registry.get(link) else { return Vec::new() };
        let (enabled, bound) = {
            let entry = state.entry.read();
            (entry.config.enable, !entry.config.inbound.is_empty())
        };
        let mut found = Vec::new();
        if !enabled {
            return found;
        }
        let holder = state.speakers.lock().holder().cloned();
        if let Some(speaker) = holder.filter(|_| !bound) {
            let who = speaker.principal.to_string();
            let reason = Reason::with_detail(ReasonWord::PeerNotBound, &who);
            found.push(Warning { reason, speaker: Some(speaker) });
        }
        if state.board.overflows() {
            found.push(Warning { reason: ReasonWord::BufferFull.into(), speaker: None });
        }
        if let Some(skew) = state.skew.lock().skew_ms(Instant::now()) {
            let side = if skew > 0 { "behind" } else { "ahead of" };
            let seconds = skew.unsigned_abs() as f64 / 1e3;
            let detail = format!("the remote's is about {seconds:.1} s {side} ours");
            let reason = Reason::with_detail(ReasonWord::ClockSkew, &detail);
            found.push(Warning { reason, speaker: None });
        }
        found
    }

    /// Silence after which an actor of a remote expires while its siblings speak.
    #[must_use]
    pub const fn actor_ttl(&self) -> Duration {
        self.actor_ttl
    }

    /// Whether the TLS files of a link can be used on this node (C-10).
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn check_tls(config: &LinkConfig) -> Result<(), Reason> {
        client::check_tls(&config.ssl)
    }

    /// What a link does on this node.
    #[must_use]
    pub fn board(&self, link: &str) -> Option<(LinkEntry, Arc<Board>, BufferView)> {
        let state = self.registry.get(link)?;
        let open = state.buffer.read().as_ref().map(|b| b.lock().stats());
        let mut buffer = open.unwrap_or_default();
        buffer.add(&state.board.dropped());
        let view = BufferView {
            messages: buffer.messages,
            bytes: buffer.bytes,
            disk_bytes: buffer.disk_bytes,
            oldest_at_ms: buffer.oldest_at_ms,
            dropped_expired: buffer.dropped_expired,
            dropped_queue_full: buffer.dropped_queue_full,
            dropped_other: buffer.dropped_other,
            rejected: buffer.rejected,
        };
        let entry = state.entry.read().clone();
        Some((entry, state.board.clone(), view))
    }

    /// Tries a configuration step by step, at most for ten seconds, and leaves nothing behind but an
    /// actor without routes that the remote forgets after its TTL (LINK-SPEC 4.4).
    pub async fn probe(&self, config: Arc<LinkConfig>) -> ProbeReport {
        let asked = self.supervisor.send(probe::Probe(config)).await;
        asked.unwrap_or_else(|_| ProbeReport::stopped())
    }

    /// Closes all connections to remotes.
    pub async fn stop(&self) {
        let _ = self.supervisor.send(StopAll).await;
    }
}

/// The thread of the link actors: an ntex system, because their MQTT clients need its driver.
fn start_actors(common: Common) -> std::io::Result<Addr<LinkSupervisor>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("links-0".into()).spawn(move || {
        let system = ntex_rt::System::build().name("links").disable_signals();
        system.build(ntex_net::DefaultRuntime).block_on(async move {
            let _ = sender.send(LinkSupervisor::new(common).start());
            std::future::pending::<()>().await;
        });
    })?;
    receiver
        .recv()
        .map_err(|_| std::io::Error::other("the thread of the link actors died at its start"))
}
