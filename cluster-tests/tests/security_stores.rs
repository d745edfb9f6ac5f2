//! What clients can make a node keep has limits, and a flood of strangers leaves nothing behind
//! (SECURITY-REQUIREMENTS L4, L8); no secret shows in what a node prints or answers (A9).

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster_tests::client::{Client, Connect, Packet, Property};
use cluster_tests::harness::{Answer, Cluster, Node, NodeOptions, eventually};
use serde_json::json;

const QUOTA_EXCEEDED: u8 = 0x97;

fn node_with(name: &str, config: &str) -> anyhow::Result<Cluster> {
    let options = NodeOptions { config: Some(config.to_owned()), ..NodeOptions::default() };
    Cluster::start_with(name, 1, &options)
}

/// A number of the node's Prometheus page.
fn metric(node: &Node, name: &str) -> anyhow::Result<f64> {
    let text = node.rest().get("/prometheus/stats")?.text;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.with_context(|| format!("{name} is not in:\n{text}"))?.parse().context("a number")
}

/// Resident memory of a node, in KiB.
fn rss_kib(node: &Node) -> anyhow::Result<i64> {
    let pid = node.pid().context("the node runs")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    line.split_whitespace().nth(1).context("VmRSS has a value")?.parse().context("a number")
}

// L4
#[test]
fn a_flood_of_connections_that_never_speak_slows_nobody_and_leaves_nothing() -> anyhow::Result<()> {
    let cluster = node_with("flood", "limits.pending_connections = 2000")?;
    let node = &cluster.nodes[0];
    let mut inside = Client::simple(node.mqtt_port(), "inside")?;
    inside.subscribe("calm", 1)?;
    let before = rss_kib(node)?;
    let (mut flood, mut slowest) = (Vec::new(), Duration::ZERO);
    for number in 0..5_000u32 {
        flood.push(TcpStream::connect(("127.0.0.1", node.mqtt_port()))?);
        if number % 250 == 0 {
            let start = Instant::now();
            inside.publish("calm", &number.to_be_bytes(), 1)?;
            assert_eq!(inside.payload()?, number.to_be_bytes());
            slowest = slowest.max(start.elapsed());
        }
    }
    assert!(slowest < Duration::from_secs(1), "a round trip took {slowest:?}");
    assert!(metric(node, "spanmq_connections_refused_total{reason=\"pending\"}")? > 0.0);
    drop(flood);
    eventually(Duration::from_secs(20), || {
        let pending = metric(node, "spanmq_connections_pending")?;
        anyhow::ensure!(pending == 0.0, "{pending} still wait for their CONNECT");
        let grown = rss_kib(node)? - before;
        anyhow::ensure!(grown < 16 * 1024, "{grown} KiB more than before the flood");
        Ok(())
    })
}

// L8
#[test]
fn the_retained_store_is_bounded_in_messages_and_in_the_size_of_each() -> anyhow::Result<()> {
    let cluster = node_with(
        "retained-caps",
        "retainer { max_payload_size = 1KB, backend.max_retained_messages = 10 }",
    )?;
    let node = &cluster.nodes[0];
    let mut client = Client::simple(node.mqtt_port(), "keeper")?;
    for number in 0..10 {
        let code = client.publish_retained(&format!("r/{number}"), b"x", 1)?;
        assert!(matches!(code, 0 | 0x10), "{number}: {code:#x}");
    }
    assert_eq!(client.publish_retained("r/10", b"x", 1)?, QUOTA_EXCEEDED);
    assert!(matches!(client.publish_retained("r/3", b"replaced", 1)?, 0 | 0x10));
    assert!(matches!(client.publish_retained("r/4", b"", 1)?, 0 | 0x10), "a deletion");
    assert!(matches!(client.publish_retained("r/10", b"x", 1)?, 0 | 0x10), "there is room");
    let large = vec![b'x'; 2_048];
    assert_eq!(client.publish_retained("r/3", &large, 1)?, QUOTA_EXCEEDED);
    client.subscribe("r/3", 1)?;
    assert_eq!(client.payload()?, b"replaced", "the refused one is not kept");
    assert!(metric(node, "spanmq_retained_refused_total")? >= 2.0);
    Ok(())
}

// L8
#[test]
fn the_queue_of_a_client_that_is_away_is_bounded_and_the_loss_is_counted() -> anyhow::Result<()> {
    let cluster = node_with(
        "queue-caps",
        "mqtt.max_mqueue_len = 10\nlimits { session_stored_messages = 20 }",
    )?;
    let node = &cluster.nodes[0];
    let keeper = Connect::new("keeper").persistent();
    let (mut client, _) = Client::connect(node.mqtt_port(), &keeper)?;
    client.subscribe("q", 1)?;
    client.disconnect()?;
    let mut publisher = Client::simple(node.mqtt_port(), "pub")?;
    let codes: Vec<u8> = (0..200u8)
        .map(|number| publisher.publish("q", &[number], 1))
        .collect::<anyhow::Result<_>>()?;
    let acknowledged: Vec<u8> =
        (0..200u8).filter(|number| codes[usize::from(*number)] == 0).collect();
    let (mut client, present) = Client::connect(node.mqtt_port(), &keeper)?;
    assert!(present);
    let got: Vec<u8> =
        client.payloads_until_silence()?.into_iter().filter_map(|p| p.first().copied()).collect();
    assert!(got.len() <= 30, "{} were kept", got.len());
    // The policy says which give way; none is lost without a refusal or a count.
    let lost = acknowledged.iter().filter(|number| !got.contains(number)).count();
    let counted = metric(node, "spanmq_messages_dropped_total{reason=\"queue_full\"}")?;
    assert!(counted >= lost as f64, "{lost} lost, {counted} counted");
    assert!(codes.contains(&QUOTA_EXCEEDED) || lost > 0, "nothing was full: {codes:?}");
    Ok(())
}

// L8
#[test]
fn wills_and_expiries_have_caps() -> anyhow::Result<()> {
    let cluster = node_with("caps", "limits { will_bytes = 1KB, session_expiry = 60s }")?;
    let node = &cluster.nodes[0];
    let large = Connect::new("large").will("w", &[b'x'; 2_048], 1, false);
    match Client::try_connect(node.mqtt_port(), &large) {
        Ok((_, Packet::ConnAck { code, .. })) => assert_eq!(code, QUOTA_EXCEEDED),
        other => anyhow::bail!("{:?}", other.map(|(_, packet)| packet)),
    }
    let long = Connect::new("long").persistent();
    match Client::try_connect(node.mqtt_port(), &long)? {
        (_, Packet::ConnAck { code: 0, properties, .. }) => {
            assert!(properties.contains(&Property::Four(0x11, 60)), "{properties:?}");
        }
        (_, other) => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

/// Every word that must never be seen again once it was given.
const PLANTED: [&str; 4] = [
    "planted-admin-password",
    "planted-link-password",
    "planted-mqtt-password",
    "planted-wrong-password",
];

// A9
#[test]
fn no_secret_shows_in_logs_answers_or_errors() -> anyhow::Result<()> {
    let cluster = node_with(
        "secrets",
        "log.console.level = trace\ndashboard.default_password = \"planted-admin-password\"",
    )?;
    let node = &cluster.nodes[0];
    let rest = node.rest();
    let mut answers = String::new();
    let mut keep = |answer: Answer| answers.push_str(&answer.text);
    let token = rest.post("/login", &json!({"username": "admin", "password": PLANTED[0]}))?;
    let token = token.expect(200)?["token"].as_str().context("a token")?.to_owned();
    let link = json!({
        "name": "away", "server": "127.0.0.1:1", "topics": ["a/#"],
        "username": "link", "password": PLANTED[1],
    });
    keep(rest.post("/cluster/links", &link)?);
    // Refused: the error quotes the input.
    keep(rest.post(
        "/cluster/links",
        &json!({"name": "bad/name", "server": 7, "topics": 1,
        "password": PLANTED[1]}),
    )?);
    keep(rest.put(
        "/cluster/links/away",
        &json!({"server": "127.0.0.1:1", "topics": ["b/#"],
        "password": "******"}),
    )?);
    keep(rest.post("/login", &json!({"username": "admin", "password": PLANTED[3]}))?);
    let login = Connect::new("device").login("device", PLANTED[2]);
    let (mut client, _) = Client::connect(node.mqtt_port(), &login)?;
    client.publish("a/b", b"crosses nowhere", 1)?;
    for path in ["/cluster/links", "/cluster/links/away", "/clients", "/audit"] {
        keep(rest.get(path)?);
    }
    assert!(answers.contains("******"), "a secret that is there shows as stars: {answers}");
    let seen = answers + &node.log();
    for secret in PLANTED.into_iter().chain([&*token]) {
        let at = seen.find(secret).map(|at| &seen[at.saturating_sub(200)..at]);
        assert!(at.is_none(), "{secret} shows behind: {at:?}");
    }
    Ok(())
}
