//! One real node and our raw client: what a broker does for everybody, every day.

use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::{Client, Connect, Packet, Property, Version};
use cluster_tests::harness::{Cluster, eventually};
use nix::sys::signal::Signal;
use serde_json::json;

const CLOSE: Duration = Duration::from_secs(5);

fn one() -> anyhow::Result<Cluster> {
    Cluster::start("one", 1)
}

#[test]
fn a_message_reaches_a_subscriber_at_every_qos_and_in_both_versions() -> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    for version in [Version::V311, Version::V5] {
        for qos in 0..=2 {
            let connect = |id: &str| Connect { version, ..Connect::new(id) };
            let (mut subscriber, _) = Client::connect(port, &connect("sub"))?;
            let (mut publisher, _) = Client::connect(port, &connect("pub"))?;
            subscriber.subscribe("a/+", qos)?;
            let code = publisher.publish("a/b", b"hello", qos)?;
            assert_eq!(code, 0, "{version:?} QoS {qos}");
            match subscriber.message()? {
                Packet::Publish { topic, payload, qos: got, retain: false, dup: false, .. } => {
                    assert_eq!(
                        (topic.as_str(), payload.as_slice(), got),
                        ("a/b", b"hello".as_slice(), qos)
                    );
                }
                other => anyhow::bail!("{other:?}"),
            }
            subscriber.expect_silence()?;
        }
    }
    Ok(())
}

#[test]
fn nobody_listening_is_said_to_a_version_5_publisher() -> anyhow::Result<()> {
    let cluster = one()?;
    let mut publisher = Client::simple(cluster.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("nobody/here", b"x", 1)?, 0x10);
    assert_eq!(publisher.publish("nobody/here", b"x", 2)?, 0x10);
    Ok(())
}

#[test]
fn a_retained_message_comes_to_whoever_subscribes_later_until_it_is_cleared() -> anyhow::Result<()>
{
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    let mut publisher = Client::simple(port, "pub")?;
    publisher.publish_retained("state/1", b"on", 1)?;
    let mut late = Client::simple(port, "late")?;
    late.subscribe("state/#", 1)?;
    match late.message()? {
        Packet::Publish { retain: true, payload, .. } => assert_eq!(payload, b"on"),
        other => anyhow::bail!("{other:?}"),
    }
    publisher.publish_retained("state/1", b"", 1)?;
    let mut later = Client::simple(port, "later")?;
    later.subscribe("state/#", 1)?;
    later.expect_silence()
}

#[test]
fn a_persistent_session_gets_what_came_while_its_client_was_away() -> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    for version in [Version::V311, Version::V5] {
        let id = format!("keeper-{version:?}");
        let connect = Connect { version, ..Connect::new(&id) }.persistent();
        let (mut keeper, present) = Client::connect(port, &connect)?;
        assert!(!present);
        keeper.subscribe("q/#", 1)?;
        keeper.disconnect()?;
        let mut publisher = Client::simple(port, "pub")?;
        for number in 0..20u8 {
            publisher.publish("q/1", &[number], 1)?;
        }
        let (mut keeper, present) = Client::connect(port, &connect)?;
        assert!(present, "{version:?}");
        for number in 0..20u8 {
            assert_eq!(keeper.payload()?, [number]);
        }
        keeper.expect_silence()?;
    }
    Ok(())
}

#[test]
fn acknowledged_messages_of_a_persistent_session_survive_kill_9() -> anyhow::Result<()> {
    let mut cluster = one()?;
    let connect = Connect::new("keeper").persistent();
    let port = cluster.nodes[0].mqtt_port();
    let (mut keeper, _) = Client::connect(port, &connect)?;
    keeper.subscribe("q/#", 2)?;
    drop(keeper);
    let mut publisher = Client::simple(port, "pub")?;
    for number in 0..50u8 {
        publisher.publish("q/1", &[number], 1 + number % 2)?;
    }
    cluster.nodes[0].kill();
    cluster.nodes[0].start()?;
    let (mut keeper, present) = Client::connect(cluster.nodes[0].mqtt_port(), &connect)?;
    assert!(present);
    let mut got = Vec::new();
    for _ in 0..50 {
        got.extend(keeper.payload()?);
    }
    // Order is promised per topic and QoS.
    for parity in 0..2 {
        let of_qos: Vec<_> = got.iter().copied().filter(|n| n % 2 == parity).collect();
        assert_eq!(of_qos, (0..50).filter(|n| n % 2 == parity).collect::<Vec<_>>());
    }
    keeper.expect_silence()
}

#[test]
fn a_will_is_published_when_the_connection_breaks_and_not_when_it_is_closed_well()
-> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    let mut watcher = Client::simple(port, "watcher")?;
    watcher.subscribe("will/#", 1)?;
    let connect = Connect::new("mortal").will("will/mortal", b"gone", 1, false);
    Client::connect(port, &connect)?.0.disconnect()?;
    drop(Client::connect(port, &connect)?.0);
    assert_eq!(watcher.payload()?, b"gone");
    watcher.expect_silence()
}

#[test]
fn one_member_of_a_shared_group_gets_each_message() -> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    let mut members = vec![Client::simple(port, "m1")?, Client::simple(port, "m2")?];
    for member in &mut members {
        member.subscribe("$share/g/job/+", 1)?;
    }
    let mut publisher = Client::simple(port, "pub")?;
    for number in 0..10u8 {
        publisher.publish("job/1", &[number], 1)?;
    }
    let mut got = Vec::new();
    for member in &mut members {
        for _ in 0..5 {
            got.extend(member.payload()?);
        }
        member.expect_silence()?;
    }
    got.sort_unstable();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_second_connection_with_the_same_client_id_takes_the_session_over() -> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    let connect = Connect::new("twin").persistent();
    let (mut first, _) = Client::connect(port, &connect)?;
    first.subscribe("t", 1)?;
    let (mut second, present) = Client::connect(port, &connect)?;
    assert!(present);
    let last = first.expect_close(CLOSE)?;
    assert!(matches!(last.last(), Some(Packet::Disconnect { code: 0x8e, .. })), "{last:?}");
    let mut publisher = Client::simple(port, "pub")?;
    publisher.publish("t", b"x", 1)?;
    assert_eq!(second.payload()?, b"x");
    Ok(())
}

#[test]
fn properties_of_a_publish_arrive_in_order() -> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    let mut subscriber = Client::simple(port, "sub")?;
    subscriber.subscribe_with(&[("p", 1)], &[Property::Variable(0x0b, 7)])?;
    let mut publisher = Client::simple(port, "pub")?;
    let sent = [
        Property::Byte(0x01, 1),
        Property::Text(0x03, "text/plain".into()),
        Property::Text(0x08, "answer/here".into()),
        Property::Binary(0x09, vec![0, 1, 255]),
        Property::User("k1".into(), "v1".into()),
        Property::User("k1".into(), "v2".into()),
        Property::User("a".into(), "b".into()),
    ];
    let id = publisher.send_publish("p", b"x", 1, false, &sent)?;
    publisher.finish_publish(id, 1)?;
    let Packet::Publish { properties, .. } = subscriber.message()? else {
        anyhow::bail!("no publish")
    };
    for property in &sent {
        assert!(properties.contains(property), "{property:?} is missing in {properties:?}");
    }
    let users: Vec<_> = properties.iter().filter(|p| p.id() == 0x26).collect();
    assert_eq!(users, sent.iter().filter(|p| p.id() == 0x26).collect::<Vec<_>>());
    assert!(properties.contains(&Property::Variable(0x0b, 7)));
    Ok(())
}

#[test]
fn a_stopped_node_says_so_to_its_clients_and_ends_well() -> anyhow::Result<()> {
    let mut cluster = one()?;
    let mut client = Client::simple(cluster.nodes[0].mqtt_port(), "c")?;
    cluster.nodes[0].stop()?;
    let last = client.expect_close(CLOSE)?;
    assert!(matches!(last.last(), Some(Packet::Disconnect { code: 0x8b, .. })), "{last:?}");
    Ok(())
}

#[test]
fn a_second_signal_ends_a_node_that_does_not_get_on_with_its_stop() -> anyhow::Result<()> {
    let mut cluster = one()?;
    let node = &mut cluster.nodes[0];
    let hour = json!({ "actions": "sleep(3600000)" });
    node.rest().put("/debug/fail-points/node::stop", &hour)?.expect(204)?;
    node.signal(Signal::SIGTERM)?;
    eventually(CLOSE, || {
        anyhow::ensure!(node.log().contains("stopping"));
        Ok(())
    })?;
    node.signal(Signal::SIGTERM)?;
    let (code, log) = node.wait_exit(CLOSE)?;
    assert_eq!(code, Some(130), "{log}");
    assert!(log.contains("second signal: ending at once"), "{log}");
    Ok(())
}

#[test]
fn ordinary_clients_see_nothing_below_sys_and_link() -> anyhow::Result<()> {
    let cluster = one()?;
    let port = cluster.nodes[0].mqtt_port();
    let mut client = Client::simple(port, "c")?;
    let filters = ["$SYS/#", "$LINK/#", "$share/g/$LINK/#", "$LINK/cluster/route/x"];
    for filter in filters {
        let codes = client.subscribe_with(&[(filter, 1)], &[])?;
        assert_eq!(codes, [0x87], "{filter}");
    }
    for topic in ["$SYS/x", "$LINK/cluster/route/x", "$LINK/cluster/msg/x"] {
        assert_eq!(client.publish(topic, b"x", 1)?, 0x87, "{topic}");
    }
    Ok(())
}

#[test]
fn rest_shows_the_node_and_wants_a_key() -> anyhow::Result<()> {
    let cluster = one()?;
    let rest = cluster.nodes[0].rest();
    let nodes = eventually(Duration::from_secs(10), || rest.get("/nodes")?.expect(200))?;
    let name = nodes[0]["node"].as_str().context("node has a name")?;
    assert_eq!(name, "n1@127.0.0.1");
    let stranger = cluster_tests::harness::Rest::new(cluster.nodes[0].addresses().api, "x", "y");
    assert_eq!(stranger.get("/nodes")?.status, 401);
    Ok(())
}

#[test]
fn whoever_breaks_a_rule_gets_a_log_line_but_not_as_many_as_he_likes() -> anyhow::Result<()> {
    let cluster = one()?;
    let node = &cluster.nodes[0];
    for number in 0..200 {
        let mut client = Client::simple(node.mqtt_port(), &format!("bad-\n{number}"))?;
        // A PUBLISH with QoS 3.
        client.send(&[0x36, 5, 0, 1, b't', 0, 1])?;
        client.expect_close(CLOSE)?;
    }
    let log = node.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a client broke a rule")).collect();
    assert!((1..200).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines[0].contains("bad-\\n0") && lines[0].contains("0x81"), "{}", lines[0]);
    assert!(lines.iter().any(|line| !line.contains("suppressed=0")), "{lines:?}");
    Ok(())
}
