//! CONNECT and CONNACK (MQTT 5.0 §3.1, §3.2; 3.1.1 §3.1, §3.2).

use std::sync::LazyLock;
use std::time::Duration;

use cluster_tests::client::{Client, Connect, Packet, Property, Version, frame, publish};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const CLOSE: Duration = Duration::from_secs(10);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "connect", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

fn connect(version: Version, id: &str) -> Connect {
    Connect { version, ..Connect::new(&format!("{id}-{version:?}")) }
}

/// Sends `bytes` as the first ones and gives everything that came before the close.
fn first_bytes(port: u16, version: Version, bytes: &[u8]) -> anyhow::Result<Vec<Packet>> {
    let mut client = Client::open(port, version)?;
    client.send(bytes)?;
    client.expect_close(CLOSE)
}

fn refusal(code: u8) -> Vec<Packet> {
    vec![Packet::ConnAck { session_present: false, code, properties: Vec::new() }]
}

// [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.2.2-8] [MQTT-4.2.0-1]
// [MQTT311-3.1.4-4] [MQTT311-3.2.0-1] [MQTT311-3.2.2-1] [MQTT311-3.2.2-3] [MQTT311-7.1.1-1]
#[test]
fn connack_is_the_first_packet_and_says_success_without_a_session() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        for resume in [false, true] {
            let connect = Connect { resume, ..connect(version, "fresh") };
            let (mut client, connack) = Client::try_connect(node.mqtt_port(), &connect)?;
            let Packet::ConnAck { session_present: false, code: 0, .. } = connack else {
                anyhow::bail!("{version:?}: {connack:?}")
            };
            client.expect_silence()?;
            // Leaves no session behind for the next round.
            let (client, _) = Client::connect(node.mqtt_port(), &self::connect(version, "fresh"))?;
            client.disconnect()?;
        }
    }
    Ok(())
}

// [MQTT-3.2.2-3] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2]
// [MQTT311-3.2.2-2] [MQTT311-3.2.2-1] [MQTT311-3.1.2-4] [MQTT311-3.1.2-6] [MQTT311-3.1.4-3]
#[test]
fn session_present_tells_whether_the_session_was_kept() -> anyhow::Result<()> {
    let node = node();
    let port = node.mqtt_port();
    for version in VERSIONS {
        let kept = connect(version, "kept").persistent();
        let clean = Connect { resume: false, ..kept.clone() };
        let (mut client, present) = Client::connect(port, &kept)?;
        assert!(!present, "{version:?}: nothing was there");
        client.subscribe("kept/t", 1)?;
        client.disconnect()?;
        let (client, present) = Client::connect(port, &kept)?;
        assert!(present, "{version:?}: kept");
        client.disconnect()?;
        let (mut client, present) = Client::connect(port, &clean)?;
        assert!(!present, "{version:?}: clean start says 0");
        client.publish("kept/t", b"x", 1)?;
        client.expect_silence()?;
        client.disconnect()?;
        // 3.1.1 knows only sessions that end with their connection here; 5.0 keeps the new one.
        let (_, present) = Client::connect(port, &kept)?;
        assert_eq!(present, version == Version::V5);
    }
    Ok(())
}

// [MQTT-3.1.3-5] [MQTT311-3.1.3-5]
#[test]
fn client_ids_of_1_to_23_letters_and_digits_are_accepted() -> anyhow::Result<()> {
    let node = node();
    let alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for version in VERSIONS {
        let pieces = (0..3).map(|part| &alphabet[part * 20..(part * 20 + 23).min(62)]);
        for client_id in pieces.chain(["0", "Z"]) {
            let connect = Connect { version, ..Connect::new(client_id) };
            Client::connect(node.mqtt_port(), &connect)?.0.expect_silence()?;
        }
    }
    Ok(())
}

// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
#[test]
fn an_empty_client_id_gets_a_new_one_that_can_be_used_again() -> anyhow::Result<()> {
    let node = node();
    let empty = Connect::new("").property(Property::Four(0x11, 60));
    let mut assigned = Vec::new();
    let mut open = Vec::new();
    for _ in 0..3 {
        let (client, connack) = Client::try_connect(node.mqtt_port(), &empty)?;
        let Packet::ConnAck { code: 0, properties, .. } = connack else {
            anyhow::bail!("{connack:?}")
        };
        let id = properties.iter().find_map(|property| match property {
            Property::Text(0x12, id) => Some(id.clone()),
            _ => None,
        });
        assigned.push(id.expect("the assigned client id is told"));
        open.push(client);
    }
    for client in &mut open {
        client.expect_silence()?;
    }
    let unique: std::collections::BTreeSet<_> = assigned.iter().collect();
    assert_eq!(unique.len(), 3, "{assigned:?}");
    let again = Connect { resume: true, ..Connect::new(&assigned[0]) };
    let (_, present) = Client::connect(node.mqtt_port(), &again)?;
    assert!(present, "the session belongs to the assigned id");
    assert!(matches!(
        open[0].expect_close(CLOSE)?.as_slice(),
        [Packet::Disconnect { code: 0x8e, .. }]
    ));
    Ok(())
}

// [MQTT311-3.1.3-6]
#[test]
fn empty_client_ids_of_3_1_1_do_not_disturb_each_other() -> anyhow::Result<()> {
    let node = node();
    let connect = Connect::new("").v311();
    let (mut first, _) = Client::connect(node.mqtt_port(), &connect)?;
    let (mut second, _) = Client::connect(node.mqtt_port(), &connect)?;
    first.subscribe("empty/id", 0)?;
    first.expect_silence()?;
    second.publish("empty/id", b"x", 1)?;
    assert_eq!(first.payload()?, b"x");
    second.expect_silence()
}

// [MQTT311-3.1.3-8] [MQTT311-3.1.3-9] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]
#[test]
fn an_empty_client_id_without_clean_session_is_refused_in_3_1_1() -> anyhow::Result<()> {
    let node = node();
    let connect = Connect { resume: true, ..Connect::new("").v311() };
    let came = first_bytes(node.mqtt_port(), Version::V311, &connect.encode())?;
    assert_eq!(came, refusal(2));
    Ok(())
}

// [MQTT-3.1.2-2] [MQTT-3.1.2-1] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1]
// [MQTT-3.14.0-1] [MQTT311-3.1.2-2] [MQTT311-3.1.2-1] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]
#[test]
fn other_protocol_names_and_levels_are_refused() -> anyhow::Result<()> {
    let node = node();
    let hello = |name: &[u8], level: u8| {
        let mut body = Vec::new();
        cluster_tests::client::binary(&mut body, name);
        body.extend([level, 2, 0, 0]);
        if level >= 5 {
            body.push(0);
        }
        cluster_tests::client::binary(&mut body, b"c");
        let mut out = Vec::new();
        frame(&mut out, 0x10, &body);
        out
    };
    for level in [0, 2, 3] {
        let came = first_bytes(node.mqtt_port(), Version::V311, &hello(b"MQTT", level))?;
        assert_eq!(came, refusal(1), "level {level}");
    }
    let came = first_bytes(node.mqtt_port(), Version::V311, &hello(b"MQIsdp", 3))?;
    assert_eq!(came, refusal(1), "MQTT 3.1");
    for level in [6, 255] {
        let came = first_bytes(node.mqtt_port(), Version::V5, &hello(b"MQTT", level))?;
        let [Packet::ConnAck { session_present: false, code: 0x84, .. }] = came.as_slice() else {
            anyhow::bail!("level {level}: {came:?}")
        };
    }
    for name in [b"MQTX".as_slice(), b"mqtt", b"MQT", b"MQTTT", b""] {
        for level in [4, 5] {
            let came = first_bytes(node.mqtt_port(), Version::V311, &hello(name, level))?;
            assert_eq!(came, [], "{name:?} {level}");
        }
    }
    Ok(())
}

// [MQTT-3.1.0-1] [MQTT-3.14.0-1] [MQTT-4.13.1-1] [MQTT311-3.1.0-1] [MQTT311-4.8.0-1]
#[test]
fn whatever_comes_first_must_be_a_connect() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let others: [&[u8]; 7] = [
            &[0xc0, 0],
            &[0xe0, 0],
            &[0x40, 2, 0, 1],
            &[0x20, 2, 0, 0],
            &[0x30, 3, 0, 1, b't'],
            &[0x82, 6, 0, 1, 0, 1, b't', 0],
            b"GET / HTTP/1.1\r\n\r\n",
        ];
        for bytes in others {
            let came = first_bytes(node.mqtt_port(), version, bytes)?;
            assert_eq!(came, [], "{version:?} {bytes:02x?}");
        }
    }
    Ok(())
}

// [MQTT-3.1.0-2] [MQTT-3.2.0-2] [MQTT-4.13.1-1] [MQTT311-3.1.0-2] [MQTT311-4.8.0-1]
#[test]
fn a_second_connect_closes_and_gets_no_second_connack() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = connect(version, "second");
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        client.send(&connect.encode())?;
        let came = client.expect_close(CLOSE)?;
        match version {
            Version::V311 => assert_eq!(came, []),
            Version::V5 => assert!(
                matches!(came.as_slice(), [Packet::Disconnect { code: 0x82, .. }]),
                "{came:?}"
            ),
        }
    }
    Ok(())
}

// [MQTT-3.1.4-6] [MQTT311-3.1.4-5]
#[test]
fn after_a_refused_connect_nothing_that_followed_it_is_processed() -> anyhow::Result<()> {
    let node = node();
    let port = node.mqtt_port();
    let mut watcher = Client::simple(port, "refused-watcher")?;
    watcher.subscribe("refused/#", 1)?;
    // Refused after the whole packet was read: the method is none of ours, the id is empty.
    let v5 = Connect::new("refused5").property(Property::Text(0x15, "OTHER".into()));
    let v3 = Connect { resume: true, ..Connect::new("").v311() };
    for connect in [v5, v3] {
        let mut bytes = connect.encode();
        bytes.extend(publish(connect.version, 0x30, b"refused/t", None, &[], b"no"));
        let came = first_bytes(port, connect.version, &bytes)?;
        let [Packet::ConnAck { code, .. }] = came.as_slice() else { anyhow::bail!("{came:?}") };
        assert_ne!(*code, 0);
    }
    watcher.expect_silence()
}

// [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT311-3.2.0-1]
#[test]
fn packets_that_did_not_wait_for_connack_are_answered_after_it() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = Client::open(node.mqtt_port(), version)?;
        let mut bytes = connect(version, "eager").encode();
        bytes.extend(publish(version, 0x32, b"eager/t", Some(7), &[], b"x"));
        bytes.extend([0xc0, 0]);
        client.send(&bytes)?;
        let first = client.receive(CLOSE)?;
        assert!(matches!(first, Some(Packet::ConnAck { code: 0, .. })), "{first:?}");
        let mut rest = vec![client.receive(CLOSE)?, client.receive(CLOSE)?];
        rest.sort_by_key(|packet| *packet == Some(Packet::PingResp));
        assert!(matches!(rest[0], Some(Packet::Ack { kind: 4, id: 7, .. })), "{rest:?}");
        assert_eq!(rest[1], Some(Packet::PingResp));
    }
    Ok(())
}

// [MQTT-3.1.4-3] [MQTT-3.14.4-2] [MQTT-4.13.2-1] [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.1.3-2]
// [MQTT311-3.1.4-2] [MQTT311-3.1.3-2]
#[test]
fn a_newer_connection_with_the_same_client_id_ends_the_older_one() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = connect(version, "twin");
        let (mut first, _) = Client::connect(node.mqtt_port(), &connect)?;
        let (mut second, _) = Client::connect(node.mqtt_port(), &connect)?;
        let came = first.expect_close(CLOSE)?;
        match version {
            Version::V311 => assert_eq!(came, []),
            Version::V5 => {
                let [Packet::Disconnect { code: 0x8e, properties }] = came.as_slice() else {
                    anyhow::bail!("{came:?}")
                };
                assert!(properties.iter().all(|property| property.id() != 0x11));
            }
        }
        second.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-3.1.4-2] [MQTT-3.2.2-7]
#[test]
fn an_unknown_authentication_method_is_refused() -> anyhow::Result<()> {
    let node = node();
    let connect = Connect::new("method")
        .property(Property::Text(0x15, "SCRAM-SHA-256".into()))
        .property(Property::Binary(0x16, vec![1, 2, 3]));
    let came = first_bytes(node.mqtt_port(), Version::V5, &connect.encode())?;
    let [Packet::ConnAck { session_present: false, code: 0x8c, .. }] = came.as_slice() else {
        anyhow::bail!("{came:?}")
    };
    Ok(())
}

// [MQTT-4.12.0-6] [MQTT-3.1.2-28]
#[test]
fn connack_has_neither_method_nor_response_information_unasked() -> anyhow::Result<()> {
    let node = node();
    for asked in [None, Some(0), Some(1)] {
        let mut connect = Connect::new("unasked");
        connect.properties.extend(asked.map(|asked| Property::Byte(0x19, asked)));
        let (_, connack) = Client::try_connect(node.mqtt_port(), &connect)?;
        let Packet::ConnAck { code: 0, properties, .. } = connack else {
            anyhow::bail!("{connack:?}")
        };
        let method = properties.iter().any(|p| matches!(p.id(), 0x15 | 0x16));
        assert!(!method, "{properties:?}");
        let information = properties.iter().any(|p| p.id() == 0x1a);
        assert!(!information || asked == Some(1), "{properties:?}");
    }
    Ok(())
}

// [MQTT-3.2.2-22] [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
#[test]
fn a_silent_client_is_dropped_after_its_keep_alive_and_a_pinging_one_is_not() -> anyhow::Result<()>
{
    let node = node();
    for version in VERSIONS {
        let connect = |id: &str| Connect { keep_alive_s: 1, ..connect(version, id) };
        let (mut silent, connack) = Client::try_connect(node.mqtt_port(), &connect("silent"))?;
        if let Packet::ConnAck { properties, .. } = &connack {
            assert!(properties.iter().all(|property| property.id() != 0x13), "{connack:?}");
        }
        let (mut pinging, _) = Client::connect(node.mqtt_port(), &connect("pinging"))?;
        // The pinging one proves that time alone does not end connections.
        let end = std::time::Instant::now() + CLOSE;
        let came = loop {
            pinging.expect_silence()?;
            match silent.receive(Duration::from_millis(300)) {
                Ok(None) => break Vec::new(),
                Ok(Some(packet)) => {
                    let mut came = vec![packet];
                    came.extend(silent.expect_close(CLOSE)?);
                    break came;
                }
                Err(_) => anyhow::ensure!(std::time::Instant::now() < end, "still open"),
            }
        };
        match version {
            Version::V311 => assert_eq!(came, []),
            Version::V5 => assert!(
                matches!(came.as_slice(), [Packet::Disconnect { code: 0x8d, .. }]),
                "{came:?}"
            ),
        }
        pinging.expect_silence()?;
    }
    Ok(())
}

// [MQTT-3.12.4-1] [MQTT311-3.12.4-1]
#[test]
fn each_pingreq_is_answered() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect(version, "ping"))?;
        client.send(&[0xc0, 0, 0xc0, 0, 0xc0, 0])?;
        for _ in 0..3 {
            assert_eq!(client.receive(CLOSE)?, Some(Packet::PingResp));
        }
    }
    Ok(())
}

// [MQTT-1.5.4-3] [MQTT311-1.5.3-3]
#[test]
fn a_byte_order_mark_in_a_client_id_is_a_character_like_others() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let with = connect(version, "\u{feff}mark").persistent();
        let without = connect(version, "mark").persistent();
        Client::connect(node.mqtt_port(), &with)?.0.disconnect()?;
        let (_, present) = Client::connect(node.mqtt_port(), &without)?;
        assert!(!present, "{version:?}: two different sessions");
        let (_, present) = Client::connect(node.mqtt_port(), &with)?;
        assert!(present);
    }
    Ok(())
}

// [MQTT-3.14.4-1] [MQTT-3.14.4-2]
#[test]
fn after_the_servers_disconnect_comes_the_close_and_nothing_else() -> anyhow::Result<()> {
    let node = node();
    let mut client = Client::simple(node.mqtt_port(), "last-word")?;
    client.subscribe("last/word", 0)?;
    // A reserved packet type between two that would be answered.
    client.send(&[0xc0, 0, 0x00, 0, 0xc0, 0])?;
    let came = client.expect_close(CLOSE)?;
    let [Packet::PingResp, Packet::Disconnect { code: 0x81, .. }] = came.as_slice() else {
        anyhow::bail!("{came:?}")
    };
    Ok(())
}
