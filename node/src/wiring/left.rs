//! Messages that come here for sessions that other nodes have taken over follow them
//! (`mqtt/src/left_behind.rs` decides which).

use std::time::Duration;

use spanmq_mqtt::BrokerHandle;
use spanmq_raft::RaftNode;

use super::sessions::{ANSWER_LIMIT, LATE, fence_of};

/// How often the nodes that may hold something are asked.
const ASK: Duration = Duration::from_secs(1);
/// How often what has come is given on.
const GIVE: Duration = Duration::from_millis(100);

/// Asks the nodes that may hold something for sessions that left, until each has let a fence pass
/// or is no member any more.
pub(super) async fn settle(raft: RaftNode, broker: BrokerHandle) {
    let me = raft.id();
    loop {
        tokio::time::sleep(ASK).await;
        let (owing, mark) = broker.owing();
        let mut asked = tokio::task::JoinSet::new();
        for node in owing {
            let raft = raft.clone();
            asked.spawn(async move {
                let gone = raft.state().cluster().member(node).is_none();
                (node, gone || node == me || fence_of(&raft, node, me).await)
            });
        }
        for (node, _) in asked.join_all().await.into_iter().filter(|(_, passed)| *passed) {
            broker.settled(node, mark).await;
        }
    }
}

/// Gives on what has come for sessions that left, to whoever owns them now.
pub(super) async fn give_on(raft: RaftNode, broker: BrokerHandle) {
    loop {
        tokio::time::sleep(GIVE).await;
        let mut given = tokio::task::JoinSet::new();
        for (client_id, count, batch) in broker.following() {
            let (raft, broker) = (raft.clone(), broker.clone());
            given.spawn(async move {
                if give(&raft, &broker, &client_id, batch).await {
                    broker.followed(&client_id, count);
                }
            });
        }
        given.join_all().await;
    }
}

/// Gives one batch on; false: it is tried again.
async fn give(raft: &RaftNode, broker: &BrokerHandle, client_id: &str, batch: Vec<u8>) -> bool {
    let owner = raft.state().sessions().get(client_id).map(|session| session.owner);
    match owner {
        None => {
            broker.stop_following(client_id);
            false
        }
        Some(owner) if owner.node == raft.id() => broker.take_late(&batch).await,
        Some(owner) => {
            let peers = raft.peers();
            let answer = peers.query(owner.node, LATE, batch.into(), ANSWER_LIMIT).await;
            answer.is_ok_and(|answer| *answer == [1])
        }
    }
}
