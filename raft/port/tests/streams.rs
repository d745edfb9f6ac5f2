//! Requests, wires, and what happens to them when connections come and go.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use common::*;
use spanmq_port::{
    DialMap, NodeId, PeerState, PortTuning, Purpose, RequestError, WireFrame, WireSendError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

async fn pair() -> (Node, Node, spanmq_port::Peer) {
    let (a, b) = (dev_node(1).await, dev_node(2).await);
    let peer = a.knows(&b);
    up(&peer).await;
    (a, b, peer)
}

#[tokio::test]
async fn requests_are_answered_on_raft_and_query() {
    let (_a, b, peer) = pair().await;
    let body = Bytes::from_static(b"hello");
    assert_eq!(peer.raft(ECHO, body.clone(), PATIENCE).await, Ok(body.clone()));
    assert_eq!(peer.query(ECHO, body.clone(), PATIENCE).await, Ok(body));
    assert_eq!(b.requests_seen(), 2);
}

#[tokio::test]
async fn a_handlers_refusal_reaches_the_caller_with_code_and_text() {
    let (_a, _b, peer) = pair().await;
    let refused = peer.query(REFUSE, Bytes::new(), PATIENCE).await;
    assert_eq!(refused, Err(RequestError::failed(7, "not today")));
    let unknown = peer.query(99, Bytes::new(), PATIENCE).await;
    assert_eq!(unknown, Err(RequestError::UnknownKind { kind: 99 }));
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_that_request_only() {
    let (_a, b, peer) = pair().await;
    let panicked = peer.query(PANIC, Bytes::new(), PATIENCE).await;
    assert_eq!(panicked, Err(RequestError::HandlerPanicked));
    assert_eq!(b.context.counters().snapshot().handler_panics, 1);
    assert!(peer.query(ECHO, Bytes::new(), PATIENCE).await.is_ok());
}

#[tokio::test]
async fn a_request_ends_at_its_deadline_and_its_late_answer_changes_nothing() {
    let (_a, b, peer) = pair().await;
    let late = peer.query(HOLD, Bytes::new(), Duration::from_millis(50)).await;
    assert_eq!(late, Err(RequestError::Deadline));
    b.seen.release.notify_waiters();
    assert!(peer.query(ECHO, Bytes::new(), PATIENCE).await.is_ok());
}

#[tokio::test]
async fn more_requests_than_the_limit_are_answered_overloaded_and_counted() {
    let a = dev_node(1).await;
    let tuning = PortTuning { query_requests_max: 2, ..quick() };
    let b = start(NodeOptions { tuning, ..options(2) }).await;
    let peer = a.knows(&b);
    let held: Vec<_> = (0..2)
        .map(|_| {
            let peer = peer.clone();
            tokio::spawn(async move { peer.query(HOLD, Bytes::new(), PATIENCE).await })
        })
        .collect();
    eventually(|| b.requests_seen() == 2).await;
    let third = peer.query(ECHO, Bytes::new(), PATIENCE).await;
    assert_eq!(third, Err(RequestError::Overloaded));
    assert_eq!(b.context.counters().snapshot().overloaded, 1);
    b.seen.release.notify_waiters();
    for held in held {
        assert!(held.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn what_does_not_fit_a_frame_is_refused_before_it_is_sent() {
    let a = start(NodeOptions {
        tuning: PortTuning { frame_bytes_max: 1_000, ..quick() },
        ..options(1)
    })
    .await;
    let b = start(NodeOptions {
        tuning: PortTuning { frame_bytes_max: 1_000, ..quick() },
        ..options(2)
    })
    .await;
    let peer = a.knows(&b);
    let large = peer.raft(ECHO, vec![0; 1_000].into(), PATIENCE).await;
    assert_eq!(large, Err(RequestError::TooLarge { bytes: 1_000, limit: 982 }));
    assert!(peer.raft(ECHO, vec![0; 982].into(), PATIENCE).await.is_ok());
    let answer = peer.raft(BLOW_UP, Bytes::from_static(&[0, 0, 4, 0]), PATIENCE).await;
    assert!(matches!(answer, Err(RequestError::Failed { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_wire_keeps_order_and_carries_acks_back() {
    let (_a, mut b, peer) = pair().await;
    let mut wire = peer.wire(3);
    let mut session = soon(wire.connect()).await.unwrap();
    let (from, lane, mut inbound) = soon(b.wires.recv()).await.unwrap();
    assert_eq!((from.node_id, lane, from.purpose), (NodeId(1), 3, Purpose::Wire(3)));
    for seq in 1..=1_000_u64 {
        session.tx().send(seq, seq.to_string().into()).await.unwrap();
    }
    for seq in 1..=1_000_u64 {
        let frame = soon(inbound.recv()).await.unwrap();
        assert_eq!(frame, WireFrame { seq, body: seq.to_string().into() });
    }
    inbound.acker().ack(1_000, Bytes::from_static(b"note")).await.unwrap();
    let ack = soon(session.ack()).await.unwrap();
    assert_eq!((ack.seq, ack.body.as_ref()), (1_000, &b"note"[..]));
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_sender_and_nothing_is_lost() {
    let tuning = PortTuning { queue_frames_max: 8, queue_bytes_max: 64 * 1024, ..quick() };
    let a = start(NodeOptions { tuning: tuning.clone(), ..options(1) }).await;
    let mut b = start(NodeOptions { tuning, ..options(2) }).await;
    let peer = a.knows(&b);
    let session = soon(peer.wire(0).connect()).await.unwrap();
    let (_, _, mut inbound) = soon(b.wires.recv()).await.unwrap();
    let body = Bytes::from(vec![7; 16 * 1024]);
    let mut sent = 0;
    // Queues and socket buffers fill up; then a send waits for good.
    while let Ok(queued) =
        tokio::time::timeout(Duration::from_millis(300), session.tx().send(sent, body.clone()))
            .await
    {
        queued.unwrap();
        sent += 1;
        assert!(sent < 4_000, "64 MiB without back-pressure");
    }
    assert_eq!(session.tx().try_send(sent, body.clone()), Err(WireSendError::Full));
    assert!(peer.counters().snapshot().queue_full > 0);
    for seq in 0..sent {
        assert_eq!(soon(inbound.recv()).await.unwrap().seq, seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooded_wire_delays_neither_raft_nor_query() {
    let (_a, mut b, peer) = pair().await;
    let session = soon(peer.wire(0).connect()).await.unwrap();
    // Nobody reads the inbound end: the wire's socket is full to the brim.
    let (_, _, _inbound) = soon(b.wires.recv()).await.unwrap();
    let tx = session.tx().clone();
    let flood = tokio::spawn(async move {
        let body = Bytes::from(vec![7; 64 * 1024]);
        for seq in 0.. {
            if tx.send(seq, body.clone()).await.is_err() {
                break;
            }
        }
    });
    eventually(|| session.tx().try_send(0, Bytes::new()) == Err(WireSendError::Full)).await;
    for _ in 0..200 {
        assert!(peer.raft(ECHO, Bytes::from_static(b"vote"), PATIENCE).await.is_ok());
        assert!(peer.query(ECHO, Bytes::from_static(b"status"), PATIENCE).await.is_ok());
    }
    assert_eq!(peer.counters().snapshot().dead, 0, "a full wire is not a dead one");
    drop(session);
    flood.abort();
}

#[tokio::test]
async fn a_second_session_of_a_lane_closes_the_first_at_the_receiver() {
    let (_a, mut b, peer) = pair().await;
    let (mut wire, mut again) = (peer.wire(0), peer.wire(0));
    let mut first = soon(wire.connect()).await.unwrap();
    let (_, _, mut first_in) = soon(b.wires.recv()).await.unwrap();
    let second = soon(again.connect()).await.unwrap();
    let (_, _, mut second_in) = soon(b.wires.recv()).await.unwrap();
    assert_eq!(soon(first_in.recv()).await, None);
    assert!(first_in.closed_reason().reason.contains("newer"));
    assert!(soon(first.ack()).await.is_err());
    second.tx().send(1, Bytes::new()).await.unwrap();
    assert_eq!(soon(second_in.recv()).await.unwrap().seq, 1);
}

#[tokio::test]
async fn dropping_an_end_of_a_wire_closes_the_other() {
    let (_a, mut b, peer) = pair().await;
    let mut session = soon(peer.wire(0).connect()).await.unwrap();
    let (_, _, inbound) = soon(b.wires.recv()).await.unwrap();
    drop(inbound);
    assert!(soon(session.ack()).await.is_err());
    soon(session.tx().closed()).await;
    let session = soon(peer.wire(0).connect()).await.unwrap();
    let (_, _, mut inbound) = soon(b.wires.recv()).await.unwrap();
    session.tx().send(5, Bytes::new()).await.unwrap();
    drop(session);
    assert_eq!(soon(inbound.recv()).await.unwrap().seq, 5, "what was queued is still sent");
    assert_eq!(soon(inbound.recv()).await, None);
}

#[tokio::test]
async fn a_restarted_listener_is_found_again() {
    let (a, b, peer) = pair().await;
    let listen = b.port.local_addr();
    let mut session = soon(peer.wire(0).connect()).await.unwrap();
    let waiting = tokio::spawn({
        let peer = peer.clone();
        async move { peer.query(HOLD, Bytes::new(), PATIENCE).await }
    });
    eventually(|| b.requests_seen() == 1).await;
    soon(b.port.shutdown()).await;
    assert_eq!(waiting.await.unwrap(), Err(RequestError::Disconnected));
    assert!(soon(session.ack()).await.is_err());
    down(&peer).await;
    let refused = peer.raft(ECHO, Bytes::new(), PATIENCE).await;
    assert!(matches!(refused, Err(RequestError::NotConnected { .. })), "{refused:?}");

    let mut identity = identity(2);
    identity.incarnation = 2;
    let b = start(NodeOptions { listen, identity, ..options(2) }).await;
    up(&peer).await;
    assert!(peer.raft(ECHO, Bytes::new(), PATIENCE).await.is_ok());
    soon(peer.wire(0).connect()).await.unwrap();
    assert!(peer.counters().snapshot().reconnects >= 1);
    drop((a, b));
}

#[tokio::test]
async fn a_peer_that_was_removed_answers_nothing_more() {
    let (a, _b, peer) = pair().await;
    let mut wire = peer.wire(0);
    let mut session = soon(wire.connect()).await.unwrap();
    a.pool.remove(NodeId(2));
    assert!(soon(session.ack()).await.is_err());
    assert!(soon(wire.connect()).await.is_err());
    assert_eq!(down(&peer).await, "the peer was removed");
    assert!(a.pool.get(NodeId(2)).is_none());
}

#[tokio::test]
async fn a_peer_that_moved_is_dialled_at_its_new_address() {
    let (a, b, peer) = pair().await;
    let moved = start(options(2)).await;
    a.pool.set([(NodeId(2), "n2", moved.address().as_str())]);
    soon(async {
        while moved.requests_seen() == 0 {
            drop(peer.raft(ECHO, Bytes::new(), PATIENCE).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(a.pool.all().len(), 1);
    drop(b);
}

#[tokio::test]
async fn a_void_run_of_a_node_is_refused() {
    let b = dev_node(2).await;
    let mut newer = identity(1);
    newer.incarnation = 5;
    let newer = start(NodeOptions { identity: newer, ..options(1) }).await;
    let peer = newer.knows(&b);
    up(&peer).await;
    let older = dev_node(1).await;
    let reason = down(&older.knows(&b)).await;
    assert!(reason.contains("run 1") && reason.contains("run 5"), "{reason}");
}

/// Passes bytes on until it is told to swallow them, like a path that has died without a word.
struct Proxy {
    address: String,
    swallow: watch::Sender<bool>,
}

async fn proxy(to: String) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let swallow = watch::Sender::new(false);
    let swallowing = swallow.subscribe();
    tokio::spawn(async move {
        loop {
            let (inbound, _) = listener.accept().await.unwrap();
            let Ok(outbound) = TcpStream::connect(&to).await else { continue };
            let (mut in_read, mut in_write) = inbound.into_split();
            let (mut out_read, mut out_write) = outbound.into_split();
            let (up, down) = (swallowing.clone(), swallowing.clone());
            tokio::spawn(async move { pump(&mut in_read, &mut out_write, &up).await });
            tokio::spawn(async move { pump(&mut out_read, &mut in_write, &down).await });
        }
    });
    Proxy { address, swallow }
}

async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    swallow: &watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        if !*swallow.borrow() && to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_path_that_swallows_bytes_is_noticed_on_both_sides_and_left_when_it_heals() {
    let mut b = dev_node(2).await;
    let proxy = proxy(b.address()).await;
    let dial_map = DialMap::parse(&format!("2 = {}", proxy.address)).unwrap();
    let a = start(NodeOptions { dial_map, ..options(1) }).await;
    let peer = a.knows(&b);
    up(&peer).await;
    let mut session = soon(peer.wire(0).connect()).await.unwrap();
    let (_, _, mut inbound) = soon(b.wires.recv()).await.unwrap();

    proxy.swallow.send_replace(true);
    let reason = down(&peer).await;
    assert!(reason.contains("no byte for 1s"), "{reason}");
    let ended = soon(session.ack()).await.unwrap_err();
    assert!(ended.reason.contains("no byte"), "{ended}");
    assert_eq!(soon(inbound.recv()).await, None);
    assert!(peer.counters().snapshot().dead >= 2);

    proxy.swallow.send_replace(false);
    up(&peer).await;
    assert!(peer.raft(ECHO, Bytes::new(), PATIENCE).await.is_ok());
}

#[tokio::test]
async fn an_idle_connection_lives_and_its_round_trip_is_measured() {
    let (_a, _b, peer) = pair().await;
    eventually(|| peer.counters().snapshot().frames_in > 30).await;
    let counters = peer.counters().snapshot();
    assert_eq!((counters.dead, counters.reconnects), (0, 0));
    assert!(counters.rtt_us > 0);
    assert!(matches!(*peer.state().borrow(), PeerState::Up { .. }));
}

#[tokio::test]
async fn a_node_outside_of_the_pool_is_asked_over_a_connection_of_its_own() {
    let b = dev_node(2).await;
    let mut blank = identity(0);
    blank.cluster_id = None;
    let joiner = start(NodeOptions { identity: blank, ..options(9) }).await;
    let asked = joiner.pool.ask(&b.address(), Purpose::Join, ECHO, Bytes::new(), PATIENCE).await;
    let (member, _) = asked.unwrap();
    assert_eq!(member.cluster_id, identity(2).cluster_id);
    joiner.context.update_identity(|identity| {
        identity.cluster_id = member.cluster_id;
        identity.node_id = NodeId(9);
    });
    let peer = joiner.knows(&b);
    up(&peer).await;
}

#[test]
fn requests_may_come_from_other_runtimes() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (a, b, peer) = runtime.block_on(pair());
    let elsewhere = std::thread::spawn({
        let peer = peer.clone();
        move || {
            let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            other.block_on(async {
                let session = soon(peer.wire(0).connect()).await.unwrap();
                session.tx().send(1, Bytes::new()).await.unwrap();
                peer.query(ECHO, Bytes::new(), PATIENCE).await
            })
        }
    });
    assert!(elsewhere.join().unwrap().is_ok());
    runtime.block_on(async move { drop(Arc::new((a, b))) });
}
