//! Clients that we did not write, each in 3.1.1 and 5.0: subscribe and publish at every QoS,
//! retained messages, wills, shared subscriptions, sessions that outlive a connection.

use std::sync::LazyLock;

use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

mod mosquitto;
mod mqttjs;
mod paho;
mod rumqttc_client;
mod tools;

const CONFIG: &str = "listeners.ws.default.bind = \"127.0.0.1:0\"\n";

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let options = NodeOptions {
        flags: vec!["--dev".to_owned()],
        config: Some(CONFIG.to_owned()),
        ..NodeOptions::default()
    };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "real-clients", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}
