//! paho-mqtt of PyPI; the scenarios are in `clients/paho_client.py`.

use std::process::Command;

use crate::node;
use crate::tools::{Running, missing, program, scripts};

fn run(version: &str) -> anyhow::Result<()> {
    let has_paho = |python: &std::path::PathBuf| {
        let found = Command::new(python).args(["-c", "import paho.mqtt.client"]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let Some(python) = program("python3").filter(has_paho) else {
        missing("paho-mqtt", "pip install -r .ci/requirements.txt");
        return Ok(());
    };
    let node = node();
    let mut command = Command::new(python);
    command.arg(scripts().join("paho_client.py")).arg(node.mqtt_port().to_string()).arg(version);
    Running::start(&mut command)?.finish()?;
    Ok(())
}

#[test]
fn paho_for_python_does_everything_in_3_1_1() -> anyhow::Result<()> {
    run("3.1.1")
}

#[test]
fn paho_for_python_does_everything_in_5_0() -> anyhow::Result<()> {
    run("5.0")
}
