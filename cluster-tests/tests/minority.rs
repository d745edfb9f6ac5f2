//! `cluster.minority` on real nodes: what a node that has lost its majority does with QoS 1.

use std::time::Duration;

use cluster_tests::client::Client;
use cluster_tests::harness::{Cluster, NodeOptions, eventually};

const SETTLE: Duration = Duration::from_secs(20);

/// A node alone of three, with a subscriber and a publisher of its own from before: sessions are
/// claimed by decision of the majority.
fn alone(name: &str, minority: &str) -> anyhow::Result<(Cluster, Client, Client)> {
    let config = Some(format!("cluster.minority = {minority}\n"));
    let mut cluster =
        Cluster::start_with(name, 3, &NodeOptions { config, ..NodeOptions::default() })?;
    let mut subscriber = Client::simple(cluster.nodes[0].mqtt_port(), "s")?;
    subscriber.subscribe("t", 1)?;
    let publisher = Client::simple(cluster.nodes[0].mqtt_port(), "p")?;
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    eventually(SETTLE, || {
        let status = cluster.nodes[0].rest().get("/status")?.expect(200)?;
        anyhow::ensure!(status["quorum"] == false, "{status}");
        Ok(())
    })?;
    Ok((cluster, subscriber, publisher))
}

#[test]
fn a_strict_node_without_a_majority_refuses_qos_1() -> anyhow::Result<()> {
    let (_cluster, _subscriber, mut publisher) = alone("strict", "strict")?;
    // Its lease may last a moment longer.
    eventually(SETTLE, || {
        let code = publisher.publish("t", b"x", 1)?;
        anyhow::ensure!(code == 0x83, "{code:#x}");
        Ok(())
    })
}

#[test]
fn an_available_node_without_a_majority_goes_by_its_last_known_view() -> anyhow::Result<()> {
    let (_cluster, mut subscriber, mut publisher) = alone("available", "available")?;
    assert_eq!(publisher.publish("t", b"x", 1)?, 0);
    assert_eq!(subscriber.payload()?, b"x");
    Ok(())
}
