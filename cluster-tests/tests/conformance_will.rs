//! Wills (MQTT 5.0 §3.1.2.5, §3.1.3.2; 3.1.1 §3.1.2.5).

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cluster_tests::client::{Client, Connect, Property, Version};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const CLOSE: Duration = Duration::from_secs(10);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "will", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

/// A client whose will goes to the topic that is its client id.
fn mortal(version: Version, id: &str, qos: u8, retain: bool) -> Connect {
    let id = format!("{id}-{version:?}");
    Connect { version, ..Connect::new(&id) }.will(&id, b"gone", qos, retain)
}

fn watcher(node: &Lease, connect: &Connect) -> anyhow::Result<Client> {
    let mut watcher = Client::simple(node.mqtt_port(), &format!("of-{}", connect.client_id))?;
    watcher.subscribe(&connect.client_id, 2)?;
    Ok(watcher)
}

/// Connects under the id of `connect` without a will, which ends what is left of it.
fn sweep(node: &Lease, connect: &Connect) -> anyhow::Result<()> {
    let connect = Connect { version: connect.version, ..Connect::new(&connect.client_id) };
    Client::connect(node.mqtt_port(), &connect)?.0.disconnect()
}

// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-12] [MQTT-3.1.2-14] [MQTT311-3.1.2-8]
// [MQTT311-3.1.2-14] [MQTT311-3.1.2-16]
#[test]
fn a_broken_connection_publishes_the_will_at_its_level_and_not_retained() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        for qos in 0..=2 {
            let connect = mortal(version, &format!("plain{qos}"), qos, false);
            let mut watcher = watcher(&node, &connect)?;
            drop(Client::connect(node.mqtt_port(), &connect)?);
            let got = watcher.received()?;
            assert_eq!((got.qos, got.retain, got.payload.as_slice()), (qos, false, &b"gone"[..]));
            let mut late = self::watcher(&node, &connect)?;
            late.expect_silence()?;
        }
    }
    Ok(())
}

// [MQTT-3.1.2-15] [MQTT311-3.1.2-17]
#[test]
fn a_retained_will_is_kept_for_later_subscribers() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = mortal(version, "retained", 1, true);
        let mut live = watcher(&node, &connect)?;
        drop(Client::connect(node.mqtt_port(), &connect)?);
        assert!(!live.received()?.retain);
        let mut late = Client::simple(node.mqtt_port(), "retained-late")?;
        late.subscribe(&connect.client_id, 1)?;
        let got = late.received()?;
        assert_eq!((got.retain, got.payload.as_slice()), (true, b"gone".as_slice()));
        late.publish_retained(&connect.client_id, b"", 1)?;
    }
    Ok(())
}

// [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT311-3.1.2-10] [MQTT311-3.14.4-3] [MQTT311-3.1.2-12]
#[test]
fn a_will_that_was_withdrawn_or_published_or_never_given_is_not_published() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = mortal(version, "withdrawn", 1, false);
        let mut watcher = watcher(&node, &connect)?;
        Client::connect(node.mqtt_port(), &connect)?.0.disconnect()?;
        sweep(&node, &connect)?;
        watcher.expect_silence()?;
        drop(Client::connect(node.mqtt_port(), &connect)?);
        assert_eq!(watcher.payload()?, b"gone");
        let without = Connect { will: None, ..connect.clone() };
        drop(Client::connect(node.mqtt_port(), &without)?);
        sweep(&node, &connect)?;
        watcher.expect_silence()?;
    }
    Ok(())
}

// [MQTT-3.1.2-8] [MQTT311-3.1.2-8]
#[test]
fn protocol_errors_and_disconnect_with_will_publish_it() -> anyhow::Result<()> {
    let node = node();
    let farewells: [(Version, &[u8]); 5] = [
        (Version::V311, &[0x00, 0]),
        (Version::V5, &[0x00, 0]),
        (Version::V5, &[0xe0, 1, 0x04]),
        (Version::V5, &[0xe0, 2, 0x04, 0]),
        (Version::V5, &[0xe0, 1, 0x80]),
    ];
    for (version, farewell) in farewells {
        let connect = mortal(version, "farewell", 1, false);
        let mut watcher = watcher(&node, &connect)?;
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        client.send(farewell)?;
        client.expect_close(CLOSE)?;
        assert_eq!(watcher.payload()?, b"gone", "{version:?} {farewell:02x?}");
        watcher.expect_silence()?;
    }
    Ok(())
}

// [MQTT-3.1.2-8] [MQTT311-3.1.2-8]
#[test]
fn a_keep_alive_that_ran_out_publishes_the_will() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = Connect { keep_alive_s: 1, ..mortal(version, "silent", 1, false) };
        let mut watcher = watcher(&node, &connect)?;
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        client.expect_close(CLOSE)?;
        assert_eq!(watcher.payload()?, b"gone");
    }
    Ok(())
}

fn delayed(id: &str, delay_s: u32, expiry_s: u32) -> Connect {
    let mut connect = mortal(Version::V5, id, 1, false).property(Property::Four(0x11, expiry_s));
    connect.resume = true;
    let will = connect.will.as_mut().expect("a mortal has a will");
    will.properties.push(Property::Four(0x18, delay_s));
    connect
}

// [MQTT-3.1.3-9] [MQTT-3.1.2-8]
#[test]
fn a_client_back_within_the_will_delay_prevents_the_will() -> anyhow::Result<()> {
    let node = node();
    let connect = delayed("back", 1, 60);
    let mut watcher = watcher(&node, &connect)?;
    drop(Client::connect(node.mqtt_port(), &connect)?);
    let (mut client, present) = Client::connect(node.mqtt_port(), &connect)?;
    assert!(present);
    // Beyond the delay of the first will, in which the second connection stays open.
    let end = Instant::now() + Duration::from_millis(1_600);
    while Instant::now() < end {
        client.expect_silence()?;
        watcher.expect_silence()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    client.disconnect()
}

// [MQTT-3.1.2-8]
#[test]
fn a_will_comes_after_its_delay_or_at_the_end_of_the_session() -> anyhow::Result<()> {
    let node = node();
    for (id, delay, expiry) in [("delay", 1, 60), ("ends", 60, 1), ("clean", 60, 0)] {
        let connect = delayed(id, delay, expiry);
        let mut watcher = watcher(&node, &connect)?;
        drop(Client::connect(node.mqtt_port(), &connect)?);
        let start = Instant::now();
        assert_eq!(watcher.payload()?, b"gone", "{id}");
        let least = if expiry == 0 { 0 } else { 900 };
        assert!(start.elapsed() >= Duration::from_millis(least), "{id}: too early");
    }
    Ok(())
}

// [MQTT-3.1.3-10]
#[test]
fn properties_of_the_will_arrive_in_order() -> anyhow::Result<()> {
    let node = node();
    let mut connect = mortal(Version::V5, "properties", 1, false);
    let sent = vec![
        Property::User("z".into(), "1".into()),
        Property::User("a".into(), "2".into()),
        Property::User("z".into(), "0".into()),
        Property::Byte(0x01, 1),
        Property::Text(0x03, "text/x".into()),
        Property::Text(0x08, "answer".into()),
        Property::Binary(0x09, vec![9]),
    ];
    connect.will.as_mut().expect("a mortal has a will").properties.clone_from(&sent);
    let mut watcher = watcher(&node, &connect)?;
    drop(Client::connect(node.mqtt_port(), &connect)?);
    let got = watcher.received()?;
    for property in &sent[3..] {
        assert_eq!(got.property(property.id()), Some(property));
    }
    let users: Vec<_> = got.properties.iter().filter(|p| p.id() == 0x26).cloned().collect();
    assert_eq!(users, sent[..3]);
    Ok(())
}
