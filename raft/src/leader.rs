//! What only the leader can do, asked of it from any node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{
    ChangeMembers,
    error::{ChangeMembershipError, ClientWriteError, RaftError},
};
use serde::{Deserialize, Serialize};
use spanmq_port::{NodeId as PortNodeId, RequestError};
use spanmq_state::{
    Applied, Batch, Command,
    command::{ClusterCommand, RouteCommand},
};
use tokio::time::Instant;

use crate::{
    codec,
    core::Core,
    join::{self, Admission, JoinRequest, MembershipRefusal},
    kinds, leading,
    types::NodeId,
};

/// Pause before asking again: the port dials, an election runs.
const PAUSE: Duration = Duration::from_millis(25);

/// A request that ends at the leader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum LeaderRequest {
    Propose(Batch),
    AwaitVisible { index: u64 },
    ReadIndex,
    Admit(JoinRequest),
    Remove { node: NodeId },
    Transfer { to: Option<NodeId> },
}

impl LeaderRequest {
    /// Whether it does no harm to ask again when it is open whether it was carried out.
    fn may_repeat(&self) -> bool {
        !matches!(self, Self::Propose(_))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum LeaderAnswer {
    Applied(Applied),
    Index(u64),
    Done,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeaderError {
    #[error("no leader with a quorum of voters could be reached; nothing was changed")]
    NoLeader,
    #[error("the leader was lost before it answered; whether the change was made is open")]
    Unknown,
    #[error("{0}")]
    Refused(String),
    #[error("the leader's disk is full; nothing was changed")]
    DiskFull,
}

/// Asks the leader, wherever it is, until it answers or `limit` has passed.
pub(crate) async fn ask(
    core: &Arc<Core>,
    request: LeaderRequest,
    limit: Duration,
) -> Result<LeaderAnswer, LeaderError> {
    let deadline = Instant::now() + limit;
    let mut open = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(if open { LeaderError::Unknown } else { LeaderError::NoLeader });
        }
        let leader = core.leader();
        let answered = match leader {
            Some(leader) if leader == core.me => {
                let answer = tokio::time::timeout(left, answer(core, request.clone())).await;
                answer.unwrap_or(Err(RequestError::Deadline))
            }
            Some(leader) => ask_remote(core, leader, &request, left).await,
            None => Err(RequestError::NotConnected { reason: "there is no leader".into() }),
        };
        match answered {
            Ok(answer) => return Ok(answer),
            Err(RequestError::Failed { code: kinds::REFUSED, message }) => {
                return Err(LeaderError::Refused(message));
            }
            Err(RequestError::Failed { code: kinds::DISK_FULL, .. }) => {
                return Err(LeaderError::DiskFull);
            }
            Err(error) if is_open(&error) => {
                if !request.may_repeat() {
                    return Err(LeaderError::Unknown);
                }
                open = true;
            }
            Err(error) => tracing::debug!(?leader, %error, "asking the leader again"),
        }
        let wait = PAUSE.min(deadline.saturating_duration_since(Instant::now()));
        tokio::time::sleep(wait).await;
    }
}

/// Whether the request may have been carried out.
fn is_open(error: &RequestError) -> bool {
    matches!(
        error,
        RequestError::Deadline
            | RequestError::Disconnected
            | RequestError::HandlerPanicked
            | RequestError::Failed { code: kinds::UNKNOWN_OUTCOME | kinds::STOPPING, .. }
    )
}

async fn ask_remote(
    core: &Core,
    leader: NodeId,
    request: &LeaderRequest,
    limit: Duration,
) -> Result<LeaderAnswer, RequestError> {
    let peer = core.pool.get(PortNodeId(leader)).ok_or_else(|| RequestError::NotConnected {
        reason: "the leader is not among the peers yet".into(),
    })?;
    let body = codec::encode(request).into();
    let answer = peer.query(kinds::LEADER, body, limit).await?;
    codec::decode(&answer).map_err(|_| RequestError::Disconnected)
}

/// Carries out a request on the leader.
pub(crate) async fn answer(
    core: &Arc<Core>,
    request: LeaderRequest,
) -> Result<LeaderAnswer, RequestError> {
    if !core.is_leader() {
        return Err(not_leader());
    }
    match request {
        LeaderRequest::Propose(batch) => write(core, batch).await.map(LeaderAnswer::Applied),
        LeaderRequest::AwaitVisible { index } => {
            leading::await_visible(core, index).await.map_err(|_| not_leader())?;
            Ok(LeaderAnswer::Done)
        }
        LeaderRequest::ReadIndex => {
            let (index, _) = core.raft.get_read_log_id().await.map_err(|error| match error {
                RaftError::APIError(_) => not_leader(),
                RaftError::Fatal(error) => stopping(error),
            })?;
            Ok(LeaderAnswer::Index(index.map_or(0, |id| id.index)))
        }
        LeaderRequest::Admit(request) => admit(core, request).await,
        LeaderRequest::Remove { node } => remove(core, node).await,
        LeaderRequest::Transfer { to } => transfer(core, to).await,
    }
}

fn not_leader() -> RequestError {
    RequestError::failed(kinds::NOT_LEADER, "this node does not lead")
}

fn stopping(error: impl std::fmt::Display) -> RequestError {
    RequestError::failed(kinds::STOPPING, error.to_string())
}

fn refused(refusal: &MembershipRefusal) -> RequestError {
    RequestError::failed(kinds::REFUSED, refusal.to_string())
}

/// Proposes one entry and waits until it is applied here.
pub(crate) async fn write(core: &Core, batch: Batch) -> Result<Applied, RequestError> {
    if core.log.disk_full() {
        // Another entry could only wait, with its caller (CHAOS P11).
        return Err(RequestError::failed(kinds::DISK_FULL, "the leader's disk is full"));
    }
    match core.raft.client_write(batch).await {
        Ok(written) => Ok(written.data),
        // We led when we asked: the entry may be in our log and yet be committed by another.
        Err(RaftError::APIError(error)) => {
            Err(RequestError::failed(kinds::UNKNOWN_OUTCOME, error.to_string()))
        }
        Err(RaftError::Fatal(error)) => Err(stopping(error)),
    }
}

/// Changes Raft's membership; waits for a change under way.
async fn change(
    core: &Core,
    members: ChangeMembers<NodeId, crate::types::NodeInfo>,
    retain: bool,
) -> Result<(), RequestError> {
    loop {
        match core.raft.change_membership(members.clone(), retain).await {
            Ok(_) => return Ok(()),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            ))) => tokio::time::sleep(PAUSE).await,
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                return Err(RequestError::failed(kinds::REFUSED, error.to_string()));
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                return Err(not_leader());
            }
            Err(RaftError::Fatal(error)) => return Err(stopping(error)),
        }
    }
}

/// A leader that is cut off must not take a membership into its own log that nobody else has
/// (CHAOS J7): Raft works with it at once.
async fn check_quorum(core: &Core) -> Result<(), RequestError> {
    core.raft.get_read_log_id().await.map(drop).map_err(|_| not_leader())
}

async fn admit(core: &Core, request: JoinRequest) -> Result<LeaderAnswer, RequestError> {
    let _one = core.changing.lock().await;
    check_quorum(core).await?;
    let members = core.members();
    let admission = join::admit(&members, &request).map_err(|refusal| refused(&refusal))?;
    tracing::info!(node = request.node, name = %request.info.name, ?admission, "a node asks to be a member");
    let node = BTreeMap::from([(request.node, request.info)]);
    match admission {
        Admission::Add => change(core, ChangeMembers::AddNodes(node), true).await?,
        Admission::Move => change(core, ChangeMembers::SetNodes(node), true).await?,
        Admission::AlreadyMember => {}
    }
    Ok(LeaderAnswer::Done)
}

async fn remove(core: &Core, node: NodeId) -> Result<LeaderAnswer, RequestError> {
    let _one = core.changing.lock().await;
    check_quorum(core).await?;
    let (info, voters) = {
        let metrics = core.metrics.borrow();
        let membership = metrics.membership_config.membership();
        (membership.get_node(&node).cloned(), membership.voter_ids().collect::<BTreeSet<_>>())
    };
    // Asked twice, or asked again after a lost answer: it is gone.
    let Some(info) = info else { return Ok(LeaderAnswer::Done) };
    if voters.contains(&node) && voters.len() == 1 {
        return Err(refused(&MembershipRefusal::LastVoter { name: info.name }));
    }
    forget(core, node).await?;
    tracing::info!(node, name = %info.name, "removing a member");
    if voters.contains(&node) {
        change(core, ChangeMembers::RemoveVoters([node].into()), false).await?;
    } else {
        change(core, ChangeMembers::RemoveNodes([node].into()), false).await?;
    }
    Ok(LeaderAnswer::Done)
}

/// Takes the node out of the replicated state, with its routes.
async fn forget(core: &Core, node: NodeId) -> Result<(), RequestError> {
    let incarnation =
        core.replica.read().cluster().member(node).map_or(u64::MAX, |member| member.incarnation);
    let commands = vec![
        Command::Route(RouteCommand::NodeGone { node, incarnation }),
        Command::Cluster(ClusterCommand::RemoveMember { id: node }),
    ];
    write(core, Batch::new(commands)).await.map(drop)
}

/// Lets another voter lead: no more heartbeats from us, and the other is told to stand when the
/// followers' trust in us has run out.
async fn transfer(core: &Core, to: Option<NodeId>) -> Result<LeaderAnswer, RequestError> {
    let target = {
        let metrics = core.metrics.borrow();
        let matched = metrics.replication.clone().unwrap_or_default();
        let mut voters: Vec<NodeId> =
            metrics.membership_config.voter_ids().filter(|id| *id != core.me).collect();
        voters.sort_by_key(|id| std::cmp::Reverse(matched.get(id).copied().flatten()));
        voters.into_iter().find(|id| to.is_none_or(|to| to == *id))
    };
    let target = target.ok_or_else(|| {
        let wanted = to.map_or("another voter".to_owned(), |to| format!("voter {to}"));
        refused(&MembershipRefusal::NoSuchMember { wanted })
    })?;
    let trust = Duration::from_millis(core.raft.config().election_timeout_max);
    core.raft.runtime_config().heartbeat(false);
    tokio::time::sleep(trust + PAUSE).await;
    if let Some(peer) = core.pool.get(PortNodeId(target)) {
        let asked = peer.query(kinds::ELECT, bytes::Bytes::new(), trust).await;
        tracing::info!(target, ?asked, "leadership handed over");
    }
    let gone = core.metrics_until(trust * 4, |now| now.current_leader != Some(core.me)).await;
    core.raft.runtime_config().heartbeat(true);
    if gone { Ok(LeaderAnswer::Done) } else { Err(RequestError::Deadline) }
}
