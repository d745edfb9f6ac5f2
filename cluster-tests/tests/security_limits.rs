//! Strangers and greedy clients cannot stop, fill or slow a node (SECURITY-REQUIREMENTS L1, L2,
//! L5–L7, L9, L11). The packets of L3 are in `conformance_malformed.rs`.
//!
//! Tests that look at memory have a node of their own.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster_tests::client::{Client, Connect, Packet, Property, Version, publish, subscribe};
use cluster_tests::harness::{Cluster, Lease, Node, NodeOptions, SharedNode, eventually};

const CLOSE: Duration = Duration::from_secs(15);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

const CONFIG: &str = r#"
listeners.ssl.default {
  bind = "127.0.0.1:0"
  ssl_options { certfile = "cert.pem", keyfile = "key.pem" }
}
"#;

/// Has a TLS listener; the rest are the defaults.
static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let options = NodeOptions {
        flags: vec!["--dev".to_owned()],
        config: Some(CONFIG.to_owned()),
        ..NodeOptions::default()
    };
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .expect("a certificate for a name that is valid");
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let files = [("cert.pem", cert.as_str()), ("key.pem", key.as_str())];
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "security-limits", options, &files)
});

fn node() -> Lease {
    NODE.lease()
}

/// Resident memory of a node, in KiB.
fn rss_kib(node: &Node) -> anyhow::Result<i64> {
    let pid = node.pid().context("the node runs")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    line.split_whitespace().nth(1).context("VmRSS has a value")?.parse().context("a number")
}

// L1: the announcement alone ends the connection; nothing is reserved for the body.
#[test]
fn a_header_that_announces_256_mib_is_refused_before_the_body() -> anyhow::Result<()> {
    let cluster = Cluster::start("announce", 1)?;
    let node = &cluster.nodes[0];
    let round = || -> anyhow::Result<()> {
        for version in VERSIONS {
            for first in [0x30, 0x32, 0x82, 0xe0] {
                let connect = Connect { version, ..Connect::new("announcer") };
                let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
                client.send(&[first, 0xff, 0xff, 0xff, 0x7f])?;
                let came = client.expect_close(CLOSE)?;
                match (version, came.as_slice()) {
                    (Version::V311, [])
                    | (Version::V5, [Packet::Disconnect { code: 0x95, .. }]) => {}
                    _ => anyhow::bail!("{version:?} {first:#x}: {came:?}"),
                }
            }
            let mut stranger = Client::open(node.mqtt_port(), version)?;
            stranger.send(&[0x10, 0xff, 0xff, 0xff, 0x7f])?;
            assert_eq!(stranger.expect_close(CLOSE)?, []);
        }
        Ok(())
    };
    // First rounds fill pools and arenas once.
    (0..5).try_for_each(|_| round())?;
    let before = rss_kib(node)?;
    (0..20).try_for_each(|_| round())?;
    let grown = rss_kib(node)? - before;
    assert!(grown < 1024, "{grown} KiB more");
    Ok(())
}

/// Seconds until the server ends the connection, while `feed` may keep it alive.
fn open_for(mut stream: TcpStream, mut feed: impl FnMut(&mut TcpStream)) -> anyhow::Result<f64> {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    loop {
        let mut byte = [0; 64];
        match stream.read(&mut byte) {
            Ok(0) => return Ok(start.elapsed().as_secs_f64()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => feed(&mut stream),
            Err(_) => return Ok(start.elapsed().as_secs_f64()),
        }
        anyhow::ensure!(start.elapsed() < CLOSE, "still open");
    }
}

/// Name, where to, which bytes, and whether one byte a second.
type Slow = (&'static str, SocketAddr, Vec<u8>, bool);

// L2: all of them wait at the same time.
#[test]
fn whoever_does_not_finish_connect_in_time_is_closed() -> anyhow::Result<()> {
    let node = node();
    let tcp = SocketAddr::from(([127, 0, 0, 1], node.mqtt_port()));
    let tls = *node.addresses().mqtt.get("ssl:default").context("the TLS listener")?;
    let connect = Connect::new("slow-header").encode();
    // The beginning of a ClientHello of TLS 1.2 or 1.3, announced with 512 bytes.
    let half_hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7, 7];
    let cases: Vec<Slow> = vec![
        ("silence", tcp, vec![], false),
        ("silence before TLS", tls, vec![], false),
        ("one byte a second", tcp, connect, true),
        ("half a CONNECT", tcp, vec![0x10, 20, 0, 4, b'M'], false),
        ("TLS stalled half-way", tls, half_hello.to_vec(), false),
        ("TLS, one byte a second", tls, half_hello.to_vec(), true),
    ];
    std::thread::scope(|scope| {
        let open = |(name, address, bytes, slowly): Slow| {
            scope.spawn(move || -> anyhow::Result<(&'static str, f64)> {
                let mut stream = TcpStream::connect(address)?;
                let mut rest = bytes.as_slice();
                if !slowly {
                    stream.write_all(rest)?;
                    rest = &[];
                }
                let seconds = open_for(stream, |stream| {
                    if let Some((byte, more)) = rest.split_first() {
                        rest = more;
                        let _ = stream.write_all(&[*byte]);
                    }
                })?;
                Ok((name, seconds))
            })
        };
        let opened: Vec<_> = cases.into_iter().map(open).collect();
        for thread in opened {
            let (name, seconds) = thread.join().expect("the thread does not panic")?;
            assert!(seconds <= 6.0, "{name}: open for {seconds:.1} s");
        }
        Ok(())
    })
}

// L5, and [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
#[test]
fn a_capped_keep_alive_is_told_and_enforced() -> anyhow::Result<()> {
    let options = NodeOptions {
        config: Some("mqtt.server_keepalive = 2\n".to_owned()),
        ..NodeOptions::default()
    };
    let cluster = Cluster::start_with("capped", 1, &options)?;
    let node = &cluster.nodes[0];
    for (asked, told) in [(65_535, Some(2)), (0, Some(2)), (3, Some(2)), (2, None), (1, None)] {
        let connect = Connect { keep_alive_s: asked, ..Connect::new(&format!("asks-{asked}")) };
        let (_, connack) = Client::try_connect(node.mqtt_port(), &connect)?;
        let Packet::ConnAck { code: 0, properties, .. } = connack else {
            anyhow::bail!("{connack:?}")
        };
        let got = properties.iter().find_map(|property| match property {
            Property::Two(0x13, seconds) => Some(*seconds),
            _ => None,
        });
        assert_eq!(got, told, "asked for {asked}");
    }
    for version in VERSIONS {
        let connect = Connect { keep_alive_s: 65_535, version, ..Connect::new("capped") };
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        let start = Instant::now();
        let came = client.expect_close(CLOSE)?;
        let open = start.elapsed();
        assert!(open >= Duration::from_millis(2_900), "{version:?}: after {open:?}");
        assert_eq!(came.len(), usize::from(version == Version::V5), "{came:?}");
    }
    Ok(())
}

// L5: no keep-alive still has an end.
#[test]
fn a_connection_without_keep_alive_ends_when_it_idles() -> anyhow::Result<()> {
    let options = NodeOptions {
        config: Some("limits.idle_connection = 2s\n".to_owned()),
        ..NodeOptions::default()
    };
    let cluster = Cluster::start_with("idle", 1, &options)?;
    for version in VERSIONS {
        let connect = Connect { version, ..Connect::new("idler") };
        let (mut client, _) = Client::connect(cluster.nodes[0].mqtt_port(), &connect)?;
        client.expect_silence()?;
        client.expect_close(CLOSE)?;
    }
    Ok(())
}

fn levels(count: usize) -> String {
    vec!["l"; count].join("/")
}

// L6
#[test]
fn topics_deeper_than_the_limit_are_refused() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = |id: &str| Connect { version, ..Connect::new(id) };
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect("deep"))?;
        client.subscribe(&levels(128), 0)?;
        client.publish(&levels(128), b"x", 1)?;
        assert_eq!(client.payload()?, b"x");
        let refused = if version == Version::V5 { 0x97 } else { 0x80 };
        for filter in [levels(129), "+/".repeat(128) + "#", format!("$share/g/{}", levels(129))] {
            assert_eq!(client.subscribe_with(&[(&filter, 0)], &[])?, [refused]);
        }
        client.send_publish(&levels(129), b"x", 0, false, &[])?;
        let came = client.expect_close(CLOSE)?;
        match (version, came.as_slice()) {
            (Version::V311, []) | (Version::V5, [Packet::Disconnect { code: 0x90, .. }]) => {}
            _ => anyhow::bail!("{came:?}"),
        }
    }
    Ok(())
}

// L6
#[test]
fn filters_are_limited_per_packet_and_per_session() -> anyhow::Result<()> {
    let options = NodeOptions {
        config: Some("mqtt.max_subscriptions = 1500\n".to_owned()),
        ..NodeOptions::default()
    };
    let cluster = Cluster::start_with("filters", 1, &options)?;
    for version in VERSIONS {
        let refused = if version == Version::V5 { 0x97 } else { 0x80 };
        let connect = Connect { version, ..Connect::new("collector") };
        let (mut client, _) = Client::connect(cluster.nodes[0].mqtt_port(), &connect)?;
        let mut send = |from: usize, count: usize| -> anyhow::Result<Vec<u8>> {
            let names: Vec<_> = (from..from + count).map(|n| format!("f/{n}/+/#")).collect();
            let filters: Vec<_> = names.iter().map(|name| (name.as_bytes(), 0)).collect();
            client.send(&subscribe(version, 1, &[], &filters))?;
            match client.answer(|packet| matches!(packet, Packet::SubAck { .. }))? {
                Packet::SubAck { codes, .. } => Ok(codes),
                other => anyhow::bail!("{other:?}"),
            }
        };
        assert_eq!(send(0, 1_001)?, vec![refused; 1_001], "too many in one packet");
        assert_eq!(send(0, 1_000)?, vec![0; 1_000]);
        let codes = send(1_000, 600)?;
        assert!(codes[..500].iter().all(|code| *code == 0), "{version:?}");
        assert!(codes[500..].iter().all(|code| *code == refused), "{version:?}");
        assert_eq!(send(0, 10)?, vec![0; 10], "known ones may be renewed");
        client.disconnect()?;
    }
    Ok(())
}

// L6: the number of filters must not show in the time of a PUBLISH; how long one match takes is
// measured by mqtt/topic, here nothing may hang.
#[test]
fn hostile_filters_do_not_stop_publishing() -> anyhow::Result<()> {
    let node = node();
    let mut hostile = Client::simple(node.mqtt_port(), "hostile")?;
    for batch in 0..10 {
        let names: Vec<_> = (0..1_000)
            .map(|number: usize| {
                let bits = batch * 1_000 + number;
                let level = |at: usize| if bits >> at & 1 == 0 { "+" } else { "a" };
                let text: Vec<_> = (0..14).map(level).collect();
                format!("{}/h{}/#", text.join("/"), number % 7)
            })
            .collect();
        let filters: Vec<_> = names.iter().map(|name| (name.as_bytes(), 0)).collect();
        hostile.send(&subscribe(Version::V5, 1, &[], &filters))?;
        hostile.answer(|packet| matches!(packet, Packet::SubAck { .. }))?;
    }
    let mut publisher = Client::simple(node.mqtt_port(), "hostile-pub")?;
    let topic = "a/".repeat(14) + "h3/x";
    let start = Instant::now();
    for _ in 0..20 {
        publisher.publish(&topic, b"x", 1)?;
        hostile.expect_message(&topic)?;
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    Ok(())
}

trait ExpectMessage {
    fn expect_message(&mut self, topic: &str) -> anyhow::Result<()>;
}

impl ExpectMessage for Client {
    fn expect_message(&mut self, topic: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.received()?.topic == topic);
        Ok(())
    }
}

// L6, L7: what is announced in CONNACK is enforced.
#[test]
fn aliases_and_unfinished_publishes_beyond_what_was_announced_close() -> anyhow::Result<()> {
    let node = node();
    let announced = |id: u8| -> anyhow::Result<(Client, u16)> {
        let (client, connack) = Client::try_connect(node.mqtt_port(), &Connect::new("announced"))?;
        let Packet::ConnAck { code: 0, properties, .. } = connack else {
            anyhow::bail!("{connack:?}")
        };
        let value = properties.iter().find_map(|property| match property {
            Property::Two(got, value) if *got == id => Some(*value),
            _ => None,
        });
        Ok((client, value.context("announced in CONNACK")?))
    };
    let (mut client, most) = announced(0x22)?;
    assert_eq!(most, 64);
    client.send_publish("alias", b"x", 0, false, &[Property::Two(0x23, most + 1)])?;
    let came = client.expect_close(CLOSE)?;
    assert!(matches!(came.as_slice(), [Packet::Disconnect { code: 0x94, .. }]), "{came:?}");
    let (mut client, most) = announced(0x21)?;
    assert_eq!(most, 32);
    for id in 1..=most {
        client.send(&publish(Version::V5, 0x34, b"unfinished", Some(id), &[], b"x"))?;
        client.ack_code(5, id)?;
    }
    client.expect_silence()?;
    client.send(&publish(Version::V5, 0x34, b"unfinished", Some(most + 1), &[], b"x"))?;
    let came = client.expect_close(CLOSE)?;
    assert!(matches!(came.as_slice(), [Packet::Disconnect { code: 0x93, .. }]), "{came:?}");
    Ok(())
}

// L7
#[test]
fn unfinished_qos_2_publishes_do_not_grow_memory() -> anyhow::Result<()> {
    let cluster = Cluster::start("unfinished", 1)?;
    let node = &cluster.nodes[0];
    // A persistent session would keep what could be kept.
    let connect = Connect::new("unfinished").persistent();
    let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
    let mut send = |count: u32| -> anyhow::Result<()> {
        for _ in 0..count / 32 {
            let mut burst = Vec::new();
            for id in 1..=32 {
                burst.extend(publish(Version::V5, 0x34, b"unfinished", Some(id), &[], &[7; 100]));
            }
            client.send(&burst)?;
            for id in 1..=32 {
                client.ack_code(5, id)?;
            }
        }
        Ok(())
    };
    send(10_000)?;
    let before = rss_kib(node)?;
    send(100_000)?;
    let grown = rss_kib(node)? - before;
    assert!(grown < 2 * 1024, "{grown} KiB more after 100,000 PUBLISH");
    Ok(())
}

// L9
#[test]
fn a_subscriber_that_never_reads_costs_a_bounded_output_and_is_dropped() -> anyhow::Result<()> {
    let cluster = Cluster::start("slow-reader", 1)?;
    let node = &cluster.nodes[0];
    let mut slow = Client::simple(node.mqtt_port(), "slow")?;
    slow.subscribe("flood", 0)?;
    let mut publisher = Client::simple(node.mqtt_port(), "flood-pub")?;
    let mut other = Client::simple(node.mqtt_port(), "bystander")?;
    other.subscribe("calm", 1)?;
    let before = rss_kib(node)?;
    let payload = vec![b'x'; 256 * 1024];
    for number in 0..400u32 {
        publisher.publish("flood", &payload, 1)?;
        if number % 50 == 0 {
            publisher.publish("calm", &number.to_be_bytes(), 1)?;
            assert_eq!(other.payload()?, number.to_be_bytes());
        }
    }
    // 100 MiB went by. The output has 1 MiB, the inbox 8 MiB; the rest is what the allocator keeps.
    let grown = rss_kib(node)? - before;
    assert!(grown < 24 * 1024, "{grown} KiB more after 100 MiB to a client that does not read");
    // Writing shows the end of a connection whose input nobody reads.
    eventually(Duration::from_secs(60), || {
        anyhow::ensure!(slow.send(&[0xc0, 0]).is_err(), "still connected");
        Ok(())
    })
}

// L10: a node with little memory is filled until it says no; whoever is in stays.
#[test]
fn above_the_memory_mark_publishes_and_new_connections_are_refused() -> anyhow::Result<()> {
    let options = NodeOptions {
        config: Some("limits.memory_bytes = 256MB\nlimits.memory_high_percent = 75\n".to_owned()),
        ..NodeOptions::default()
    };
    let cluster = Cluster::start_with("memory-mark", 1, &options)?;
    let node = &cluster.nodes[0];
    let mut filler = Client::simple(node.mqtt_port(), "filler")?;
    let payload = vec![b'x'; 900 * 1024];
    let mut taken = 0;
    let code = loop {
        match filler.publish_retained(&format!("fill/{taken}"), &payload, 1)? {
            0 | 0x10 => taken += 1,
            code => break code,
        }
        anyhow::ensure!(taken < 400, "{} KiB and no refusal", rss_kib(node)?);
    };
    assert_eq!(code, 0x97, "after {taken}");
    assert!(rss_kib(node)? > 150 * 1024, "refused at {} KiB", rss_kib(node)?);
    let refused = Client::try_connect(node.mqtt_port(), &Connect::new("newcomer"));
    assert!(refused.is_err(), "{:?}", refused.map(|(_, connack)| connack));
    filler.expect_silence()?;
    filler.publish("fill/more", b"x", 0)?;
    filler.expect_silence()
}

// L11: in a node as it is shipped but for the fail point.
#[test]
fn a_panic_in_a_connection_closes_that_one_only_and_is_counted() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("panic", 1)?;
    // Below: just the panics that were asked for.
    cluster.nodes[0].judge_log();
    let node = &cluster.nodes[0];
    let panics = || -> anyhow::Result<Option<u64>> {
        let text = node.rest().get("/prometheus/stats")?.text;
        let name = "spanmq_connections_closed_total{reason=\"panic\"} ";
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| Ok(value.parse()?)).transpose()
    };
    let mut bystander = Client::simple(node.mqtt_port(), "bystander")?;
    bystander.subscribe("t", 1)?;
    for number in 1..=4 {
        let mut victim = Client::simple(node.mqtt_port(), "victim")?;
        let actions = serde_json::json!({ "actions": "1*panic" });
        node.rest().put("/debug/fail-points/connection::publish", &actions)?.expect(204)?;
        victim.send(&publish(Version::V5, 0x32, b"t", Some(1), &[], b"lost"))?;
        victim.expect_close(CLOSE)?;
        assert_eq!(panics()?, Some(number));
    }
    bystander.publish("t", b"fine", 1)?;
    bystander.expect_message("t")?;
    let mut again = Client::simple(node.mqtt_port(), "victim")?;
    again.publish("t", b"fine too", 1)?;
    bystander.expect_message("t")?;
    let log = node.log();
    assert_eq!(log.matches("panicked at").count(), 4, "{log}");
    assert_eq!(log.matches("a connection ended by a panic").count(), 4, "{log}");
    Ok(())
}
