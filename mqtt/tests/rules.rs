//! What an operator may take from clients, and what these are told of it (MQTT 5.0 §3.2.2.3).
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use spanmq_mqtt::config::BrokerConfig;
use spanmq_mqtt::rules::ClientRules;
use spanmq_session::{Overflow, QoS};
use support::client::{Client, Connect, Raw, put};
use support::{TestBroker, eventually};

fn broker(change: impl FnOnce(&mut ClientRules)) -> TestBroker {
    TestBroker::with(|config| change(&mut config.rules))
}

/// Value of a property of one byte; none if it is not there. The properties before it are of known
/// length in each use.
fn told(connack: &Raw, id: u8) -> Option<u8> {
    let mut rest = &connack.body[3..];
    while let Some((&found, value)) = rest.split_first() {
        if found == id {
            return value.first().copied();
        }
        let len = match found {
            0x11 | 0x27 => 4,
            0x13 | 0x21 | 0x22 => 2,
            0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
            0x12 | 0x1a | 0x1f => 2 + usize::from(u16::from_be_bytes([value[0], value[1]])),
            other => panic!("property {other:#x}"),
        };
        rest = &value[len..];
    }
    None
}

fn connack(broker: &TestBroker, connect: &Connect) -> Raw {
    Client::dial(broker.address(), true).connect(connect)
}

// [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12]
#[test]
fn a_lower_qos_is_told_granted_and_enforced() {
    let broker = broker(|rules| rules.qos_max = QoS::AtLeastOnce);
    let hello = connack(&broker, &Connect::new("a"));
    assert_eq!(told(&hello, 0x24), Some(1));
    let will = connack(&broker, &Connect::new("w").will("t", b"", 2, false));
    assert_eq!(will.body[1], 0x9B);
    let mut client = Client::v5(broker.address(), "c");
    assert_eq!(client.subscribe("t", 2), 1);
    client.publish(2, "t", 1, b"fine");
    client.publish(4, "t", 2, b"too much");
    assert_eq!(client.closed(), Some(0x9B));
    let mut old = Client::v3(broker.address(), "old");
    assert_eq!(old.subscribe("t", 2), 1);
    old.publish(4, "t", 2, b"too much");
    assert_eq!(old.closed(), None);
}

// [MQTT-3.2.2-13] [MQTT-3.2.2-14]
#[test]
fn without_retain_a_retained_message_ends_the_connection() {
    let broker = broker(|rules| rules.retain = false);
    assert_eq!(told(&connack(&broker, &Connect::new("a")), 0x25), Some(0));
    let will = connack(&broker, &Connect::new("w").will("t", b"", 0, true));
    assert_eq!(will.body[1], 0x9A);
    let mut client = Client::v5(broker.address(), "c");
    client.publish(1, "t", 0, b"keep me");
    assert_eq!(client.closed(), Some(0x9A));
}

#[test]
fn wildcards_and_groups_can_be_off_and_the_filters_beside_them_stand() {
    let broker = broker(|rules| (rules.wildcards, rules.shared) = (false, false));
    let hello = connack(&broker, &Connect::new("a"));
    assert_eq!((told(&hello, 0x28), told(&hello, 0x2a)), (Some(0), Some(0)));
    let mut client = Client::v5(broker.address(), "c");
    client.send_subscribe(7, &[("a/+", 0), ("a/b", 0), ("$share/g/a", 0), ("#", 0)], &[]);
    assert_eq!(client.read_kind(9).body, [0, 7, 0, 0xA2, 0, 0x9E, 0xA2]);
    client.publish(0, "a/b", 0, b"x");
    assert_eq!(client.read_publish().payload, b"x");
    let mut old = Client::v3(broker.address(), "old");
    assert_eq!(old.subscribe("a/+", 0), 0x80);
}

#[test]
fn nothing_is_told_when_nothing_is_off() {
    let broker = TestBroker::start();
    let hello = connack(&broker, &Connect::new("a"));
    for id in [0x24, 0x25, 0x28, 0x29, 0x2a, 0x1a] {
        assert_eq!(told(&hello, id), None, "{id:#x}");
    }
}

#[test]
fn a_client_id_above_the_limit_is_refused_in_both_versions() {
    let broker = broker(|rules| rules.client_id_bytes_max = 23);
    let long = "x".repeat(24);
    assert_eq!(connack(&broker, &Connect::new(&long)).body[1], 0x85);
    let mut old = Client::dial(broker.address(), false);
    assert_eq!(old.connect(&Connect::new(&long)).body, [0, 2]);
    Client::v5(broker.address(), &"x".repeat(23));
}

#[test]
fn response_information_is_for_those_who_ask() {
    let broker = broker(|rules| rules.response_information = Some("replies/".into()));
    let mut asks = Connect::new("asks");
    asks.properties = vec![0x19, 1];
    let hello = connack(&broker, &asks);
    assert!(hello.body.windows(11).any(|bytes| bytes == b"\x1a\0\x08replies/"), "{hello:?}");
    assert_eq!(told(&connack(&broker, &Connect::new("silent")), 0x1a), None);
}

#[test]
fn a_3_1_1_client_hears_no_echo_if_it_is_not_to() {
    let broker = broker(|rules| rules.echo_v3 = false);
    let mut old = Client::v3(broker.address(), "old");
    let mut other = Client::v3(broker.address(), "other");
    let mut new = Client::v5(broker.address(), "new");
    for client in [&mut old, &mut other, &mut new] {
        client.subscribe("t", 0);
    }
    old.publish(0, "t", 0, b"mine");
    assert_eq!(other.read_publish().payload, b"mine");
    assert_eq!(new.read_publish().payload, b"mine");
    old.assert_silent();
    new.publish(0, "t", 0, b"echo");
    assert_eq!(new.read_publish().payload, b"echo");
}

#[test]
fn a_message_without_an_expiry_gets_one() {
    let broker = broker(|rules| rules.message_expiry_s = Some(600));
    let mut client = Client::v5(broker.address(), "c");
    client.subscribe("t", 0);
    client.publish(0, "t", 0, b"plain");
    assert_eq!(client.read_publish().properties, [2, 0, 0, 2, 0x58]);
    client.publish_with(0, "t", 0, &[2, 0, 0, 0x0e, 0x10], b"own");
    assert_eq!(client.read_publish().properties, [2, 0, 0, 0x0e, 0x10]);
}

#[test]
fn the_session_of_a_3_1_1_client_ends_after_its_time() {
    let broker = broker(|rules| rules.session_expiry_v3_s = 1);
    let stays = || Connect { clean: false, ..Connect::new("old") };
    let mut old = Client::dial(broker.address(), false);
    assert_eq!(old.connect(&stays()).body, [0, 0]);
    drop(old);
    let mut old = Client::dial(broker.address(), false);
    assert_eq!(old.connect(&stays()).body, [1, 0], "still there");
    drop(old);
    eventually("the end of the session", || broker.handle.metrics().sessions.get() == 0);
    let mut old = Client::dial(broker.address(), false);
    assert_eq!(old.connect(&stays()).body, [0, 0]);
}

#[test]
fn silence_is_counted_in_keep_alives() {
    let broker = broker(|rules| rules.keep_alive_factor = 6.0);
    let dial = |id: &str, keep_alive| {
        let mut client = Client::dial(broker.address(), true);
        client.connect(&Connect { keep_alive, ..Connect::new(id) });
        client
    };
    let (mut patient, begun) = (dial("patient", 1), std::time::Instant::now());
    patient.set_patience(Duration::from_secs(30));
    assert_eq!(patient.closed(), Some(0x8D));
    assert!(begun.elapsed() >= Duration::from_secs(6), "{:?}", begun.elapsed());
}

fn retained(broker: &TestBroker, topic: &str) -> Option<Vec<u8>> {
    let mut client = Client::v5(broker.address(), "reader");
    client.subscribe(topic, 0);
    client.send(&[0xc0, 0]);
    let raw = client.read();
    (raw.kind() == 3).then(|| client.parse_publish(&raw).payload)
}

fn publish_retained(broker: &TestBroker, payload: &[u8]) {
    let mut client = Client::v5(broker.address(), "writer");
    client.publish(3, "kept", 1, payload);
    client.read_kind(4);
}

#[test]
fn a_retainer_that_is_off_keeps_and_sends_nothing() {
    let broker = broker(|rules| rules.retainer.keeps = false);
    let mut live = Client::v5(broker.address(), "live");
    live.subscribe("kept", 0);
    publish_retained(&broker, b"1");
    assert_eq!(live.read_publish().payload, b"1");
    assert_eq!(retained(&broker, "kept"), None);
}

#[test]
fn a_retained_message_without_an_expiry_gets_one() {
    let broker = broker(|rules| rules.retainer.expiry_s = Some(1));
    publish_retained(&broker, b"1");
    assert_eq!(retained(&broker, "kept").as_deref(), Some(&b"1"[..]));
    eventually("its end", || retained(&broker, "kept").is_none());
}

#[test]
fn the_message_that_deletes_a_retained_one_can_be_hidden() {
    for hides in [false, true] {
        let broker = broker(|rules| rules.retainer.hides_clearing = hides);
        publish_retained(&broker, b"1");
        let mut live = Client::v5(broker.address(), "live");
        live.subscribe("kept", 0);
        assert_eq!(live.read_publish().payload, b"1");
        publish_retained(&broker, b"");
        if !hides {
            assert_eq!(live.read_publish().payload, b"");
        }
        live.assert_silent();
        assert_eq!(retained(&broker, "kept"), None);
    }
}

fn few_unreleased(config: &mut BrokerConfig) {
    config.limits.awaiting_release_max = 2;
    config.limits.awaiting_release_time = Duration::from_secs(2);
}

#[test]
fn unreleased_qos_2_ids_are_limited_in_number_and_time() {
    let broker = TestBroker::with(few_unreleased);
    let mut client = Client::v5(broker.address(), "c");
    for id in 1..=2 {
        client.publish(4, "t", id, b"x");
        assert_eq!(client.read_kind(5).code(), 0x10);
    }
    client.publish(4, "t", 3, b"x");
    let refused = client.read_kind(5);
    assert_eq!((refused.id(), refused.code()), (3, 0x97));
    client.publish(2, "t", 4, b"QoS 1 is not concerned");
    assert_eq!(client.read_kind(4).code(), 0x10);
    eventually("their end", || {
        client.publish(4, "t", 3, b"x");
        client.read_kind(5).code() == 0x10
    });
    let mut old = Client::v3(broker.address(), "old");
    for id in 1..=3 {
        old.publish(4, "t", id, b"x");
    }
    assert_eq!(old.closed(), None);
}

#[test]
fn the_queue_of_a_session_gives_way_at_the_end_that_is_set() {
    for (overflow, code, first) in [(Overflow::DropNewest, 0x97, 0), (Overflow::DropOldest, 0, 2)] {
        let broker = TestBroker::with(|config| {
            config.limits.overflow = overflow;
            config.limits.inbox_messages_max = 4;
        });
        let away = Connect::resume("away", 60);
        let mut client = Client::dial(broker.address(), true);
        client.connect(&away);
        client.subscribe("t", 1);
        drop(client);
        eventually("its end", || broker.handle.metrics().clients.get() == 0);
        let mut publisher = Client::v5(broker.address(), "publisher");
        for number in 0..6 {
            publisher.publish(2, "t", u16::from(number) + 1, &[number]);
            let answer = publisher.read_kind(4).code();
            assert_eq!(answer, if number < 4 { 0 } else { code }, "{overflow:?} {number}");
        }
        let mut client = Client::dial(broker.address(), true);
        client.connect(&away);
        for number in first..first + 4 {
            assert_eq!(client.read_publish().payload, [number], "{overflow:?}");
        }
        client.assert_silent();
    }
}

/// A link's node may speak as it must.
#[test]
fn links_are_not_bound_by_what_applications_may_do() {
    let broker = broker(|rules| rules.qos_max = QoS::AtMostOnce);
    let mut link = Client::dial(broker.address(), true);
    link.connect(&Connect::new("link").user("link"));
    let mut body = Vec::new();
    put(b"$LINK/cluster/route/peer/actor", &mut body);
    body.extend([0, 1, 0, b'x']);
    link.packet(0x32, &body);
    assert_eq!(link.read_kind(4).id(), 1);
}

// MQTT-4.3.3-10: a 3.1.1 client is not told of a refusal and sends the message again.
#[test]
fn a_qos_2_publish_that_one_session_refused_is_not_given_to_the_others_again() {
    let broker = TestBroker::with(|config| {
        config.limits.overflow = Overflow::DropNewest;
        config.limits.inbox_messages_max = 1;
    });
    let mut full = Client::dial(broker.address(), true);
    full.connect(&Connect::resume("full", 60));
    full.subscribe("t", 2);
    drop(full);
    eventually("its end", || broker.handle.metrics().clients.get() == 0);
    let mut here = Client::v5(broker.address(), "here");
    here.subscribe("t", 2);
    let mut publisher = Client::dial(broker.address(), false);
    publisher.connect(&Connect::resume("publisher", 0));
    publisher.publish(4, "t", 1, b"fits");
    publisher.read_kind(5);
    publisher.ack(6, 1);
    publisher.read_kind(7);
    assert_eq!(here.read_publish().payload, b"fits");

    publisher.publish(4, "t", 2, b"refused by one");
    assert_eq!(here.read_publish().payload, b"refused by one");
    publisher.assert_silent();
    for _ in 0..2 {
        publisher = Client::dial(broker.address(), false);
        publisher.connect(&Connect::resume("publisher", 0));
        publisher.publish(12, "t", 2, b"refused by one");
        publisher.assert_silent();
    }

    let mut full = Client::dial(broker.address(), true);
    full.connect(&Connect::resume("full", 60));
    assert_eq!(full.read_publish().payload, b"fits");
    publisher = Client::dial(broker.address(), false);
    publisher.connect(&Connect::resume("publisher", 0));
    publisher.publish(12, "t", 2, b"refused by one");
    assert_eq!(publisher.read_kind(5).id(), 2);
    assert_eq!(full.read_publish().payload, b"refused by one");
    publisher.ack(6, 2);
    publisher.read_kind(7);
    publisher.publish(4, "t", 2, b"another");
    assert_eq!(here.read_publish().payload, b"another");
    assert_eq!(full.read_publish().payload, b"another");
}
