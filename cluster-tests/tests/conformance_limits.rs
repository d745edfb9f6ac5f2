//! Maximum packet size of the client and what the broker adds to its packets
//! (MQTT 5.0 §3.1.2.11.4, §3.1.2.11.7).

use std::sync::LazyLock;
use std::time::Duration;

use cluster_tests::client::{Client, Connect, Packet, Properties, Property, Version, publish};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const CLOSE: Duration = Duration::from_secs(10);

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "limits", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

fn sized(node: &Lease, id: &str, most: u32) -> anyhow::Result<Client> {
    let connect = Connect::new(id).property(Property::Four(0x27, most));
    Ok(Client::connect(node.mqtt_port(), &connect)?.0)
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_message_too_large_for_a_client_is_dropped_as_if_delivered() -> anyhow::Result<()> {
    let node = node();
    let mut small = sized(&node, "small", 100)?;
    let mut large = Client::simple(node.mqtt_port(), "large")?;
    for client in [&mut small, &mut large] {
        client.subscribe("sized/t", 2)?;
    }
    let mut publisher = Client::simple(node.mqtt_port(), "sized-pub")?;
    for qos in 0..=2u8 {
        // Far more than the window, which a stuck message would fill.
        for _ in 0..120 {
            publisher.publish("sized/t", &[b'x'; 200], qos)?;
            large.payload()?;
        }
        publisher.publish("sized/t", b"fits", qos)?;
        assert_eq!(small.payload()?, b"fits", "QoS {qos}");
        assert_eq!(large.payload()?, b"fits");
    }
    assert!(small.largest_packet() <= 100, "{}", small.largest_packet());
    Ok(())
}

// [MQTT-3.1.2-24]
#[test]
fn a_packet_of_exactly_the_maximum_is_sent_and_one_byte_more_is_not() -> anyhow::Result<()> {
    let node = node();
    let mut client = sized(&node, "exact", 120)?;
    client.subscribe("exact", 0)?;
    // Header 2, topic 2 + 5, property length 1.
    for (bytes, comes) in [(110, true), (111, false), (109, true)] {
        client.publish("exact", &vec![b'x'; bytes], 1)?;
        if comes {
            assert_eq!(client.received()?.payload.len(), bytes);
        }
        client.expect_silence()?;
    }
    assert_eq!(client.largest_packet(), 120);
    Ok(())
}

/// Reason string or user property: what a broker may add.
fn added(properties: &Properties) -> bool {
    properties.iter().any(|property| matches!(property.id(), 0x1f | 0x26))
}

// [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3]
// [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]
// [MQTT-3.1.2-29] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
#[test]
fn answers_are_bare_when_problem_information_is_not_wanted() -> anyhow::Result<()> {
    let node = node();
    // Large enough for the bare answers, too small for any text.
    let connect =
        Connect::new("bare").property(Property::Byte(0x17, 0)).property(Property::Four(0x27, 40));
    let (mut client, connack) = Client::try_connect(node.mqtt_port(), &connect)?;
    let Packet::ConnAck { code: 0, .. } = connack else { anyhow::bail!("{connack:?}") };
    let filters = [("bare/t", 2), ("bare/#/x", 0), ("$LINK/x", 0)];
    assert_eq!(client.subscribe_with(&filters, &[])?, [2, 0x8f, 0x87]);
    let v5 = Version::V5;
    client.send(&publish(v5, 0x32, b"bare/nobody", Some(1), &[], b""))?;
    client.send(&publish(v5, 0x34, b"bare/nobody", Some(2), &[], b""))?;
    client.send(&publish(v5, 0x32, b"$SYS/x", Some(3), &[], b""))?;
    client.send(&publish(v5, 0x34, b"$SYS/x", Some(4), &[], b""))?;
    client.ack(6, 2)?;
    client.ack(6, 99)?;
    client.ack(5, 98)?;
    client.send(&cluster_tests::client::unsubscribe(v5, 7, &[b"bare/t", b"bare/none"]))?;
    client.send(&[0xc0, 0])?;
    let mut came = Vec::new();
    loop {
        // UNSUBACK waits for nobody either, but need not come before PINGRESP.
        let done = |p: &Packet| matches!(p, Packet::PingResp | Packet::UnsubAck { .. });
        let packet = client.answer(|_| true)?;
        came.push(packet);
        if came.iter().filter(|packet| done(packet)).count() == 2 {
            break;
        }
    }
    let mut acks = std::collections::BTreeMap::new();
    for packet in &came {
        match packet {
            Packet::Ack { kind, id, code, properties } => {
                assert!(!added(properties), "{packet:?}");
                acks.insert((*kind, *id), *code);
            }
            Packet::UnsubAck { codes, properties, .. } => {
                assert!(!added(properties), "{packet:?}");
                assert_eq!(codes, &[0, 0x11]);
            }
            _ => {}
        }
    }
    let wanted = [
        ((4, 1), 0x10),
        ((4, 3), 0x87),
        ((5, 2), 0x10),
        ((5, 4), 0x87),
        ((6, 98), 0x92),
        ((7, 2), 0),
        ((7, 99), 0x92),
    ];
    assert_eq!(acks.into_iter().collect::<Vec<_>>(), wanted);
    assert!(client.largest_packet() <= 40, "{}", client.largest_packet());
    Ok(())
}

// [MQTT-3.1.2-29] [MQTT-3.14.2-4]
#[test]
fn disconnect_explains_itself_only_when_that_is_wanted() -> anyhow::Result<()> {
    let node = node();
    for (wanted, explains) in [(None, true), (Some(1), true), (Some(0), false)] {
        let mut connect = Connect::new("explain");
        connect.properties.extend(wanted.map(|wanted| Property::Byte(0x17, wanted)));
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        client.send(&[0xc1, 0])?;
        let came = client.expect_close(CLOSE)?;
        let [Packet::Disconnect { code: 0x81, properties }] = came.as_slice() else {
            anyhow::bail!("{came:?}")
        };
        assert_eq!(added(properties), explains, "{came:?}");
        assert!(properties.iter().all(|property| property.id() != 0x26), "{came:?}");
    }
    Ok(())
}

// [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.2.2-1]
#[test]
fn connack_never_carries_text() -> anyhow::Result<()> {
    let node = node();
    let method = Property::Text(0x15, "OTHER".into());
    let connects = [
        Connect::new("text"),
        Connect::new("text").property(method.clone()),
        Connect::new("text").property(method).property(Property::Four(0x27, 20)),
    ];
    for connect in connects {
        // Our reader refuses CONNACK flags other than 0 and 1.
        let (_, connack) = Client::try_connect(node.mqtt_port(), &connect)?;
        let Packet::ConnAck { properties, .. } = &connack else { anyhow::bail!("{connack:?}") };
        assert!(!added(properties), "{connack:?}");
    }
    Ok(())
}
// [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.1.2-24]
#[test]
fn disconnect_leaves_its_text_out_when_it_would_not_fit() -> anyhow::Result<()> {
    let node = node();
    // CONNACK alone needs more than this; so the limit is just above it.
    let connack = sized(&node, "probe", 1_000)?.largest_packet();
    for most in [connack, connack + 8, connack + 60] {
        let mut client = sized(&node, "tight", u32::try_from(most)?)?;
        // Flags of PINGREQ: an error that the broker explains at length.
        client.send(&[0xc1, 0])?;
        let came = client.expect_close(CLOSE)?;
        assert!(matches!(came.as_slice(), [Packet::Disconnect { code: 0x81, .. }]), "{came:?}");
        assert!(client.largest_packet() <= most, "{} > {most}: {came:?}", client.largest_packet());
    }
    Ok(())
}
