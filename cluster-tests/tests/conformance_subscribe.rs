//! SUBSCRIBE, UNSUBSCRIBE, retained messages and shared groups (MQTT 5.0 §3.8–3.11, §4.8.2).

use std::sync::LazyLock;

use cluster_tests::client::{
    Client, Connect, Packet, Property, Received, Version, subscribe, unsubscribe,
};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const NO_LOCAL: u8 = 0x04;
const AS_PUBLISHED: u8 = 0x08;

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "subscribe", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

fn client(node: &Lease, version: Version, id: &str) -> anyhow::Result<Client> {
    let connect = Connect { version, ..Connect::new(&format!("{id}-{version:?}")) };
    Ok(Client::connect(node.mqtt_port(), &connect)?.0)
}

fn suback(client: &mut Client, id: u16, filters: &[(&[u8], u8)]) -> anyhow::Result<Vec<u8>> {
    client.send(&subscribe(client.version(), id, &[], filters))?;
    match client.answer(|packet| matches!(packet, Packet::SubAck { .. }))? {
        Packet::SubAck { id: got, codes, properties } => {
            assert_eq!((got, properties), (id, Vec::new()));
            Ok(codes)
        }
        other => anyhow::bail!("{other:?}"),
    }
}

fn unsuback(client: &mut Client, id: u16, filters: &[&[u8]]) -> anyhow::Result<Vec<u8>> {
    client.send(&unsubscribe(client.version(), id, filters))?;
    match client.answer(|packet| matches!(packet, Packet::UnsubAck { .. }))? {
        Packet::UnsubAck { id: got, codes, properties } => {
            assert_eq!((got, properties), (id, Vec::new()));
            Ok(codes)
        }
        other => anyhow::bail!("{other:?}"),
    }
}

// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
// [MQTT-3.9.3-2] [MQTT-2.2.1-6] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2] [MQTT311-3.8.4-4]
// [MQTT311-3.8.4-5] [MQTT311-3.9.3-1] [MQTT311-3.9.3-2] [MQTT311-2.3.1-7]
#[test]
fn one_suback_has_a_code_for_each_filter_in_order() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "codes")?;
        let refused = if version == Version::V5 { 0x8f } else { 0x80 };
        let filters: [(&[u8], u8); 6] = [
            (b"codes/2", 2),
            (b"codes/#/bad", 1),
            (b"codes/0", 0),
            (b"codes/1", 1),
            (b"", 0),
            (b"codes/1", 2),
        ];
        let codes = suback(&mut client, 0xfffe, &filters)?;
        assert_eq!(codes, [2, refused, 0, 1, refused, 2], "{version:?}");
        for (topic, qos) in [("codes/2", 2), ("codes/0", 0), ("codes/1", 2)] {
            client.publish(topic, b"x", 2)?;
            let got = client.received()?;
            assert_eq!((got.topic.as_str(), got.qos), (topic, qos));
        }
        client.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
// [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT311-4.7.3-1]
#[test]
fn filters_with_misplaced_wildcards_are_refused_and_store_nothing() -> anyhow::Result<()> {
    let node = node();
    let bad: [&[u8]; 8] = [b"a#", b"a/#/b", b"#/a", b"a/b#", b"a+", b"a/+b", b"+a/b", b""];
    let shared: [&[u8]; 7] = [
        b"$share/g",
        b"$share/g/",
        b"$share//t",
        b"$share/+/t",
        b"$share/#/t",
        b"$share/g+/t",
        b"$share/",
    ];
    for version in VERSIONS {
        let mut client = client(&node, version, "misplaced")?;
        for filter in bad.iter().chain(&shared) {
            let codes = suback(&mut client, 9, &[(filter, 0)])?;
            let [code] = codes[..] else { anyhow::bail!("{codes:?}") };
            let name = String::from_utf8_lossy(filter);
            assert!(code >= 0x80, "{version:?} {name:?} got {code:#x}");
        }
        for topic in ["a", "a/b", "ab", "t"] {
            client.publish(topic, b"x", 1)?;
        }
        client.expect_silence()?;
    }
    Ok(())
}

// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6]
// [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2]
// [MQTT311-3.10.4-4] [MQTT311-3.10.4-5] [MQTT311-3.10.4-6] [MQTT311-2.3.1-7]
#[test]
fn unsubscribe_removes_what_is_equal_and_is_always_answered() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "unsub")?;
        for filter in ["unsub/+", "unsub/a", "unsub/b"] {
            client.subscribe(filter, 1)?;
        }
        let codes = unsuback(&mut client, 70, &[b"unsub/#", b"unsub/a", b"unsub/A", b"unsub/b"])?;
        let told: &[u8] = if version == Version::V5 { &[0x11, 0, 0x11, 0] } else { &[] };
        assert_eq!(codes, told);
        client.publish("unsub/a", b"1", 1)?;
        assert_eq!(client.payload()?, b"1", "the wildcard is still there");
        unsuback(&mut client, 71, &[b"unsub/+"])?;
        client.publish("unsub/a", b"2", 1)?;
        client.expect_silence()?;
        let codes = unsuback(&mut client, 71, &[b"unsub/+"])?;
        assert_eq!(codes, if version == Version::V5 { vec![0x11] } else { vec![] });
    }
    Ok(())
}

// [MQTT-3.10.4-3] [MQTT311-3.10.4-3]
#[test]
fn deliveries_that_have_begun_are_finished_after_unsubscribe() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "begun")?;
        client.subscribe("begun/t", 2)?;
        client.publish("begun/t", b"x", 2)?;
        let got = client.received()?;
        client.unsubscribe("begun/t")?;
        client.ack(5, got.id)?;
        assert_eq!(client.ack_code(6, got.id)?, 0);
        client.ack(7, got.id)?;
        client.expect_silence()?;
    }
    Ok(())
}

// [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT311-3.8.4-3]
#[test]
fn the_same_filter_again_replaces_sends_retained_and_loses_nothing() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let topic = format!("replace-{version:?}/t");
        let mut subscriber = client(&node, version, "replace")?;
        let mut publisher = client(&node, version, "replace-pub")?;
        publisher.publish_retained(&topic, b"kept", 1)?;
        subscriber.subscribe(&topic, 0)?;
        assert_eq!(subscriber.received()?.payload, b"kept");
        for number in 0..20u8 {
            let id = publisher.send_publish(&topic, &[number], 1, false, &[])?;
            let granted = suback(&mut subscriber, 100, &[(topic.as_bytes(), 1 + number % 2)])?;
            assert_eq!(granted, [1 + number % 2]);
            publisher.finish_publish(id, 1)?;
        }
        publisher.publish(&topic, b"end", 1)?;
        let (mut kept, mut numbers) = (0, Vec::new());
        loop {
            let got = subscriber.received()?;
            if got.id != 0 {
                subscriber.ack(4, got.id)?;
            }
            match (got.retain, got.payload.as_slice()) {
                (true, b"kept") => kept += 1,
                (false, b"end") => break,
                (false, [number]) => numbers.push(*number),
                other => anyhow::bail!("{other:?}"),
            }
        }
        // The retained replay may come after the end of the live ones.
        while kept < 20 {
            let got = subscriber.received()?;
            subscriber.ack(4, got.id)?;
            assert_eq!((got.retain, got.payload.as_slice()), (true, b"kept".as_slice()));
            kept += 1;
        }
        assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "each once: one subscription");
        subscriber.expect_silence()?;
        publisher.publish_retained(&topic, b"", 1)?;
    }
    Ok(())
}

// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_own_messages_away_and_lets_others_through() -> anyhow::Result<()> {
    let node = node();
    let mut own = client(&node, Version::V5, "nolocal")?;
    let mut other = client(&node, Version::V5, "nolocal-other")?;
    own.subscribe_with(&[("nolocal/t", 1 | NO_LOCAL)], &[])?;
    assert_eq!(own.publish("nolocal/t", b"mine", 1)?, 0x10, "nobody else listens");
    own.expect_silence()?;
    other.publish("nolocal/t", b"yours", 1)?;
    assert_eq!(own.payload()?, b"yours");
    own.expect_silence()
}

// [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-9]
#[test]
fn retain_reaches_live_subscribers_only_as_published() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = client(&node, Version::V5, "rap-pub")?;
    let mut plain = client(&node, Version::V5, "rap-plain")?;
    let mut old = client(&node, Version::V311, "rap-old")?;
    let mut kept = client(&node, Version::V5, "rap-kept")?;
    plain.subscribe("rap/t", 1)?;
    old.subscribe("rap/t", 1)?;
    kept.subscribe_with(&[("rap/t", 1 | AS_PUBLISHED)], &[])?;
    for retain in [true, false] {
        let id = publisher.send_publish("rap/t", b"x", 1, retain, &[])?;
        publisher.finish_publish(id, 1)?;
        assert!(!plain.received()?.retain);
        assert!(!old.received()?.retain);
        assert_eq!(kept.received()?.retain, retain);
    }
    publisher.publish_retained("rap/t", b"", 1)?;
    Ok(())
}

// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8]
#[test]
fn retain_handling_decides_when_retained_messages_are_sent() -> anyhow::Result<()> {
    let node = node();
    let mut publisher = client(&node, Version::V5, "handling-pub")?;
    publisher.publish_retained("handling/a", b"a", 1)?;
    publisher.publish_retained("handling/b", b"b", 1)?;
    let mut client = client(&node, Version::V5, "handling")?;
    let two = |client: &mut Client| -> anyhow::Result<()> {
        let mut got = [client.received()?, client.received()?];
        got.sort_by(|one, other| one.topic.cmp(&other.topic));
        assert!(got.iter().all(|message| message.retain));
        assert_eq!(got.map(|message| message.payload), [b"a", b"b"]);
        client.expect_silence()
    };
    client.subscribe_with(&[("handling/+", 0x10)], &[])?;
    two(&mut client)?;
    client.subscribe_with(&[("handling/+", 0x10)], &[])?;
    client.expect_silence()?;
    client.subscribe_with(&[("handling/+", 0x20)], &[])?;
    client.expect_silence()?;
    client.subscribe_with(&[("handling/+", 0)], &[])?;
    two(&mut client)?;
    client.unsubscribe("handling/+")?;
    client.subscribe_with(&[("handling/+", 0x20)], &[])?;
    client.expect_silence()?;
    let mut old = self::client(&node, Version::V311, "handling")?;
    for _ in 0..2 {
        old.subscribe("handling/+", 0)?;
        two(&mut old)?;
    }
    publisher.publish_retained("handling/a", b"", 1)?;
    publisher.publish_retained("handling/b", b"", 1)?;
    Ok(())
}

/// What a new subscriber is sent of `topic`.
fn retained(node: &Lease, version: Version, topic: &str) -> anyhow::Result<Option<Received>> {
    let mut client = client(node, version, &format!("reader-{topic}"))?;
    client.subscribe(topic, 2)?;
    client.send_packet(0xc0, &[])?;
    let first =
        client.answer(|packet| matches!(packet, Packet::PingResp | Packet::Publish { .. }))?;
    match first {
        Packet::Publish { dup, qos, retain, topic, id, properties, payload } => {
            Ok(Some(Received { dup, qos, retain, topic, id, properties, payload }))
        }
        _ => Ok(None),
    }
}

// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8] [MQTT311-3.3.1-5]
// [MQTT311-3.3.1-7] [MQTT311-3.3.1-8] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11] [MQTT311-3.3.1-12]
#[test]
fn the_last_retained_message_is_kept_until_an_empty_one_comes() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let topic = format!("last-{version:?}");
        let mut publisher = client(&node, version, "last-pub")?;
        let mut live = client(&node, version, "last-live")?;
        live.subscribe(&topic, 0)?;
        for qos in [2, 1, 0] {
            publisher.publish_retained(&topic, &[qos], qos)?;
            assert_eq!(live.received()?.payload, [qos]);
            // QoS 0 has no answer to wait for; a retained QoS 1 of another topic comes behind it.
            publisher.publish_retained(&format!("{topic}/behind"), b"x", 1)?;
            let kept = retained(&node, version, &topic)?.expect("it is kept");
            assert_eq!((kept.retain, kept.qos, kept.payload), (true, qos, vec![qos]));
        }
        publisher.publish(&topic, b"plain", 1)?;
        publisher.publish(&topic, b"", 1)?;
        assert_eq!(live.received()?.payload, b"plain");
        assert_eq!(live.received()?.payload, b"");
        let kept = retained(&node, version, &topic)?.expect("plain messages leave it alone");
        assert_eq!(kept.payload, [0]);
        for _ in 0..2 {
            publisher.publish_retained(&topic, b"", 1)?;
            assert_eq!(live.received()?.payload, b"", "delivered as usual");
            assert_eq!(retained(&node, version, &topic)?, None);
        }
        publisher.publish_retained(&format!("{topic}/behind"), b"", 1)?;
    }
    Ok(())
}

// [MQTT311-3.1.2-7]
#[test]
fn retained_messages_outlive_the_session_of_their_publisher() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let topic = format!("outlive-{version:?}");
        let mut publisher = client(&node, version, "outlive")?;
        publisher.publish_retained(&topic, b"x", 1)?;
        publisher.disconnect()?;
        // A clean start with the same id is answered after the old session has ended.
        let mut publisher = client(&node, version, "outlive")?;
        assert_eq!(retained(&node, version, &topic)?.expect("kept").payload, b"x");
        publisher.publish_retained(&topic, b"", 1)?;
    }
    Ok(())
}

// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT311-3.3.5-1]
#[test]
fn overlapping_subscriptions_give_one_message_with_all_identifiers() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "overlap")?;
        let wide = format!("overlap-{version:?}/#");
        let narrow = format!("overlap-{version:?}/a");
        let third = format!("overlap-{version:?}/+");
        let identifier = |id: u32| match version {
            Version::V5 => vec![Property::Variable(0x0b, id)],
            Version::V311 => vec![],
        };
        client.subscribe_with(&[(&wide, 0)], &identifier(1))?;
        client.subscribe_with(&[(&narrow, 2)], &identifier(268_435_455))?;
        client.subscribe_with(&[(&third, 1)], &[])?;
        client.publish(&narrow, b"x", 2)?;
        let got = client.received()?;
        assert_eq!(got.qos, 2, "the highest of all");
        let mut ids: Vec<_> = got.properties.iter().filter(|p| p.id() == 0x0b).collect();
        ids.sort_by_key(|property| format!("{property:?}"));
        let wanted = [identifier(1), identifier(268_435_455)].concat();
        assert_eq!(ids, wanted.iter().collect::<Vec<_>>());
        client.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.8.2-3]
#[test]
fn a_member_gets_messages_at_its_granted_level() -> anyhow::Result<()> {
    let node = node();
    for granted in 0..=2u8 {
        let mut member = client(&node, Version::V5, "granted")?;
        member.subscribe(&format!("$share/g{granted}/granted/t"), granted)?;
        for qos in 0..=2u8 {
            member.publish("granted/t", &[qos], qos)?;
            let got = member.received()?;
            assert_eq!((got.qos, got.payload), (qos.min(granted), vec![qos]));
        }
        member.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.8.2-6] [MQTT-4.4.0-2]
#[test]
fn a_message_that_a_member_refuses_goes_to_nobody_else() -> anyhow::Result<()> {
    let node = node();
    for (qos, answer) in [(1, 4), (2, 5)] {
        let mut members = [client(&node, Version::V5, "m1")?, client(&node, Version::V5, "m2")?];
        for member in &mut members {
            member.subscribe("$share/refuse/refuse/t", 2)?;
        }
        let mut publisher = client(&node, Version::V5, "refuse-pub")?;
        for number in 0..10u8 {
            publisher.publish("refuse/t", &[number], qos)?;
        }
        let mut refused = Vec::new();
        for member in &mut members {
            member.send_packet(0xc0, &[])?;
            while let Packet::Publish { id, payload, .. } =
                member.answer(|p| matches!(p, Packet::PingResp | Packet::Publish { .. }))?
            {
                member.ack_with(answer, id, 0x97)?;
                refused.push(payload[0]);
            }
        }
        refused.sort_unstable();
        assert_eq!(refused, (0..10).collect::<Vec<_>>());
        for member in &mut members {
            member.expect_silence()?;
            member.unsubscribe("$share/refuse/refuse/t")?;
        }
    }
    Ok(())
}
