//! `cargo xtask`: the commands of whoever works on SpanMQ; the same ones run locally and in CI.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod ci;
mod conformance;
mod edges;
mod settings;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests and checks of the SpanMQ workspace")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Every test that needs only Rust: builds the node first, then runs the test suite.
    Test {
        /// Passed on to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Everything `.ci/run` runs beside the tests: formatting, lints, tidy, licences, docs.
    Ci,
    /// Crate edges, file and function sizes, forbidden words.
    Tidy {
        /// Writes today's sizes into the ratchet instead of comparing with it.
        #[arg(long)]
        update: bool,
    },
    /// Writes docs/conformance.md from the statement ids that stand beside tests.
    Conformance {
        /// Fails when the file on disk differs from what would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Test { args } => test(&args),
        Task::Ci => ci::run(),
        Task::Tidy { update } => tidy::run(&root(), update),
        Task::Conformance { check } => conformance::run(&root(), check),
    }
}

/// Real-process tests start `target/debug/spanmq`, so it is built before they run.
fn test(args: &[String]) -> anyhow::Result<()> {
    cargo(&["build", "--package", "spanmq", "--features", "testing"])?;
    let mut all = vec!["test", "--workspace", "--no-fail-fast"];
    all.extend(args.iter().map(String::as_str));
    cargo(&all)
}

/// Folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Runs cargo in the workspace and fails with the command line when it fails.
fn cargo(args: &[&str]) -> anyhow::Result<()> {
    command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

fn command(program: &str, args: &[&str]) -> anyhow::Result<()> {
    eprintln!(
        "$ {} {}",
        Path::new(program).file_name().unwrap_or_default().display(),
        args.join(" ")
    );
    let status = Command::new(program)
        .args(args)
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("`{program} {}` failed: {status}", args.join(" "));
    }
    Ok(())
}
