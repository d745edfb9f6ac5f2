//! Whom this node knows and dials, who is to vote next, and how a node learns that it was removed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use spanmq_port::{NodeId as PortNodeId, PeerState, Refusal, RequestError};

use crate::{
    core::{Core, Phase},
    formation::set_stage,
    identity::Stage,
    join::{Learner, next_voter},
    kinds, leading,
    types::NodeId,
};

/// Between two looks whether a learner may vote.
const PROMOTION_PAUSE: Duration = Duration::from_millis(200);
/// How long a voter may take to say that we were removed.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// Follows the membership: whom the port knows and dials, and whether we still belong to it.
pub(crate) async fn follow_members(core: Arc<Core>) {
    let mut metrics = core.metrics.clone();
    let mut was_member = false;
    loop {
        let (members, committed) = {
            let metrics = metrics.borrow_and_update();
            let membership = &metrics.membership_config;
            let applied = metrics.last_applied.map(|id| id.index);
            let committed = membership.log_id().map(|id| id.index) <= applied;
            let nodes = membership.membership().nodes();
            (nodes.map(|(id, info)| (*id, info.clone())).collect::<BTreeMap<_, _>>(), committed)
        };
        if !members.is_empty() {
            core.known.set(&members);
            let others = members.iter().filter(|(id, _)| **id != core.me);
            core.pool.set(others.map(|(id, info)| (PortNodeId(*id), &*info.name, &*info.addr)));
            let is_member = members.contains_key(&core.me);
            if was_member && !is_member && committed {
                removed(&core);
            }
            was_member |= is_member;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// Looks for the word of most voters that we were removed: without us in the membership, the
/// entry that says so is not sent to us.
pub(crate) async fn notice_removal(core: Arc<Core>) {
    let name = core.identity.lock().node_name.clone();
    let sentence = Refusal::Removed { node: name, id: PortNodeId(core.me) }.to_string();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let voters: Vec<_> = {
            let metrics = core.metrics.borrow();
            if metrics.current_leader.is_some() {
                continue;
            }
            metrics.membership_config.voter_ids().filter(|id| *id != core.me).collect()
        };
        let mut say_so = 0;
        for id in &voters {
            say_so += usize::from(says_removed(&core, *id, &sentence).await);
        }
        if say_so * 2 > voters.len() {
            removed(&core);
            return;
        }
    }
}

async fn says_removed(core: &Core, voter: NodeId, sentence: &str) -> bool {
    let Some(peer) = core.pool.get(PortNodeId(voter)) else { return false };
    if let PeerState::Down { reason, .. } = &*peer.state().borrow() {
        return reason.contains(sentence);
    }
    let asked = peer.raft(kinds::LEASE, leading::lease_request(0), ASK_TIMEOUT).await;
    matches!(asked, Err(RequestError::Failed { code: kinds::REMOVED, .. }))
}

/// This node does not belong to its cluster any more.
pub(crate) fn removed(core: &Core) {
    if *core.phase.borrow() == Phase::Removed {
        return;
    }
    tracing::info!("this node was removed from its cluster");
    if let Err(error) = set_stage(core, Stage::Left) {
        tracing::error!(%error, "the identity file cannot be written");
    }
    core.phase.send_replace(Phase::Removed);
}

/// While we lead: lets learners vote that have caught up.
pub(crate) async fn promote_learners(core: Arc<Core>) {
    loop {
        tokio::time::sleep(PROMOTION_PAUSE).await;
        if let Some(voter) = due_voter(&core) {
            let _one = core.changing.lock().await;
            let change = openraft::ChangeMembers::AddVoterIds([voter].into());
            match core.raft.change_membership(change, true).await {
                Ok(_) => tracing::info!(node = voter, "a learner votes from now on"),
                Err(error) => tracing::debug!(node = voter, %error, "not promoted yet"),
            }
        }
    }
}

fn due_voter(core: &Core) -> Option<NodeId> {
    let metrics = core.metrics.borrow();
    let replication = metrics.replication.as_ref()?;
    let membership = metrics.membership_config.membership();
    if membership.get_joint_config().len() > 1 {
        return None;
    }
    let last = metrics.last_log_index.unwrap_or(0);
    let learners: Vec<Learner> = membership
        .learner_ids()
        .map(|id| {
            let matched = replication.get(&id).copied().flatten();
            Learner { id, lag: matched.map(|matched| last.saturating_sub(matched.index)) }
        })
        .collect();
    next_voter(membership.voter_ids().count(), core.options.voters_max, &learners)
}
