//! Shared groups over several nodes: each strategy of `mqtt.shared_subscription_strategy`, and what
//! a member has not taken (MQTT 5.0 §4.8.2).

use anyhow::Context;
use cluster_tests::client::{Client, Connect, Property};
use cluster_tests::harness::{Cluster, NodeOptions};

const FILTER: &str = "$share/g/job/#";

fn cluster(strategy: &str) -> anyhow::Result<Cluster> {
    let options = NodeOptions {
        config: Some(format!("mqtt.shared_subscription_strategy = {strategy}\n")),
        ..NodeOptions::default()
    };
    Cluster::start_with(strategy, 2, &options)
}

/// Members of the group: one for each entry, which is the number of its node. Two neighbours on a
/// node are on different workers, as connections go round them.
fn members(cluster: &Cluster, on: &[usize]) -> anyhow::Result<Vec<Client>> {
    let join = |(number, node): (usize, &usize)| {
        let mut member = Client::simple(cluster.nodes[*node].mqtt_port(), &format!("m{number}"))?;
        member.subscribe(FILTER, 1)?;
        Ok(member)
    };
    on.iter().enumerate().map(join).collect()
}

/// Publishes at QoS 1, each held by a member when this returns.
fn publish(client: &mut Client, topics: impl Iterator<Item = String>) -> anyhow::Result<()> {
    for topic in topics {
        let code = client.publish(&topic, topic.as_bytes(), 1)?;
        anyhow::ensure!(code == 0, "{topic}: {code:#x}");
    }
    Ok(())
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("job/{number}"))
}

/// What each member has got, acknowledged.
fn got(members: &mut [Client]) -> anyhow::Result<Vec<Vec<String>>> {
    let texts = |payloads: Vec<Vec<u8>>| {
        payloads.into_iter().map(|payload| String::from_utf8_lossy(&payload).into_owned())
    };
    members.iter_mut().map(|m| Ok(texts(m.payloads_until_silence()?).collect())).collect()
}

fn counts(members: &mut [Client]) -> anyhow::Result<Vec<usize>> {
    Ok(got(members)?.iter().map(Vec::len).collect())
}

#[test]
fn in_turn_every_member_of_every_node_and_worker_gets_the_same() -> anyhow::Result<()> {
    for strategy in ["round_robin", "round_robin_per_group"] {
        let cluster = cluster(strategy)?;
        let mut group = members(&cluster, &[0, 0, 0, 1, 1])?;
        let mut publisher = Client::simple(cluster.nodes[0].mqtt_port(), "pub")?;
        publish(&mut publisher, numbered(100))?;
        assert_eq!(counts(&mut group)?, [20; 5], "{strategy}");
    }
    Ok(())
}

#[test]
fn a_random_choice_reaches_all_members() -> anyhow::Result<()> {
    let cluster = cluster("random")?;
    let mut group = members(&cluster, &[0, 0, 1, 1])?;
    let mut publisher = Client::simple(cluster.nodes[1].mqtt_port(), "pub")?;
    publish(&mut publisher, numbered(200))?;
    let counts = counts(&mut group)?;
    assert_eq!(counts.iter().sum::<usize>(), 200);
    // One in 10^9 runs gives a member fewer than 20 of 200.
    assert!(counts.iter().all(|count| *count >= 20), "{counts:?}");
    Ok(())
}

#[test]
fn a_sticky_choice_stays_with_its_member_until_it_goes() -> anyhow::Result<()> {
    let cluster = cluster("sticky")?;
    let mut group = members(&cluster, &[0, 1, 0, 1])?;
    let mut publisher = Client::simple(cluster.nodes[0].mqtt_port(), "pub")?;
    for left in (1..=4).rev() {
        publish(&mut publisher, numbered(20))?;
        let counts = counts(&mut group)?;
        let chosen = counts.iter().position(|count| *count == 20);
        let chosen = chosen.with_context(|| format!("{left} left: {counts:?}"))?;
        // UNSUBSCRIBE is answered when all nodes know; the end of a connection is not.
        group.remove(chosen).unsubscribe(FILTER)?;
    }
    Ok(())
}

#[test]
fn local_leaves_the_publishers_node_only_when_it_has_no_member() -> anyhow::Result<()> {
    let cluster = cluster("local")?;
    let mut group = members(&cluster, &[0, 0, 1, 1])?;
    let mut publisher = Client::simple(cluster.nodes[1].mqtt_port(), "pub")?;
    publish(&mut publisher, numbered(60))?;
    let near = counts(&mut group)?;
    assert_eq!((near[0] + near[1], near[2] + near[3]), (0, 60), "{near:?}");
    for member in &mut group[2..] {
        member.unsubscribe(FILTER)?;
    }
    publish(&mut publisher, numbered(60))?;
    let far = counts(&mut group[..2])?;
    assert_eq!(far[0] + far[1], 60, "{far:?}");
    Ok(())
}

/// By topic, the member that got its messages; an error if several did.
fn one_each(got: &[Vec<String>]) -> anyhow::Result<Vec<(String, usize)>> {
    let mut owners: Vec<(String, usize)> = Vec::new();
    for (member, topic) in got.iter().enumerate().flat_map(|(m, g)| g.iter().map(move |t| (m, t))) {
        match owners.iter().find(|(of, _)| of == topic) {
            Some((_, owner)) => anyhow::ensure!(*owner == member, "{topic}: {got:?}"),
            None => owners.push((topic.clone(), member)),
        }
    }
    Ok(owners)
}

#[test]
fn a_hash_of_the_topic_leads_to_the_same_member_from_every_node() -> anyhow::Result<()> {
    let cluster = cluster("hash_topic")?;
    let mut group = members(&cluster, &[0, 0, 1, 1])?;
    for node in &cluster.nodes {
        let mut publisher = Client::simple(node.mqtt_port(), "pub")?;
        publish(&mut publisher, numbered(40))?;
        publish(&mut publisher, numbered(40))?;
    }
    let owners = one_each(&got(&mut group)?)?;
    assert_eq!(owners.len(), 40);
    for member in 0..4 {
        assert!(owners.iter().any(|(_, owner)| *owner == member), "{member}: {owners:?}");
    }
    Ok(())
}

#[test]
fn a_hash_of_the_client_leads_to_the_same_member_from_every_node() -> anyhow::Result<()> {
    let cluster = cluster("hash_clientid")?;
    let mut group = members(&cluster, &[0, 0, 1, 1])?;
    for node in &cluster.nodes {
        for number in 0..30 {
            let name = format!("pub-{number}");
            let mut publisher = Client::simple(node.mqtt_port(), &name)?;
            for topic in numbered(3) {
                assert_eq!(publisher.publish(&topic, name.as_bytes(), 1)?, 0);
            }
        }
    }
    let owners = one_each(&got(&mut group)?)?;
    assert_eq!(owners.len(), 30);
    assert!(owners.iter().any(|(_, owner)| *owner != owners[0].1), "{owners:?}");
    Ok(())
}

/// A member of `on[0]` takes ten messages without an acknowledgement and goes; members of `on[1..]`
/// get all of them.
fn goes_and_gives_back(on: &[usize], persistent: bool) -> anyhow::Result<()> {
    let cluster = cluster("round_robin")?;
    let connect = Connect::new("leaver");
    let connect = if persistent { connect.persistent() } else { connect };
    let (mut leaver, _) = Client::connect(cluster.nodes[on[0]].mqtt_port(), &connect)?;
    leaver.subscribe(FILTER, 1)?;
    let mut publisher = Client::simple(cluster.nodes[1].mqtt_port(), "pub")?;
    publish(&mut publisher, numbered(10))?;
    // In flight, all of them; other members come only now.
    for _ in 0..10 {
        leaver.received()?;
    }
    let mut others = members(&cluster, &on[1..])?;
    drop(leaver);
    let mut came = Vec::new();
    cluster_tests::harness::eventually(std::time::Duration::from_secs(10), || {
        came.extend(got(&mut others)?.concat());
        anyhow::ensure!(came.len() >= 10, "{came:?}");
        Ok(())
    })?;
    came.sort();
    let mut all: Vec<_> = numbered(10).collect();
    all.sort();
    assert_eq!(came, all, "each once");
    if persistent {
        let (mut leaver, present) = Client::connect(cluster.nodes[on[0]].mqtt_port(), &connect)?;
        assert!(present);
        leaver.expect_silence()?;
    }
    Ok(())
}

// [MQTT-4.8.2-5]
#[test]
fn what_a_member_had_in_flight_goes_to_members_on_all_workers_of_its_node() -> anyhow::Result<()> {
    goes_and_gives_back(&[0, 0, 0], false)?;
    goes_and_gives_back(&[0, 0, 0], true)
}

// [MQTT-4.8.2-5]
#[test]
fn what_the_last_member_of_a_node_had_in_flight_goes_to_another_node() -> anyhow::Result<()> {
    goes_and_gives_back(&[0, 1], false)?;
    goes_and_gives_back(&[0, 1], true)
}

// On different workers. The first member never reads: when its queue is full its worker passes
// messages on; nothing is lost and nothing refused.
#[test]
fn a_full_member_is_passed_over_for_members_on_other_workers() -> anyhow::Result<()> {
    let options = NodeOptions {
        config: Some("mqtt.max_mqueue_len = 10\n".to_owned()),
        ..NodeOptions::default()
    };
    let cluster = Cluster::start_with("full-member", 1, &options)?;
    let port = cluster.nodes[0].mqtt_port();
    let connect = Connect::new("full").property(Property::Two(0x21, 4));
    let (mut full, _) = Client::connect(port, &connect)?;
    full.subscribe(FILTER, 1)?;
    let mut group = members(&cluster, &[0])?;
    let mut publisher = Client::simple(port, "pub")?;
    let mut taken = 0;
    for topic in numbered(60) {
        assert_eq!(publisher.publish(&topic, b"x", 1)?, 0, "{topic}");
        taken += counts(&mut group)?[0];
    }
    // 4 in flight and 10 in the queue of the first one.
    assert_eq!(taken, 46);
    Ok(())
}
