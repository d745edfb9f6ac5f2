//! PUBLISH: what arrives of it (MQTT 5.0 §3.3, §4.7; 3.1.1 §3.3, §4.7).

use std::sync::LazyLock;

use cluster_tests::client::{Client, Connect, Packet, Property, Version, publish};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "publish", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

fn client(node: &Lease, version: Version, id: &str) -> anyhow::Result<Client> {
    let connect = Connect { version, ..Connect::new(&format!("{id}-{version:?}")) };
    Ok(Client::connect(node.mqtt_port(), &connect)?.0)
}

// [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-3.4.2-1]
// [MQTT-3.5.2-1] [MQTT-3.7.2-1] [MQTT311-3.3.4-1] [MQTT311-2.3.1-6] [MQTT311-4.3.2-2]
// [MQTT311-4.3.3-2]
#[test]
fn each_qos_has_its_answer_with_the_id_of_the_publish() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "answers")?;
        client.subscribe("answers/#", 0)?;
        for id in [1, 2, 0x1234, 0xffff] {
            client.send(&publish(version, 0x30, b"answers/0", None, &[], b"0"))?;
            assert_eq!(client.received()?.payload, b"0");
            client.send(&publish(version, 0x32, b"answers/1", Some(id), &[], b"1"))?;
            assert_eq!(client.ack_code(4, id)?, 0);
            client.send(&publish(version, 0x34, b"answers/2", Some(id), &[], b"2"))?;
            assert_eq!(client.ack_code(5, id)?, 0);
            client.ack(6, id)?;
            assert_eq!(client.ack_code(7, id)?, 0);
            client.received()?;
            client.received()?;
        }
        client.ack(6, 77)?;
        let code = client.ack_code(7, 77)?;
        assert_eq!(code, if version == Version::V5 { 0x92 } else { 0 }, "an unknown id");
        client.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.5.0-1] [MQTT-3.3.2-3] [MQTT311-4.5.0-1] [MQTT311-3.3.2-3]
#[test]
fn a_message_goes_to_all_whose_filter_matches_and_to_nobody_else() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let top = format!("match-{version:?}");
        let matching = ["{}/a/b", "{}/+/b", "{}/#", "{}/a/#", "{}/a/b/#", "+/a/+"];
        let others = ["{}/a", "{}/a/b/c", "{}/A/b", "{}/+", "/{}/a/b", "{}/a/b/", "{}/+/+/+"];
        let mut subscribers = Vec::new();
        for (number, filter) in matching.iter().chain(&others).enumerate() {
            let mut subscriber = client(&node, version, &format!("match-{number}"))?;
            subscriber.subscribe(&filter.replace("{}", &top), 1)?;
            subscribers.push(subscriber);
        }
        let topic = format!("{top}/a/b");
        client(&node, version, "match-pub")?.publish(&topic, b"x", 1)?;
        let (hit, missed) = subscribers.split_at_mut(matching.len());
        for subscriber in hit {
            assert_eq!(subscriber.received()?.topic, topic);
            subscriber.expect_silence()?;
        }
        for subscriber in missed {
            subscriber.expect_silence()?;
        }
    }
    Ok(())
}

// [MQTT-4.7.3-4] [MQTT-1.5.4-3] [MQTT-3.10.4-1] [MQTT311-4.7.3-4] [MQTT311-1.5.3-3]
#[test]
fn topics_are_compared_as_they_are() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "asis")?;
        // Each differs from the others only by what a normalization would change.
        let topics = [
            "asis/é",
            "asis/e\u{301}",
            "asis/É",
            "asis//é",
            "asis/é/",
            "/asis/é",
            "asis/ é",
            "asis/\u{feff}é",
            "asis/é\u{200b}",
            "asis/%C3%A9",
            "asis/./é",
            "asis/ﬁ",
            "asis/fi",
        ];
        for topic in topics {
            client.subscribe(topic, 0)?;
        }
        for topic in topics {
            client.publish(topic, b"x", 1)?;
            assert_eq!(client.received()?.topic, topic);
            client.expect_silence()?;
        }
        for topic in topics {
            client.unsubscribe(topic)?;
        }
    }
    Ok(())
}

// [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn leading_wildcards_do_not_match_topics_with_a_dollar() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut wild = client(&node, version, "dollar-wild")?;
        for filter in ["#", "+/dollar", "+/#"] {
            wild.subscribe(filter, 0)?;
        }
        let mut exact = client(&node, version, "dollar-exact")?;
        exact.subscribe("$mine/dollar", 0)?;
        exact.publish("$mine/dollar", b"x", 1)?;
        assert_eq!(exact.received()?.topic, "$mine/dollar");
        // Other tests publish too, so silence alone would not do here.
        wild.publish("dollar-end/dollar", b"end", 1)?;
        loop {
            let message = wild.received()?;
            assert!(!message.topic.starts_with('$'), "{message:?}");
            if message.topic == "dollar-end/dollar" {
                break;
            }
        }
    }
    Ok(())
}

// [MQTT-4.7.3-3] [MQTT311-4.7.3-3]
#[test]
fn a_topic_of_65_535_bytes_is_carried() -> anyhow::Result<()> {
    let node = node();
    let topic = "l".repeat(65_535);
    for version in VERSIONS {
        let mut client = client(&node, version, "long")?;
        client.subscribe(&topic, 1)?;
        client.publish(&topic, b"x", 1)?;
        assert_eq!(client.received()?.topic.len(), 65_535);
        client.unsubscribe(&topic)?;
    }
    Ok(())
}

// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
// [MQTT-2.2.2-1]
#[test]
fn properties_are_passed_on_unaltered_and_in_order() -> anyhow::Result<()> {
    let node = node();
    let mut client = client(&node, Version::V5, "properties")?;
    let mut old = self::client(&node, Version::V311, "properties")?;
    client.subscribe("properties/t", 1)?;
    old.subscribe("properties/t", 1)?;
    let user = |key: &str, value: &str| Property::User(key.into(), value.into());
    let sets = [
        vec![],
        vec![Property::Byte(0x01, 0)],
        vec![
            user("z", "1"),
            Property::Byte(0x01, 1),
            Property::Text(0x03, "text/plain; charset=ü".into()),
            user("a", "2"),
            Property::Text(0x08, "reply/to/ü".into()),
            Property::Binary(0x09, vec![0, 255, 0]),
            user("z", "1"),
            user("", ""),
            user("a", "0"),
        ],
    ];
    for sent in sets {
        let id = client.send_publish("properties/t", b"x", 1, false, &sent)?;
        client.finish_publish(id, 1)?;
        let got = client.received()?;
        client.ack(4, got.id)?;
        for id in [0x01, 0x03, 0x08, 0x09] {
            let wanted = sent.iter().find(|property| property.id() == id);
            assert_eq!(got.property(id), wanted, "0x{id:02x}");
        }
        let users = |list: &[Property]| -> Vec<Property> {
            list.iter().filter(|property| property.id() == 0x26).cloned().collect()
        };
        assert_eq!(users(&got.properties), users(&sent));
        let old_got = old.received()?;
        old.ack(4, old_got.id)?;
        assert_eq!((old_got.payload, old_got.properties), (b"x".to_vec(), Vec::new()));
    }
    Ok(())
}

// [MQTT-3.3.2-7] [MQTT-3.3.2-12]
#[test]
fn all_announced_aliases_work_and_end_with_the_connection() -> anyhow::Result<()> {
    let node = node();
    let connect = Connect::new("alias").persistent();
    let (mut client, connack) = Client::try_connect(node.mqtt_port(), &connect)?;
    let Packet::ConnAck { code: 0, properties, .. } = &connack else {
        anyhow::bail!("{connack:?}")
    };
    let most = properties.iter().find_map(|property| match property {
        Property::Two(0x22, most) => Some(*most),
        _ => None,
    });
    let most = most.expect("the broker allows aliases");
    client.subscribe("alias/+", 0)?;
    for round in 0..2 {
        for alias in 1..=most {
            let topic = if round == 0 { format!("alias/{alias}") } else { String::new() };
            client.send_publish(&topic, b"x", 0, false, &[Property::Two(0x23, alias)])?;
            assert_eq!(client.received()?.topic, format!("alias/{alias}"));
        }
    }
    // A name with an alias that is taken gives it a new meaning.
    client.send_publish("alias/new", b"x", 0, false, &[Property::Two(0x23, 1)])?;
    client.send_publish("", b"x", 0, false, &[Property::Two(0x23, 1)])?;
    for _ in 0..2 {
        assert_eq!(client.received()?.topic, "alias/new");
    }
    client.disconnect()?;
    let (mut client, present) = Client::connect(node.mqtt_port(), &connect)?;
    assert!(present);
    client.send_publish("", b"x", 0, false, &[Property::Two(0x23, 1)])?;
    let came = client.expect_close(std::time::Duration::from_secs(10))?;
    assert!(matches!(came.as_slice(), [Packet::Disconnect { code: 0x82 | 0x94, .. }]), "{came:?}");
    Ok(())
}

// [MQTT-3.3.2-11] [MQTT-3.1.2-26] [MQTT-3.1.2-27]
#[test]
fn aliases_to_a_client_stay_within_what_it_allows() -> anyhow::Result<()> {
    let node = node();
    for allowed in [None, Some(0), Some(2)] {
        let mut connect = Connect::new(&format!("alias-out-{allowed:?}"));
        connect.properties.extend(allowed.map(|allowed| Property::Two(0x22, allowed)));
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        let top = format!("alias-out-{}", allowed.unwrap_or(9));
        client.subscribe(&format!("{top}/+"), 0)?;
        let mut names = std::collections::BTreeMap::new();
        for number in (0..4).chain(0..4) {
            let topic = format!("{top}/{number}");
            client.publish(&topic, b"x", 1)?;
            let got = client.received()?;
            let name = match got.property(0x23) {
                Some(Property::Two(_, alias)) => {
                    assert!((1..=allowed.unwrap_or(0)).contains(alias), "{got:?}");
                    if !got.topic.is_empty() {
                        names.insert(*alias, got.topic.clone());
                    }
                    names.get(alias).cloned().unwrap_or_default()
                }
                _ => got.topic,
            };
            assert_eq!(name, topic);
        }
    }
    Ok(())
}

// [MQTT-3.3.1-3] [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT311-3.3.1-3] [MQTT311-3.3.1-2]
// [MQTT311-4.3.1-1]
#[test]
fn dup_of_the_publisher_does_not_reach_subscribers() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "dup")?;
        client.subscribe("dup/t", 2)?;
        for (first, id) in [(0x3a, 5), (0x3c, 6)] {
            client.send(&publish(version, first, b"dup/t", Some(id), &[], b"x"))?;
            client.ack_code(if first == 0x3a { 4 } else { 5 }, id)?;
            let got = client.received()?;
            assert!(!got.dup, "{got:?}");
        }
        client.send(&publish(version, 0x30, b"dup/t", None, &[], b"0"))?;
        let got = client.received()?;
        assert_eq!((got.dup, got.qos, got.id), (false, 0, 0));
    }
    Ok(())
}

// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]
// [MQTT311-4.6.0-2] [MQTT311-4.6.0-3]
#[test]
fn messages_and_answers_keep_their_order() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut subscriber = client(&node, version, "order-sub")?;
        let mut publisher = client(&node, version, "order-pub")?;
        subscriber.subscribe("order/#", 2)?;
        for qos in 0..=2u8 {
            let total: u16 = if qos == 0 { 200 } else { 30 };
            let mut burst = Vec::new();
            for id in 1..=total {
                // Retained ones wait for the cluster, the others do not.
                let first = 0x30 | qos << 1 | u8::from(id % 4 == 0);
                let id_field = (qos > 0).then_some(id);
                let payload = id.to_be_bytes();
                burst.extend(publish(version, first, b"order/t", id_field, &[], &payload));
            }
            publisher.send(&burst)?;
            let (mut answers, mut messages) = (Vec::new(), Vec::new());
            while qos > 0 && answers.len() < total.into() {
                match publisher.answer(|p| matches!(p, Packet::Ack { .. }))? {
                    Packet::Ack { id, .. } => answers.push(id),
                    other => anyhow::bail!("{other:?}"),
                }
            }
            if qos > 0 {
                assert_eq!(answers, (1..=total).collect::<Vec<_>>(), "{version:?} QoS {qos}");
            }
            for id in answers.into_iter().filter(|_| qos == 2) {
                publisher.ack(6, id)?;
                publisher.ack_code(7, id)?;
            }
            while messages.len() < total.into() {
                let payload = subscriber.payload()?;
                messages.push(u16::from_be_bytes([payload[0], payload[1]]));
            }
            assert_eq!(messages, (1..=total).collect::<Vec<_>>(), "{version:?} QoS {qos}");
        }
        publisher.publish_retained("order/t", b"", 1)?;
    }
    Ok(())
}

// [MQTT-3.8.4-8] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-2.2.1-2]
// [MQTT311-3.8.4-6] [MQTT311-4.3.2-1] [MQTT311-2.3.1-5]
#[test]
fn a_message_comes_at_the_lower_of_both_levels() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut publisher = client(&node, version, "lower-pub")?;
        for granted in 0..=2u8 {
            let mut subscriber = client(&node, version, &format!("lower-{granted}"))?;
            subscriber.subscribe("lower/t", granted)?;
            let mut ids = std::collections::BTreeSet::new();
            for qos in 0..=2u8 {
                publisher.publish("lower/t", &[qos], qos)?;
                let got = subscriber.received()?;
                assert_eq!((got.qos, got.dup), (qos.min(granted), false));
                if got.qos > 0 {
                    assert!(got.id != 0 && ids.insert(got.id), "{got:?}");
                }
            }
            subscriber.unsubscribe("lower/t")?;
        }
    }
    Ok(())
}
