//! Who answers what on the cluster port: Raft's own requests here, the others' by registration.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use spanmq_port::{PeerId, RequestError, RequestHandler, WireHandler, WireInbound};

use crate::{
    codec,
    core::Core,
    join::JoinRequest,
    kinds,
    leader::{self, LeaderError, LeaderRequest},
    leading,
    types::{NodeId, TypeConfig},
};

type Answer = Pin<Box<dyn Future<Output = Result<Bytes, RequestError>> + Send>>;
type QueryHandler = Arc<dyn Fn(NodeId, Bytes) -> Answer + Send + Sync>;

/// What other crates have registered.
#[derive(Default)]
pub(crate) struct Handlers {
    queries: RwLock<HashMap<u16, QueryHandler>>,
    wires: RwLock<Option<Arc<dyn WireHandler>>>,
}

impl Handlers {
    /// From now on `handler` answers queries of `kind`; a second one replaces the first.
    pub(crate) fn on_query<F, A>(&self, kind: u16, handler: F)
    where
        F: Fn(NodeId, Bytes) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Bytes, RequestError>> + Send + 'static,
    {
        let handler: QueryHandler = Arc::new(move |from, body| Box::pin(handler(from, body)));
        self.queries.write().insert(kind, handler);
    }

    pub(crate) fn on_wire(&self, handler: Arc<dyn WireHandler>) {
        *self.wires.write() = Some(handler);
    }
}

fn core_of(core: &Weak<Core>) -> Result<Arc<Core>, RequestError> {
    core.upgrade().ok_or_else(|| RequestError::failed(kinds::STOPPING, "this node is stopping"))
}

/// The handshake keeps removed nodes out; this one was connected before it was removed.
fn core_for(core: &Weak<Core>, from: &PeerId) -> Result<Arc<Core>, RequestError> {
    let core = core_of(core)?;
    if core.known.is_removed(from.node_id.0) {
        return Err(RequestError::failed(kinds::REMOVED, "the node was removed from this cluster"));
    }
    Ok(core)
}

fn body_of<T: DeserializeOwned>(body: &[u8]) -> Result<T, RequestError> {
    codec::decode(body).map_err(|error| RequestError::failed(kinds::BAD_BODY, error.to_string()))
}

fn stopped(error: impl std::fmt::Display) -> RequestError {
    RequestError::failed(kinds::STOPPING, error.to_string())
}

/// Requests on raft connections.
pub(crate) struct RaftRequests(pub(crate) Weak<Core>);

impl RequestHandler for RaftRequests {
    async fn handle(&self, from: PeerId, kind: u16, body: Bytes) -> Result<Bytes, RequestError> {
        let core = core_for(&self.0, &from)?;
        match kind {
            kinds::APPEND => {
                let request: openraft::raft::AppendEntriesRequest<TypeConfig> = body_of(&body)?;
                let answer = core.raft.append_entries(request).await.map_err(stopped)?;
                Ok(codec::encode(&answer).into())
            }
            kinds::VOTE => {
                let request: openraft::raft::VoteRequest<NodeId> = body_of(&body)?;
                let answer = core.raft.vote(request).await.map_err(stopped)?;
                Ok(codec::encode(&answer).into())
            }
            kinds::LEASE => leading::answer_lease(&core, from.node_id.0, &body),
            kind => Err(RequestError::UnknownKind { kind }),
        }
    }
}

/// Requests on query connections.
pub(crate) struct Queries(pub(crate) Weak<Core>);

impl RequestHandler for Queries {
    async fn handle(&self, from: PeerId, kind: u16, body: Bytes) -> Result<Bytes, RequestError> {
        let core = core_for(&self.0, &from)?;
        if kind == kinds::MOVED {
            return admit(&core, &from, &body).await;
        }
        let from = from.node_id.0;
        match kind {
            kinds::SNAPSHOT_PART => {
                core.receiver.part(from, &body).await?;
                Ok(Bytes::new())
            }
            kinds::SNAPSHOT_INSTALL => {
                // Begun, it must come to its end, also when the asker gave up.
                tokio::spawn(async move { core.receiver.install(&core.raft, from, &body).await })
                    .await
                    .map_err(stopped)?
            }
            kinds::LEADER => {
                let request: LeaderRequest = body_of(&body)?;
                tokio::spawn(async move { leader::answer(&core, request).await })
                    .await
                    .map_err(stopped)?
                    .map(|answer| codec::encode(&answer).into())
            }
            kinds::ELECT => {
                core.raft.trigger().elect().await.map_err(stopped)?;
                Ok(Bytes::new())
            }
            kind => {
                let handler = core.handlers.queries.read().get(&kind).cloned();
                drop(core);
                let handler = handler.ok_or(RequestError::UnknownKind { kind })?;
                handler(from, body).await
            }
        }
    }
}

/// Nodes that are not members yet.
pub(crate) struct Joins(pub(crate) Weak<Core>);

impl RequestHandler for Joins {
    async fn handle(&self, from: PeerId, kind: u16, body: Bytes) -> Result<Bytes, RequestError> {
        if kind != kinds::JOIN {
            return Err(RequestError::UnknownKind { kind });
        }
        let core = core_of(&self.0)?;
        admit(&core, &from, &body).await
    }
}

/// Hands a request for membership on to the leader.
async fn admit(core: &Arc<Core>, from: &PeerId, body: &[u8]) -> Result<Bytes, RequestError> {
    let request: JoinRequest = body_of(body)?;
    // A certificate of the cluster lets a node speak for itself, not for another.
    if request.node != from.node_id.0 || request.info.instance != from.instance.0 {
        return Err(RequestError::failed(kinds::REFUSED, "a node can only join as itself"));
    }
    let limit = core.options.propose_timeout;
    leader::ask(core, LeaderRequest::Admit(request), limit).await.map(|_| Bytes::new()).map_err(
        |error| {
            let refused = matches!(error, LeaderError::Refused(_));
            let code = if refused { kinds::REFUSED } else { kinds::NOT_LEADER };
            RequestError::failed(code, error.to_string())
        },
    )
}

/// Wires go to whoever registered for them.
pub(crate) struct Wires(pub(crate) Weak<Core>);

impl WireHandler for Wires {
    fn open(&self, from: PeerId, lane: u16, wire: WireInbound) {
        let handler = self.0.upgrade().and_then(|core| core.handlers.wires.read().clone());
        match handler {
            Some(handler) => handler.open(from, lane, wire),
            // Dropping the wire closes it; the peer dials again.
            None => tracing::debug!(node = %from.node_id, lane, "no one takes wires yet"),
        }
    }
}
