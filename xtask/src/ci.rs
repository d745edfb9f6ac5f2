//! The checks beside the tests, in the order in which they fail fastest.

use std::process::Command;

use crate::{cargo, command, conformance, root, tidy};

pub(crate) fn run() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    tidy::run(&root(), false)?;
    conformance::run(&root(), true)?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    deny()?;
    docs()
}

/// Licences, bans and sources always; advisories where a database is at hand.
fn deny() -> anyhow::Result<()> {
    let there = Command::new("cargo").args(["deny", "--version"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        anyhow::ensure!(
            std::env::var_os("CI").is_none(),
            "cargo-deny is missing; .ci/run installs it"
        );
        eprintln!("cargo-deny is not installed: licences, bans and sources are not checked");
        return Ok(());
    }
    let mut args = vec!["deny", "check", "licenses", "bans", "sources"];
    match std::env::var_os("SPANMQ_ADVISORY_DB") {
        Some(_) => args.push("advisories"),
        None => eprintln!("SPANMQ_ADVISORY_DB is not set: advisories are not checked here"),
    }
    command("cargo", &args)
}

fn docs() -> anyhow::Result<()> {
    // Set for this process's children only; a broken link in the docs is an error.
    let status = Command::new("cargo")
        .args(["doc", "--workspace", "--lib", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .current_dir(root())
        .status()?;
    anyhow::ensure!(status.success(), "cargo doc failed");
    Ok(())
}
