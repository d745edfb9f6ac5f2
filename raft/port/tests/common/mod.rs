//! Nodes on loopback for the tests: a port, a pool and what the handler saw.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use spanmq_port::{
    Acceptor, ClusterId, DialMap, Identity, InstanceId, Known, Membership, NodeId, PeerId,
    PeerPool, PeerState, Port, PortContext, PortTuning, RequestError, RequestHandler, Security,
    WireInbound,
};
use tokio::sync::{Notify, mpsc};

/// Longest wait for anything; far above what is needed, so that slow machines pass.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const ECHO: u16 = 1;
/// Answers when [`Seen::release`] is notified.
pub const HOLD: u16 = 2;
pub const PANIC: u16 = 3;
pub const REFUSE: u16 = 4;
/// Answers with as many bytes as the body says (big-endian u32).
pub const BLOW_UP: u16 = 5;

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// Waits until `condition` holds.
pub async fn eventually(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[derive(Default)]
pub struct Seen {
    pub requests: AtomicU64,
    pub release: Notify,
}

#[derive(Clone)]
struct Handler(Arc<Seen>);

impl RequestHandler for Handler {
    async fn handle(&self, _: PeerId, kind: u16, body: Bytes) -> Result<Bytes, RequestError> {
        self.0.requests.fetch_add(1, SeqCst);
        match kind {
            ECHO => Ok(body),
            HOLD => {
                self.0.release.notified().await;
                Ok(body)
            }
            PANIC => panic!("asked for"),
            REFUSE => Err(RequestError::failed(7, "not today")),
            BLOW_UP => {
                let bytes = u32::from_be_bytes(body.as_ref().try_into().unwrap());
                Ok(vec![0; bytes as usize].into())
            }
            kind => Err(RequestError::UnknownKind { kind }),
        }
    }
}

#[derive(Clone, Default)]
pub struct Members(pub Arc<Mutex<HashMap<NodeId, Known>>>);

impl Membership for Members {
    fn known(&self, node: NodeId) -> Known {
        self.0.lock().unwrap().get(&node).copied().unwrap_or(Known::Unknown)
    }
}

/// Short times, so that tests of silence are quick.
pub fn quick() -> PortTuning {
    PortTuning {
        ping_every: Duration::from_millis(100),
        dead_after: Duration::from_millis(1_000),
        backoff_max: Duration::from_millis(200),
        ..PortTuning::default()
    }
}

pub fn identity(node: u64) -> Identity {
    Identity {
        cluster_id: Some(ClusterId([0xc1; 16])),
        cluster_name: "east".into(),
        node_id: NodeId(node),
        node_name: format!("n{node}"),
        instance: InstanceId([node as u8; 16]),
        incarnation: 1,
    }
}

pub type Wires = mpsc::UnboundedReceiver<(PeerId, u16, WireInbound)>;

pub struct Node {
    pub context: PortContext,
    pub pool: PeerPool,
    pub port: Port,
    pub seen: Arc<Seen>,
    pub members: Members,
    pub wires: Wires,
}

pub struct NodeOptions {
    pub identity: Identity,
    pub security: Security,
    pub dial_map: DialMap,
    pub tuning: PortTuning,
    pub listen: SocketAddr,
}

pub fn options(node: u64) -> NodeOptions {
    NodeOptions {
        identity: identity(node),
        security: Security::Dev,
        dial_map: DialMap::default(),
        tuning: quick(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

pub async fn start(options: NodeOptions) -> Node {
    let members = Members::default();
    let NodeOptions { identity, security, dial_map, tuning, listen } = options;
    let context = PortContext::new(identity, security, members.clone(), dial_map, tuning);
    let seen = Arc::new(Seen::default());
    let (opened, wires) = mpsc::unbounded_channel();
    let acceptor = Acceptor::new()
        .raft(Handler(Arc::clone(&seen)))
        .query(Handler(Arc::clone(&seen)))
        .join(Handler(Arc::clone(&seen)))
        .wires(move |from: PeerId, lane, inbound| drop(opened.send((from, lane, inbound))));
    let port = Port::listen(listen, context.clone(), acceptor).await.unwrap();
    let pool = PeerPool::new(context.clone());
    Node { context, pool, port, seen, members, wires }
}

pub async fn dev_node(node: u64) -> Node {
    start(options(node)).await
}

impl Node {
    pub fn address(&self) -> String {
        self.port.local_addr().to_string()
    }

    pub fn id(&self) -> NodeId {
        self.context.identity().node_id
    }

    /// Adds `other` to our pool.
    pub fn knows(&self, other: &Node) -> spanmq_port::Peer {
        let name = other.context.identity().node_name.clone();
        self.pool.add(other.id(), &name, &other.address())
    }

    pub fn requests_seen(&self) -> u64 {
        self.seen.requests.load(SeqCst)
    }
}

/// Waits until the peer is up.
pub async fn up(peer: &spanmq_port::Peer) {
    let mut state = peer.state();
    soon(state.wait_for(PeerState::is_up)).await.unwrap();
}

/// Waits until the peer is down and says why.
pub async fn down(peer: &spanmq_port::Peer) -> String {
    let mut state = peer.state();
    let state = soon(state.wait_for(|state| matches!(state, PeerState::Down { .. }))).await;
    match &*state.unwrap() {
        PeerState::Down { reason, .. } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}
