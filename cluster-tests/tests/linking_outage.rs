//! Links through cuts, kills and restarts (LINK-SPEC 8.1-4, 5, 6, with the times scaled down).
#![allow(clippy::print_stderr, reason = "measured times are worth showing")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster_tests::client::{Client, Connect};
use cluster_tests::harness::links::{
    SETTLE, Setup, adds_up, create_link, link_becomes, link_body, linked, metrics_become,
    routes_learnt, running,
};
use cluster_tests::harness::{Cluster, Fault, FaultProxy, Node, eventually};
use serde_json::json;

const TTL: Duration = Duration::from_secs(4);

// 8.1-4
#[test]
fn routes_of_a_killed_node_go_after_its_time_and_those_of_others_stay() -> anyhow::Result<()> {
    let setup = Setup::short_ttl(TTL);
    let (a, mut b) = linked(&setup, 1, 2, &["g/#"])?;
    let mut stays = Client::simple(b.nodes[0].mqtt_port(), "stays")?;
    stays.subscribe("g/stays", 1)?;
    let mut goes = Client::simple(b.nodes[1].mqtt_port(), "goes")?;
    goes.subscribe("g/goes", 1)?;
    routes_learnt(&a.nodes[0], "b", 2)?;
    b.nodes[1].kill();
    let killed = Instant::now();
    routes_learnt(&a.nodes[0], "b", 1)?;
    let took = killed.elapsed();
    assert!(took >= TTL / 2, "not before its time: {took:?}");
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("g/goes", b"x", 1)?, 0x10);
    assert_eq!(publisher.publish("g/stays", b"x", 1)?, 0);
    assert_eq!(stays.payload()?, b"x");
    Ok(())
}

// LINK-SPEC 0.1 (outages, buffers), 8.1-5: a cut longer than the TTL
#[test]
fn a_cut_longer_than_every_ttl_loses_nothing_and_keeps_the_order_of_each_publisher()
-> anyhow::Result<()> {
    survive_a_cut(&Setup::short_ttl(TTL), 1, TTL * 2).map(drop)
}

// 8.1-5, with the real times
#[test]
#[ignore = "takes 1.5 minutes; cargo test -p cluster-tests --test linking_outage -- --ignored --nocapture"]
fn between_clusters_of_three_a_cut_of_a_minute_loses_nothing() -> anyhow::Result<()> {
    let told = survive_a_cut(&Setup::default(), 3, Duration::from_secs(60))?;
    eprintln!("{told}");
    Ok(())
}

// LINK-SPEC 0.1 (outages): ten times as long as an actor lives
#[test]
#[ignore = "takes 6 minutes; cargo test -p cluster-tests --test linking_outage -- --ignored --nocapture"]
fn between_clusters_of_three_a_cut_of_five_minutes_loses_nothing() -> anyhow::Result<()> {
    let told = survive_a_cut(&Setup::default(), 3, Duration::from_secs(300))?;
    eprintln!("{told}");
    Ok(())
}

/// Proxies to all nodes of a cluster, as the `server` of a link.
fn proxied(remote: &Cluster) -> anyhow::Result<(Vec<FaultProxy>, String)> {
    let start = |node: &Node| FaultProxy::start(node.addresses().mqtt["tcp:default"]);
    let proxies = remote.nodes.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let addresses: Vec<_> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
    Ok((proxies, addresses.join(",")))
}

/// Three publishers in one cluster, a subscriber in the other, and no way between them for `cut`.
/// Yields what was seen.
fn survive_a_cut(setup: &Setup, size: usize, cut: Duration) -> anyhow::Result<String> {
    let (a, b) = (setup.start("a", size)?, setup.start("b", size)?);
    let (to_b, to_a) = (proxied(&b)?, proxied(&a)?);
    for (local, remote, server) in [(&a, &b, &to_b.1), (&b, &a, &to_a.1)] {
        let mut body = link_body(&local.name, remote, &["g/#"]);
        body["server"] = json!(server);
        create_link(local, &body)?;
    }
    running(&a, "b")?;
    running(&b, "a")?;
    let mut subscriber = Client::simple(b.nodes[size - 1].mqtt_port(), "sub")?;
    subscriber.subscribe("g/#", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;

    let stop = AtomicBool::new(false);
    let (sent, received, healed) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let publishers: Vec<_> = (0..3_u8)
            .map(|name| {
                let (stop, port) = (&stop, a.nodes[usize::from(name) % size].mqtt_port());
                scope.spawn(move || publish_until(stop, port, name))
            })
            .collect();
        // Reads all the time, so that nothing is lost in its own inbox.
        let reader = scope.spawn(|| read_until_ends(&mut subscriber));
        std::thread::sleep(Duration::from_millis(500));
        for proxy in to_b.0.iter().chain(&to_a.0) {
            proxy.set(Fault::reset());
        }
        std::thread::sleep(cut);
        for proxy in to_b.0.iter().chain(&to_a.0) {
            proxy.heal();
        }
        let healed = Instant::now();
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for publisher in publishers {
            sent.push(publisher.join().map_err(|_| anyhow::anyhow!("publisher died"))??);
        }
        let metrics =
            metrics_become(&a.nodes[0], "b", |m| adds_up(m) && m["forwarding"]["queuing"] == 0)?;
        assert_eq!(metrics["forwarding"]["dropped"], 0, "{metrics:#}");
        let healed = healed.elapsed();
        Client::simple(b.nodes[0].mqtt_port(), "end")?.publish("g/x", &[END, 0, 0], 1)?;
        let received = reader.join().map_err(|_| anyhow::anyhow!("reader died"))??;
        Ok((sent, received, healed))
    })?;
    let repeated = repeats(&received, &sent)?;
    // A node knows what has come over a link to itself; what was under way when the connection broke
    // may go to another one.
    anyhow::ensure!(size > 1 || repeated == 0, "{repeated} messages came twice");
    subscriber.expect_silence()?;
    Ok(format!(
        "cut for {} s: {} messages of 3 publishers, none lost, {repeated} twice, in order; all were \
         over {:.1} s after the cut",
        cut.as_secs(),
        received.len() - repeated,
        healed.as_secs_f64()
    ))
}

/// Checks that of each publisher everything came, in order; gives how many came again.
fn repeats(received: &[Vec<u8>], sent: &[u16]) -> anyhow::Result<usize> {
    let mut next: BTreeMap<u8, u16> = BTreeMap::new();
    let mut repeated = 0;
    for payload in received {
        let number = u16::from_be_bytes([payload[1], payload[2]]);
        let next = next.entry(payload[0]).or_default();
        anyhow::ensure!(number <= *next, "publisher {}: {number} came before {next}", payload[0]);
        if number < *next {
            repeated += 1;
        } else {
            *next += 1;
        }
    }
    for (name, sent) in (0..).zip(sent) {
        let came = next.get(&name).copied().unwrap_or(0);
        anyhow::ensure!(came == *sent, "publisher {name}: {came} of {sent} came");
    }
    Ok(repeated)
}

/// First byte of the payload that ends a reader.
const END: u8 = u8::MAX;

/// Publishes (name, number) in order; gives how many.
fn publish_until(stop: &AtomicBool, port: u16, name: u8) -> anyhow::Result<u16> {
    let mut client = Client::simple(port, &format!("pub-{name}"))?;
    let mut number = 0_u16;
    while !stop.load(Ordering::Relaxed) {
        let [high, low] = number.to_be_bytes();
        anyhow::ensure!(client.publish("g/x", &[name, high, low], 1)? == 0);
        number += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(number)
}

/// Asks again and again, so that its connection lives while nothing comes.
fn read_until_ends(subscriber: &mut Client) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut received = Vec::new();
    loop {
        for payload in subscriber.payloads_until_silence()? {
            if payload.first() == Some(&END) {
                return Ok(received);
            }
            received.push(payload);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

// 8.1-6, 2.6 "crash": ours survives
#[test]
fn both_sides_restart_and_what_was_acknowledged_arrives() -> anyhow::Result<()> {
    let (mut a, mut b) = linked(&Setup::short_ttl(TTL), 1, 1, &["g/#"])?;
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(b.nodes[0].mqtt_port(), &connect)?;
    keeper.subscribe("g/#", 1)?;
    metrics_become(&a.nodes[0], "b", |m| m["routers"].as_u64() >= Some(1))?;
    drop(keeper);
    // The downstream is away; the upstream acknowledges, and is killed with what it holds.
    b.nodes[0].kill();
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    for number in 0..100u8 {
        assert_eq!(publisher.publish("g/x", &[number], 1)?, 0);
    }
    a.nodes[0].kill();
    a.nodes[0].start()?;
    let held =
        metrics_become(&a.nodes[0], "b", |m| m["forwarding"]["queuing"].as_u64() >= Some(100))?;
    assert!(adds_up(&held), "{held:#}");
    assert!(held["routers"].as_u64() >= Some(1), "learnt routes survive a full stop (0.1)");
    b.nodes[0].start()?;
    running(&a, "b")?;
    running(&b, "a")?;
    let (mut keeper, present) = Client::connect(b.nodes[0].mqtt_port(), &connect)?;
    assert!(present);
    for number in 0..100u8 {
        assert_eq!(keeper.payload()?, [number]);
    }
    // A graceful restart of the upstream, then traffic again.
    a.nodes[0].stop()?;
    a.nodes[0].start()?;
    running(&a, "b")?;
    running(&b, "a")?;
    metrics_become(&a.nodes[0], "b", |m| m["routers"].as_u64() >= Some(1))?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("g/x", b"after", 1)?, 0);
    assert_eq!(keeper.payload()?, b"after");
    Ok(())
}

// W-12, D-6
#[test]
fn a_persistent_session_is_wanted_by_every_node_of_its_cluster() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::short_ttl(TTL), 1, 1, &["g/#"])?;
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(b.nodes[0].mqtt_port(), &connect)?;
    keeper.subscribe("g/k", 1)?;
    // The node's own route, and the one of the session.
    routes_learnt(&a.nodes[0], "b", 2)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    publisher.publish("g/k", b"once", 1)?;
    assert_eq!(keeper.payload()?, b"once");
    keeper.expect_silence()?;
    keeper.unsubscribe("g/k")?;
    routes_learnt(&a.nodes[0], "b", 0)
}

// O-3
#[test]
fn an_alarm_stands_while_a_remote_refuses_the_link() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let alarms = || -> anyhow::Result<Vec<String>> {
        let all = a.nodes[0].rest().get("/alarms?activated=true")?.expect(200)?;
        let rows = all.get("data").cloned().unwrap_or(all);
        let names = rows.as_array().context("alarms")?.iter();
        Ok(names.filter_map(|a| a["name"].as_str().map(str::to_owned)).collect())
    };
    b.nodes[0].rest().delete("/cluster/links/link/a")?.expect(204)?;
    // The route of the present connection is refused only when it is used or made again.
    let mut client = Client::simple(a.nodes[0].mqtt_port(), "sub")?;
    client.subscribe("g/x", 1)?;
    link_becomes(&a, "b", |link| link["reason"]["code"] == "unknown_cluster")?;
    let alarm = "cluster_link_replication:b".to_owned();
    let stands = |wanted: bool| {
        eventually(SETTLE, || {
            let names = alarms()?;
            anyhow::ensure!(names.contains(&alarm) == wanted, "{names:?}");
            Ok(())
        })
    };
    stands(true)?;
    create_link(&b, &link_body("b", &a, &["g/#"]))?;
    stands(false)
}
