//! Three real nodes as one broker: clients on any node, nodes that die and come back.

use std::time::Duration;

use cluster_tests::client::{Client, Connect, Packet};
use cluster_tests::harness::{Cluster, Node, NodeOptions, eventually};

const SETTLE: Duration = Duration::from_secs(20);

#[test]
fn a_publish_on_any_node_reaches_a_subscriber_on_any_other() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 3)?;
    for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0)] {
        for qos in 0..=2 {
            let mut subscriber = Client::simple(cluster.nodes[to].mqtt_port(), "sub")?;
            subscriber.subscribe("x/#", qos)?;
            // Subscribe visibility: a publish after the SUBACK finds the subscription.
            let mut publisher = Client::simple(cluster.nodes[from].mqtt_port(), "pub")?;
            let topic = format!("x/{from}/{to}/{qos}");
            assert_eq!(publisher.publish(&topic, b"m", qos)?, 0, "{topic}");
            match subscriber.message()? {
                Packet::Publish { topic: got, .. } => assert_eq!(got, topic),
                other => anyhow::bail!("{other:?}"),
            }
            subscriber.expect_silence()?;
        }
    }
    Ok(())
}

#[test]
fn order_is_kept_from_node_to_node() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 2)?;
    let mut subscriber = Client::simple(cluster.nodes[1].mqtt_port(), "sub")?;
    subscriber.subscribe("o", 1)?;
    let mut publisher = Client::simple(cluster.nodes[0].mqtt_port(), "pub")?;
    let mut ids = Vec::new();
    for number in 0..200u8 {
        ids.push(publisher.send_publish("o", &[number], 1, false, &[])?);
        if ids.len() == 20 {
            for id in ids.drain(..) {
                assert_eq!(publisher.finish_publish(id, 1)?, 0);
            }
        }
    }
    for number in 0..200u8 {
        assert_eq!(subscriber.payload()?, [number]);
    }
    subscriber.expect_silence()
}

#[test]
fn a_session_follows_its_client_to_another_node() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 3)?;
    let connect = Connect::new("nomad").persistent();
    let (mut nomad, present) = Client::connect(cluster.nodes[0].mqtt_port(), &connect)?;
    assert!(!present);
    nomad.subscribe("n/#", 1)?;
    drop(nomad);
    let mut publisher = Client::simple(cluster.nodes[2].mqtt_port(), "pub")?;
    for number in 0..10u8 {
        assert_eq!(publisher.publish("n/1", &[number], 1)?, 0);
    }
    let (mut nomad, present) = Client::connect(cluster.nodes[1].mqtt_port(), &connect)?;
    assert!(present, "the session is the same on every node");
    for number in 0..10u8 {
        assert_eq!(nomad.payload()?, [number]);
    }
    publisher.publish("n/2", b"live", 1)?;
    assert_eq!(nomad.payload()?, b"live");
    nomad.expect_silence()
}

#[test]
fn one_client_id_is_one_session_in_the_whole_cluster() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 2)?;
    let connect = Connect::new("twin").persistent();
    let (mut first, _) = Client::connect(cluster.nodes[0].mqtt_port(), &connect)?;
    first.subscribe("t", 1)?;
    let (mut second, present) = Client::connect(cluster.nodes[1].mqtt_port(), &connect)?;
    assert!(present);
    let last = first.expect_close(Duration::from_secs(5))?;
    assert!(matches!(last.last(), Some(Packet::Disconnect { code: 0x8e, .. })), "{last:?}");
    let mut publisher = Client::simple(cluster.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("t", b"x", 1)?, 0);
    assert_eq!(second.payload()?, b"x");
    second.expect_silence()
}

#[test]
fn a_retained_message_is_the_same_on_every_node() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 3)?;
    let mut publisher = Client::simple(cluster.nodes[0].mqtt_port(), "pub")?;
    assert!(publisher.publish_retained("r/1", b"v1", 1)? < 0x80);
    assert!(publisher.publish_retained("r/1", b"v2", 1)? < 0x80);
    for node in &cluster.nodes {
        eventually(SETTLE, || {
            let mut late = Client::simple(node.mqtt_port(), "late")?;
            late.subscribe("r/+", 0)?;
            let payload = late.payload()?;
            anyhow::ensure!(payload == b"v2", "{payload:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_shared_group_over_three_nodes_gets_each_message_once() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 3)?;
    let mut members = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let mut member = Client::simple(node.mqtt_port(), &format!("m{index}"))?;
        member.subscribe("$share/g/job", 1)?;
        members.push(member);
    }
    let mut publisher = Client::simple(cluster.nodes[1].mqtt_port(), "pub")?;
    for number in 0..30u8 {
        assert_eq!(publisher.publish("job", &[number], 1)?, 0);
    }
    let mut got = Vec::new();
    for member in &mut members {
        let before = got.len();
        // Everything is held by a session already, so a PINGRESP comes after the last message.
        got.extend(member.payloads_until_silence()?);
        assert!(got.len() > before, "each node has its share");
    }
    got.sort_unstable();
    assert_eq!(got, (0..30).map(|n| vec![n]).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn the_cluster_goes_on_when_its_leader_is_killed_and_takes_it_back() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("trio", 3)?;
    let leader = cluster.leader()?;
    let other = (leader + 1) % 3;
    let third = (leader + 2) % 3;
    cluster.nodes[leader].kill();
    eventually(SETTLE, || {
        let mut subscriber = Client::simple(cluster.nodes[other].mqtt_port(), "sub")?;
        subscriber.subscribe("k", 1)?;
        let mut publisher = Client::simple(cluster.nodes[third].mqtt_port(), "pub")?;
        publisher.publish("k", b"x", 1)?;
        anyhow::ensure!(subscriber.payload()? == b"x");
        Ok(())
    })?;
    cluster.nodes[leader].start()?;
    let mut subscriber = Client::simple(cluster.nodes[leader].mqtt_port(), "back")?;
    subscriber.subscribe("k", 1)?;
    let mut publisher = Client::simple(cluster.nodes[other].mqtt_port(), "pub2")?;
    assert_eq!(publisher.publish("k", b"again", 1)?, 0);
    assert_eq!(subscriber.payload()?, b"again");
    Ok(())
}

#[test]
fn acknowledged_messages_survive_the_death_of_the_session_s_node() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("trio", 3)?;
    let leader = cluster.leader()?;
    let owner = (leader + 1) % 3;
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(cluster.nodes[owner].mqtt_port(), &connect)?;
    keeper.subscribe("q", 1)?;
    drop(keeper);
    let mut publisher = Client::simple(cluster.nodes[leader].mqtt_port(), "pub")?;
    for number in 0..20u8 {
        assert_eq!(publisher.publish("q", &[number], 1)?, 0);
    }
    cluster.nodes[owner].kill();
    // The owner is away: what is acknowledged now lies in the spool of the publisher's node.
    for number in 20..40u8 {
        assert_eq!(publisher.publish("q", &[number], 1)?, 0, "message {number}");
    }
    cluster.nodes[owner].start()?;
    let (mut keeper, present) = Client::connect(cluster.nodes[owner].mqtt_port(), &connect)?;
    assert!(present);
    for number in 0..40u8 {
        assert_eq!(keeper.payload()?, [number]);
    }
    Ok(())
}

// CHAOS J6
#[test]
fn a_restart_with_the_same_flags_is_harmless() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("trio", 3)?;
    for index in 0..3 {
        cluster.nodes[index].kill();
    }
    for index in 0..3 {
        cluster.nodes[index].spawn()?;
    }
    for node in &mut cluster.nodes {
        node.wait_ready()?;
    }
    let nodes = cluster.nodes[2].rest().get("/nodes")?.expect(200)?;
    assert_eq!(nodes.as_array().map_or(0, Vec::len), 3);
    Ok(())
}

// CHAOS J2, SECURITY C2
#[test]
fn a_node_with_another_cluster_name_is_refused_and_told_why() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 1)?;
    let dir = tempfile::tempdir()?;
    let seed = cluster.nodes[0].addresses().cluster.to_string();
    let options = NodeOptions {
        name: "stranger@127.0.0.1".into(),
        cluster: "another".into(),
        flags: ["--dev", "--join", &seed, "--join-timeout", "5s"].map(String::from).to_vec(),
        ..NodeOptions::default()
    };
    let mut stranger = Node::new(dir.path(), options)?;
    stranger.spawn()?;
    let (code, log) = stranger.wait_exit(Duration::from_secs(20))?;
    assert_ne!(code, Some(0));
    assert!(log.contains("trio") && log.contains("another"), "{log}");
    let nodes = cluster.nodes[0].rest().get("/nodes")?.expect(200)?;
    assert_eq!(nodes.as_array().map_or(0, Vec::len), 1, "nothing changed");
    Ok(())
}
