//! Leases at work: each member asks the leader for its own, the leader keeps account.
//! The decisions are in `lease`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::ServerState;
use serde::{Deserialize, Serialize};
use spanmq_port::{NodeId as PortNodeId, RequestError};
use spanmq_state::{Batch, Command, command::RouteCommand};

use crate::{
    codec,
    core::Core,
    kinds, leader,
    lease::{Grantor, LeaseTime, Visibility},
    types::NodeId,
};

/// What the leader of one term keeps.
pub(crate) struct Leading {
    pub(crate) term: u64,
    pub(crate) grantor: Grantor,
}

/// A member tells how far it has applied, and asks for its lease.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseRequest {
    /// Index of the next entry to be applied.
    applied: u64,
}

/// `None`: catch up first, or the leader does not know a quorum behind it.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseAnswer {
    granted_ms: Option<u64>,
}

/// The leader has stepped down while we waited.
#[derive(Debug)]
pub(crate) struct NotLeading;

/// Follows the leadership: a new account for each new term.
pub(crate) async fn follow_leadership(core: Arc<Core>) {
    let mut metrics = core.metrics.clone();
    loop {
        let leading = {
            let metrics = metrics.borrow_and_update();
            (metrics.state == ServerState::Leader).then_some(metrics.current_term)
        };
        {
            let mut known = core.leading.lock();
            if known.as_ref().map(|known| known.term) != leading {
                let now = LeaseTime::now();
                *known = leading.map(|term| Leading {
                    term,
                    grantor: Grantor::new(core.me, now, core.options.lease, core.options.lag_max),
                });
                core.leading_changed.notify_waiters();
            }
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// While we lead, asks a quorum again and again whether we still do.
pub(crate) async fn confirm_leadership(core: Arc<Core>) {
    let pause = core.options.lease / 10;
    loop {
        if core.leading.lock().is_some() {
            let sent = LeaseTime::now();
            if core.raft.get_read_log_id().await.is_ok() {
                let mut leading = core.leading.lock();
                if let Some(leading) = leading.as_mut() {
                    leading.grantor.confirm(sent);
                    core.lease.granted(sent, core.options.lease);
                }
            }
            tokio::time::sleep(pause).await;
        } else {
            // Leadership may have come between the look and the wait.
            let _ = tokio::time::timeout(pause, core.leading_changed.notified()).await;
        }
    }
}

/// Asks the leader for our lease: regularly, and whenever we have applied more.
pub(crate) async fn keep_lease(core: Arc<Core>) {
    let pause = core.options.lease / 10;
    let (mut applied, mut metrics) = (core.replica.applied(), core.metrics.clone());
    loop {
        let next = *applied.borrow_and_update();
        let leader = metrics.borrow_and_update().current_leader;
        if let Some(leader) = leader.filter(|leader| *leader != core.me) {
            ask_for_lease(&core, leader, next).await;
        }
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            changed = metrics.wait_for(|now| now.current_leader != leader) => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

pub(crate) fn lease_request(applied: u64) -> Bytes {
    codec::encode(&LeaseRequest { applied }).into()
}

async fn ask_for_lease(core: &Core, leader: NodeId, applied: u64) {
    let Some(peer) = core.pool.get(PortNodeId(leader)) else { return };
    let request = lease_request(applied);
    let sent = LeaseTime::now();
    let answer = peer.raft(kinds::LEASE, request, core.options.lag_max).await;
    let granted = answer.ok().and_then(|bytes| codec::decode::<LeaseAnswer>(&bytes).ok());
    if let Some(ms) = granted.and_then(|answer| answer.granted_ms) {
        core.lease.granted(sent, Duration::from_millis(ms));
    }
}

/// While we lead: routes of members whose lease ended a while ago go, unless they own persistent
/// sessions. A member that comes back
/// adds its live ones again (ARCHITECTURE §4, "no stale ghosts, no lost routes").
pub(crate) async fn collect_dead(core: Arc<Core>) {
    loop {
        tokio::time::sleep(core.options.lease / 6).await;
        for (node, incarnation) in due_for_collection(&core) {
            // What is published for its stored sessions meanwhile belongs into the spools; without
            // the routes it would be acknowledged and lost.
            if core.replica.read().sessions().owns_persistent(node) {
                if let Some(leading) = core.leading.lock().as_mut() {
                    leading.grantor.collected(node, None);
                }
                continue;
            }
            tracing::info!(node, incarnation, "collecting the routes of a member without lease");
            let command = Command::Route(RouteCommand::NodeGone { node, incarnation });
            let gone = leader::write(&core, Batch::from(command)).await;
            let index = gone.ok().map(|applied| applied.index);
            if let Some(leading) = core.leading.lock().as_mut() {
                leading.grantor.collected(node, index);
            }
        }
    }
}

fn due_for_collection(core: &Core) -> Vec<(NodeId, u64)> {
    let mut leading = core.leading.lock();
    let Some(leading) = leading.as_mut() else { return Vec::new() };
    let state = core.replica.read();
    let others = state.cluster().members().filter(|member| member.id != core.me);
    let live = others.filter_map(|member| {
        let run = state.routes().node(member.id)?;
        (run.live || run.entries > 0).then_some((member.id, run.incarnation))
    });
    let (now, after) = (LeaseTime::now(), core.options.gone_after);
    live.filter(|(node, _)| leading.grantor.begin_collecting(now, *node, after)).collect()
}

/// Members without a lease for longer than a moment; only the leader knows.
pub(crate) fn without_lease(core: &Core) -> Vec<NodeId> {
    let leading = core.leading.lock();
    let Some(leading) = leading.as_ref() else { return Vec::new() };
    let (now, after) = (LeaseTime::now(), core.options.gone_after);
    let state = core.replica.read();
    let others = state.cluster().members().map(|member| member.id).filter(|id| *id != core.me);
    others.filter(|id| leading.grantor.without_lease(now, *id) >= after).collect()
}

/// The leader's answer to [`ask_for_lease`].
pub(crate) fn answer_lease(core: &Core, from: NodeId, body: &[u8]) -> Result<Bytes, RequestError> {
    let request: LeaseRequest = codec::decode(body)
        .map_err(|error| RequestError::failed(kinds::BAD_BODY, error.to_string()))?;
    let Some(index) = request.applied.checked_sub(1) else {
        return Ok(codec::encode(&LeaseAnswer { granted_ms: None }).into());
    };
    let granted = {
        let mut leading = core.leading.lock();
        let leading = leading
            .as_mut()
            .ok_or_else(|| RequestError::failed(kinds::NOT_LEADER, "this node does not lead"))?;
        leading.grantor.renew(LeaseTime::now(), from, index)
    };
    core.leading_changed.notify_waiters();
    let granted_ms = granted.map(|granted| granted.as_millis() as u64);
    Ok(codec::encode(&LeaseAnswer { granted_ms }).into())
}

/// Waits, on the leader, until the change at `index` is applied on every member with a lease.
pub(crate) async fn await_visible(core: &Core, index: u64) -> Result<(), NotLeading> {
    let term = core.leading.lock().as_ref().map(|leading| leading.term);
    loop {
        let progress = core.leading_changed.notified();
        let alone = core.members().len() <= 1;
        let visibility = {
            let mut leading = core.leading.lock();
            let leading =
                leading.as_mut().filter(|known| Some(known.term) == term).ok_or(NotLeading)?;
            leading.grantor.visible(LeaseTime::now(), index, alone)
        };
        match visibility {
            Visibility::Yes => return Ok(()),
            Visibility::NotBefore(then) => {
                let wait = then.since(LeaseTime::now()) + Duration::from_millis(1);
                // Progress that comes after the look above is not lost: the notification was
                // asked for before it.
                let _ = tokio::time::timeout(wait, progress).await;
            }
        }
    }
}
