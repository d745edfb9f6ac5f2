//! A link between two clusters of three nodes (LINK-SPEC 8.1-2).

use std::time::{Duration, Instant};

use cluster_tests::client::Client;
use cluster_tests::harness::links::{Setup, linked, metrics_become, routes_learnt};

// 8.1-2
#[test]
fn between_two_clusters_of_three_a_message_arrives_once_wherever_one_publishes()
-> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 3, 3, &["global/#"])?;
    let mut subscriber = Client::simple(b.nodes[2].mqtt_port(), "sub")?;
    subscriber.subscribe("global/#", 1)?;
    let subscribed = Instant::now();
    routes_learnt(&a.nodes[0], "b", 1)?;
    let took = subscribed.elapsed();
    assert!(took < Duration::from_secs(5), "a route takes about a second: {took:?}");
    for (index, node) in a.nodes.iter().enumerate() {
        let mut publisher = Client::simple(node.mqtt_port(), &format!("pub-{index}"))?;
        let payload = format!("from {index}");
        assert_eq!(publisher.publish("global/x", payload.as_bytes(), 1)?, 0);
        assert_eq!(subscriber.payload()?, payload.as_bytes());
    }
    subscriber.expect_silence()?;
    let metrics = metrics_become(&a.nodes[1], "b", |m| m["forwarding"]["success"] == 3)?;
    assert_eq!(metrics["forwarding"]["matched"], 3, "{metrics:#}");
    subscriber.unsubscribe("global/#")?;
    routes_learnt(&a.nodes[2], "b", 0)
}
