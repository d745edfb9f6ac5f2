//! Many routes over a link (LINK-SPEC 8.1-19).
#![allow(clippy::print_stderr, reason = "measured times are worth showing")]

use std::time::{Duration, Instant};

use cluster_tests::client::Client;
use cluster_tests::harness::links::{
    Setup, create_link, link_becomes, link_body, metrics_become, routes_learnt, running,
};

const SESSIONS: usize = 10;
const FILTERS: usize = 10_000;
/// Filters in one SUBSCRIBE; a node takes 1,000.
const AT_ONCE: usize = 1_000;

// 8.1-19; the target is 5 s with a release build on a quiet machine (docs/benchmarks.md).
#[test]
fn a_hundred_thousand_routes_are_told_while_heartbeats_go_on() -> anyhow::Result<()> {
    let setup = Setup::default();
    let (a, b) = (setup.start("a", 1)?, setup.start("b", 1)?);
    let mut subscribers = Vec::new();
    for session in 0..SESSIONS {
        let mut client = Client::simple(b.nodes[0].mqtt_port(), &format!("s{session}"))?;
        for from in (0..FILTERS).step_by(AT_ONCE) {
            let filters: Vec<_> =
                (from..from + AT_ONCE).map(|number| format!("g/{session}/{number}/+")).collect();
            let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
            let codes = client.subscribe_with(&filters, &[])?;
            assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
        }
        subscribers.push(client);
    }
    create_link(&a, &link_body("a", &b, &[]))?;
    let start = Instant::now();
    create_link(&b, &link_body("b", &a, &["g/#"]))?;
    let all = u64::try_from(SESSIONS * FILTERS)?;
    routes_learnt(&a.nodes[0], "b", all)?;
    let took = start.elapsed();
    running(&b, "a")?;
    let metrics = metrics_become(&b.nodes[0], "a", |m| m["replication"]["pending"] == 0)?;
    eprintln!("{all} routes in {took:?}; {:#}", metrics["replication"]);
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(metrics["replication"]["bootstraps"], 1, "{metrics:#}");
    // Nobody took the other side for dead meanwhile.
    for (cluster, link) in [(&a, "b"), (&b, "a")] {
        let path = format!("/cluster/links/link/{link}/events");
        let events = cluster.nodes[0].rest().get(&path)?.expect(200)?.to_string();
        assert!(!events.contains("timeout") && !events.contains("connection_lost"), "{events}");
    }
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    for session in [0, SESSIONS - 1] {
        assert_eq!(publisher.publish(&format!("g/{session}/777/x"), b"found", 1)?, 0);
        assert_eq!(subscribers[session].payload()?, b"found");
    }
    drop(subscribers);
    link_becomes(&a, "b", |link| link["status"] == "running")?;
    routes_learnt(&a.nodes[0], "b", 0)
}
