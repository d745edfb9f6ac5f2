//! How openraft reaches the other members: requests on the port's raft connections, snapshots on
//! the query connections, where they do not delay a heartbeat.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use openraft::{
    AnyError, OptionalSend, RaftNetwork, RaftNetworkFactory, Vote as OpenraftVote,
    error::{
        Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
    },
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use spanmq_port::{NodeId as PortNodeId, PeerPool, RequestError};

use crate::{
    codec, kinds, transfer,
    types::{NodeId, NodeInfo, Snapshot, TypeConfig},
};

/// Pause before a peer that is not connected is tried again; the port dials meanwhile.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(100);

type RpcError = RPCError<NodeId, NodeInfo, RaftError<NodeId>>;

/// Makes a [`Network`] per target.
#[derive(Clone)]
pub(crate) struct Networks {
    pub(crate) pool: PeerPool,
}

impl RaftNetworkFactory<TypeConfig> for Networks {
    type Network = Network;

    async fn new_client(&mut self, target: NodeId, node: &NodeInfo) -> Network {
        self.pool.add(PortNodeId(target), &node.name, &node.addr);
        Network { pool: self.pool.clone(), target }
    }
}

/// Requests to one member.
pub(crate) struct Network {
    pool: PeerPool,
    target: NodeId,
}

impl Network {
    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: u16,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        // The pool is asked each time: a member that moved has another peer.
        let Some(peer) = self.pool.get(PortNodeId(self.target)) else {
            let error = AnyError::error("the node is not among the peers");
            return Err(Unreachable::new(&error).into());
        };
        let body = Bytes::from(codec::encode(request));
        let answer = peer.raft(kind, body, timeout).await.map_err(rpc_error)?;
        codec::decode(&answer).map_err(|error| NetworkError::new(&error).into())
    }
}

fn rpc_error(error: RequestError) -> RpcError {
    match error {
        RequestError::NotConnected { .. } => Unreachable::new(&error).into(),
        error => NetworkError::new(&error).into(),
    }
}

impl RaftNetwork<TypeConfig> for Network {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        self.ask(kinds::APPEND, &request, option.hard_ttl()).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, RpcError> {
        self.ask(kinds::VOTE, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: OpenraftVote<NodeId>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        let Some(peer) = self.pool.get(PortNodeId(self.target)) else {
            let error = AnyError::error("the node is not among the peers");
            return Err(StreamingError::Unreachable(Unreachable::new(&error)));
        };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = transfer::send(&peer, vote, &snapshot) => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => Err(StreamingError::Network(NetworkError::new(&error))),
            },
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(UNREACHABLE_PAUSE))
    }
}
