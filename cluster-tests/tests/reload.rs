//! SIGHUP: rules that were taken away end what they allowed (SECURITY A7).

use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::{Client, Packet};
use cluster_tests::harness::{Cluster, NodeOptions, eventually};
use nix::sys::signal::Signal;

const ALL: &str = "{allow, all, all, [\"#\"]}.\n";
const LESS: &str = "{deny, all, all, [\"secret/#\"]}.\n{allow, all, all, [\"#\"]}.\n";

// A7, A8
#[test]
fn a_reload_ends_what_is_forbidden_now_and_a_bad_file_changes_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let rules = dir.path().join("acl.conf");
    std::fs::write(&rules, ALL)?;
    let config =
        format!("authorization.sources = [{{type = file, path = \"{}\"}}]\n", rules.display());
    let options = NodeOptions { config: Some(config), ..NodeOptions::default() };
    let cluster = Cluster::start_with("one", 1, &options)?;
    let node = &cluster.nodes[0];
    let mut client = Client::simple(node.mqtt_port(), "c")?;
    client.subscribe("secret/1", 1)?;
    assert_eq!(client.publish("secret/1", b"x", 1)?, 0);
    client.payload()?;

    std::fs::write(&rules, "")?;
    node.signal(Signal::SIGHUP)?;
    eventually(Duration::from_secs(10), || {
        node.log().contains("the former ones hold").then_some(()).context("not refused yet")
    })?;
    assert_eq!(client.publish("secret/1", b"y", 1)?, 0, "the former rules hold");
    client.payload()?;

    std::fs::write(&rules, LESS)?;
    node.signal(Signal::SIGHUP)?;
    eventually(Duration::from_secs(10), || {
        let code = client.publish("secret/1", b"z", 1)?;
        anyhow::ensure!(code == 0x87, "PUBACK 0x{code:02x}");
        Ok(())
    })?;
    let mut other = Client::simple(node.mqtt_port(), "other")?;
    assert_eq!(other.subscribe_with(&[("secret/1", 1)], &[])?, [0x87]);
    // Nobody is subscribed any more, and the connection stays.
    let left = client.payloads_until_silence()?;
    assert!(left.iter().all(|payload| payload == b"z"), "{left:?}");
    other.subscribe("open", 0)?;
    assert!(matches!(other.publish("open", b"x", 0), Ok(0)));
    assert!(matches!(other.message()?, Packet::Publish { .. }));
    Ok(())
}
