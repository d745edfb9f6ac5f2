//! How the broker, the links and the API talk to the other nodes: queries with an answer, and
//! wires for messages, over the cluster port.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use spanmq_port::{NodeId as PortNodeId, PeerState, RequestError, Wire, WireHandler};
use tokio::{runtime::Handle, sync::watch};

use crate::{core::Core, kinds::APPLICATION_KINDS, types::NodeId};

/// The other nodes. Cheap to clone; usable from any thread and runtime.
#[derive(Clone)]
pub struct Peers {
    pub(crate) core: Arc<Core>,
    pub(crate) handle: Handle,
}

impl Peers {
    /// Asks `node` and waits for its answer. To ask ourselves is an error: call the handler.
    ///
    /// # Errors
    /// [`RequestError`]; after `Disconnected` and `Deadline` the request may have been carried
    /// out.
    pub async fn query(
        &self,
        node: NodeId,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let peer = self.core.pool.get(PortNodeId(node)).ok_or_else(|| {
            RequestError::NotConnected { reason: format!("node {node} is not a member") }
        })?;
        // The port's timers need its runtime, whoever calls.
        let asked = self.handle.spawn(async move { peer.query(kind, body, timeout).await });
        asked.await.unwrap_or(Err(RequestError::Disconnected))
    }

    /// From now on `handler` answers queries of `kind`, on the threads of Raft: it must not
    /// block. Handlers must not keep a [`RaftNode`](crate::RaftNode) alive that is to be dropped.
    ///
    /// # Panics
    /// When `kind` is below [`APPLICATION_KINDS`], which are Raft's own.
    pub fn on_query<F, A>(&self, kind: u16, handler: F)
    where
        F: Fn(NodeId, Bytes) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Bytes, RequestError>> + Send + 'static,
    {
        assert!(kind >= APPLICATION_KINDS, "kinds below {APPLICATION_KINDS} are Raft's own");
        self.core.handlers.on_query(kind, handler);
    }

    /// Lane `lane` of the wires to `node`, `None` when it is not a member. One owner per lane;
    /// what was not acknowledged is the owner's to send again.
    pub fn wire(&self, node: NodeId, lane: u16) -> Option<Wire> {
        self.core.pool.get(PortNodeId(node)).map(|peer| peer.wire(lane))
    }

    /// From now on `handler` takes the wires that other nodes open.
    pub fn on_wire(&self, handler: impl WireHandler) {
        self.core.handlers.on_wire(Arc::new(handler));
    }

    /// Whether `node` can be reached, now and with every change; `None` when it is not a member.
    pub fn state(&self, node: NodeId) -> Option<watch::Receiver<PeerState>> {
        self.core.pool.get(PortNodeId(node)).map(|peer| peer.state())
    }

    /// The other members.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.core.pool.all().into_iter().map(|peer| peer.node().0).collect()
    }
}
