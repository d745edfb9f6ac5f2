//! Sessions that outlive connections, the QoS flows across them, and wills
//! (MQTT 5.0 §3.1.2.4–11, §4.1, §4.3, §4.4).

use std::sync::LazyLock;
use std::time::Duration;

use cluster_tests::client::{Client, Connect, Packet, Property, Version};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode, eventually};

const CLOSE: Duration = Duration::from_secs(10);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "session", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

fn kept(version: Version, id: &str) -> Connect {
    Connect { version, ..Connect::new(&format!("{id}-{version:?}")) }.persistent()
}

fn open(node: &Lease, connect: &Connect) -> anyhow::Result<Client> {
    Ok(Client::connect(node.mqtt_port(), connect)?.0)
}

fn plain(node: &Lease, id: &str) -> anyhow::Result<Client> {
    Client::simple(node.mqtt_port(), id)
}

// [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-4.1.0-1] [MQTT-4.5.0-1] [MQTT311-3.1.2-4]
// [MQTT311-3.1.2-5] [MQTT311-4.1.0-1] [MQTT311-4.1.0-2] [MQTT311-4.5.0-1]
#[test]
fn a_kept_session_collects_messages_until_its_client_is_back() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = plain(&node, "collect-pub")?;
    for version in VERSIONS {
        let connect = kept(version, "collect");
        let topic = format!("collect-{version:?}/t");
        let mut client = open(&node, &connect)?;
        client.subscribe(&topic, 2)?;
        client.disconnect()?;
        for number in 0..10u8 {
            publisher.publish(&topic, &[number], 1 + number % 2)?;
        }
        let (mut client, present) = Client::connect(node.mqtt_port(), &connect)?;
        assert!(present);
        let mut got = Vec::new();
        for _ in 0..10 {
            got.extend(client.payload()?);
        }
        got.sort_unstable();
        assert_eq!(got, (0..10).collect::<Vec<_>>());
        client.expect_silence()?;
    }
    Ok(())
}

// [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-2.2.1-4]
// [MQTT311-3.3.1-1] [MQTT311-2.3.1-4] [MQTT311-4.4.0-1] [MQTT311-4.6.0-1] [MQTT311-4.3.2-1]
#[test]
fn unacknowledged_messages_come_again_with_dup_id_and_order() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = plain(&node, "again-pub")?;
    for version in VERSIONS {
        for qos in [1, 2] {
            let connect = kept(version, &format!("again-{qos}"));
            let topic = format!("again-{version:?}-{qos}/t");
            let mut client = open(&node, &connect)?;
            client.subscribe(&topic, qos)?;
            for number in 0..8u8 {
                publisher.publish(&topic, &[number], qos)?;
            }
            let mut first = Vec::new();
            for number in 0..8u8 {
                let got = client.received()?;
                assert_eq!((got.dup, got.qos, got.payload.clone()), (false, qos, vec![number]));
                first.push(got);
            }
            // Not acknowledged, and nothing comes again while the connection is open.
            client.expect_silence()?;
            drop(client);
            let mut client = open(&node, &connect)?;
            for sent in first {
                let got = client.received()?;
                assert!(got.dup, "{got:?}");
                assert_eq!((got.id, got.qos, &got.payload), (sent.id, qos, &sent.payload));
                client.ack(if qos == 1 { 4 } else { 5 }, got.id)?;
                if qos == 2 {
                    assert_eq!(client.ack_code(6, got.id)?, 0);
                    client.ack(7, got.id)?;
                }
            }
            client.expect_silence()?;
            drop(client);
            open(&node, &connect)?.expect_silence()?;
        }
    }
    Ok(())
}

// [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.6.0-4] [MQTT-3.6.2-1] [MQTT-2.2.1-5]
// [MQTT311-4.3.3-1] [MQTT311-4.6.0-4] [MQTT311-2.3.1-6]
#[test]
fn after_pubrec_only_pubrel_comes_again() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = plain(&node, "release-pub")?;
    for version in VERSIONS {
        let connect = kept(version, "release");
        let topic = format!("release-{version:?}/t");
        let mut client = open(&node, &connect)?;
        client.subscribe(&topic, 2)?;
        let mut ids = Vec::new();
        for number in 0..4u8 {
            publisher.publish(&topic, &[number], 2)?;
            ids.push(client.received()?.id);
        }
        ids.reverse();
        for id in &ids {
            client.ack(5, *id)?;
            assert_eq!(client.ack_code(6, *id)?, 0);
        }
        client.expect_silence()?;
        drop(client);
        let mut client = open(&node, &connect)?;
        let mut again = Vec::new();
        for _ in 0..4 {
            match client.receive(CLOSE)? {
                Some(Packet::Ack { kind: 6, id, code: 0, .. }) => again.push(id),
                other => anyhow::bail!("{version:?}: {other:?}"),
            }
        }
        assert_eq!(again, ids, "in the order of the PUBRECs");
        for id in ids {
            client.ack(7, id)?;
        }
        client.expect_silence()?;
        drop(client);
        open(&node, &connect)?.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-4.3.2-5] [MQTT311-4.3.3-2]
// [MQTT311-4.3.2-2]
#[test]
fn repeats_of_a_publisher_are_delivered_once_at_qos_2_even_across_connections() -> anyhow::Result<()>
{
    let node = node();
    for version in VERSIONS {
        let connect = kept(version, "repeat");
        let topic = format!("repeat-{version:?}");
        let mut watcher = plain(&node, "repeat-watcher")?;
        watcher.subscribe(&topic, 0)?;
        let send = |client: &mut Client, first: u8, id: u16| {
            let bytes = cluster_tests::client::publish(
                version,
                first,
                topic.as_bytes(),
                Some(id),
                &[],
                b"x",
            );
            client.send(&bytes)
        };
        let mut client = open(&node, &connect)?;
        send(&mut client, 0x34, 11)?;
        client.ack_code(5, 11)?;
        send(&mut client, 0x3c, 11)?;
        client.ack_code(5, 11)?;
        drop(client);
        let mut client = open(&node, &connect)?;
        send(&mut client, 0x3c, 11)?;
        client.ack_code(5, 11)?;
        client.ack(6, 11)?;
        client.ack_code(7, 11)?;
        watcher.received()?;
        watcher.expect_silence()?;
        send(&mut client, 0x34, 11)?;
        client.ack_code(5, 11)?;
        watcher.received()?;
        watcher.expect_silence()?;
        for first in [0x32, 0x3a] {
            send(&mut client, first, 12)?;
            client.ack_code(4, 12)?;
            watcher.received()?;
            watcher.expect_silence()?;
        }
        client.ack(6, 11)?;
        client.ack_code(7, 11)?;
    }
    Ok(())
}

// [MQTT-4.4.0-2]
#[test]
fn a_refused_publish_is_not_sent_again() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = plain(&node, "reject-pub")?;
    let connect = kept(Version::V5, "reject");
    let mut client = open(&node, &connect)?;
    client.subscribe("reject/t", 2)?;
    for (qos, answer) in [(1, 4), (2, 5)] {
        publisher.publish("reject/t", b"x", qos)?;
        let got = client.received()?;
        client.ack_with(answer, got.id, 0x80)?;
        client.expect_silence()?;
    }
    drop(client);
    open(&node, &connect)?.expect_silence()
}

// [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
#[test]
fn the_receive_maximum_of_the_client_is_kept_and_stops_nothing_else() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = plain(&node, "quota-pub")?;
    for most in [1u16, 3] {
        let connect = Connect::new("quota").property(Property::Two(0x21, most));
        let mut client = open(&node, &connect)?;
        client.subscribe("quota/t", 2)?;
        for number in 0..6u8 {
            publisher.publish("quota/t", &[number], 1 + number % 2)?;
        }
        let mut open = std::collections::VecDeque::new();
        for _ in 0..most {
            open.push_back(client.received()?);
        }
        client.expect_silence()?;
        // QoS 0, SUBACK and PUBACK are not held up.
        publisher.publish("quota/t", b"zero", 0)?;
        let zero = client.received()?;
        assert_eq!((zero.qos, zero.payload.as_slice()), (0, b"zero".as_slice()));
        client.subscribe("quota/other", 1)?;
        client.publish("quota/nobody", b"x", 1)?;
        let mut numbers: Vec<u8> = Vec::new();
        while let Some(got) = open.pop_front() {
            numbers.extend(&got.payload);
            if got.qos == 1 {
                client.ack(4, got.id)?;
            } else {
                client.ack(5, got.id)?;
                client.ack_code(6, got.id)?;
                // PUBREL does not free the place; PUBCOMP does.
                client.expect_silence()?;
                client.ack(7, got.id)?;
            }
            if numbers.len() + open.len() < 6 {
                open.push_back(client.received()?);
                client.expect_silence()?;
            }
        }
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }
    Ok(())
}

// [MQTT-4.1.0-2]
#[test]
fn a_session_ends_with_its_expiry() -> anyhow::Result<()> {
    let node = node();
    let connect = |expiry: u32| {
        let connect = Connect { resume: true, ..Connect::new("expiry") };
        connect.property(Property::Four(0x11, expiry))
    };
    Client::connect(node.mqtt_port(), &connect(0))?.0.disconnect()?;
    let (client, present) = Client::connect(node.mqtt_port(), &connect(1))?;
    assert!(!present, "an expiry of 0 ends it at once");
    drop(client);
    // Each look renews the expiry, so the looks lie further apart than the expiry.
    let mut wait = Duration::from_millis(1_500);
    eventually(CLOSE, || {
        std::thread::sleep(wait);
        wait *= 2;
        let (client, present) = Client::connect(node.mqtt_port(), &connect(1))?;
        client.disconnect()?;
        anyhow::ensure!(!present, "the session is still there");
        Ok(())
    })
}

// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
#[test]
fn a_message_expires_while_it_waits_and_a_longer_lived_one_shows_the_time() -> anyhow::Result<()> {
    let node = node();
    let connect = kept(Version::V5, "aging");
    let mut client = open(&node, &connect)?;
    client.subscribe("aging/t", 1)?;
    client.disconnect()?;
    let mut publisher = plain(&node, "aging-pub")?;
    let send = |publisher: &mut Client, payload: &[u8], expiry: u32| {
        let properties = [Property::Four(0x02, expiry)];
        let id = publisher.send_publish("aging/t", payload, 1, false, &properties)?;
        publisher.finish_publish(id, 1)
    };
    send(&mut publisher, b"short", 1)?;
    send(&mut publisher, b"long", 1_000)?;
    // Time itself is the subject: it has to pass.
    std::thread::sleep(Duration::from_millis(2_100));
    let mut client = open(&node, &connect)?;
    let got = client.received()?;
    client.ack(4, got.id)?;
    assert_eq!(got.payload, b"long");
    let Some(Property::Four(_, left)) = got.property(0x02) else { anyhow::bail!("{got:?}") };
    assert!((900..=998).contains(left), "{left} s left");
    client.expect_silence()
}

// [MQTT-4.3.3-7] [MQTT-4.3.3-13]
#[test]
fn a_delivery_that_has_begun_does_not_expire() -> anyhow::Result<()> {
    let node = node();
    let connect = kept(Version::V5, "begun");
    let mut client = open(&node, &connect)?;
    client.subscribe("begun/t", 2)?;
    let mut publisher = plain(&node, "begun-pub")?;
    let id = publisher.send_publish("begun/t", b"x", 2, false, &[Property::Four(0x02, 1)])?;
    assert_eq!(publisher.ack_code(5, id)?, 0);
    let got = client.received()?;
    drop(client);
    std::thread::sleep(Duration::from_millis(1_500));
    // The publisher's side goes on, too, though the message has expired.
    publisher.ack(6, id)?;
    assert_eq!(publisher.ack_code(7, id)?, 0);
    let mut client = open(&node, &connect)?;
    let again = client.received()?;
    assert_eq!((again.dup, again.id, &again.payload), (true, got.id, &got.payload));
    client.ack(5, again.id)?;
    assert_eq!(client.ack_code(6, again.id)?, 0);
    client.ack(7, again.id)?;
    client.expect_silence()
}

// [MQTT-4.8.2-4] [MQTT-4.8.2-5]
#[test]
fn a_qos_2_delivery_to_a_member_is_finished_with_that_member_or_with_nobody() -> anyhow::Result<()>
{
    let node = node();
    let mut publisher = plain(&node, "member-pub")?;
    for comes_back in [true, false] {
        let topic = format!("member-{comes_back}");
        let connect = kept(Version::V5, &topic);
        let mut member = open(&node, &connect)?;
        member.subscribe(&format!("$share/g/{topic}"), 2)?;
        publisher.publish(&topic, b"x", 2)?;
        let got = member.received()?;
        let mut other = plain(&node, &format!("{topic}-other"))?;
        other.subscribe(&format!("$share/g/{topic}"), 2)?;
        member.ack(5, got.id)?;
        assert_eq!(member.ack_code(6, got.id)?, 0);
        drop(member);
        if comes_back {
            let mut member = open(&node, &connect)?;
            assert_eq!(member.ack_code(6, got.id)?, 0);
            member.ack(7, got.id)?;
            member.expect_silence()?;
        } else {
            let clean = Connect { resume: false, ..connect };
            open(&node, &clean)?.expect_silence()?;
        }
        other.expect_silence()?;
    }
    Ok(())
}
