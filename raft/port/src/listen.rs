//! The listening half: takes connections, lets in who may speak, hands them to their handler.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::LazyConfigAcceptor;

use crate::{
    connection::{CloseReason, FrameIo, Io},
    context::{PortContext, Security},
    counters::{Counters, count},
    credentials::Credentials,
    dial::{is_loopback, peer_id},
    enrol::{self, NotEnrolled},
    error::ListenError,
    frame::HANDSHAKE_FRAME_BYTES_MAX,
    handler::Acceptor,
    handshake::{self, HandshakeError},
    hello::{Hello, Purpose, Refusal},
    identity::{InstanceId, NodeId, PeerId},
    pool::AbortOnDrop,
    serve, tls, wire,
};

/// The first byte of every TLS connection (a handshake record).
const TLS_FIRST_BYTE: u8 = 0x16;
/// Pause after a failed accept: out of descriptors does not get better by trying at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const WARN_EVERY: Duration = Duration::from_secs(1);
/// Runs remembered; past that all are forgotten, which only lets void runs knock again.
const RUNS_MAX: usize = 4_096;
const SPEAKS_TLS: &str = "this cluster port speaks TLS and the other side plain text; start both with --dev on loopback or both without";

/// The listening cluster port. Dropping it closes the listener and all its connections.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    accepting: AbortOnDrop<()>,
}

impl Port {
    /// Listens on `address` and serves what `acceptor` has handlers for.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn listen(
        address: SocketAddr,
        context: PortContext,
        acceptor: Acceptor,
    ) -> Result<Self, ListenError> {
        if context.is_dev() && !is_loopback(address.ip()) {
            return Err(ListenError::DevNotLoopback { address });
        }
        let bind = |source| ListenError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        tracing::info!(%address, dev = context.is_dev(), "cluster port listens");
        let established = context.tuning().established_max as usize;
        let shared = Arc::new(Shared {
            counters: Arc::clone(context.counters()),
            context,
            acceptor,
            pending: Mutex::default(),
            latest: Mutex::default(),
            established: Arc::new(Semaphore::new(established)),
            last_warning: Mutex::default(),
        });
        let accepting = AbortOnDrop(tokio::spawn(accept_all(listener, shared)));
        Ok(Self { address, accepting })
    }

    /// The address in use (the port chosen, when 0 was asked for).
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and all connections; returns when they are closed.
    pub async fn shutdown(mut self) {
        self.accepting.0.abort();
        // The abort is what we expect to hear of.
        drop((&mut self.accepting.0).await);
    }
}

struct Shared {
    context: PortContext,
    acceptor: Acceptor,
    counters: Arc<Counters>,
    /// Handshakes under way, oldest first.
    pending: Mutex<VecDeque<(u64, AbortHandle)>>,
    latest: Mutex<Latest>,
    established: Arc<Semaphore>,
    last_warning: Mutex<Option<Instant>>,
}

/// The newest run of each node, and the newest connection of each stream.
#[derive(Default)]
struct Latest {
    runs: HashMap<(NodeId, InstanceId), u64>,
    streams: HashMap<(NodeId, Purpose), (u64, oneshot::Sender<()>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut next_id: u64 = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, address)) => {
                    next_id += 1;
                    // Held over the spawn, so that the task cannot be done before it is listed.
                    let mut pending = lock(&shared.pending);
                    let one = connection(Arc::clone(&shared), next_id, tcp, address);
                    pending.push_back((next_id, connections.spawn(one)));
                    evict(&mut pending, &shared);
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a cluster connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    count(&shared.counters.handler_panics);
                    tracing::error!("a cluster connection's task panicked");
                }
            }
        }
    }
}

/// The oldest gives way: an honest handshake takes milliseconds, a flood cannot lock members out.
fn evict(pending: &mut VecDeque<(u64, AbortHandle)>, shared: &Shared) {
    while pending.len() > shared.context.tuning().pending_max.max(1) as usize {
        if let Some((_, oldest)) = pending.pop_front() {
            oldest.abort();
            count(&shared.counters.pending_evicted);
        }
    }
}

async fn connection(shared: Arc<Shared>, id: u64, tcp: TcpStream, address: SocketAddr) {
    let limit = shared.context.tuning().handshake_timeout;
    let greeted = tokio::time::timeout(limit, greet(&shared, tcp, address)).await;
    lock(&shared.pending).retain(|&(pending, _)| pending != id);
    match greeted {
        Ok(Ok(Some(member))) => shared.serve(id, member).await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => shared.not_let_in(address, &error),
        Err(_) => {
            count(&shared.counters.handshake_timeouts);
            tracing::debug!(%address, "a cluster connection did not end its handshake in time");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotLetIn {
    #[error("TLS failed: {0}")]
    Tls(#[source] std::io::Error),
    #[error("neither a member nor an enrolling node (ALPN)")]
    Alpn,
    #[error("plain bytes on a TLS port, or TLS on a --dev port")]
    Transport,
    #[error("--dev serves loopback only")]
    DevNotLoopback,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("not enrolled: {0}")]
    NotEnrolled(#[from] NotEnrolled),
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
}

struct Member {
    io: FrameIo,
    peer: PeerId,
    permit: OwnedSemaphorePermit,
}

/// From the first byte to the end of the handshake; `None` after an enrolment.
async fn greet(
    shared: &Shared,
    tcp: TcpStream,
    address: SocketAddr,
) -> Result<Option<Member>, NotLetIn> {
    tcp.set_nodelay(true)?;
    let local = tcp.local_addr()?;
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        return Err(HandshakeError::from(CloseReason::Eof).into());
    }
    let speaks_tls = first == [TLS_FIRST_BYTE];
    let io: Box<dyn Io> = match shared.context.security() {
        Security::Dev if speaks_tls => return Err(NotLetIn::Transport),
        Security::Dev if !is_loopback(address.ip()) || !is_loopback(local.ip()) => {
            return Err(NotLetIn::DevNotLoopback);
        }
        Security::Dev => Box::new(tcp),
        Security::Tls(_) if !speaks_tls => {
            let mut io = FrameIo::new(Box::new(tcp), HANDSHAKE_FRAME_BYTES_MAX);
            handshake::refuse(&mut io, SPEAKS_TLS).await;
            return Err(NotLetIn::Transport);
        }
        Security::Tls(credentials) => match accept_tls(shared, tcp, &credentials).await? {
            Some(io) => io,
            None => return Ok(None),
        },
    };
    let mut io = FrameIo::new(io, HANDSHAKE_FRAME_BYTES_MAX);
    let mut permit = None;
    let extra = |hello: &Hello| {
        shared.check(hello)?;
        permit = Some(shared.establish()?);
        Ok(())
    };
    let greeting = handshake::answer(&mut io, &shared.context, extra).await?;
    let limit = shared.context.tuning().established_max;
    let too_many = || HandshakeError::from(Refusal::TooManyConnections { limit });
    let permit = permit.ok_or_else(too_many)?;
    Ok(Some(Member { io, peer: peer_id(greeting, address), permit }))
}

/// Members get their stream; who wants to enrol is served here and gets nothing else.
async fn accept_tls(
    shared: &Shared,
    tcp: TcpStream,
    credentials: &Credentials,
) -> Result<Option<Box<dyn Io>>, NotLetIn> {
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp);
    let start = start.await.map_err(NotLetIn::Tls)?;
    let offers = |alpn: &[u8]| {
        start.client_hello().alpn().is_some_and(|mut offered| offered.any(|offer| offer == alpn))
    };
    let (member, enrols) = (offers(tls::ALPN_MEMBER), offers(tls::ALPN_ENROL));
    let settings = credentials.tls();
    if member {
        let stream = start.into_stream(Arc::clone(&settings.member)).await;
        return Ok(Some(Box::new(stream.map_err(NotLetIn::Tls)?)));
    }
    let (true, Some(config), Some(ca)) = (enrols, &settings.enrol, credentials.ca()) else {
        return Err(NotLetIn::Alpn);
    };
    let stream = start.into_stream(Arc::clone(config)).await.map_err(NotLetIn::Tls)?;
    let session = enrol::session_key(stream.get_ref().1).map_err(NotEnrolled::from)?;
    let mut io = FrameIo::new(Box::new(stream), HANDSHAKE_FRAME_BYTES_MAX);
    let node = enrol::serve(&mut io, &session, ca).await?;
    count(&shared.counters.enrolled);
    tracing::info!(node, "a new node got its certificate");
    Ok(None)
}

impl Shared {
    /// What only the listening side knows: what is served, and which runs are void.
    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        if !self.acceptor.serves(hello.purpose) {
            return Err(Refusal::NotServed { purpose: hello.purpose });
        }
        let latest = lock(&self.latest).runs.get(&(hello.node_id, hello.instance)).copied();
        match latest {
            Some(latest) if hello.incarnation < latest => Err(Refusal::OldIncarnation {
                node: hello.node_name.clone(),
                found: hello.incarnation,
                latest,
            }),
            _ => Ok(()),
        }
    }

    fn establish(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let limit = self.context.tuning().established_max;
        let permit = Arc::clone(&self.established).try_acquire_owned();
        permit.map_err(|_| Refusal::TooManyConnections { limit })
    }

    /// Takes the place of an earlier connection of the same stream, which ends.
    fn supersede(&self, id: u64, peer: &PeerId) -> oneshot::Receiver<()> {
        let (tx, rx) = oneshot::channel();
        let mut latest = lock(&self.latest);
        if peer.node_id != NodeId::UNASSIGNED && peer.purpose != Purpose::Join {
            if latest.runs.len() >= RUNS_MAX {
                latest.runs.clear();
            }
            let run = latest.runs.entry((peer.node_id, peer.instance)).or_default();
            *run = peer.incarnation.max(*run);
        }
        if let Some((_, earlier)) = latest.streams.insert(stream_key(id, peer), (id, tx)) {
            let _gone_already = earlier.send(());
        }
        rx
    }

    async fn serve(&self, id: u64, member: Member) {
        let Member { io, peer, permit } = member;
        let superseded = self.supersede(id, &peer);
        let _place = Place { shared: self, id, peer: peer.clone() };
        let (node, purpose) = (peer.node_id.0, peer.purpose);
        tracing::debug!(node, name = %peer.node_name, ?purpose, "peer connection taken");
        count(&self.counters.connected);
        let reason = tokio::select! {
            reason = self.run(io, &peer) => reason,
            _ = superseded => CloseReason::Local("a newer connection of this peer took over"),
        };
        drop(permit);
        tracing::debug!(node, ?purpose, %reason, "peer connection ended");
    }

    async fn run(&self, io: FrameIo, peer: &PeerId) -> CloseReason {
        let tuning = self.context.tuning();
        if let Purpose::Wire(lane) = peer.purpose
            && let Some(handler) = self.acceptor.wire_handler()
        {
            let open = |inbound| handler.open(peer.clone(), lane, inbound);
            return wire::serve_wire(io, tuning, &self.counters, open).await;
        }
        match self.acceptor.requests(peer.purpose) {
            Some(handler) => {
                serve::serve_requests(io, peer.clone(), handler, tuning, &self.counters).await
            }
            None => CloseReason::Local("nobody serves this purpose"),
        }
    }

    fn not_let_in(&self, address: SocketAddr, error: &NotLetIn) {
        match error {
            NotLetIn::Tls(_) | NotLetIn::Alpn => count(&self.counters.tls_failed),
            NotLetIn::Transport | NotLetIn::DevNotLoopback => {
                count(&self.counters.wrong_transport);
            }
            NotLetIn::NotEnrolled(_) => count(&self.counters.enrol_refused),
            NotLetIn::Handshake(HandshakeError::Refused(_) | HandshakeError::RefusedByPeer(_)) => {
                count(&self.counters.refused)
            }
            NotLetIn::Handshake(HandshakeError::Closed(CloseReason::Frame(_))) => {
                count(&self.counters.bad_frames);
            }
            NotLetIn::Handshake(_) | NotLetIn::Io(_) => {}
        }
        if self.may_warn() {
            tracing::warn!(%address, %error, "cluster connection refused");
        } else {
            tracing::debug!(%address, %error, "cluster connection refused");
        }
    }

    /// One warning a second: strangers must not fill the log, the counters tell the rest.
    fn may_warn(&self) -> bool {
        let mut last = lock(&self.last_warning);
        let may = last.is_none_or(|last| last.elapsed() >= WARN_EVERY);
        if may {
            *last = Some(Instant::now());
        }
        may
    }
}

/// Joins and nodes without a number have no place to fight for: each is its own stream.
fn stream_key(id: u64, peer: &PeerId) -> (NodeId, Purpose) {
    match peer.purpose {
        Purpose::Join => (NodeId(u64::MAX - id), Purpose::Join),
        purpose => (peer.node_id, purpose),
    }
}

/// Gives up the place of a stream, unless a newer connection holds it.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
    peer: PeerId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let key = stream_key(self.id, &self.peer);
        let mut latest = lock(&self.shared.latest);
        if latest.streams.get(&key).is_some_and(|(id, _)| *id == self.id) {
            latest.streams.remove(&key);
        }
    }
}
