//! Sessions between nodes: questions of claimants, and what the directory's events mean for what
//! this node holds (ARCHITECTURE §4, "one session per client id").

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use spanmq_mqtt::BrokerHandle;
use spanmq_raft::RaftNode;
use spanmq_state::command::{Holder, SessionCommand};
use spanmq_state::{Command, Epoch, Event, NodeId};
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;

use super::{Slot, left};

/// Kinds of questions on the query stream.
const TAKE_OVER: u16 = spanmq_raft::APPLICATION_KINDS + 1;
const FREEZE: u16 = spanmq_raft::APPLICATION_KINDS + 4;
const FENCE: u16 = spanmq_raft::APPLICATION_KINDS + 5;
pub(super) const LATE: u16 = spanmq_raft::APPLICATION_KINDS + 6;

/// Version of all of them.
const VERSION: u8 = 2;
/// How long the previous owner of a session may take for one answer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a node may take to flush its wire; one that does not is without its lease soon.
const FENCE_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of a hand-over in one answer; a frame holds 16 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Hand-overs that are being fetched in parts at a time; more are refused.
const PARTED_MAX: usize = 16;
/// Pause before a late batch is offered again.
const LATE_RETRY: Duration = Duration::from_secs(2);

/// A question about one session: version, epoch, offset into the answer, number of nodes, these,
/// client id.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    epoch: Epoch,
    offset: u64,
    /// Nodes that may hold something for the session.
    owing: Vec<NodeId>,
    client_id: Arc<str>,
}

impl Question {
    fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.offset.to_be_bytes());
        // A cluster has fewer than 65,536 nodes.
        let owing = &self.owing[..self.owing.len().min(usize::from(u16::MAX))];
        out.extend((owing.len() as u16).to_be_bytes());
        owing.iter().for_each(|node| out.extend(node.to_be_bytes()));
        out.extend(self.client_id.as_bytes());
        out.into()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<2>()?;
        let (owing, client_id) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*count)) * 8)?;
        let (owing, _) = owing.as_chunks::<8>();
        Some(Self {
            epoch: u64::from_be_bytes(*epoch),
            offset: u64::from_be_bytes(*offset),
            owing: owing.iter().map(|node| NodeId::from_be_bytes(*node)).collect(),
            client_id: std::str::from_utf8(client_id).ok().filter(|_| *version == VERSION)?.into(),
        })
    }
}

/// First half of a take-over, on the claimant's side.
pub(super) async fn freeze(
    raft: RaftNode,
    from: Holder,
    client_id: Arc<str>,
    epoch: Epoch,
) -> Option<Bytes> {
    let question = Question { epoch, offset: 0, owing: Vec::new(), client_id }.encode();
    let answer = raft.peers().query(from.node, FREEZE, question, ANSWER_LIMIT).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// Second half: a copy, in as many parts as it needs. Each part follows the total length.
pub(super) async fn take_over(
    raft: RaftNode,
    from: Holder,
    client_id: Arc<str>,
    epoch: Epoch,
    owing: Vec<NodeId>,
) -> Option<Bytes> {
    let mut whole = Vec::new();
    loop {
        let (client_id, offset) = (client_id.clone(), whole.len() as u64);
        let question = Question { epoch, offset, owing: owing.clone(), client_id }.encode();
        let answer = raft.peers().query(from.node, TAKE_OVER, question, ANSWER_LIMIT).await.ok()?;
        let (total, part) = answer.split_first_chunk::<8>()?;
        if part.is_empty() {
            return None;
        }
        whole.extend_from_slice(part);
        if whole.len() as u64 >= u64::from_be_bytes(*total) {
            return Some(whole.into());
        }
    }
}

/// Asks all other nodes at once; yields those that have let no fence pass.
pub(super) async fn fence(raft: RaftNode, to: NodeId) -> Vec<NodeId> {
    let mut asked = tokio::task::JoinSet::new();
    for node in raft.peers().nodes() {
        let raft = raft.clone();
        asked.spawn(async move { (!fence_of(&raft, node, to).await).then_some(node) });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

/// Asks one node to let a fence pass to another, once it has applied what is applied here. True:
/// what it had routed to that one before is there.
pub(super) async fn fence_of(raft: &RaftNode, node: NodeId, to: NodeId) -> bool {
    let mut question = vec![VERSION];
    question.extend(to.to_be_bytes());
    question.extend(raft.applied().borrow().to_be_bytes());
    let answer = raft.peers().query(node, FENCE, question.into(), FENCE_LIMIT).await;
    match answer {
        Ok(answer) => *answer == [1],
        Err(error) => {
            tracing::debug!(%error, node, "a node did not answer a fence");
            false
        }
    }
}

/// Answers [`fence_of`].
async fn let_pass(raft: &RaftNode, broker: &BrokerHandle, question: &[u8]) -> bool {
    let Some((&VERSION, rest)) = question.split_first() else { return false };
    let Some((to, applied)) = rest.split_first_chunk::<8>() else { return false };
    let Ok(applied) = applied.try_into().map(u64::from_be_bytes) else { return false };
    let mut here = raft.applied();
    let caught_up = here.wait_for(|next| *next >= applied);
    // The node that asks waits no longer, and counts us among those that may hold something.
    let caught_up = tokio::time::timeout(FENCE_LIMIT, caught_up).await.is_ok_and(|up| up.is_ok());
    let passed = broker.fence(NodeId::from_be_bytes(*to)).await;
    caught_up && passed
}

type Parted = Arc<Mutex<HashMap<(Arc<str>, Epoch), Bytes>>>;

/// Answers the other nodes' questions.
pub(crate) fn serve(raft: &RaftNode, broker: &Slot<BrokerHandle>) {
    let peers = raft.peers();
    let slot = broker.clone();
    peers.on_query(FREEZE, move |_, body| {
        let slot = slot.clone();
        async move {
            let (Some(broker), Some(asked)) = (slot.get(), Question::decode(&body)) else {
                return Ok(Bytes::new());
            };
            let frozen = broker.freeze(asked.client_id, asked.epoch).await;
            Ok(frozen.unwrap_or_default().into())
        }
    });
    let (slot, parted) = (broker.clone(), Parted::default());
    peers.on_query(TAKE_OVER, move |_, body| {
        let (slot, parted) = (slot.clone(), parted.clone());
        async move {
            let (Some(broker), Some(asked)) = (slot.get(), Question::decode(&body)) else {
                return Ok(Bytes::new());
            };
            Ok(part(broker, &parted, asked).await.unwrap_or_default())
        }
    });
    let (slot, node) = (broker.clone(), raft.clone());
    peers.on_query(FENCE, move |_, body| {
        let (slot, node) = (slot.clone(), node.clone());
        async move {
            let passed = match slot.get() {
                Some(broker) => let_pass(&node, broker, &body).await,
                None => false,
            };
            Ok(Bytes::copy_from_slice(&[u8::from(passed)]))
        }
    });
    let slot = broker.clone();
    peers.on_query(LATE, move |_, body| {
        let slot = slot.clone();
        async move {
            let taken = match slot.get() {
                Some(broker) => broker.take_late(&body).await,
                None => false,
            };
            Ok(Bytes::copy_from_slice(&[u8::from(taken)]))
        }
    });
}

/// The part of a hand-over from an offset on, behind its total length.
async fn part(broker: &BrokerHandle, parted: &Parted, asked: Question) -> Option<Bytes> {
    let key = (asked.client_id, asked.epoch);
    let whole = if asked.offset == 0 {
        Bytes::from(broker.hand_over(key.0.clone(), key.1, asked.owing).await?)
    } else {
        parted.lock().remove(&key)?
    };
    let rest = whole.get(usize::try_from(asked.offset).ok()?..)?;
    let part = rest.get(..PART_BYTES).unwrap_or(rest);
    if part.len() < rest.len() {
        let mut parted = parted.lock();
        if parted.len() >= PARTED_MAX {
            tracing::warn!("too many large sessions are being handed over");
            return None;
        }
        parted.insert(key, whole.clone());
    }
    let mut answer = (whole.len() as u64).to_be_bytes().to_vec();
    answer.extend_from_slice(part);
    Some(answer.into())
}

/// Keeps what this node holds in step with the directory, from now on; the first round is done
/// when this returns, so that no client finds a session that belongs to another node.
pub(crate) async fn follow(raft: &RaftNode, broker: &BrokerHandle, runtime: &Handle) {
    runtime.spawn(left::settle(raft.clone(), broker.clone()));
    runtime.spawn(left::give_on(raft.clone(), broker.clone()));
    let mut events = raft.events();
    let keeper = Keeper { raft: raft.clone(), broker: broker.clone(), runtime: runtime.clone() };
    keeper.compare().await;
    runtime.spawn(async move {
        loop {
            match events.recv().await {
                Ok(applied) if applied.index.is_some() => {
                    applied.events.iter().for_each(|event| keeper.on_event(event));
                }
                // Anything may have changed.
                Ok(_) | Err(RecvError::Lagged(_)) => keeper.compare().await,
                Err(RecvError::Closed) => return,
            }
        }
    });
}

#[derive(Clone)]
struct Keeper {
    raft: RaftNode,
    broker: BrokerHandle,
    runtime: Handle,
}

impl Keeper {
    /// What is to be done waits for CONNECTs that are under way, so each event has its own task;
    /// epochs make their order irrelevant.
    fn on_event(&self, event: &Event) {
        let me = self.raft.id();
        let broker = self.broker.clone();
        match event {
            Event::SessionClaimed { client_id, claim, previous, session_present, .. }
                if claim.node != me =>
            {
                let (client_id, epoch) = (client_id.clone(), claim.epoch);
                let frozen = *session_present;
                if frozen && previous.is_none_or(|previous| previous.node != me) {
                    return;
                }
                self.runtime.spawn(async move {
                    if frozen {
                        broker.claimed_elsewhere(client_id, epoch).await;
                    } else {
                        broker.forget_session(client_id, epoch, false).await;
                    }
                });
            }
            Event::SessionInstalled { client_id, owner, previous, complete }
                if owner.node != me =>
            {
                if !complete && previous.node == me {
                    self.drain(client_id.clone(), *previous);
                } else if self.orphan(client_id).is_none() {
                    let (client_id, epoch) = (client_id.clone(), owner.epoch);
                    self.runtime.spawn(async move {
                        broker.forget_session(client_id, epoch, true).await;
                    });
                }
            }
            Event::SessionReturned { client_id, owner } if owner.node == me => {
                let client_id = client_id.clone();
                self.runtime.spawn(async move { broker.claim_returned(client_id).await });
            }
            Event::SessionEnded { client_id, owner } => {
                let (client_id, epoch) = (client_id.clone(), owner.epoch.saturating_add(1));
                self.runtime.spawn(async move {
                    broker.stop_following(&client_id);
                    broker.forget_session(client_id, epoch, false).await;
                });
            }
            _ => {}
        }
    }

    /// Everything that is here against the directory: after a start, and when events were missed.
    async fn compare(&self) {
        let me = self.raft.id();
        for (client_id, epoch) in self.broker.held_sessions().await {
            let found = {
                let state = self.raft.state();
                state.sessions().get(&client_id).map(|session| {
                    let claim = session.claim.as_ref().map(|claim| claim.holder);
                    (session.owner, claim)
                })
            };
            // Unknown ones have ended, or were never persistent; their own clock ends them.
            let Some((owner, claim)) = found else { continue };
            if owner.node != me && owner.epoch > epoch {
                match self.orphan(&client_id) {
                    Some(orphan) => self.drain(client_id, orphan),
                    None => self.broker.forget_session(client_id, owner.epoch, true).await,
                }
            } else if let Some(claim) = claim.filter(|claim| claim.node != me) {
                self.broker.claimed_elsewhere(client_id, claim.epoch).await;
            }
        }
    }

    /// Under what this node still owes a late batch of the session.
    fn orphan(&self, client_id: &str) -> Option<Holder> {
        let me = self.raft.id();
        let state = self.raft.state();
        let orphans = &state.sessions().get(client_id)?.orphans;
        orphans.iter().rev().find(|orphan| orphan.node == me).copied()
    }

    /// Sends the late batch of a session that was taken over while this node was away, to whoever
    /// owns it now; then nothing of it is left here.
    fn drain(&self, client_id: Arc<str>, orphan: Holder) {
        let keeper = self.clone();
        self.runtime.spawn(async move {
            while !keeper.drained(&client_id, orphan).await {
                tokio::time::sleep(LATE_RETRY).await;
            }
        });
    }

    async fn drained(&self, client_id: &Arc<str>, orphan: Holder) -> bool {
        let owner = {
            let state = self.raft.state();
            let session = state.sessions().get(client_id);
            session.filter(|session| session.orphans.contains(&orphan)).map(|session| session.owner)
        };
        let Some(owner) = owner else { return true };
        if owner.node == self.raft.id() {
            // The client has come back: what was here follows its session on this node.
            return self.nothing_owed(client_id, orphan).await;
        }
        // Its connection, if it still has one, ends first.
        self.broker.claimed_elsewhere(client_id.clone(), owner.epoch).await;
        // Any of them may have messages for it in the spool of this node, from before the owner.
        let owing = self.raft.peers().nodes();
        let (name, epoch) = (client_id.clone(), owner.epoch);
        if let Some(batch) = self.broker.late_batch(name, epoch, owing).await {
            let sent = self.raft.peers().query(owner.node, LATE, batch.into(), ANSWER_LIMIT).await;
            if !sent.is_ok_and(|answer| *answer == [1]) {
                return false;
            }
        }
        self.broker.forget_session(client_id.clone(), owner.epoch, true).await;
        self.nothing_owed(client_id, orphan).await
    }

    async fn nothing_owed(&self, client_id: &Arc<str>, orphan: Holder) -> bool {
        let (client_id, epoch) = (client_id.clone(), orphan.epoch);
        let command = SessionCommand::OrphanDrained { client_id, epoch };
        self.raft.propose(vec![Command::Session(command)]).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_asked() {
        let question = Question { epoch: 7, offset: 9, owing: vec![3, 4], client_id: "c".into() };
        let bytes = question.encode();
        assert_eq!(Question::decode(&bytes), Some(question));
        assert_eq!(Question::decode(&bytes[..34]), None);
        assert_eq!(Question::decode(&[&[1], &bytes[1..]].concat()), None);
    }
}
