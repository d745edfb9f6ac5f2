//! `cargo run --release -p spanmq-bench`: workloads against SpanMQ and other brokers, in
//! interleaved rounds (A B A B …), medians of which are compared.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod broker;
mod event_loop;
mod report;
mod scenario;
mod wire;
mod workload;

use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use broker::Recipe;
use wire::Version;

#[derive(Parser)]
#[command(name = "bench", about = "Workloads against SpanMQ and other brokers, side by side")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The workloads and what they do.
    List,
    /// Runs workloads and prints medians and ratios.
    Run {
        /// Names from `bench list`, or `all`.
        #[arg(required = true)]
        workloads: Vec<String>,
        /// The spanmq binary; build it with `cargo build --release`.
        #[arg(long, default_value = "target/release/spanmq")]
        spanmq: String,
        /// Another broker as `name=command`; `{port}` and `{dir}` are replaced.
        #[arg(long)]
        other: Vec<String>,
        /// Leaves mosquitto out.
        #[arg(long)]
        no_mosquitto: bool,
        /// Interleaved rounds.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Measured seconds of each run.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// MQTT version: 311 or 5.
        #[arg(long, default_value = "5", value_parser = ["311", "5"])]
        mqtt: String,
        /// One JSON object per run instead of the table.
        #[arg(long)]
        json: bool,
        /// Also writes the table as Markdown, with machine, versions and commands.
        #[arg(long)]
        report: Option<std::path::PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let Task::Run { workloads, spanmq, other, no_mosquitto, rounds, seconds, mqtt, json, report } =
        Args::parse().task
    else {
        for (name, meaning) in workload::WORKLOADS {
            println!("{name:<6} {meaning}");
        }
        return Ok(());
    };
    let version = if mqtt == "5" { Version::V5 } else { Version::V311 };
    let mut recipes = vec![Recipe::spanmq(&spanmq)];
    if !no_mosquitto {
        recipes.push(Recipe::mosquitto());
    }
    for text in &other {
        let (name, command) = text.split_once('=').context("--other wants name=command")?;
        recipes.push(Recipe { name: name.into(), command: command.into(), config: None });
    }
    let all = workloads.iter().any(|w| w == "all");
    let wanted = |name: &str| all || workloads.iter().any(|w| w == name);
    for name in &workloads {
        let known = name == "all" || workload::WORKLOADS.iter().any(|(w, _)| w == name);
        anyhow::ensure!(known, "no workload {name:?}; `bench list` shows them");
    }
    let mut outcomes = Vec::new();
    for (name, _) in workload::WORKLOADS.iter().filter(|(name, _)| wanted(name)) {
        for round in 1..=rounds {
            for recipe in &recipes {
                eprintln!("{name}, round {round} of {rounds}: {}", recipe.name);
                let outcome = workload::run(name, recipe, version, Duration::from_secs(seconds))?;
                if json {
                    println!("{}", serde_json::to_string(&outcome)?);
                }
                outcomes.push(outcome);
            }
        }
    }
    let table = report::table(&outcomes, &recipes);
    if !json {
        println!("{table}");
    }
    if let Some(path) = report {
        std::fs::write(&path, report::document(&table, &recipes, rounds, seconds, &mqtt)?)?;
    }
    Ok(())
}
