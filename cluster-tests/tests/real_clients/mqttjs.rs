//! MQTT.js of npm over WebSocket; the scenarios are in `clients/mqttjs_client.mjs`.

use std::process::Command;

use anyhow::Context;

use crate::node;
use crate::tools::{Running, missing, program, scripts};

fn run(version: &str) -> anyhow::Result<()> {
    let installed = scripts().join("node_modules/mqtt").is_dir();
    let Some(javascript) = program("node").filter(|_| installed) else {
        missing("MQTT.js", "install Node.js and run npm ci in cluster-tests/clients");
        return Ok(());
    };
    let node = node();
    let address = node.addresses().mqtt.get("ws:default").context("a WebSocket listener")?;
    let mut command = Command::new(javascript);
    command.arg(scripts().join("mqttjs_client.mjs")).arg(format!("ws://{address}/mqtt"));
    Running::start(command.arg(version))?.finish()?;
    Ok(())
}

#[test]
fn mqtt_js_over_websocket_does_everything_in_3_1_1() -> anyhow::Result<()> {
    run("3.1.1")
}

#[test]
fn mqtt_js_over_websocket_does_everything_in_5_0() -> anyhow::Result<()> {
    run("5.0")
}
