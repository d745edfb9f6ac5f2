//! SECURITY-REQUIREMENTS L1, L2, L4–L7, L9 on one node.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use support::client::{Client, Connect, put_varint};
use support::{TestBroker, eventually};

// L1 [MQTT-3.1.2-24]
#[test]
fn a_packet_above_the_limit_is_refused_by_its_header() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.send(&[0x30, 0x80, 0x80, 0x80, 0x7f]);
    assert_eq!(client.closed(), Some(0x95));
    assert_eq!(broker.handle.metrics().closed_too_large.get(), 1);
    let mut client = Client::v3(broker.address(), "c");
    client.send(&[0x30, 0x80, 0x80, 0x80, 0x7f]);
    assert_eq!(client.closed(), None);
}

#[test]
fn a_large_packet_within_the_limit_passes() {
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address(), "sub");
    subscriber.subscribe("t", 1);
    let mut client = Client::v5(broker.address(), "pub");
    let payload = vec![7; 1_000_000];
    client.publish(2, "t", 1, &payload);
    let publish = subscriber.read_publish();
    assert_eq!(publish.payload.len(), payload.len());
    assert_eq!(client.read_kind(4).code(), 0);
}

// L2
#[test]
fn whoever_does_not_send_a_connect_in_time_is_closed() {
    let broker = TestBroker::with(|config| {
        config.listeners[0].connect_timeout = Duration::from_millis(300);
    });
    let mut silent = Client::dial(broker.address(), true);
    let mut slow = Client::dial(broker.address(), true);
    slow.send(&[0x10]);
    assert_eq!(silent.closed(), None);
    assert_eq!(slow.closed(), None);
    assert_eq!(broker.handle.metrics().closed_connect_timeout.get(), 2);
}

// L4
#[test]
fn those_not_authenticated_are_capped_and_the_others_are_served() {
    let broker = TestBroker::with(|config| config.connections.pending_max = 4);
    let mut inside = Client::v5(broker.address(), "in");
    let flood: Vec<_> = (0..20).map(|_| Client::dial(broker.address(), true)).collect();
    eventually("refusals", || broker.handle.metrics().refused_pending.get() == 16);
    inside.assert_silent();
    drop(flood);
    eventually("room", || broker.handle.metrics().connections_pending.get() == 0);
    Client::v5(broker.address(), "later").assert_silent();
}

// L5 [MQTT-3.1.2-22] [MQTT-3.2.2-21]
#[test]
fn a_silent_client_is_dropped_after_one_and_a_half_keep_alives() {
    let broker = TestBroker::with(|config| config.listeners[0].keep_alive_max_s = 2);
    let mut client = Client::dial(broker.address(), true);
    let connack = client.connect(&Connect::new("c"));
    let told = connack.body.windows(3).any(|bytes| bytes == [0x13, 0, 2]);
    assert!(told, "server keep alive 2: {connack:?}");
    assert_eq!(client.closed(), Some(0x8d));
    assert_eq!(broker.handle.metrics().closed_keep_alive.get(), 1);
}

// L6
#[test]
fn topics_and_filters_above_their_limits_are_refused() {
    let broker = TestBroker::with(|config| {
        config.limits.topic_levels_max = 3;
        config.limits.filters_per_session_max = 2;
        config.limits.filters_per_subscribe_max = 4;
    });
    let mut client = Client::v5(broker.address(), "c");
    assert_eq!(client.subscribe("a/b/c/d", 0), 0x97);
    assert_eq!(client.subscribe("a#", 0), 0x8f);
    client.send_subscribe(2, &[("a", 0), ("b", 1), ("c", 2)], &[]);
    assert_eq!(client.read_kind(9).body[3..], [0, 1, 0x97]);
    client.send_subscribe(3, &[("a", 0); 5], &[]);
    assert_eq!(client.read_kind(9).body[3..], [0x97; 5]);
    client.publish(0, "a/b/c/d", 0, b"");
    assert_eq!(client.closed(), Some(0x90));
}

// L7 [MQTT-3.3.4-9]
#[test]
fn more_unfinished_publishes_than_the_receive_maximum_end_the_connection() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    for id in 1..=33 {
        client.publish(4, "t", id, b"");
    }
    assert_eq!(client.closed(), Some(0x93));
}

#[test]
fn an_id_that_is_used_again_and_again_never_runs_into_the_receive_maximum() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    for _ in 0..200 {
        client.publish(4, "t", 1, b"");
        client.read_kind(5);
        client.ack(6, 1);
        assert_eq!(client.read_kind(7).code(), 0);
    }
    client.ack(6, 77);
    assert_eq!(client.read_kind(7).code(), 0x92, "an unknown id");
}

// [MQTT-3.3.4-9]: towards the client.
#[test]
fn the_clients_receive_maximum_is_kept() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.address(), true);
    let connect = Connect { properties: vec![0x21, 0, 2], ..Connect::new("c") };
    client.connect(&connect);
    client.subscribe("t", 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    for n in 0..5u8 {
        publisher.publish(2, "t", 1, &[n]);
        publisher.read_kind(4);
    }
    let (one, two) = (client.read_publish(), client.read_publish());
    client.assert_silent();
    client.ack(4, two.id);
    client.ack(4, one.id);
    assert_eq!((client.read_publish().payload, client.read_publish().payload), (vec![2], vec![3]));
    client.assert_silent();
}

// L9
#[test]
fn a_client_that_does_not_read_costs_a_bounded_amount_and_nobody_else_waits() {
    let broker = TestBroker::start();
    let mut deaf = Client::v5(broker.address(), "deaf");
    let mut good = Client::v5(broker.address(), "good");
    deaf.subscribe("t", 0);
    good.subscribe("t", 0);
    let mut publisher = Client::v5(broker.address(), "pub");
    let payload = vec![0; 60_000];
    for _ in 0..1_000 {
        publisher.publish(0, "t", 0, &payload);
        assert_eq!(good.read_publish().payload.len(), payload.len());
    }
    let dropped: u64 = broker.handle.metrics().dropped.iter().map(|counter| counter.get()).sum();
    assert!(dropped > 100, "only {dropped} were dropped");
    assert_eq!(broker.handle.metrics().clients.get(), 3);
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_message_above_the_clients_packet_size_is_dropped_and_the_next_one_comes() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect { properties: vec![0x27, 0, 0, 0, 100], ..Connect::new("c") });
    client.subscribe("t", 1);
    let mut publisher = Client::v5(broker.address(), "pub");
    publisher.publish(2, "t", 1, &[0; 200]);
    assert_eq!(publisher.read_kind(4).code(), 0);
    publisher.publish(2, "t", 2, b"small");
    assert_eq!(client.read_publish().payload, b"small");
}

// [MQTT-3.3.2-12] [MQTT-3.1.2-26]
#[test]
fn topic_aliases_work_in_both_directions() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect { properties: vec![0x22, 0, 5], ..Connect::new("c") });
    client.subscribe("some/topic", 0);
    let mut publisher = Client::v5(broker.address(), "pub");
    publisher.publish_with(0, "some/topic", 0, &[0x23, 0, 3], b"1");
    publisher.publish_with(0, "", 0, &[0x23, 0, 3], b"2");
    let first = client.read_publish();
    assert_eq!((first.topic.as_str(), &first.properties[..]), ("some/topic", &[0x23, 0, 1][..]));
    let second = client.read_publish();
    assert_eq!((second.topic.as_str(), &second.payload[..]), ("", &b"2"[..]));
    assert_eq!(second.properties, [0x23, 0, 1]);
}

// [MQTT-3.3.2-5] [MQTT-3.3.2-6] [MQTT-3.3.2-15] [MQTT-3.3.2-18] [MQTT-3.3.4-3]
#[test]
fn properties_travel_with_the_message() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.send_subscribe(1, &[("t", 0)], &[0x0b, 0x80, 0x01]);
    client.read_kind(9);
    let mut publisher = Client::v5(broker.address(), "pub");
    let mut list = b"\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01j\x08\x00\x01r\x09\x00\x01c".to_vec();
    list.extend(b"\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w");
    publisher.publish_with(0, "t", 0, &list, b"x");
    let got = client.read_publish().properties;
    let mut expected =
        b"\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01j\x08\x00\x01r\x09\x00\x01c".to_vec();
    expected.extend([0x0b, 0x80, 0x01]);
    expected.extend(b"\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w");
    assert_eq!(got, expected);
}

#[test]
fn bursts_of_hundreds_of_messages_pass_whole() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t", 0);
    let mut publisher = Client::v3(broker.address(), "pub");
    for _ in 0..20 {
        let mut burst = Vec::new();
        for _ in 0..500 {
            burst.push(0x30);
            put_varint(67, &mut burst);
            burst.extend([0, 1, b't']);
            burst.extend([0; 64]);
        }
        publisher.send(&burst);
        for _ in 0..500 {
            client.read_publish();
        }
    }
}

// L8, ARCHITECTURE §4: a shared message that no member has room for slows its publisher down.
#[test]
fn a_full_group_makes_its_publishers_wait_and_loses_nothing() {
    let broker = TestBroker::with(|config| {
        config.limits.inbox_messages_max = 5;
        config.limits.in_flight_max = 5;
    });
    let mut members: Vec<_> = (0..2)
        .map(|n| {
            let mut client = Client::v5(broker.address(), &format!("m{n}"));
            client.subscribe("$share/g/t", 1);
            client
        })
        .collect();
    let mut publisher = Client::v5(broker.address(), "pub");
    for id in 1..=30u16 {
        publisher.publish(2, "t", id, &id.to_be_bytes());
    }
    let mut got = Vec::new();
    while got.len() < 30 {
        for client in &mut members {
            client.send(&[0xc0, 0]);
            loop {
                let raw = client.read();
                if raw.kind() == 13 {
                    break;
                }
                let publish = client.parse_publish(&raw);
                got.push(u16::from_be_bytes(publish.payload.try_into().unwrap()));
                client.ack(4, publish.id);
            }
        }
    }
    got.sort_unstable();
    assert_eq!(got, (1..=30).collect::<Vec<u16>>());
    for id in 1..=30 {
        assert_eq!((publisher.read_kind(4).id(), 0), (id, 0));
    }
}
