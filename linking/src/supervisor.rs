//! Keeps this node's link actors equal to the replicated list: an actix actor that starts, stops,
//! changes and, when one has died, replaces them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use spanmq_link_protocol::reason::ReasonWord;

use crate::buffer::LinkBuffer;
use crate::forwarder::{ForwardActor, ForwarderParts, SetPaused, StopForwarding};
use crate::incarnation::Incarnations;
use crate::ports::LocalInterest;
use crate::registry::{LinkEntry, LinkState, Registry, Waker};
use crate::replicator::{Replicator, ReplicatorParts, Stop};

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
    pub(crate) registry: Arc<Registry>,
    pub(crate) interest: Arc<dyn LocalInterest>,
    pub(crate) incarnations: Arc<Incarnations>,
}

/// The actors of one enabled link.
struct Running {
    entry: LinkEntry,
    replicator: Addr<Replicator>,
    pool: Vec<Waker>,
}

pub(crate) struct LinkSupervisor {
    common: Common,
    running: HashMap<String, Running>,
}

impl LinkSupervisor {
    pub(crate) fn new(common: Common) -> Self {
        Self { common, running: HashMap::new() }
    }

    fn apply(&mut self, wanted: Vec<LinkEntry>) {
        let names: Vec<&str> = wanted.iter().map(|e| e.config.name.as_str()).collect();
        for state in self.common.registry.all() {
            let name = state.entry.read().config.name.clone();
            if !names.contains(&name.as_str()) {
                self.stop(&name, ReasonWord::Disabled);
                self.common.registry.remove(&name);
                self.drop_buffer(&state, &name);
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
        if !entry.running() {
            self.stop(&name, ReasonWord::Disabled);
            self.drop_buffer(&state, &name);
            return;
        }
        match self.running.get_mut(&name) {
            None => self.start(&state, entry),
            Some(running) => {
                let old = std::mem::replace(&mut running.entry, entry.clone());
                self.change(&state, &old, &entry);
            }
        }
    }

    /// What a change of a running link means for its parts (1.5, C-15).
    fn change(&mut self, state: &Arc<LinkState>, old: &LinkEntry, new: &LinkEntry) {
        let name = new.config.name.clone();
        if old.config != new.config {
            let (before, after) = (&old.config, &new.config);
            let replication = before.server != after.server
                || before.clientid != after.clientid
                || before.username != after.username
                || before.password != after.password
                || before.ssl != after.ssl
                || before.topics != after.topics;
            if let Some(buffer) = state.buffer.read().as_ref() {
                buffer.lock().configure(after.buffer.clone());
            }
            self.restart_pool(state, new);
            if replication && let Some(running) = self.running.get_mut(&name) {
                running.replicator.do_send(Stop(ReasonWord::Starting));
                running.replicator = Replicator::new(self.common.replicator(state, new)).start();
            }
        } else if old.paused != new.paused
            && let Some(running) = self.running.get(&name)
        {
            running.pool.iter().for_each(|w| w.actor.do_send(SetPaused(new.paused)));
        }
    }

    fn start(&mut self, state: &Arc<LinkState>, entry: LinkEntry) {
        let name = entry.config.name.clone();
        let dir = self.buffer_dir(&name);
        let pool = entry.config.pool_size as usize;
        match LinkBuffer::open(&dir, entry.config.buffer.clone(), pool) {
            Ok(buffer) => *state.buffer.write() = Some(Arc::new(Mutex::new(buffer))),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, link = %name, dir = %dir.display(), "the buffer of the link cannot be opened; nothing is forwarded");
            }
        }
        let replicator = Replicator::new(self.common.replicator(state, &entry)).start();
        self.running.insert(name, Running { entry: entry.clone(), replicator, pool: Vec::new() });
        self.restart_pool(state, &entry);
    }

    /// New connections over the same buffer: nothing that waits is lost.
    fn restart_pool(&mut self, state: &Arc<LinkState>, entry: &LinkEntry) {
        let Some(running) = self.running.get_mut(&entry.config.name) else { return };
        for waker in running.pool.drain(..) {
            waker.actor.do_send(StopForwarding);
        }
        let Some(buffer) = state.buffer.read().clone() else { return };
        buffer.lock().deal(entry.config.pool_size as usize);
        state.board.forget_connections_above(entry.config.pool_size);
        let start = |number| self.common.forwarder(state, entry, &buffer, number);
        running.pool = (1..=entry.config.pool_size).map(start).collect();
        *state.wakers.write() = running.pool.clone();
    }

    fn stop(&mut self, name: &str, word: ReasonWord) {
        let Some(running) = self.running.remove(name) else { return };
        running.replicator.do_send(Stop(word));
        running.pool.iter().for_each(|w| w.actor.do_send(StopForwarding));
        if let Some(state) = self.common.registry.get(name) {
            state.wakers.write().clear();
        }
    }

    /// Disabling and deleting lose the buffer, as documented (1.5).
    fn drop_buffer(&self, state: &LinkState, name: &str) {
        *state.buffer.write() = None;
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
        let dead: Vec<LinkEntry> = self
            .running
            .values()
            .filter(|r| !r.replicator.connected() || r.pool.iter().any(|w| !w.actor.connected()))
            .map(|r| r.entry.clone())
            .collect();
        for entry in dead {
            let Some(state) = self.common.registry.get(&entry.config.name) else { continue };
            tracing::error!(link = %entry.config.name, "a link actor died; it is started again");
            let parts = self.common.replicator(&state, &entry);
            if let Some(running) = self.running.get_mut(&entry.config.name)
                && !running.replicator.connected()
            {
                running.replicator = Replicator::new(parts).start();
            }
            self.restart_pool(&state, &entry);
        }
    }
}

impl Common {
    fn replicator(&self, state: &Arc<LinkState>, entry: &LinkEntry) -> ReplicatorParts {
        ReplicatorParts {
            link: entry.config.clone(),
            local_cluster: self.local_cluster.clone(),
            node: self.node.clone(),
            resync_interval: self.resync_interval,
            board: state.board.clone(),
            interest: self.interest.clone(),
            incarnations: self.incarnations.clone(),
        }
    }

    fn forwarder(
        &self,
        state: &Arc<LinkState>,
        entry: &LinkEntry,
        buffer: &Arc<Mutex<LinkBuffer>>,
        number: u32,
    ) -> Waker {
        let woken = Arc::new(AtomicBool::new(false));
        let parts = ForwarderParts {
            link: entry.config.clone(),
            local_cluster: self.local_cluster.clone(),
            node: self.node.clone(),
            number,
            board: state.board.clone(),
            buffer: buffer.clone(),
            woken: woken.clone(),
            paused: entry.paused,
        };
        Waker { woken, actor: ForwardActor::new(parts).start() }
    }
}

impl Actor for LinkSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(WATCH, |supervisor, _| supervisor.revive());
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
