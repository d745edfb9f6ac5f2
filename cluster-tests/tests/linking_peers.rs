//! Every release of EMQX that can be at the other end, in both roles (LINK-SPEC 8.1-16, 8.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster_tests::client::{Client, Packet};
use cluster_tests::harness::links::{
    SETTLE, Setup, create_link, link_becomes, routes_learnt, running,
};
use cluster_tests::harness::{Cluster, eventually};
use cluster_tests::simulator::{Answer, Downstream, Profile, Seen, Upstream};
use serde_json::json;
use spanmq_link_protocol::message::{
    InitResult, MessageProperties, MessageRecord, Publisher, Qos, RouteOp, Sender,
};

/// Our cluster with a link to a simulated remote for each profile, each with topics of its own.
fn ours(setup: &Setup) -> anyhow::Result<(Cluster, Vec<Upstream>)> {
    let us = setup.start("us", 1)?;
    let mut remotes = Vec::new();
    for profile in Profile::ALL {
        let remote = Upstream::start(profile.name(), profile)?;
        let body = json!({
            "name": profile.name(),
            "server": remote.address().to_string(),
            "clientid": format!("clink-us-{}-", profile.name()),
            "topics": [format!("{}/#", profile.name()), "both/+"],
            "pool_size": 1,
        });
        create_link(&us, &body)?;
        remotes.push(remote);
    }
    for profile in Profile::ALL {
        running(&us, profile.name())?;
    }
    Ok((us, remotes))
}

fn record(topic: &str, number: u8, qos: Qos) -> MessageRecord {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut id = [number; 16];
    id[..8].copy_from_slice(&rand::random::<u64>().to_be_bytes());
    MessageRecord {
        id,
        qos,
        from: Sender::Client("pub-at-remote".into()),
        retain: false,
        dup: false,
        topic: topic.to_owned(),
        payload: vec![number; 300].into(),
        timestamp_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        publisher: Publisher { protocol_version: Some(5), ..Publisher::default() },
        properties: MessageProperties::default(),
    }
}

const TTL: Duration = Duration::from_secs(6);

/// Waits until the remote knows the route of `<profile>/+`.
fn knows(profile: Profile, remote: &Upstream) -> anyhow::Result<Seen> {
    let filter = format!("{}/+", profile.name());
    let route = (filter.clone(), filter);
    eventually(SETTLE, || {
        let seen = remote.seen();
        anyhow::ensure!(seen.routes.contains(&route), "{profile:?}: {seen:?}");
        Ok(seen)
    })
}

// The remote is the upstream: it learns our routes and forwards to us.
#[test]
fn each_release_as_upstream_learns_our_routes_and_takes_our_messages() -> anyhow::Result<()> {
    let (us, remotes) = ours(&Setup::short_ttl(TTL))?;
    let mut subscriber = Client::simple(us.nodes[0].mqtt_port(), "sub")?;
    for (profile, remote) in Profile::ALL.into_iter().zip(&remotes) {
        let filter = format!("{}/+", profile.name());
        subscriber.subscribe(&filter, 2)?;
        let seen = knows(profile, remote)?;
        assert_eq!(seen.errors, [""; 0], "{profile:?}");
        assert_eq!(seen.handshakes[0].2, profile.name());
        assert!(seen.clients.iter().all(|(_, clean)| *clean), "{seen:?}");
    }
    // They restart and have forgotten everything. Some never ask for a bootstrap; they are told
    // again because nothing was acknowledged for longer than a heartbeat's period (W-22).
    std::thread::sleep(TTL / 2);
    remotes.iter().for_each(Upstream::forget);
    for (profile, remote) in Profile::ALL.into_iter().zip(&remotes) {
        let seen = knows(profile, remote)?;
        assert_eq!(seen.handshakes.len(), 2, "{profile:?}");
        assert_eq!(seen.handshakes[0].1, seen.handshakes[1].1, "the same run");
    }
    for profile in Profile::ALL {
        running(&us, profile.name())?;
    }
    Ok(())
}

// The remote is the downstream: it reports routes, we forward to it; and it forwards to us.
#[test]
fn each_release_as_downstream_is_understood() -> anyhow::Result<()> {
    let (us, remotes) = ours(&Setup::default())?;
    let port = us.nodes[0].mqtt_port();
    let mut subscriber = Client::simple(port, "sub")?;
    subscriber.subscribe("#", 2)?;
    let accepted = |need_bootstrap| Answer::Result(InitResult::Accepted { need_bootstrap });
    for (profile, remote) in Profile::ALL.into_iter().zip(&remotes) {
        let name = profile.name();
        let mut peer = Downstream::connect(profile, port, name, "us")?;
        // The rows of W-13.
        assert_eq!(peer.handshake(1_000)?, accepted(true), "{profile:?}");
        if profile.repeats_handshake() {
            assert_eq!(peer.handshake(1_000)?, accepted(false), "on the same connection");
        }
        assert!(peer.subscribe(&["want/1", "want/2"], "want/+")? < 0x80);
        peer.heartbeat()?;
        let routes = if profile == Profile::P1 { 1 } else { 2 };
        routes_learnt(&us.nodes[0], name, routes)?;

        // We forward one copy to it, whatever the number of its routes that match.
        let mut publisher = Client::simple(port, "pub")?;
        assert_eq!(publisher.publish("want/1", name.as_bytes(), 2)?, 0);
        let (message, hop_qos) = eventually(SETTLE, || {
            let mine =
                remote.seen().messages.into_iter().find(|(m, _)| m.payload == name.as_bytes());
            mine.ok_or_else(|| anyhow::anyhow!("nothing came"))
        })?;
        assert_eq!((message.topic.as_str(), message.qos, hop_qos), ("want/1", Qos::ExactlyOnce, 1));
        assert_eq!(message.from.as_str(), "pub");
        assert_eq!(subscriber.payload()?, name.as_bytes());

        // It forwards with the QoS of its release; the message keeps its own. A repeat is dropped.
        let topic = format!("{name}/news");
        let news = record(&topic, 7, Qos::ExactlyOnce);
        let unwanted = record("elsewhere", 8, Qos::AtLeastOnce);
        let codes = peer.forward(&[news.clone(), news, unwanted])?;
        assert_eq!(codes, [0x00, 0x00, 0x10], "{profile:?}");
        match subscriber.message()? {
            Packet::Publish { topic: got, qos: 2, payload, .. } => {
                assert_eq!((got, payload), (topic, vec![7; 300]));
            }
            other => anyhow::bail!("{profile:?}: {other:?}"),
        }

        // It comes again with the same run, then with a newer one, then with an older one.
        peer = Downstream::connect(profile, port, name, "us")?;
        assert_eq!(peer.handshake(1_000)?, accepted(false), "{profile:?}");
        assert!(peer.routes(vec![RouteOp::delete("want/2", "want/+")])? < 0x80);
        peer = Downstream::connect(profile, port, name, "us")?;
        assert_eq!(peer.handshake(2_000)?, accepted(true), "{profile:?}");
        peer = Downstream::connect(profile, port, name, "us")?;
        assert_eq!(peer.handshake(1_500)?, Answer::Disconnected(0x83), "{profile:?}");

        // Lies and garbage end the connection and nothing else (W-25).
        for garbage in [&b"\x83\x61\x01"[..], b"", b"\x83\x50\x7f\xff\xff\xff\x78\x9c\x03"] {
            peer = Downstream::connect(profile, port, name, "us")?;
            peer.handshake(3_000)?;
            assert_eq!(peer.send_garbage(garbage)?, 0x83, "{profile:?} {garbage:?}");
        }
    }
    subscriber.expect_silence()
}

// 8.1-8, W-21: a remote of another name
#[test]
fn a_remote_with_another_name_than_the_link_is_reported() -> anyhow::Result<()> {
    let us = Setup::default().start("us", 1)?;
    let remote = Upstream::start("its-real-name", Profile::P5)?;
    let server = remote.address().to_string();
    create_link(&us, &json!({"name": "eu", "server": server, "topics": ["#"], "pool_size": 1}))?;
    let link =
        link_becomes(&us, "eu", |link| link["reason"]["code"] == "bad_remote_cluster_link_name")?;
    assert_eq!(link["replication_status"], "rejected");
    // And the other way round: it means somebody else.
    let port = us.nodes[0].mqtt_port();
    let mut peer = Downstream::connect(Profile::P5, port, "eu", "somebody-else")?;
    let refused = |reason: &str| Answer::Result(InitResult::Refused { reason: reason.into() });
    assert_eq!(peer.handshake(1)?, refused("bad_remote_cluster_link_name"));
    let mut stranger = Downstream::connect(Profile::P5, port, "nobody", "us")?;
    assert_eq!(stranger.handshake(1)?, refused("unknown_cluster"));
    Ok(())
}
