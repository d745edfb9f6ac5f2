//! Keeps this node's link actors equal to the replicated list: an actix actor that starts, stops,
//! changes and, when one has died, replaces them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use spanmq_link_protocol::config::{ChangeEffect, LinkConfig, PartEffect};
use spanmq_link_protocol::forward::ConnectionState;
use spanmq_link_protocol::reason::{Reason, ReasonWord};

use crate::buffer::LinkBuffer;
use crate::certs;
use crate::forwarder::{ForwardActor, ForwarderParts, SetPaused, StopForwarding};
use crate::incarnation::Incarnations;
use crate::ports::LocalInterest;
use crate::registry::{LinkEntry, LinkState, Registry, Waker};
use crate::replicator::{Replicator, ReplicatorParts, Stop};
use crate::throttle::Throttle;

/// How often dead actors are looked for.
const WATCH: Duration = Duration::from_secs(1);
/// Rates are sampled so often (LINK-SPEC 2.9).
const SAMPLE: Duration = Duration::from_secs(10);

/// What the actors of all links share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) local_cluster: Arc<str>,
    pub(crate) node: Arc<str>,
    pub(crate) data_dir: PathBuf,
    pub(crate) resync_interval: Option<Duration>,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) fsync: bool,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) interest: Arc<dyn LocalInterest>,
    pub(crate) incarnations: Arc<Incarnations>,
}

/// The actors of one enabled link.
struct Running {
    /// As it is in the replicated list.
    entry: LinkEntry,
    /// As the actors use it: with files where the list has PEM text.
    config: Arc<LinkConfig>,
    replicator: Addr<Replicator>,
    /// Once there are persistent sessions (W-12).
    durable: Option<Addr<Replicator>>,
    pool: Vec<Waker>,
}

pub(crate) struct LinkSupervisor {
    pub(crate) common: Common,
    running: HashMap<String, Running>,
    /// This cluster has had persistent sessions since the node started.
    durable: bool,
}

impl LinkSupervisor {
    pub(crate) fn new(common: Common) -> Self {
        Self { common, running: HashMap::new(), durable: false }
    }

    fn apply(&mut self, wanted: Vec<LinkEntry>) {
        let names: Vec<&str> = wanted.iter().map(|e| e.config.name.as_str()).collect();
        for state in self.common.registry.all() {
            let name = state.entry.read().config.name.clone();
            if !names.contains(&name.as_str()) {
                self.stop(&name, ReasonWord::Disabled);
                self.common.registry.remove(&name);
                self.drop_buffer(&state, &name);
                certs::remove(&self.common.data_dir, &name);
            }
        }
        for entry in wanted {
            self.follow(entry);
        }
    }

    /// Brings one link from what it was to what it shall be.
    fn follow(&mut self, entry: LinkEntry) {
        let name = entry.config.name.clone();
        let state = self.common.registry.get(&name).unwrap_or_else(|| {
            let state = LinkState::new(entry.clone());
            self.common.registry.insert(state.clone());
            state
        });
        *state.entry.write() = entry.clone();
        let revision = entry.revision;
        self.bring(&state, &name, entry);
        state.applied.store(revision, Ordering::Release);
    }

    fn bring(&mut self, state: &Arc<LinkState>, name: &str, entry: LinkEntry) {
        if !entry.running() {
            self.stop(name, ReasonWord::Disabled);
            self.drop_buffer(state, name);
            state.board.buffer_trouble(None);
            return;
        }
        let config = self.files(&entry);
        match self.running.get_mut(name) {
            None => self.start(state, entry, config),
            Some(running) => {
                let old = std::mem::replace(&mut running.entry, entry.clone());
                running.config = config;
                self.change(state, &old, &entry);
            }
        }
    }

    /// Without its files the link still starts: its connections say what is missing.
    fn files(&self, entry: &LinkEntry) -> Arc<LinkConfig> {
        certs::to_files(&self.common.data_dir, &entry.config).unwrap_or_else(|error| {
            let link = entry.config.name.as_str();
            tracing::error!(%error, link, "the certificates of the link cannot be written");
            entry.config.clone()
        })
    }

    /// What a change of a running link means for its parts (1.5, C-15).
    fn change(&mut self, state: &Arc<LinkState>, old: &LinkEntry, new: &LinkEntry) {
        let name = &new.config.name;
        let effect = ChangeEffect::of_update(&old.config, &new.config);
        if let Some(buffer) = state.buffer.read().as_ref() {
            buffer.lock().configure(new.config.buffer.clone());
        }
        if effect.pool == PartEffect::Restart {
            self.restart_pool(state, name);
        } else if old.paused != new.paused
            && let Some(running) = self.running.get(name)
        {
            running.pool.iter().for_each(|w| w.actor.do_send(SetPaused(new.paused)));
        }
        if effect.replication == PartEffect::Restart {
            self.restart_replication(state, name);
        }
    }

    fn start(&mut self, state: &Arc<LinkState>, entry: LinkEntry, config: Arc<LinkConfig>) {
        let name = config.name.clone();
        self.open_buffer(state, &config);
        let replicator = Replicator::new(self.common.replicator(state, &config, false)).start();
        let running = Running { entry, config, replicator, durable: None, pool: Vec::new() };
        self.running.insert(name.clone(), running);
        self.start_durable(state, &name);
        self.restart_pool(state, &name);
    }

    /// Without its buffer a link forwards nothing; it is tried again every second.
    fn open_buffer(&self, state: &Arc<LinkState>, config: &LinkConfig) {
        let (name, pool) = (&config.name, config.pool_size as usize);
        let dir = self.buffer_dir(name);
        match LinkBuffer::open(&dir, config.buffer.clone(), pool, self.common.fsync) {
            Ok(buffer) => {
                // What an earlier run left behind is handed over anew, so that the sums hold.
                state.board.matched.fetch_add(buffer.stats().messages, Ordering::Relaxed);
                *state.buffer.write() = Some(Arc::new(Mutex::new(buffer)));
                state.board.buffer_trouble(None);
            }
            Err(error) => {
                let detail = format!("{}: {}", dir.display(), with_causes(&error));
                let word = ReasonWord::BufferUnusable;
                state.board.buffer_trouble(Some(Reason::with_detail(word, &detail)));
                let event = "cluster_link_buffer_unusable";
                if let Some(omitted) = self.common.throttle.admit(event, name, word.as_str()) {
                    tracing::error!(link = name, detail, omitted, "{event}");
                }
            }
        }
    }

    /// Buffers that could not be opened, and those that overflow.
    fn watch_buffers(&mut self) {
        for name in self.running.keys().cloned().collect::<Vec<_>>() {
            let (Some(running), Some(state)) =
                (self.running.get(&name), self.common.registry.get(&name))
            else {
                continue;
            };
            let lost = state.buffer.read().as_ref().map(|buffer| buffer.lock().stats());
            if let Some(stats) = lost {
                state.board.overflowed(stats.dropped_queue_full + stats.rejected);
                continue;
            }
            let config = running.config.clone();
            self.open_buffer(&state, &config);
            if state.buffer.read().is_some() {
                self.restart_pool(&state, &name);
            }
        }
    }

    fn start_durable(&mut self, state: &Arc<LinkState>, name: &str) {
        if let Some(running) = self.running.get_mut(name)
            && self.durable
        {
            let parts = self.common.replicator(state, &running.config, true);
            running.durable = Some(Replicator::new(parts).start());
        }
    }

    fn restart_replication(&mut self, state: &Arc<LinkState>, name: &str) {
        let Some(running) = self.running.get_mut(name) else { return };
        running.replicator.do_send(Stop(ReasonWord::Starting));
        let parts = self.common.replicator(state, &running.config, false);
        running.replicator = Replicator::new(parts).start();
        if let Some(durable) = running.durable.take() {
            durable.do_send(Stop(ReasonWord::Starting));
        }
        self.start_durable(state, name);
    }

    /// New connections over the same buffer: nothing that waits is lost.
    fn restart_pool(&mut self, state: &Arc<LinkState>, name: &str) {
        let Some(running) = self.running.get_mut(name) else { return };
        for waker in running.pool.drain(..) {
            waker.actor.do_send(StopForwarding);
        }
        let Some(buffer) = state.buffer.read().clone() else { return };
        let size = running.config.pool_size;
        let generation = buffer.lock().deal(size as usize);
        state.board.forget_connections_above(size);
        let paused = running.entry.paused;
        let start = |number| {
            // Not what the connection of this number was before.
            let word = Some(ReasonWord::Starting.into());
            state.board.connection(number, ConnectionState::Connecting, word, 0);
            let woken = Arc::new(AtomicBool::new(false));
            let parts = ForwarderParts {
                link: running.config.clone(),
                local_cluster: self.common.local_cluster.clone(),
                node: self.common.node.clone(),
                number,
                board: state.board.clone(),
                buffer: buffer.clone(),
                generation,
                throttle: self.common.throttle.clone(),
                woken: woken.clone(),
                paused,
            };
            Waker { woken, actor: ForwardActor::new(parts).start() }
        };
        running.pool = (1..=size).map(start).collect();
        *state.wakers.write() = running.pool.clone();
    }

    fn stop(&mut self, name: &str, word: ReasonWord) {
        let Some(running) = self.running.remove(name) else { return };
        running.replicator.do_send(Stop(word));
        running.durable.iter().for_each(|durable| durable.do_send(Stop(word)));
        running.pool.iter().for_each(|w| w.actor.do_send(StopForwarding));
        if let Some(state) = self.common.registry.get(name) {
            state.wakers.write().clear();
            state.board.forget_connections_above(0);
        }
    }

    /// Disabling and deleting lose the buffer, as documented (1.5).
    fn drop_buffer(&self, state: &LinkState, name: &str) {
        // Actors that still end hold it too: they must not touch the files of a later one.
        if let Some(buffer) = state.buffer.write().take() {
            state.board.buffer_closed(&buffer.lock().close());
        }
        let dir = self.buffer_dir(name);
        if dir.exists()
            && let Err(error) = std::fs::remove_dir_all(&dir)
        {
            tracing::warn!(%error, dir = %dir.display(), "an old link buffer cannot be removed");
        }
    }

    fn buffer_dir(&self, name: &str) -> PathBuf {
        self.common.data_dir.join("links").join(name).join("buffer")
    }

    /// An actor that panicked is gone; a new one rebuilds its state from the configuration, the
    /// buffer and the local subscriptions.
    fn revive(&mut self) {
        for name in self.running.keys().cloned().collect::<Vec<_>>() {
            let (Some(running), Some(state)) =
                (self.running.get(&name), self.common.registry.get(&name))
            else {
                continue;
            };
            let durable_died = running.durable.as_ref().is_some_and(|d| !d.connected());
            let replication_died = !running.replicator.connected() || durable_died;
            let pool_died = running.pool.iter().any(|waker| !waker.actor.connected());
            if replication_died || pool_died {
                tracing::error!(link = %name, "a link actor died; it is started again");
            }
            if replication_died {
                self.restart_replication(&state, &name);
            }
            if pool_died {
                self.restart_pool(&state, &name);
            }
        }
    }

    /// There are persistent sessions: each link gets an actor that reports them.
    fn durable_sessions_seen(&mut self) {
        if std::mem::replace(&mut self.durable, true) {
            return;
        }
        for name in self.running.keys().cloned().collect::<Vec<_>>() {
            if let Some(state) = self.common.registry.get(&name) {
                self.start_durable(&state, &name);
            }
        }
    }
}

/// An error with what led to it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Common {
    fn replicator(
        &self,
        state: &Arc<LinkState>,
        link: &Arc<LinkConfig>,
        durable: bool,
    ) -> ReplicatorParts {
        ReplicatorParts {
            link: link.clone(),
            local_cluster: self.local_cluster.clone(),
            node: self.node.clone(),
            resync_interval: self.resync_interval,
            heartbeat_interval: self.heartbeat_interval,
            board: state.board.clone(),
            interest: self.interest.clone(),
            incarnations: self.incarnations.clone(),
            throttle: self.throttle.clone(),
            durable,
        }
    }
}

impl Actor for LinkSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(WATCH, |supervisor, _| {
            supervisor.revive();
            supervisor.watch_buffers();
        });
        let mut sets = self.common.interest.follow_durable();
        let first = async move { while sets.next().await.is_empty() {} };
        ctx.spawn(wrap_future(first).map(|(), supervisor: &mut Self, _| {
            supervisor.durable_sessions_seen();
        }));
        ctx.run_interval(SAMPLE, |supervisor, _| {
            supervisor.common.registry.all().iter().for_each(|state| state.board.sample());
        });
    }
}

/// The replicated list has changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Configure(pub(crate) Vec<LinkEntry>);

impl Handler<Configure> for LinkSupervisor {
    type Result = ();

    fn handle(&mut self, Configure(wanted): Configure, _: &mut Context<Self>) {
        self.apply(wanted);
    }
}

/// The node stops: every link says good-bye; buffers stay on disk.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StopAll;

impl Handler<StopAll> for LinkSupervisor {
    type Result = ();

    fn handle(&mut self, _: StopAll, _: &mut Context<Self>) {
        let names: Vec<String> = self.running.keys().cloned().collect();
        names.iter().for_each(|name| self.stop(name, ReasonWord::Starting));
    }
}
