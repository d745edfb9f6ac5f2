//! Connect, subscribe, publish at each QoS, in both versions.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::TestBroker;
use support::client::{Client, Connect};

// [MQTT-3.2.0-1] [MQTT-4.3.1-1]
#[test]
fn a_qos_0_message_reaches_its_subscriber_in_both_versions() {
    let broker = TestBroker::start();
    let mut v5 = Client::v5(broker.address(), "sub5");
    let mut v3 = Client::v3(broker.address(), "sub3");
    assert_eq!(v5.subscribe("a/+", 0), 0);
    assert_eq!(v3.subscribe("a/b", 0), 0);
    let mut publisher = Client::v3(broker.address(), "pub");
    publisher.publish(0, "a/b", 0, b"hello");
    for client in [&mut v5, &mut v3] {
        let publish = client.read_publish();
        assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("a/b", &b"hello"[..]));
        assert_eq!((publish.qos, publish.retain), (0, false));
    }
}

// [MQTT-4.3.2-4] [MQTT-3.8.4-8]
#[test]
fn qos_1_is_acknowledged_and_delivered_at_the_lower_level() {
    let broker = TestBroker::start();
    let mut one = Client::v5(broker.address(), "one");
    let mut zero = Client::v5(broker.address(), "zero");
    assert_eq!(one.subscribe("t", 1), 1);
    assert_eq!(zero.subscribe("t", 0), 0);
    let mut publisher = Client::v5(broker.address(), "pub");
    publisher.publish(2, "t", 7, b"x");
    let puback = publisher.read_kind(4);
    assert_eq!((puback.id(), puback.code()), (7, 0));
    assert_eq!(zero.read_publish().qos, 0);
    let publish = one.read_publish();
    assert_eq!(publish.qos, 1);
    one.ack(4, publish.id);
    publisher.publish(2, "nobody", 8, b"x");
    assert_eq!(publisher.read_kind(4).code(), 0x10, "no matching subscribers");
}

// [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11]
#[test]
fn qos_2_goes_through_both_flows_once() {
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address(), "sub");
    assert_eq!(subscriber.subscribe("t", 2), 2);
    let mut publisher = Client::v3(broker.address(), "pub");
    publisher.publish(4, "t", 9, b"x");
    assert_eq!(publisher.read_kind(5).id(), 9);
    publisher.publish(4 | 8, "t", 9, b"x");
    assert_eq!(publisher.read_kind(5).id(), 9, "a repeat is answered, not routed");
    publisher.ack(6, 9);
    assert_eq!(publisher.read_kind(7).id(), 9);
    let publish = subscriber.read_publish();
    assert_eq!(publish.qos, 2);
    subscriber.ack(5, publish.id);
    assert_eq!(subscriber.read_kind(6).id(), publish.id);
    subscriber.ack(7, publish.id);
    subscriber.assert_silent();
}

// [MQTT-4.6.0-2]
#[test]
fn acknowledgements_come_in_the_order_of_the_publishes() {
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address(), "sub");
    subscriber.subscribe("#", 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    for id in 1..=30 {
        // Retained ones wait for the replicated state, the others do not.
        let retain = u8::from(id % 3 == 0);
        publisher.publish(2 | retain, &format!("t/{id}"), id, b"x");
    }
    for id in 1..=30 {
        assert_eq!(publisher.read_kind(4).id(), id);
    }
}

// [MQTT-3.10.4-4]
#[test]
fn after_unsuback_nothing_more_is_added() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t", 0);
    let unsuback = client.unsubscribe("t");
    assert_eq!((unsuback.kind(), unsuback.body.last().copied()), (11, Some(0)));
    let unsuback = client.unsubscribe("t");
    assert_eq!(unsuback.body.last().copied(), Some(0x11), "no subscription existed");
    client.publish(0, "t", 0, b"x");
    client.assert_silent();
}

// [MQTT-3.1.4-3]
#[test]
fn a_second_connection_takes_the_session_over() {
    let broker = TestBroker::start();
    for _ in 0..4 {
        let mut first = Client::v5(broker.address(), "same");
        let _second = Client::v5(broker.address(), "same");
        assert_eq!(first.closed(), Some(0x8e));
    }
}

// [MQTT-3.2.2-2] [MQTT-3.1.2-5] [MQTT-4.4.0-1]
#[test]
fn a_session_goes_on_with_what_it_missed_whatever_worker_it_comes_to() {
    let broker = TestBroker::start();
    let mut publisher = Client::v5(broker.address(), "pub");
    for round in 0..4u8 {
        let mut client = Client::dial(broker.address(), true);
        let connack = client.connect(&Connect::resume("keeper", 300));
        assert_eq!(connack.body[0], u8::from(round > 0), "session present");
        if round == 0 {
            assert_eq!(client.subscribe("t", 1), 1);
        } else {
            let publish = client.read_publish();
            assert_eq!(publish.payload, [round - 1]);
            client.ack(4, publish.id);
        }
        client.assert_silent();
        drop(client);
        support::eventually("the connection's end", || broker.handle.metrics().clients.get() == 1);
        publisher.publish(2, "t", 1, &[round]);
        assert_eq!(publisher.read_kind(4).code(), 0);
    }
}

// [MQTT-3.3.1-5] [MQTT-3.3.1-8]
#[test]
fn a_retained_message_answers_a_later_subscribe() {
    let broker = TestBroker::start();
    let mut publisher = Client::v5(broker.address(), "pub");
    publisher.publish(3, "r/a", 1, b"kept");
    assert_eq!(publisher.read_kind(4).id(), 1);
    let mut client = Client::v5(broker.address(), "sub");
    client.subscribe("r/#", 1);
    let publish = client.read_publish();
    assert_eq!((publish.retain, &publish.payload[..]), (true, &b"kept"[..]));
    client.ack(4, publish.id);
    publisher.publish(3, "r/a", 2, b"");
    publisher.read_kind(4);
    let cleared = client.read_publish();
    assert!(!cleared.retain && cleared.payload.is_empty());
    let mut late = Client::v3(broker.address(), "late");
    late.subscribe("r/#", 1);
    late.assert_silent();
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_member() {
    let broker = TestBroker::start();
    let mut members: Vec<_> = (0..4)
        .map(|n| {
            let mut client = Client::v5(broker.address(), &format!("m{n}"));
            assert_eq!(client.subscribe("$share/g/t", 0), 0);
            client
        })
        .collect();
    let mut publisher = Client::v5(broker.address(), "pub");
    for n in 0..40u8 {
        publisher.publish(2, "t", u16::from(n) + 1, &[n]);
        assert_eq!(publisher.read_kind(4).code(), 0);
    }
    let mut got = Vec::new();
    for client in &mut members {
        client.send(&[0xc0, 0]);
        loop {
            let raw = client.read();
            if raw.kind() == 13 {
                break;
            }
            got.extend(client.parse_publish(&raw).payload);
        }
    }
    got.sort_unstable();
    assert_eq!(got, (0..40).collect::<Vec<u8>>());
}

// MQTT 5.0 §4.8.2
#[test]
fn what_a_member_of_a_group_did_not_acknowledge_goes_to_another() {
    let broker = TestBroker::with(|config| config.workers = 1);
    let mut lazy = Client::v5(broker.address(), "lazy");
    lazy.subscribe("$share/g/t", 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    publisher.publish(2, "t", 1, b"work");
    publisher.read_kind(4);
    assert_eq!(lazy.read_publish().payload, b"work");
    let mut other = Client::v5(broker.address(), "other");
    other.subscribe("$share/g/t", 1);
    drop(lazy);
    assert_eq!(other.read_publish().payload, b"work");
}

// The clients are on different workers; a PINGRESP that comes after the turn of the SUBSCRIBE shows
// that it was read, and no more.
#[test]
fn a_subscription_is_seen_by_all_workers_when_the_turn_that_read_it_has_ended() {
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address(), "sub");
    let mut publisher = Client::v5(broker.address(), "pub");
    let ping = |client: &mut Client| {
        client.send(&[0xc0, 0]);
        // SUBACK comes before or after, as the cluster likes.
        while client.read().kind() != 13 {}
    };
    for round in 0..200 {
        let topic = format!("t/{round}");
        subscriber.send_subscribe(1, &[(&topic, 0)], &[]);
        ping(&mut subscriber);
        ping(&mut subscriber);
        publisher.publish(2, &topic, 1, b"x");
        assert_eq!(publisher.read_kind(4).code(), 0, "round {round}: nobody was seen");
    }
}
