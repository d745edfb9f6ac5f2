//! Enabling, disabling, changing and deleting links while they work (LINK-SPEC 1.5, 1.6).

use std::time::{Duration, Instant};

use cluster_tests::client::Client;
use cluster_tests::harness::links::{
    SETTLE, Setup, adds_up, change_link, create_link, link_becomes, link_body, linked,
    metrics_become, routes_learnt, running,
};
use serde_json::json;

const TTL: Duration = Duration::from_secs(6);

// LINK-SPEC 1.6: the guide's paragraph on enabling and disabling
#[test]
fn a_link_disabled_on_one_side_stops_both_directions_and_the_other_side_says_why()
-> anyhow::Result<()> {
    let (a, b) = linked(&Setup::short_ttl(TTL), 1, 1, &["g/#"])?;
    let mut on_a = Client::simple(a.nodes[0].mqtt_port(), "sub-a")?;
    let mut on_b = Client::simple(b.nodes[0].mqtt_port(), "sub-b")?;
    on_a.subscribe("g/a", 1)?;
    on_b.subscribe("g/b", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    routes_learnt(&b.nodes[0], "a", 1)?;

    change_link(&a, "b", &json!({"enable": false}))?;
    let here = link_becomes(&a, "b", |link| link["status"] == "stopped")?;
    assert_eq!(here["replication_status"], "disabled");
    link_becomes(&b, "a", |link| {
        link["replication_status"] == "rejected"
            && link["reason"]["code"] == "cluster_link_disabled"
            && link["status"] != "running"
    })?;
    // Routes of a disabled link are not matched; what still comes in is not delivered.
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub-a")?;
    assert_eq!(publisher.publish("g/b", b"x", 1)?, 0x10);
    let mut other = Client::simple(b.nodes[0].mqtt_port(), "pub-b")?;
    other.publish("g/a", b"x", 1)?;
    metrics_become(&a.nodes[0], "b", |m| m["inbound"]["filtered"].as_u64() >= Some(1))?;
    on_a.expect_silence()?;

    change_link(&a, "b", &json!({"enable": true}))?;
    running(&a, "b")?;
    running(&b, "a")?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    assert_eq!(publisher.publish("g/b", b"again", 1)?, 0);
    assert_eq!(on_b.payload()?, b"again");
    Ok(())
}

// LINK-SPEC 1.6
#[test]
fn links_disabled_on_both_sides_are_stopped_on_both() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    for (cluster, link) in [(&a, "b"), (&b, "a")] {
        change_link(cluster, link, &json!({"enable": false}))?;
    }
    for (cluster, link) in [(&a, "b"), (&b, "a")] {
        let object = link_becomes(cluster, link, |link| link["status"] == "stopped")?;
        assert_eq!(object["reason"]["code"], "disabled");
        let emqx = cluster.nodes[0].rest().get(&format!("/cluster/links/link/{link}"))?;
        assert_eq!(emqx.expect(200)?["status"], "disconnected");
    }
    Ok(())
}

// The guide's paragraph on topics: an empty list only sends.
#[test]
fn a_link_with_empty_topics_sends_and_receives_nothing() -> anyhow::Result<()> {
    let (a, b) = (Setup::default().start("a", 1)?, Setup::default().start("b", 1)?);
    create_link(&a, &link_body("a", &b, &[]))?;
    create_link(&b, &link_body("b", &a, &["g/#"]))?;
    running(&a, "b")?;
    running(&b, "a")?;
    let mut on_a = Client::simple(a.nodes[0].mqtt_port(), "sub-a")?;
    let mut on_b = Client::simple(b.nodes[0].mqtt_port(), "sub-b")?;
    on_a.subscribe("g/#", 1)?;
    on_b.subscribe("g/#", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let mut from_a = Client::simple(a.nodes[0].mqtt_port(), "pub-a")?;
    from_a.publish("g/1", b"from a", 1)?;
    assert_eq!(on_b.payload()?, b"from a");
    assert_eq!(on_a.payload()?, b"from a");
    let mut from_b = Client::simple(b.nodes[0].mqtt_port(), "pub-b")?;
    from_b.publish("g/1", b"from b", 1)?;
    assert_eq!(on_b.payload()?, b"from b");
    on_a.expect_silence()?;
    routes_learnt(&b.nodes[0], "a", 0)
}

// 8.1-7
#[test]
fn changed_topics_stop_what_is_unwanted_at_once_and_keep_what_stays() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["keep/#", "old/#"])?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("#", 1)?;
    routes_learnt(&a.nodes[0], "b", 2)?;
    let port = a.nodes[0].mqtt_port();
    let mut publisher = Client::simple(port, "pub")?;
    publisher.publish("old/x", b"0", 1)?;
    assert_eq!(subscriber.payload()?, b"0");

    change_link(&b, "a", &json!({"topics": ["keep/#", "new/#"]}))?;
    // At once, although the remote's routes lag: the inbound filter counts (W-41).
    publisher.publish("old/x", b"unwanted", 1)?;
    let (mut sent, mut seen) = (0_u16, Vec::new());
    let start = Instant::now();
    while publisher.publish("new/x", b"new", 1)? != 0 {
        publisher.publish("keep/x", &sent.to_be_bytes(), 1)?;
        sent += 1;
        seen.push(subscriber.payload()?);
        assert!(start.elapsed() < SETTLE, "the new filter never arrived");
    }
    // No gap for a filter that stayed, and nothing of the one that went.
    assert_eq!(seen, (0..sent).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(subscriber.payload()?, b"new");
    subscriber.expect_silence()
}

// 8.1-20
#[test]
fn a_link_deleted_under_traffic_delivers_nothing_more_and_the_peer_sees_refusals()
-> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("g/#", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    for number in 0..50u8 {
        publisher.publish("g/x", &[number], 1)?;
    }
    for number in 0..50u8 {
        assert_eq!(subscriber.payload()?, [number]);
    }
    b.nodes[0].rest().delete("/cluster/links/link/a")?.expect(204)?;
    for number in 50..100u8 {
        publisher.publish("g/x", &[number], 1)?;
    }
    link_becomes(&a, "b", |link| link["reason"]["code"] == "unknown_cluster")?;
    let metrics = metrics_become(&a.nodes[0], "b", |metrics| {
        adds_up(metrics) && metrics["forwarding"]["failed"].as_u64() >= Some(50)
    })?;
    assert!(
        metrics["forwarding"]["failed_reasons"]["acl_denied"].as_u64() >= Some(50),
        "{metrics:#}"
    );
    subscriber.expect_silence()
}

// C-15, R-7
#[test]
fn what_waits_survives_a_change_of_the_pool_and_the_sums_still_hold() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("g/#", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    for number in 0..20u8 {
        publisher.publish("g/x", &[number], 1)?;
        assert_eq!(subscriber.payload()?, [number]);
    }
    let rest = a.nodes[0].rest();
    rest.post("/cluster/links/link/b/pause", &json!({}))?.expect(200)?;
    link_becomes(&a, "b", |link| link["paused"] == true)?;
    for number in 20..60u8 {
        assert_eq!(publisher.publish("g/x", &[number], 1)?, 0);
    }
    metrics_become(&a.nodes[0], "b", |m| m["forwarding"]["queuing"].as_u64() >= Some(30))?;
    change_link(&a, "b", &json!({"pool_size": 5}))?;
    change_link(&a, "b", &json!({"pool_size": 1}))?;
    rest.post("/cluster/links/link/b/resume", &json!({}))?.expect(200)?;
    for number in 20..60u8 {
        assert_eq!(subscriber.payload()?, [number], "order is kept");
    }
    subscriber.expect_silence()?;
    let metrics = metrics_become(&a.nodes[0], "b", |metrics| {
        adds_up(metrics) && metrics["forwarding"]["queuing"] == 0
    })?;
    assert_eq!(metrics["forwarding"]["success"], 60, "{metrics:#}");
    Ok(())
}
