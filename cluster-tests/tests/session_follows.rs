//! A session moves to another node while a third holds acknowledged messages for its old one: they
//! follow it.

use std::time::Duration;

use cluster_tests::chaos::grid::{Grid, Way};
use cluster_tests::chaos::plan::Plan;
use cluster_tests::client::{Client, Connect};
use cluster_tests::harness::{Cluster, Fault, eventually};

const SETTLE: Duration = Duration::from_secs(20);

/// The numbers from 0 on, each once; QoS 1 may come twice. Order is not promised for what is late.
fn read_all(client: &mut Client, count: u8) -> anyhow::Result<()> {
    let mut got = Vec::new();
    while got.len() < usize::from(count) {
        let payload = client.payload()?;
        if !got.contains(&payload) {
            got.push(payload);
        }
    }
    got.sort_unstable();
    assert_eq!(got, (0..count).map(|number| vec![number]).collect::<Vec<_>>());
    Ok(())
}

// CHAOS P1
#[test]
fn what_a_node_holds_for_a_dead_one_follows_the_session_to_a_third() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("trio", 3)?;
    let publishes = cluster.leader()?;
    let (dies, third) = ((publishes + 1) % 3, (publishes + 2) % 3);
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(cluster.nodes[dies].mqtt_port(), &connect)?;
    keeper.subscribe("q", 1)?;
    drop(keeper);
    let mut publisher = Client::simple(cluster.nodes[publishes].mqtt_port(), "pub")?;
    for number in 0..10u8 {
        assert_eq!(publisher.publish("q", &[number], 1)?, 0);
    }
    cluster.nodes[dies].kill();
    for number in 10..30u8 {
        assert_eq!(publisher.publish("q", &[number], 1)?, 0, "message {number}");
    }
    let (mut keeper, present) = Client::connect(cluster.nodes[third].mqtt_port(), &connect)?;
    assert!(present);
    cluster.nodes[dies].start()?;
    read_all(&mut keeper, 30)
}

// CHAOS P1, P2: the messages are acknowledged, and wait for a node that their publisher's cannot
// reach; the session leaves that node by the book.
#[test]
fn what_a_node_holds_for_one_it_cannot_reach_follows_the_session() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let plan = Plan { nodes: 3, remote_nodes: 0, ..Plan::default() };
    let grid = Grid::start(&plan, dir.path())?;
    let leads = grid.leader().ok_or_else(|| anyhow::anyhow!("no leader"))?;
    let (publishes, owns) = ((leads + 1) % 3, (leads + 2) % 3);
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(grid.mqtt_port(owns), &connect)?;
    keeper.subscribe("q/+", 2)?;
    let mut publisher = Client::simple(grid.mqtt_port(publishes), "pub")?;
    assert_eq!(publisher.publish("q/1", &[0], 2)?, 0);
    assert_eq!(keeper.payload()?, [0]);

    let between = |way| match way {
        Way::Peer { from, to } => {
            (from, to) == (publishes, owns) || (from, to) == (owns, publishes)
        }
        _ => false,
    };
    assert_eq!(grid.apply(1, Fault::partition(), between), 2);
    for number in 1..20u8 {
        let qos = if number % 2 == 0 { 1 } else { 2 };
        assert_eq!(publisher.publish("q/1", &[number], qos)?, 0, "message {number}");
    }
    let (mut keeper, present) = Client::connect(grid.mqtt_port(leads), &connect)?;
    assert!(present);
    assert_eq!(publisher.publish("q/2", &[20], 2)?, 0);
    assert_eq!(keeper.payload()?, [20], "the way to the new node is open");
    grid.lift(1);
    let mut got = vec![vec![0], vec![20]];
    while got.len() < 21 {
        got.push(keeper.payload()?);
    }
    keeper.expect_silence()?;
    got.sort_unstable();
    assert_eq!(got, (0..21u8).map(|number| vec![number]).collect::<Vec<_>>());

    let metrics = grid.direct(owns, SETTLE).get("/prometheus/stats")?.text;
    let line = metrics.lines().find(|line| line.starts_with("spanmq_messages_followed"));
    let followed = line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
    anyhow::ensure!(followed.is_some_and(|count| count >= 19), "{line:?}");
    Ok(())
}

// CHAOS P1: the old node takes messages while it is alone; the session is taken over without it, and
// comes back the moment it can be reached again.
#[test]
fn a_session_that_comes_back_finds_what_its_node_held_alone() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let plan = Plan { nodes: 3, remote_nodes: 0, ..Plan::default() };
    let grid = Grid::start(&plan, dir.path())?;
    let leads = grid.leader().ok_or_else(|| anyhow::anyhow!("no leader"))?;
    let (alone, other) = ((leads + 1) % 3, (leads + 2) % 3);
    let connect = Connect::new("keeper").persistent();
    let (mut keeper, _) = Client::connect(grid.mqtt_port(alone), &connect)?;
    keeper.subscribe("q", 1)?;
    drop(keeper);
    let mut publisher = Client::simple(grid.mqtt_port(alone), "pub")?;
    assert_eq!(publisher.publish("q", &[0], 1)?, 0);

    let around = |way| matches!(way, Way::Peer { from, to } if from == alone || to == alone);
    assert_eq!(grid.apply(1, Fault::partition(), around), 4);
    for number in 1..10u8 {
        assert_eq!(publisher.publish("q", &[number], 1)?, 0, "message {number}");
    }
    // Its node does not answer: the others wait for it first.
    eventually(SETTLE, || {
        let (_, present) = Client::connect(grid.mqtt_port(other), &connect)?;
        anyhow::ensure!(present);
        Ok(())
    })?;
    grid.lift(1);
    let mut keeper = eventually(SETTLE, || {
        let (keeper, present) = Client::connect(grid.mqtt_port(alone), &connect)?;
        anyhow::ensure!(present);
        Ok(keeper)
    })?;
    read_all(&mut keeper, 10)
}
