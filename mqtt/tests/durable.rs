//! Persistent sessions across a restart of the node (CHAOS §1, P1, P2).
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;

use spanmq_mqtt::config::{Durability, StoreConfig};
use support::client::{Client, Connect, packet};
use support::{OneNode, TestBroker, eventually};

fn start(node: &std::sync::Arc<OneNode>, dir: &Path, durability: Durability) -> TestBroker {
    TestBroker::on(node.clone(), |config| {
        config.store = StoreConfig { durability, dir: Some(dir.to_owned()) };
    })
}

fn resume(broker: &TestBroker, id: &str) -> (Client, bool) {
    let mut client = Client::dial(broker.address(), true);
    let present = client.connect(&Connect::resume(id, 600)).body[0] == 1;
    (client, present)
}

#[test]
fn acknowledged_messages_are_there_after_a_restart() {
    for durability in [Durability::Local, Durability::LocalFsync] {
        let (dir, node) = (tempfile::tempdir().unwrap(), OneNode::new());
        let broker = start(&node, dir.path(), durability);
        let (mut client, _) = resume(&broker, "keeper");
        assert_eq!(client.subscribe("t/#", 2), 2);
        drop(client);
        eventually("the client is gone", || broker.handle.metrics().clients.get() == 0);
        let mut publisher = Client::v5(broker.address(), "pub");
        for id in 1..=20 {
            publisher.publish(if id % 2 == 0 { 2 } else { 4 }, "t/x", id, &[id as u8]);
            let answer = publisher.read();
            assert_eq!((answer.id(), answer.code()), (id, 0));
        }
        drop(publisher);
        drop(broker);
        let broker = start(&node, dir.path(), durability);
        let (mut client, present) = resume(&broker, "keeper");
        assert!(present);
        for id in 1..=20u8 {
            let publish = client.read_publish();
            assert_eq!((publish.payload, publish.dup), (vec![id], false));
            client.ack(if publish.qos == 1 { 4 } else { 5 }, publish.id);
        }
        for _ in 0..10 {
            let pubrel = client.read_kind(6);
            client.ack(7, pubrel.id());
        }
        client.assert_silent();
        drop(broker);
        let broker = start(&node, dir.path(), durability);
        let (mut client, _) = resume(&broker, "keeper");
        client.assert_silent();
    }
}

// [MQTT-4.3.3-10]
#[test]
fn an_unfinished_qos_2_message_is_not_routed_again_after_a_restart() {
    let (dir, node) = (tempfile::tempdir().unwrap(), OneNode::new());
    let broker = start(&node, dir.path(), Durability::Local);
    let (mut publisher, _) = resume(&broker, "pub");
    let (mut keeper, _) = resume(&broker, "keeper");
    assert_eq!(keeper.subscribe("t", 2), 2);
    drop(keeper);
    publisher.publish(4, "t", 5, b"once");
    assert_eq!(publisher.read_kind(5).id(), 5);
    drop((publisher, broker));
    let broker = start(&node, dir.path(), Durability::Local);
    let (mut publisher, present) = resume(&broker, "pub");
    assert!(present);
    publisher.publish(4 | 8, "t", 5, b"once");
    assert_eq!(publisher.read_kind(5).id(), 5);
    publisher.ack(6, 5);
    assert_eq!(publisher.read_kind(7).id(), 5);
    let (mut keeper, _) = resume(&broker, "keeper");
    let publish = keeper.read_publish();
    assert_eq!(publish.payload, b"once");
    keeper.ack(5, publish.id);
    keeper.read_kind(6);
    keeper.ack(7, publish.id);
    keeper.assert_silent();
}

#[test]
fn what_memory_does_not_hold_waits_in_the_store() {
    let (dir, node) = (tempfile::tempdir().unwrap(), OneNode::new());
    let broker = TestBroker::on(node.clone(), |config| {
        config.store =
            StoreConfig { durability: Durability::Local, dir: Some(dir.path().to_owned()) };
        config.limits.inbox_messages_max = 10;
    });
    let (mut client, _) = resume(&broker, "keeper");
    client.subscribe("t", 1);
    drop(client);
    eventually("the client is gone", || broker.handle.metrics().clients.get() == 0);
    let mut publisher = Client::v5(broker.address(), "pub");
    for id in 1..=200u16 {
        publisher.publish(2, "t", id, &id.to_be_bytes());
        assert_eq!(publisher.read_kind(4).code(), 0);
    }
    let (mut client, _) = resume(&broker, "keeper");
    for id in 1..=200u16 {
        let publish = client.read_publish();
        assert_eq!(publish.payload, id.to_be_bytes());
        client.ack(4, publish.id);
    }
    client.assert_silent();
}

#[test]
fn a_clean_start_leaves_nothing_of_the_old_session_in_the_store() {
    let (dir, node) = (tempfile::tempdir().unwrap(), OneNode::new());
    let broker = start(&node, dir.path(), Durability::Local);
    let (mut client, _) = resume(&broker, "c");
    client.subscribe("t", 1);
    drop(client);
    let mut clean = Client::v5(broker.address(), "c");
    clean.publish(2, "t", 1, b"x");
    assert_eq!(clean.read_kind(4).code(), 0x10);
    drop((clean, broker));
    let broker = start(&node, dir.path(), Durability::Local);
    assert_eq!(broker.handle.metrics().sessions.get(), 0);
    let (_, present) = resume(&broker, "c");
    assert!(!present);
}

#[test]
fn a_filter_of_recovered_sessions_can_be_subscribed_and_their_sessions_move() {
    let (dir, node) = (tempfile::tempdir().unwrap(), OneNode::new());
    let broker = start(&node, dir.path(), Durability::Local);
    for id in ["a", "b", "c"] {
        let (mut client, _) = resume(&broker, id);
        assert_eq!(client.subscribe("t", 1), 1);
    }
    drop(broker);
    let broker = start(&node, dir.path(), Durability::Local);
    // On whichever worker each lands: the filter is known there from before, or is not.
    let mut others: Vec<Client> =
        (0..4).map(|number| Client::v5(broker.address(), &format!("new{number}"))).collect();
    for client in &mut others {
        assert_eq!(client.subscribe("t", 1), 1);
    }
    for id in ["a", "b", "c"] {
        let (mut client, present) = resume(&broker, id);
        assert!(present);
        assert_eq!(client.subscribe("t", 1), 1);
    }
}

/// Deliveries are faster than the client: memory is full, and the store is asked for what was
/// spilled a moment ago.
#[test]
fn what_is_spilled_and_asked_for_at_once_is_not_lost() {
    let (dir, node) = (tempfile::tempdir().unwrap(), OneNode::new());
    let broker = TestBroker::on(node, |config| {
        config.workers = 1;
        config.store =
            StoreConfig { durability: Durability::Local, dir: Some(dir.path().to_owned()) };
        config.limits.inbox_messages_max = 2;
        config.limits.in_flight_max = 2;
    });
    let (mut keeper, _) = resume(&broker, "keeper");
    assert_eq!(keeper.subscribe("t", 1), 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    let (mut next, mut sent) = (0u32, 0u32);
    for _ in 0..400 {
        // One write, so that the broker takes them in one turn.
        let mut burst = Vec::new();
        for _ in 0..8 {
            let id = u16::try_from(sent % 60_000 + 1).unwrap();
            let mut body = vec![0, 1, b't'];
            body.extend(id.to_be_bytes());
            body.push(0);
            body.extend(sent.to_be_bytes());
            burst.extend(packet(0x32, &body));
            sent += 1;
        }
        publisher.send(&burst);
        // Acknowledges some, so that memory drains now and then.
        while next + 4 < sent {
            let publish = keeper.read_publish();
            assert_eq!(publish.payload, next.to_be_bytes());
            keeper.ack(4, publish.id);
            next += 1;
        }
        for _ in 0..8 {
            assert_eq!(publisher.read_kind(4).code(), 0);
        }
    }
    while next < sent {
        let publish = keeper.read_publish();
        assert_eq!(publish.payload, next.to_be_bytes());
        keeper.ack(4, publish.id);
        next += 1;
    }
    let lost = &broker.handle.metrics().dropped[spanmq_session::DropReason::Lost as usize];
    assert_eq!(lost.get(), 0);
}
