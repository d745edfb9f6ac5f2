//! Starting and stopping the broker, and the handle that other parts of the node hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ntex_net::DefaultRuntime;
use ntex_rt::{Arbiter, System};
use parking_lot::Mutex;
use spanmq_session::{Limits, Message, Session};
use spanmq_state::NodeId;
use tokio::sync::oneshot;

use crate::config::{BrokerConfig, Durability, ListenerConfig, Transport};
use crate::interest::InterestStream;
use crate::listener::{self, Gate, ListenerState};
use crate::local_routes::LocalRoutes;
use crate::mail::Mail;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::ports::{Done, Forward, Outcome, Outcomes, Ports};
use crate::query::{ClientInfo, ClientQuery, SubscriptionInfo, SubscriptionQuery};
use crate::shared::Shared;
use crate::store::{self, StoreError};
use crate::tls::{Acceptor, TlsError};
use crate::worker::{self, Worker, ask};

const QUOTA_EXCEEDED: u8 = 0x97;
/// Worker sets are 64 bits wide.
const WORKERS_MAX: usize = 64;

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that is taken or not ours.
    #[error("listener {listener}: cannot listen on {address}; is another program using it?")]
    Bind {
        /// Its name.
        listener: Arc<str>,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Certificates.
    #[error("listener {listener}: TLS is not usable")]
    Tls {
        /// Its name.
        listener: Arc<str>,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// The session store.
    #[error("the session store cannot be opened")]
    Store(#[from] StoreError),
    /// Threads.
    #[error("the broker's threads could not be started")]
    Threads(#[source] std::io::Error),
}

/// A listener that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundListener {
    /// Its name.
    pub name: Arc<str>,
    /// `tcp`, `tls`, `ws` or `wss`.
    pub transport: &'static str,
    /// Where it listens, with the port that was taken.
    pub address: SocketAddr,
}

/// The MQTT side of a node.
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// Opens the listeners and starts the threads `mqtt-sys`, `mqtt:worker:i` and `store`.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(config: BrokerConfig, ports: Ports) -> Result<BrokerHandle, StartError> {
        let listeners = config.listeners.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let bound = listeners.iter().map(|listener| listener.bound.clone()).collect();
        let workers = config.workers.clamp(1, WORKERS_MAX);
        let mailboxes: Vec<Mailbox<Mail>> = (0..workers).map(|_| Mailbox::new()).collect();
        let limits = limits(&config);
        let opened = store::open(&config.store, &limits, &mailboxes)?;
        let handle = opened.as_ref().map(store::Opened::handle);
        let shared = Arc::new(Shared::new(config, limits, ports, mailboxes, handle));
        let (started, has_started) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("mqtt-sys".into()).spawn({
            let shared = shared.clone();
            move || run_system(shared, listeners, opened, started, stopped)
        });
        let thread = thread.map_err(StartError::Threads)?;
        has_started.recv().map_err(|_| {
            StartError::Threads(std::io::Error::other("the MQTT thread ended while starting"))
        })?;
        let stop = Mutex::new(Some((stop, thread)));
        Ok(BrokerHandle(Arc::new(Inner { shared, bound, stop })))
    }
}

/// Without a store nothing can be spilled into it.
fn limits(config: &BrokerConfig) -> Arc<Limits> {
    let mut limits = config.limits.clone();
    if config.store.durability == Durability::Memory {
        limits.spill_messages_max = 0;
    }
    Arc::new(limits)
}

struct Listening {
    state: ListenerConfig,
    tls: Option<Acceptor>,
    socket: std::net::TcpListener,
    bound: BoundListener,
}

fn bind(config: &ListenerConfig) -> Result<Listening, StartError> {
    let (listener, address) = (config.name.clone(), config.bind);
    let tls = match &config.transport {
        Transport::Tcp | Transport::Ws(_) => None,
        Transport::Tls(tls) | Transport::Wss(tls, _) => {
            let source = |source| StartError::Tls { listener: listener.clone(), source };
            Some(Acceptor::load(tls).map_err(source)?)
        }
    };
    let bind = |source| StartError::Bind { listener: listener.clone(), address, source };
    let socket = listen(address, config.backlog).map_err(bind)?;
    let bound = BoundListener {
        name: config.name.clone(),
        transport: config.transport.label(),
        address: socket.local_addr().map_err(bind)?,
    };
    Ok(Listening { state: config.clone(), tls, socket, bound })
}

/// As the standard library does it, but for the backlog: it takes 128, and a fleet that reconnects at
/// once would wait for the repeats of its SYNs.
fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The body of thread `mqtt-sys`.
fn run_system(
    shared: Arc<Shared>,
    listeners: Vec<Listening>,
    store: Option<store::Opened>,
    started: std::sync::mpsc::Sender<()>,
    stopped: oneshot::Receiver<()>,
) {
    // Pings between its threads would only wake idle workers.
    let system = System::build().name("mqtt").ping_interval(0).build(DefaultRuntime);
    system.block_on(async move {
        let mut routes = LocalRoutes::new(&shared);
        let workers = shared.workers.len();
        let (mut recovered, store) = match store.map(|store| store.into_parts(workers)) {
            Some((sessions, thread)) => (sessions.into_iter(), Some(thread)),
            None => (Vec::new().into_iter(), None),
        };
        let (adopting, mut adopted) = tokio::sync::mpsc::channel::<()>(1);
        let mut arbiters = start_workers(&shared, &mut recovered, &adopting);
        // The last worker that has adopted its sessions closes the channel.
        drop(adopting);
        let _ = adopted.recv().await;
        routes.recover();
        tokio::task::spawn_local(routes.run());
        let gate = Arc::new(Gate::new(shared.config.connections.accept_per_second));
        for Listening { state, tls, socket, bound } in listeners {
            let state = Arc::new(ListenerState::new(state, tls));
            match tokio::net::TcpListener::from_std(socket) {
                Ok(socket) => {
                    let accept = listener::accept(shared.clone(), gate.clone(), state, socket);
                    tokio::task::spawn_local(accept);
                    tracing::info!(listener = %bound.name, address = %bound.address, "listening");
                }
                Err(error) => tracing::error!(%error, listener = %bound.name, "not listening"),
            }
        }
        if !shared.config.sys_interval.is_zero() {
            tokio::task::spawn_local(crate::sys::publish(shared.clone()));
        }
        // The starter waits for this; if it has gone, so has its interest.
        let _ = started.send(());
        let _ = stopped.await;
        for arbiter in &mut arbiters {
            arbiter.stop();
            // A worker that panicked was reported when it did.
            let _ = arbiter.join();
        }
        // After the workers: everything they sent is written.
        drop(store);
    });
}

/// The worker threads, each with its share of the recovered sessions; they give up `adopting` when
/// these are in their tables.
fn start_workers(
    shared: &Arc<Shared>,
    recovered: &mut impl Iterator<Item = Vec<Session>>,
    adopting: &tokio::sync::mpsc::Sender<()>,
) -> Vec<Arbiter> {
    let start = |id: usize| {
        let arbiter = Arbiter::with_name(format!("mqtt:worker:{id}"));
        let (shared, reader) = (shared.clone(), shared.routes.reader());
        let (sessions, adopting) = (recovered.next().unwrap_or_default(), adopting.clone());
        arbiter.handle().spawn(async move {
            let worker = Worker::new(id as u16, shared, reader);
            worker.borrow_mut().adopt_recovered(sessions);
            drop(adopting);
            tokio::task::spawn_local(worker::run(worker));
        });
        arbiter
    };
    (0..shared.workers.len()).map(start).collect()
}

/// What the rest of the node holds of the broker. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct BrokerHandle(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    bound: Vec<BoundListener>,
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl std::fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerHandle").field("bound", &self.0.bound).finish_non_exhaustive()
    }
}

impl BrokerHandle {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Where clients can connect.
    #[must_use]
    pub fn bound(&self) -> &[BoundListener] {
        &self.0.bound
    }

    /// Publishes messages of this node: from links, REST, bridges, wills of dead nodes. They are
    /// routed to sessions, peers and, if their origin is local, links. Order is kept per `from`.
    pub fn publish(&self, messages: Vec<Arc<Message>>, done: Done<Outcomes>) {
        let Some(first) = messages.first() else {
            return done.answer(Outcomes::Each(Vec::new()));
        };
        let mailbox = self.worker(worker::lane_of(first));
        let bytes = messages.iter().map(|message| message.payload.len()).sum();
        if self.has_room(mailbox, messages.len(), bytes) {
            mailbox.send(Mail::Publish { messages, done });
        } else {
            done.answer(Outcomes::All(Outcome::Refused(QUOTA_EXCEEDED)));
        }
    }

    /// Reserves room in a worker's mail; counts what finds none.
    fn has_room(&self, mailbox: &Mailbox<Mail>, messages: usize, bytes: usize) -> bool {
        let fits = mailbox.reserve(messages, bytes);
        if !fits {
            self.0.shared.metrics.worker_inbox_full.add(messages as u64);
        }
        fits
    }

    fn send_from_peer(&self, from: NodeId, lane: u64, batch: Vec<Forward>, done: Done<Outcomes>) {
        let mailbox = self.worker(lane);
        let bytes = batch.iter().map(|forward| forward.message.payload.len()).sum();
        if self.has_room(mailbox, batch.len(), bytes) {
            mailbox.send(Mail::FromPeer { from, batch, done });
        } else {
            done.answer(Outcomes::All(Outcome::Refused(QUOTA_EXCEEDED)));
        }
    }

    /// Delivers what the node `from` forwarded to sessions of this node. Order is kept per lane, so
    /// a batch should hold the messages of lanes that go to the same worker; it goes by the first.
    pub fn receive_peer(&self, from: NodeId, batch: Vec<Forward>, done: Done<Outcomes>) {
        let Some(first) = batch.first() else {
            return done.answer(Outcomes::Each(Vec::new()));
        };
        let lane = first.lane;
        if batch.iter().all(|forward| forward.lane == lane) || self.0.shared.workers.len() == 1 {
            self.send_from_peer(from, lane, batch, done);
        } else {
            self.receive_mixed(from, batch, done);
        }
    }

    /// A batch of several lanes: one part per worker, one answer when all parts are held.
    fn receive_mixed(&self, from: NodeId, batch: Vec<Forward>, done: Done<Outcomes>) {
        let workers = self.0.shared.workers.len();
        let total = batch.len();
        let mut parts: Vec<(Vec<usize>, Vec<Forward>)> =
            (0..workers).map(|_| Default::default()).collect();
        for (index, forward) in batch.into_iter().enumerate() {
            let part = &mut parts[(forward.lane % workers as u64) as usize];
            part.0.push(index);
            part.1.push(forward);
        }
        parts.retain(|(indexes, _)| !indexes.is_empty());
        let gather = Arc::new(Mutex::new(Gather {
            outcomes: vec![Outcome::Refused(0x80); total],
            open: parts.len(),
            done: Some(done),
        }));
        for (indexes, part) in parts {
            let gather = gather.clone();
            let lane = part.first().map_or(0, |forward| forward.lane);
            let done = Done::new(move |outcomes: Option<Outcomes>| {
                gather.lock().add(&indexes, outcomes.as_ref());
            });
            self.send_from_peer(from, lane, part, done);
        }
    }

    fn worker(&self, lane: u64) -> &Mailbox<Mail> {
        let workers = &self.0.shared.workers;
        &workers[(lane % workers.len() as u64) as usize]
    }

    /// The filters of this node's clients, plain and shared: a snapshot, then changes.
    #[must_use]
    pub fn local_interest(&self) -> InterestStream {
        self.0.shared.interest.follow()
    }

    /// Clients and waiting sessions of this node.
    pub async fn clients(&self, query: ClientQuery) -> Vec<ClientInfo> {
        let limit = query.limit;
        let mut found = self.ask_all(move |worker| worker.clients(&query)).await;
        if limit > 0 {
            found.truncate(limit);
        }
        found
    }

    /// Subscriptions of this node's sessions.
    pub async fn subscriptions(&self, query: SubscriptionQuery) -> Vec<SubscriptionInfo> {
        let limit = query.limit;
        let mut found = self.ask_all(move |worker| worker.subscriptions(&query)).await;
        if limit > 0 {
            found.truncate(limit);
        }
        found
    }

    /// Disconnects a client (0x98); with `purge` its session ends too. False: it is not here.
    pub async fn kick(&self, client_id: Arc<str>, purge: bool) -> bool {
        let Some(place) = self.0.shared.clients.place(&client_id) else { return false };
        let mailbox = &self.0.shared.workers[usize::from(place.worker)];
        ask(mailbox, move |worker| worker.kick(&client_id, purge)).await.unwrap_or(false)
    }

    /// The ACL has changed: subscriptions that are no longer allowed end (A7).
    pub fn rights_changed(&self) {
        for mailbox in &self.0.shared.workers {
            mailbox.send(Mail::Task(Box::new(Worker::recheck_rights)));
        }
    }

    /// How often memory was found above its mark (L10).
    #[must_use]
    pub fn looks_above_memory_mark(&self) -> u64 {
        self.0.shared.config.connections.memory_is_high.looks_above()
    }

    /// All counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.0.shared.metrics.clone()
    }

    async fn ask_all<R: Send + 'static>(
        &self,
        question: impl Fn(&mut Worker) -> Vec<R> + Send + Clone + 'static,
    ) -> Vec<R> {
        let mut answers = Vec::new();
        for mailbox in &self.0.shared.workers {
            let question = question.clone();
            answers.extend(ask(mailbox, move |worker| question(worker)).await.unwrap_or_default());
        }
        answers
    }

    /// Stops: no new connections, DISCONNECT 0x8B to every client, then the threads end. Sessions
    /// stay in the store and the directory. Waits at most `deadline`.
    pub async fn stop(&self, deadline: Duration) {
        let Some((stop, thread)) = self.0.stop.lock().take() else { return };
        self.0.shared.begin_stop();
        for mailbox in &self.0.shared.workers {
            mailbox.send(Mail::Task(Box::new(Worker::disconnect_all)));
        }
        let drained = async {
            // Each worker answers after it has closed its connections.
            self.ask_all(|_| vec![()]).await;
            while self.0.shared.metrics.connections.get() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(deadline, drained).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        let _ = stop.send(());
        let joined = tokio::task::spawn_blocking(move || thread.join());
        if tokio::time::timeout(deadline, joined).await.is_err() {
            tracing::error!("the MQTT threads did not end in time");
        }
    }
}

/// Parts of one batch on their way back.
struct Gather {
    outcomes: Vec<Outcome>,
    open: usize,
    done: Option<Done<Outcomes>>,
}

impl Gather {
    fn add(&mut self, indexes: &[usize], outcomes: Option<&Outcomes>) {
        for (position, index) in indexes.iter().enumerate() {
            if let (Some(place), Some(outcomes)) = (self.outcomes.get_mut(*index), outcomes) {
                *place = outcomes.get(position);
            }
        }
        self.open -= 1;
        if self.open == 0
            && let Some(done) = self.done.take()
        {
            done.answer(Outcomes::Each(std::mem::take(&mut self.outcomes)));
        }
    }
}
