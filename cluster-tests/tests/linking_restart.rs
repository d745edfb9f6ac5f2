//! A link right after its node was started again: what is acknowledged in that moment crosses, too
//! (LINK-SPEC 0.1: appended before the acknowledgement).

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::Client;
use cluster_tests::harness::eventually;
use cluster_tests::harness::links::{Setup, linked, routes_learnt};

const RESTARTS: u8 = 5;
const EACH: u8 = 20;

#[test]
fn what_is_acknowledged_right_after_a_restart_crosses() -> anyhow::Result<()> {
    let (mut a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("g/#", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let port = a.nodes[0].mqtt_port();
    let mut acknowledged = BTreeSet::new();
    for restart in 0..RESTARTS {
        a.nodes[0].kill();
        a.nodes[0].spawn()?;
        // As soon as anybody answers, long before the node says that it is ready.
        let mut publisher = eventually(Duration::from_secs(20), || {
            Client::simple(port, &format!("early{restart}"))
        })?;
        for number in 0..EACH {
            let code = publisher.publish("g/x", &[restart, number], 1)?;
            assert_eq!(code, 0, "restart {restart}, message {number}: the route is known");
            acknowledged.insert(vec![restart, number]);
        }
        a.nodes[0].wait_ready()?;
    }
    while !acknowledged.is_empty() {
        let next = subscriber.payload();
        acknowledged.remove(&next.with_context(|| format!("missing: {acknowledged:?}"))?);
    }
    Ok(())
}
