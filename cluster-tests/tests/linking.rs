//! Two real clusters and the link between them (LINK-SPEC 8.1), configured over REST.

use std::time::{Duration, Instant};

use cluster_tests::client::{Client, Connect, Packet};
use cluster_tests::harness::links::{
    SETTLE, Setup, create_link, link_body, linked, metrics_become, routes_learnt, running,
};
use cluster_tests::harness::{Cluster, Rest, eventually};
use serde_json::json;

/// A cluster under these rules.
fn cluster(name: &str, acl: &str) -> anyhow::Result<Cluster> {
    Setup::default().file("acl.conf", acl).start(name, 1)
}

/// A link of `from` to `to`.
fn link(from: &Cluster, to: &Cluster, topics: &[&str]) -> anyhow::Result<()> {
    create_link(from, &link_body(&from.name, to, topics)).map(|_| ())
}

// 8.1-2
#[test]
fn a_message_crosses_once_to_the_only_subscriber_on_the_other_side() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 2, 2, &["global/#"])?;
    let mut subscriber = Client::simple(b.nodes[1].mqtt_port(), "sub")?;
    subscriber.subscribe("global/+/news", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("global/1/news", b"hello", 1)?, 0);
    match subscriber.message()? {
        Packet::Publish { topic, payload, qos: 1, .. } => {
            assert_eq!(
                (topic.as_str(), payload.as_slice()),
                ("global/1/news", b"hello".as_slice())
            );
        }
        other => anyhow::bail!("{other:?}"),
    }
    subscriber.expect_silence()?;
    // What nobody wants there does not cross, and the publisher hears it.
    assert_eq!(publisher.publish("local/1", b"x", 1)?, 0x10);
    Ok(())
}

// 8.1-3
#[test]
fn a_route_goes_when_the_last_subscription_behind_it_goes() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let port = b.nodes[0].mqtt_port();
    let (mut one, mut two) = (Client::simple(port, "one")?, Client::simple(port, "two")?);
    one.subscribe("g/x", 0)?;
    two.subscribe("g/x", 0)?;
    two.subscribe("other/y", 0)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    one.unsubscribe("g/x")?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("g/x", b"1", 1)?, 0);
    assert_eq!(two.payload()?, b"1");
    two.unsubscribe("g/x")?;
    routes_learnt(&a.nodes[0], "b", 0)
}

// 8.1-8, W-21
#[test]
fn a_link_that_the_other_side_does_not_know_says_so_and_heals() -> anyhow::Result<()> {
    let (a, b) = (
        cluster("a", "{allow, all, all, [\"$LINK/#\", \"#\"]}.\n")?,
        cluster("b", "{allow, all, all, [\"$LINK/#\", \"#\"]}.\n")?,
    );
    link(&a, &b, &["t/#"])?;
    eventually(SETTLE, || {
        let link = a.nodes[0].rest().get("/cluster/links/b")?.expect(200)?;
        anyhow::ensure!(link["replication_status"] == "rejected", "{link:#}");
        anyhow::ensure!(link["reason"]["code"] == "unknown_cluster", "{link:#}");
        Ok(())
    })?;
    link(&b, &a, &["t/#"])?;
    running(&a, "b")?;
    running(&b, "a")
}

// 8.1-9, A-6
#[test]
fn without_the_acl_rule_the_link_says_which_rule_is_missing() -> anyhow::Result<()> {
    let a = cluster("a", "{allow, all, all, [\"#\"]}.\n")?;
    let b = cluster("b", "{allow, all, all, [\"#\"]}.\n")?;
    link(&a, &b, &["t/#"])?;
    eventually(SETTLE, || {
        let link = a.nodes[0].rest().get("/cluster/links/b")?.expect(200)?;
        let advice = link["reason"]["advice"].as_str().unwrap_or_default();
        anyhow::ensure!(advice.contains("$LINK/"), "{link:#}");
        Ok(())
    })
}

// 8.1-10, K5, P8
#[test]
fn in_a_ring_of_three_each_message_arrives_once() -> anyhow::Result<()> {
    let acl = "{allow, all, all, [\"$LINK/#\", \"#\"]}.\n";
    let ring = [cluster("a", acl)?, cluster("b", acl)?, cluster("c", acl)?];
    for from in &ring {
        for to in ring.iter().filter(|to| to.name != from.name) {
            link(from, to, &["ring/#"])?;
        }
    }
    for from in &ring {
        for to in ring.iter().filter(|to| to.name != from.name) {
            running(from, &to.name)?;
        }
    }
    let mut subscribers = Vec::new();
    for cluster in &ring {
        let mut subscriber = Client::simple(cluster.nodes[0].mqtt_port(), "sub")?;
        subscriber.subscribe("ring/#", 1)?;
        subscribers.push(subscriber);
    }
    routes_learnt(&ring[0].nodes[0], "b", 1)?;
    routes_learnt(&ring[0].nodes[0], "c", 1)?;
    let mut publisher = Client::simple(ring[0].nodes[0].mqtt_port(), "pub")?;
    for number in 0..100u8 {
        publisher.publish("ring/x", &[number], 1)?;
    }
    for subscriber in &mut subscribers {
        for number in 0..100u8 {
            assert_eq!(subscriber.payload()?, [number]);
        }
        subscriber.expect_silence()?;
    }
    Ok(())
}

// LINK-SPEC 0.1 (buffers), W-31
#[test]
fn messages_for_a_remote_that_is_away_wait_and_arrive_in_order() -> anyhow::Result<()> {
    let (a, mut b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(b.nodes[0].mqtt_port(), &connect)?;
    keeper.subscribe("g/#", 1)?;
    // Of the node, and soon of the session (W-12).
    metrics_become(&a.nodes[0], "b", |m| m["routers"].as_u64() >= Some(1))?;
    drop(keeper);
    b.nodes[0].kill();
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    let start = Instant::now();
    for number in 0..200u8 {
        assert_eq!(publisher.publish("g/x", &[number], 1)?, 0);
    }
    assert!(start.elapsed() < Duration::from_secs(30), "publishers never wait for a remote");
    b.nodes[0].start()?;
    let (mut keeper, present) = Client::connect(b.nodes[0].mqtt_port(), &connect)?;
    assert!(present);
    for number in 0..200u8 {
        assert_eq!(keeper.payload()?, [number]);
    }
    Ok(())
}

// 8.1-13, R-3
#[test]
fn concurrent_creates_and_deletes_have_one_winner_each() -> anyhow::Result<()> {
    let a = cluster("a", "{allow, all}.\n")?;
    let rest = a.nodes[0].rest();
    let body = json!({"name": "b", "server": "127.0.0.1:1", "topics": []});
    let statuses = |ask: &(dyn Fn(&Rest) -> anyhow::Result<u16> + Sync)| -> Vec<u16> {
        let mut all: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&rest).unwrap_or(0))).collect();
            threads.into_iter().filter_map(|t| t.join().ok()).collect()
        });
        all.sort_unstable();
        all
    };
    let created = statuses(&|rest| Ok(rest.post("/cluster/links", &body)?.status));
    assert_eq!(created, [201, 400, 400, 400, 400, 400, 400, 400]);
    let deleted = statuses(&|rest| Ok(rest.delete("/cluster/links/link/b")?.status));
    assert_eq!(deleted, [204, 404, 404, 404, 404, 404, 404, 404]);
    Ok(())
}
