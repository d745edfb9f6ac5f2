//! Messages for a shared group that a node was to hold for its member, when that node dies again
//! and again (found by the chaos suite).

use std::time::Duration;

use cluster_tests::client::{Client, Connect};
use cluster_tests::harness::Cluster;

const MESSAGES: u8 = 30;

#[test]
fn spooled_messages_of_a_group_survive_a_second_death_of_the_member_s_node() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("trio", 3)?;
    let mut members = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let connect = Connect::new(&format!("m{index}")).persistent();
        let (mut member, _) = Client::connect(node.mqtt_port(), &connect)?;
        member.subscribe("$share/g/job", 1)?;
        members.push(member);
    }
    cluster.nodes[2].kill();
    let mut publisher = Client::simple(cluster.nodes[1].mqtt_port(), "pub")?;
    for number in 0..MESSAGES {
        assert_eq!(publisher.publish("job", &[number], 1)?, 0);
    }
    // The spool comes over while nobody has connected yet, and the node dies in the middle of it.
    for pause_ms in [0, 5, 20, 60, 150] {
        cluster.nodes[2].start()?;
        std::thread::sleep(Duration::from_millis(pause_ms));
        cluster.nodes[2].kill();
    }
    cluster.nodes[2].start()?;
    let connect = Connect::new("m2").persistent();
    let (last, present) = Client::connect(cluster.nodes[2].mqtt_port(), &connect)?;
    assert!(present);
    members[2] = last;
    std::thread::sleep(Duration::from_millis(1_500));
    let mut got = Vec::new();
    for member in &mut members {
        got.extend(member.payloads_until_silence()?);
    }
    got.sort_unstable();
    assert_eq!(got, (0..MESSAGES).map(|n| vec![n]).collect::<Vec<_>>());
    Ok(())
}
