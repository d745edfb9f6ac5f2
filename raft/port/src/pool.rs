//! All peers of this node, and single requests to nodes outside of the pool.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

use crate::{
    connection,
    context::PortContext,
    dial::{self, Target, chain},
    error::RequestError,
    hello::Purpose,
    identity::{NodeId, PeerId},
    peer::Peer,
    request::{AnswerSink, RequestClient},
};

/// Ends its task when dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The peers that this node dials; a cheap handle.
#[derive(Debug, Clone)]
pub struct PeerPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: PortContext,
    runtime: Handle,
    peers: Mutex<BTreeMap<NodeId, Peer>>,
}

impl PeerPool {
    /// An empty pool whose sockets live on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(context: PortContext) -> Self {
        Self::on(context, Handle::current())
    }

    /// An empty pool whose sockets live on `runtime`.
    pub fn on(context: PortContext, runtime: Handle) -> Self {
        Self { inner: Arc::new(Inner { context, runtime, peers: Mutex::default() }) }
    }

    /// The context that the pool was made with.
    pub fn context(&self) -> &PortContext {
        &self.inner.context
    }

    /// Adds a peer and begins to dial it; a known one is dialled anew if its address changed.
    pub fn add(&self, node: NodeId, name: &str, address: &str) -> Peer {
        let target =
            Target { node: Some(node), name: Some(name.to_owned()), address: address.to_owned() };
        let mut peers = self.peers();
        if let Some(peer) = peers.get(&node) {
            peer.set_target(Some(target));
            return peer.clone();
        }
        let peer = Peer::start(&self.inner.context, &self.inner.runtime, node, target);
        peers.insert(node, peer.clone());
        peer
    }

    /// Removes a peer: its connections end, its waiting requests fail.
    pub fn remove(&self, node: NodeId) {
        if let Some(peer) = self.peers().remove(&node) {
            peer.set_target(None);
        }
    }

    /// Makes the pool hold exactly `members` (id, name, address): adds, moves and removes.
    pub fn set<'a>(&self, members: impl IntoIterator<Item = (NodeId, &'a str, &'a str)>) {
        let mut gone: Vec<NodeId> = self.peers().keys().copied().collect();
        for (node, name, address) in members {
            self.add(node, name, address);
            gone.retain(|&known| known != node);
        }
        for node in gone {
            self.remove(node);
        }
    }

    /// The peer with this id.
    pub fn get(&self, node: NodeId) -> Option<Peer> {
        self.peers().get(&node).cloned()
    }

    /// All peers, by id.
    pub fn all(&self) -> Vec<Peer> {
        self.peers().values().cloned().collect()
    }

    /// One request to whoever listens at `address`, over a connection of its own: the way to
    /// join. Returns who answered (its cluster id is what a joiner adopts) and what.
    ///
    /// # Errors
    /// [`RequestError`]; `NotConnected` tells why the handshake was refused.
    pub async fn ask(
        &self,
        address: &str,
        purpose: Purpose,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(PeerId, Bytes), RequestError> {
        let target = Target { node: None, name: None, address: address.to_owned() };
        let context = self.inner.context.clone();
        let deadline = Instant::now() + timeout;
        let mut asking = AbortOnDrop(
            self.inner.runtime.spawn(ask(context, target, purpose, kind, body, deadline)),
        );
        (&mut asking.0).await.unwrap_or(Err(RequestError::Disconnected))
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Peer>> {
        self.inner.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(
    context: PortContext,
    target: Target,
    purpose: Purpose,
    kind: u16,
    body: Bytes,
    deadline: Instant,
) -> Result<(PeerId, Bytes), RequestError> {
    let dialled = tokio::time::timeout_at(deadline, dial::dial(&context, &target, purpose)).await;
    let not_connected = |reason| RequestError::NotConnected { reason };
    let (io, peer) = match dialled {
        Ok(Ok(dialled)) => dialled,
        Ok(Err(error)) => return Err(not_connected(chain(&error))),
        Err(_) => return Err(not_connected(format!("{} did not answer in time", target.address))),
    };
    let (client, outbox) = RequestClient::new(context.tuning());
    let mut sink = AnswerSink(Arc::clone(&client));
    let mut request = pin!(client.request(kind, body, deadline));
    let answer = tokio::select! {
        answer = &mut request => answer,
        _ = connection::run(io, outbox, context.tuning(), context.counters(), &mut sink) => {
            // The answer may have come with the last bytes.
            client.close();
            request.await
        }
    };
    answer.map(|answer| (peer, answer))
}
