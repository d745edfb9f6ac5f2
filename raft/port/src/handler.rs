//! What the owner of the port supplies: who answers which kind of connection.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::{error::RequestError, hello::Purpose, identity::PeerId, wire::WireInbound};

/// Answers requests of one purpose (raft, query or join).
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers one request. `kind` is the caller's opcode. Runs as its own task, several at a
    /// time; dropped when the caller's deadline passes (spawn what must run to its end), but not
    /// when the connection ends.
    fn handle(
        &self,
        from: PeerId,
        kind: u16,
        body: Bytes,
    ) -> impl Future<Output = Result<Bytes, RequestError>> + Send;
}

/// Takes the inbound ends of wires.
pub trait WireHandler: Send + Sync + 'static {
    /// A peer opened lane `lane`; an earlier connection of that peer and lane has been closed.
    /// Must return at once: spawn the task that reads `wire`. Dropping `wire` closes it.
    fn open(&self, from: PeerId, lane: u16, wire: WireInbound);
}

impl<F: Fn(PeerId, u16, WireInbound) + Send + Sync + 'static> WireHandler for F {
    fn open(&self, from: PeerId, lane: u16, wire: WireInbound) {
        self(from, lane, wire);
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Bytes, RequestError>> + Send>>;

pub(crate) trait DynRequestHandler: Send + Sync + 'static {
    fn answer(self: Arc<Self>, from: PeerId, kind: u16, body: Bytes) -> Answer;
}

impl<H: RequestHandler> DynRequestHandler for H {
    fn answer(self: Arc<Self>, from: PeerId, kind: u16, body: Bytes) -> Answer {
        Box::pin(async move { self.handle(from, kind, body).await })
    }
}

/// What this node answers. A purpose without a handler is refused in the handshake.
#[derive(Clone, Default)]
pub struct Acceptor {
    raft: Option<Arc<dyn DynRequestHandler>>,
    query: Option<Arc<dyn DynRequestHandler>>,
    join: Option<Arc<dyn DynRequestHandler>>,
    wires: Option<Arc<dyn WireHandler>>,
}

impl Acceptor {
    /// Answers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who answers requests on raft connections.
    #[must_use]
    pub fn raft(mut self, handler: impl RequestHandler) -> Self {
        self.raft = Some(Arc::new(handler));
        self
    }

    /// Who answers queries.
    #[must_use]
    pub fn query(mut self, handler: impl RequestHandler) -> Self {
        self.query = Some(Arc::new(handler));
        self
    }

    /// Who answers nodes that are not members yet.
    #[must_use]
    pub fn join(mut self, handler: impl RequestHandler) -> Self {
        self.join = Some(Arc::new(handler));
        self
    }

    /// Who takes wires.
    #[must_use]
    pub fn wires(mut self, handler: impl WireHandler) -> Self {
        self.wires = Some(Arc::new(handler));
        self
    }

    pub(crate) fn serves(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Wire(_) => self.wires.is_some(),
            _ => self.requests(purpose).is_some(),
        }
    }

    pub(crate) fn requests(&self, purpose: Purpose) -> Option<Arc<dyn DynRequestHandler>> {
        match purpose {
            Purpose::Raft => self.raft.clone(),
            Purpose::Query => self.query.clone(),
            Purpose::Join => self.join.clone(),
            Purpose::Wire(_) => None,
        }
    }

    pub(crate) fn wire_handler(&self) -> Option<Arc<dyn WireHandler>> {
        self.wires.clone()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("raft", &self.raft.is_some())
            .field("query", &self.query.is_some())
            .field("join", &self.join.is_some())
            .field("wires", &self.wires.is_some())
            .finish()
    }
}
