//! What becomes of the clients of a node that is gone.

use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::{Client, Connect, Packet};
use cluster_tests::harness::{Cluster, eventually};

const SETTLE: Duration = Duration::from_secs(30);

fn expect_will(watcher: &mut Client) -> anyhow::Result<()> {
    let packet =
        eventually(SETTLE, || watcher.receive(Duration::from_secs(5))?.context("no will yet"))?;
    match packet {
        Packet::Publish { payload, .. } if payload == b"gone" => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}

#[test]
fn the_will_of_a_client_whose_node_is_gone_is_published_by_another() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("wills", 3)?;
    let mut watcher = Client::simple(cluster.nodes[0].mqtt_port(), "watcher")?;
    watcher.subscribe("wills/#", 1)?;
    let connect = Connect::new("c").persistent().will("wills/c", b"gone", 1, false);
    let (_client, _) = Client::connect(cluster.nodes[2].mqtt_port(), &connect)?;
    cluster.nodes[2].kill();
    // Whoever takes the session over ends the former connection, whose node cannot say so.
    let (_again, present) =
        Client::connect(cluster.nodes[1].mqtt_port(), &Connect::new("c").persistent())?;
    assert!(present);
    expect_will(&mut watcher)
}

#[test]
fn the_clients_of_a_removed_member_are_ended_with_their_wills() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("removed", 3)?;
    let mut watcher = Client::simple(cluster.nodes[0].mqtt_port(), "watcher")?;
    watcher.subscribe("wills/#", 1)?;
    let connect = Connect::new("c").will("wills/c", b"gone", 1, false);
    let (_client, _) = Client::connect(cluster.nodes[2].mqtt_port(), &connect)?;
    cluster.nodes[2].kill();
    let rest = cluster.nodes[0].rest();
    let sessions = || -> anyhow::Result<u64> {
        let stats = rest.get("/stats")?.expect(200)?;
        stats[0]["cluster_sessions"].as_u64().with_context(|| stats.to_string())
    };
    assert_eq!(sessions()?, 2);
    eventually(SETTLE, || {
        let answer = rest.delete("/cluster/n3@127.0.0.1/force_leave")?;
        anyhow::ensure!(answer.status == 204, "{}: {}", answer.status, answer.text);
        Ok(())
    })?;
    expect_will(&mut watcher)?;
    eventually(SETTLE, || {
        let left = sessions()?;
        anyhow::ensure!(left == 1, "{left} sessions");
        Ok(())
    })
}
