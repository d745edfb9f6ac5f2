//! A session moves here from another node without missing or repeating a message (ARCHITECTURE §4,
//! "one session per client id"). The steps are those of `worker::moving`, with fences in the place
//! of barriers: a fence of each node, behind all that it has routed, comes to one node.
//!
//! 1. The former owner closes the connection and notes which messages the session still gets.
//! 2. Fences to this node: a message that was sent to both nodes and comes here from now on is
//!    noted there. (This node may be known for the same filters already, through other clients.)
//! 3. This node takes the subscriptions, buffers what it gets for them, and waits until their
//!    routes are visible everywhere.
//! 4. Fences to the former owner: after these it gets nothing that this node does not get too. Nodes
//!    that cannot reach it are told to it: what they bring later follows the session (`left_behind`).
//! 5. It hands a copy over; the buffer follows, but for what the session has got already.
//! 6. The copy is in the store here before `Installed` says so; the former owner keeps its own
//!    until then. So a crash at any point leaves the session with one of them.
//! 7. Last fences to this node: behind them no copy of what was noted comes any more.
//!
//! A former owner that does not answer leaves only what the directory knows (`WithoutOwner`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use spanmq_session::codec::{decode_export, encode_export};
use spanmq_session::{
    ConnectTerms, JournalOp, Message, MessageId, Origin, ProtocolVersion, Publisher, QoS,
    SessionExport,
};
use spanmq_state::NodeId;
use spanmq_state::command::{Handover, Holder};
use spanmq_topic::TopicName;
use tokio::sync::oneshot;

use crate::config::Orphans;
use crate::directory::{Claimed, Install, abandon, install};
use crate::mail::Mail;
use crate::ports::{Client, Done, Forward, Outcome, Outcomes};
use crate::shared::{Shared, random_u64, wall_ms};
use crate::worker::moving::{Barrier, Left, Subscriptions};
use crate::worker::{WorkerCell, from_stored};

/// Version of [`encode_left`].
const VERSION: u8 = 1;
const SERVER_UNAVAILABLE: u8 = 0x88;

/// Moves the session of a claim here and installs it; then it waits on this worker, without a
/// connection. To be run to its end, whatever becomes of the connection that asked for it.
///
/// # Errors
/// The code for CONNACK.
pub(crate) async fn take_from_node(
    worker: &WorkerCell,
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    terms: &ConnectTerms,
    claimed: &Claimed,
    previous: Holder,
) -> Result<(), u8> {
    let here = worker.borrow().id;
    let (client_id, epoch) = (&client.client_id, claimed.epoch);
    let (me, peers) = (shared.ports.identity.node, &shared.ports.peers);
    let frozen = peers.freeze(previous, client_id.clone(), epoch).await;
    let frozen = frozen.and_then(|bytes| readable(decode_export(&bytes, Instant::now())));
    let subscriptions: Subscriptions = match &frozen {
        Some(export) => subscriptions_of(export),
        None => claimed.subscriptions.iter().filter_map(from_stored).collect(),
    };
    if frozen.is_some() {
        fence_all(shared, me).await;
        // Ends only with the worker.
        let _ = Barrier::raise(&shared.workers, here).await;
    }
    let (buffer, visible) = {
        let mut worker = worker.borrow_mut();
        let (buffer, batch) = worker.expect_session(client, subscriptions.clone());
        (buffer, worker.when_visible(batch))
    };
    if visible.await != Ok(true) {
        worker.borrow_mut().spill_buffer(buffer);
        abandon(shared, client_id, epoch).await;
        return Err(SERVER_UNAVAILABLE);
    }
    let mut left = None;
    if frozen.is_some() {
        let owing = fence_all(shared, previous.node).await;
        let bytes = peers.take_over(previous, client_id.clone(), epoch, owing).await;
        left = bytes.and_then(|bytes| decode_left(&bytes));
    }
    let refuses = shared.config.orphans == Orphans::Refuse;
    if left.is_none() && refuses && peers.is_member(previous.node) {
        worker.borrow_mut().spill_buffer(buffer);
        abandon(shared, client_id, epoch).await;
        return Err(SERVER_UNAVAILABLE);
    }
    let handover = if left.is_some() { Handover::Complete } else { Handover::WithoutOwner };
    if handover == Handover::WithoutOwner {
        tracing::warn!(%client_id, node = previous.node, "taken over without its former owner");
    }
    let (key, stored) = {
        let mut worker = worker.borrow_mut();
        let key = worker.arrive(buffer, client, terms, epoch, left, subscriptions);
        (key, worker.when_stored())
    };
    settle(worker.clone(), shared.clone(), client_id.clone());
    // Refused: the store cannot write, and the session is in memory only, like any other then.
    let _ = stored.await;
    match install(shared, client_id, claimed, handover).await {
        Install::Done => Ok(()),
        // Nobody knows whether it was committed: the directory's events will tell.
        Install::Unknown => Err(SERVER_UNAVAILABLE),
        Install::Stale => {
            worker.borrow_mut().drop_copy(key);
            Err(SERVER_UNAVAILABLE)
        }
    }
}

/// Step 7. By name, as the session gets another place when its connection takes it.
fn settle(worker: WorkerCell, shared: Arc<Shared>, client_id: Arc<str>) {
    tokio::task::spawn_local(async move {
        fence_all(&shared, shared.ports.identity.node).await;
        let here = worker.borrow().id;
        if Barrier::raise(&shared.workers, here).await.is_ok()
            && let Some(place) = shared.clients.place(&client_id)
            && place.worker == here
        {
            worker.borrow_mut().forget_got(place.key);
        }
    });
}

/// Waits until everything that any node had routed to `to` has come there. Yields the nodes of
/// which that is not certain.
async fn fence_all(shared: &Arc<Shared>, to: NodeId) -> Vec<NodeId> {
    let others = shared.ports.peers.fence(to);
    let passed = fence(shared, to).await;
    let mut owing = others.await;
    owing.extend((!passed).then_some(shared.ports.identity.node));
    owing
}

/// Waits until everything that this node had routed to `to` has come there: a message for nobody
/// follows it, behind the turn of each worker. False: it is held here.
pub(crate) async fn fence(shared: &Arc<Shared>, to: NodeId) -> bool {
    if to == shared.ports.identity.node {
        return true;
    }
    let mut passed = Vec::with_capacity(shared.workers.len());
    for worker in &shared.workers {
        let (tell, told) = oneshot::channel();
        passed.push(told);
        worker.send(Mail::Task(Box::new(move |worker| {
            let done = Done::new(move |outcomes: Option<Outcomes>| {
                // It has come to a node where nobody wants it; a spool would hold it.
                let outcome = outcomes.map(|outcomes| outcomes.get(0));
                // Nobody waits any more: the claimant has given up.
                let _ = tell.send(outcome == Some(Outcome::NoSubscribers));
            });
            worker.send_fence(to, nothing(), done);
        })));
    }
    let mut all = true;
    for told in passed {
        // Dropped: the worker has ended, and routes nothing more.
        all &= told.await.unwrap_or(true);
    }
    all
}

/// A message that nobody wants; it only has a place in the order.
fn nothing() -> Forward {
    let mut id = [0; 16];
    let (high, low) = id.split_at_mut(8);
    high.copy_from_slice(&random_u64().to_be_bytes());
    low.copy_from_slice(&random_u64().to_be_bytes());
    let message = Message {
        id: MessageId(id),
        topic: TopicName::new("$SYS/fence").expect("a topic name"),
        payload: Bytes::new(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
        from: "".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: wall_ms(),
        received: Instant::now(),
        origin: Origin::Local,
        repeated: false,
    };
    Forward { message: Arc::new(message), plain: false, groups: Vec::new(), lane: 0 }
}

/// The subscriptions alone, in the form of a hand-over.
pub(crate) fn encode_frozen(client_id: &Arc<str>, frozen: Subscriptions) -> Option<Vec<u8>> {
    let ops = frozen.into_iter().map(|(filter, options)| JournalOp::Subscribed { filter, options });
    let (client_id, ops) = (client_id.clone(), ops.collect());
    let export = SessionExport { client_id, ops, messages: Vec::new() };
    readable(encode_export(&export, Instant::now()))
}

pub(crate) fn subscriptions_of(export: &SessionExport) -> Subscriptions {
    let subscribed = export.ops.iter().filter_map(|op| match op {
        JournalOp::Subscribed { filter, options } => Some((filter.clone(), *options)),
        _ => None,
    });
    subscribed.collect()
}

/// A hand-over in bytes: version, count and ids of what the session got while it moved, the
/// session.
pub(crate) fn encode_left(left: &Left) -> Option<Vec<u8>> {
    let count = u32::try_from(left.got.len()).ok()?;
    let mut out = vec![VERSION];
    out.extend(count.to_be_bytes());
    left.got.iter().for_each(|id| out.extend(id.0));
    out.extend(readable(encode_export(&left.export, Instant::now()))?);
    Some(out)
}

fn decode_left(bytes: &[u8]) -> Option<Left> {
    let (version, rest) = bytes.split_first()?;
    if *version != VERSION {
        tracing::error!(version, "a hand-over has a version that we do not know");
        return None;
    }
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let ids = (u32::from_be_bytes(*count) as usize).checked_mul(16)?;
    let (ids, export) = rest.split_at_checked(ids)?;
    let (ids, _) = ids.as_chunks::<16>();
    let got: HashSet<MessageId> = ids.iter().map(|id| MessageId(*id)).collect();
    let export = Box::new(readable(decode_export(export, Instant::now()))?);
    Some(Left { export, got })
}

fn readable<T, E: std::fmt::Display>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| tracing::error!(%error, "a hand-over cannot be used")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_over_keeps_what_the_session_got_while_it_moved() {
        let export = SessionExport { client_id: "c".into(), ops: Vec::new(), messages: Vec::new() };
        let got: HashSet<MessageId> = [MessageId([1; 16]), MessageId([2; 16])].into();
        let bytes = encode_left(&Left { export: Box::new(export.clone()), got: got.clone() });
        let bytes = bytes.unwrap();
        let left = decode_left(&bytes).unwrap();
        assert_eq!((*left.export, left.got), (export, got));
        for cut in 0..bytes.len() {
            assert!(decode_left(&bytes[..cut]).is_none(), "cut at {cut}");
        }
    }
}
