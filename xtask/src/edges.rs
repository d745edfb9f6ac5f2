//! The arrows between our crates: `node → api → mqtt, raft, linking → pure crates → mqtt/topic`.
//!
//! A crate may use what stands in a lower layer; the three shells of the middle never use each
//! other, and pure crates know neither runtimes nor sockets.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

/// Crate → layer. An arrow must lead from a higher layer to a lower one.
const LAYERS: &[(&str, u8)] = &[
    ("spanmq-topic", 0),
    ("spanmq-session", 1),
    ("spanmq-access", 1),
    ("spanmq-forward", 1),
    ("spanmq-state", 1),
    ("spanmq-link-protocol", 1),
    ("spanmq-api-model", 1),
    ("spanmq-segment", 1),
    ("spanmq-port", 1),
    ("spanmq-config", 2),
    ("spanmq-mqtt", 3),
    ("spanmq-raft", 3),
    ("spanmq-linking", 3),
    ("spanmq-api", 4),
    ("spanmq", 5),
    ("cluster-tests", 6),
    ("spanmq-bench", 6),
    ("xtask", 7),
];

/// Pure crates: no runtime, no sockets, no TLS.
const PURE: &[&str] = &[
    "spanmq-topic",
    "spanmq-session",
    "spanmq-access",
    "spanmq-forward",
    "spanmq-state",
    "spanmq-link-protocol",
    "spanmq-api-model",
    "spanmq-config",
];

/// What a pure crate must not depend on, directly.
const SHELL_ONLY: &[&str] =
    &["actix", "actix-rt", "actix-web", "openraft", "tokio", "rustls", "socket2", "redb"];

/// Checks every workspace crate against the layers.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in packages(root)? {
        let Some(&layer) = layers.get(name.as_str()) else {
            wrong.push(format!("{name}: not in the layers of xtask/src/edges.rs; add it there"));
            continue;
        };
        for dependency in dependencies {
            wrong.extend(bad_arrow(&layers, &name, layer, &dependency));
        }
    }
    if !wrong.is_empty() {
        bail!("crate edges:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

fn bad_arrow(
    layers: &BTreeMap<&str, u8>,
    name: &str,
    layer: u8,
    dependency: &str,
) -> Option<String> {
    let shell = SHELL_ONLY.contains(&dependency) || dependency.starts_with("ntex");
    if PURE.contains(&name) && shell {
        return Some(format!("{name} is pure and must not use {dependency}"));
    }
    let lower = *layers.get(dependency)?;
    (lower >= layer).then(|| format!("{name} must not use {dependency}: arrows point down"))
}

/// Workspace packages with the names of their normal dependencies.
fn packages(root: &Path) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("no packages in the metadata")?;
    Ok(packages.iter().map(package).collect())
}

fn package(package: &Value) -> (String, Vec<String>) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let normal = |d: &&Value| d["kind"].is_null();
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    (text(&package["name"]), dependencies.iter().filter(normal).map(|d| text(&d["name"])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_of_the_middle_must_not_use_another_one() {
        let layers = LAYERS.iter().copied().collect();
        assert!(bad_arrow(&layers, "spanmq-mqtt", 3, "spanmq-raft").is_some());
        assert!(bad_arrow(&layers, "spanmq-mqtt", 3, "spanmq-topic").is_none());
    }

    #[test]
    fn a_pure_crate_must_not_know_a_runtime() {
        let layers = LAYERS.iter().copied().collect();
        assert!(bad_arrow(&layers, "spanmq-state", 1, "tokio").is_some());
        assert!(bad_arrow(&layers, "spanmq-session", 1, "ntex-io").is_some());
        assert!(bad_arrow(&layers, "spanmq-session", 1, "bytes").is_none());
    }
}
