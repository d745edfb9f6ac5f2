//! Control topics of links, rights on `$` topics, and what leaves the node.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;

use spanmq_mqtt::InterestEvent;
use spanmq_mqtt::config::Minority;
use spanmq_mqtt::ports::{ControlKind, Done, Forward, Outcome, Outcomes, Verdict};
use spanmq_session::{Message, MessageId, Origin, Properties, ProtocolVersion, Publisher, QoS};
use support::client::{Client, Connect};
use support::{TestBroker, block_on, eventually};

fn link_client(broker: &TestBroker) -> Client {
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect::new("us-east:routesync:1").user("link"));
    client
}

// LINK-SPEC W-1, W-24
#[test]
fn control_publishes_are_intercepted_and_answered_by_linking() {
    let broker = TestBroker::start();
    let mut spy = link_client(&broker);
    spy.subscribe("$LINK/#", 0);
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect::new("actor").user("link"));
    let list = b"\x08\x00\x04resp\x09\x00\x02id";
    client.publish_with(2, "$LINK/cluster/route/us-east", 1, list, b"term");
    assert_eq!(client.read_kind(4).code(), 0x10);
    client.publish(5, "$LINK/cluster/msg/us-east", 2, b"record");
    assert_eq!(client.read_kind(5).code(), 0x10);
    client.ack(6, 2);
    assert_eq!(client.read_kind(7).code(), 0);
    client.publish(0, "$LINK/cluster/route/us-east", 0, b"heartbeat");
    client.assert_silent();
    spy.assert_silent();
    let seen = broker.outside.control.lock().clone();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[0].kind, &*seen[0].cluster), (ControlKind::Route, "us-east"));
    assert_eq!(seen[0].response_topic.as_deref(), Some("resp"));
    assert_eq!(seen[0].correlation_data.as_deref(), Some(&b"id"[..]));
    assert_eq!((seen[1].kind, &seen[1].payload[..]), (ControlKind::Msg, &b"record"[..]));
    drop(client);
    eventually("linking is told", || broker.outside.closed.lock().len() == 1);
}

// LINK-SPEC W-25
#[test]
fn a_protocol_error_of_a_link_ends_its_connection_without_puback() {
    let broker = TestBroker::start();
    *broker.outside.verdict.lock() = Some(Verdict::Disconnect(0x83));
    let mut client = link_client(&broker);
    client.publish(2, "$LINK/cluster/route/us-east", 1, b"garbage");
    let raw = client.read();
    assert_eq!((raw.kind(), raw.body[0]), (14, 0x83));
}

// A4, LINK-SPEC A-6
#[test]
fn ordinary_clients_have_no_business_with_dollar_topics() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    for topic in ["$LINK/cluster/route/x", "$LINK/cluster/msg/x", "$SYS/x", "$LINK/y"] {
        client.publish(2, topic, 1, b"");
        assert_eq!(client.read_kind(4).code(), 0x87, "{topic}");
    }
    for filter in ["$LINK/#", "$share/g/$LINK/cluster/resp/+/+", "secret/#", "$share/g/secret"] {
        assert_eq!(client.subscribe(filter, 0), 0x87, "{filter}");
    }
    assert!(broker.outside.control.lock().is_empty());
    assert_eq!(broker.handle.metrics().subscriptions.get(), 0, "a refused filter is not stored");
    let mut old = Client::v3(broker.address(), "old");
    old.publish(2, "secret/x", 1, b"");
    assert_eq!(old.read_kind(4).id(), 1, "3.1.1 gets a plain answer");
}

fn message(topic: &str, origin: Origin) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId([9; 16]),
        topic: topic.parse().unwrap(),
        payload: "p".into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::default(),
        from: "remote".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: 0,
        received: std::time::Instant::now(),
        origin,
        repeated: false,
    })
}

fn answer<T: Send + 'static>(send: impl FnOnce(Done<T>)) -> T {
    let (reply, answer) = std::sync::mpsc::channel();
    send(Done::new(move |value: Option<T>| reply.send(value).unwrap()));
    answer.recv_timeout(std::time::Duration::from_secs(10)).unwrap().unwrap()
}

// LINK-SPEC W-24
#[test]
fn what_a_link_brings_is_delivered_and_its_outcome_told() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t/+", 1);
    let link = Origin::Link("us-east".into());
    let batch = vec![message("t/1", link.clone()), message("nobody", link)];
    let outcomes = answer(|done| broker.handle.publish(batch, done));
    assert_eq!(outcomes, Outcomes::Each(vec![Outcome::Held, Outcome::NoSubscribers]));
    assert_eq!(client.read_publish().topic, "t/1");
}

#[test]
fn a_batch_of_a_peer_reaches_local_sessions_of_all_lanes() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("#", 0);
    client.send_subscribe(2, &[("$share/g/s", 0)], &[]);
    client.read_kind(9);
    let forward = |lane, plain, topic: &str| Forward {
        message: message(topic, Origin::Local),
        plain,
        groups: if plain { vec![] } else { vec![("g".into(), "s".into())] },
        lane,
    };
    let batch = vec![forward(1, true, "a"), forward(2, true, "b"), forward(2, false, "s")];
    let outcomes = answer(|done| broker.handle.receive_peer(2, batch, done));
    assert!((0..3).all(|index| outcomes.get(index) == Outcome::Held));
    let mut topics: Vec<_> = (0..3).map(|_| client.read_publish().topic).collect();
    topics.sort_unstable();
    assert_eq!(topics, ["a", "b", "s"]);
    assert!(broker.outside.forwards.lock().is_empty(), "never forwarded again");
}

// LINK-SPEC W-10
#[test]
fn linking_sees_what_this_node_wants() {
    let broker = TestBroker::start();
    let mut one = Client::v5(broker.address(), "one");
    one.subscribe("a/#", 0);
    let mut interest = broker.handle.local_interest();
    let first = block_on(interest.next());
    assert_eq!(first, InterestEvent::Snapshot(vec!["a/#".parse().unwrap()]));
    let mut two = Client::v5(broker.address(), "two");
    two.subscribe("a/#", 0);
    two.subscribe("$share/g/b", 0);
    let InterestEvent::Changes(changes) = block_on(interest.next()) else { panic!() };
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].filter.to_string().as_str(), changes[0].wanted), ("$share/g/b", true));
    drop((one, two));
    eventually("nothing is wanted", || broker.node.route_nodes("a/#").is_empty());
}

// ARCHITECTURE §4, without quorum
#[test]
fn without_quorum_connects_and_subscriptions_are_refused_and_qos_0_flows() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t", 0);
    broker.node.quorum.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(client.subscribe("u", 0), 0x80);
    let mut other = Client::dial(broker.address(), true);
    assert_eq!(other.connect(&Connect::new("other")).body[..2], [0, 0x88]);
    client.publish(0, "t", 0, b"flows");
    assert_eq!(client.read_publish().payload, b"flows");
    broker.node.quorum.store(true, std::sync::atomic::Ordering::SeqCst);
    eventually("routes are announced again", || {
        client.subscribe("u", 0) == 0 && broker.node.route_nodes("u") == [1]
    });
}

// ARCHITECTURE §4: a member looks at its lease before it acknowledges
#[test]
fn without_a_lease_qos_1_waits_and_keeps_its_order() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t", 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    broker.node.lease.store(false, std::sync::atomic::Ordering::SeqCst);
    publisher.publish(2, "t", 1, b"1");
    publisher.publish(0, "t", 0, b"0");
    assert_eq!(client.read_publish().payload, b"0", "QoS 0 flows");
    publisher.assert_silent();
    broker.node.lease.store(true, std::sync::atomic::Ordering::SeqCst);
    publisher.publish(2, "t", 2, b"2");
    assert_eq!((publisher.read_kind(4).id(), publisher.read_kind(4).id()), (1, 2));
    assert_eq!(client.read_publish().payload, b"1");
    assert_eq!(client.read_publish().payload, b"2");
    broker.node.lease.store(false, std::sync::atomic::Ordering::SeqCst);
    publisher.publish(2, "t", 3, b"3");
    assert_eq!(publisher.read_kind(4).code(), 0, "after a second the last known view counts");
}

// ARCHITECTURE §4: `cluster.minority = strict` prefers a refusal to the last known view
#[test]
fn without_a_lease_a_strict_node_refuses_qos_1() {
    let broker = TestBroker::with(|config| config.minority = Minority::Strict);
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t", 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    broker.node.lease.store(false, std::sync::atomic::Ordering::SeqCst);
    publisher.publish(2, "t", 1, b"1");
    assert_eq!(publisher.read_kind(4).code(), 0x83);
    client.assert_silent();
    publisher.publish(0, "t", 0, b"0");
    assert_eq!(client.read_publish().payload, b"0", "QoS 0 flows");
}

// L11
#[test]
fn a_panic_in_the_handling_of_one_connection_ends_only_that_one() {
    let broker = TestBroker::start();
    let mut bystander = Client::v5(broker.address(), "bystander");
    bystander.subscribe("t", 0);
    for _ in 0..4 {
        let mut client = Client::v5(broker.address(), "victim");
        client.subscribe("t", 1);
        client.publish(2, "panic", 1, b"");
        client.closed();
    }
    assert_eq!(broker.handle.metrics().closed_panic.get(), 4);
    bystander.publish(0, "t", 0, b"fine");
    assert_eq!(bystander.read_publish().payload, b"fine");
    eventually("their sessions are gone", || broker.handle.metrics().sessions.get() == 1);
}
