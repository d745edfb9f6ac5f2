//! The `spanmq` binary.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod alarms;
mod cli;
mod demo;
mod link_topics;
mod seed;
mod start;
mod upkeep;
mod watch;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Start(args) => match cli::load_start(&args) {
            Ok(loaded) => run(loaded, args.exit_with_stdin),
            Err(errors) => {
                cli::report(&errors);
                cli::Exit::Failed
            }
        },
        cli::Command::Demo(args) => match demo::run(&args) {
            Ok(true) => cli::Exit::Ok,
            Ok(false) => cli::Exit::Failed,
            Err(error) => cli::fail(format!("{error:#}")),
        },
        cli::Command::Cluster(args) => cli::run_cluster(&args),
        cli::Command::Config(args) => cli::run_config(&args),
        cli::Command::Link(args) => cli::run_link(&args),
        cli::Command::Repair(args) => cli::run_repair(&args),
        cli::Command::Completions(args) => cli::run_completions(&args),
        cli::Command::Version(args) => cli::run_version(&args),
    }
    .into()
}

fn run(loaded: spanmq_config::Loaded, exit_with_stdin: bool) -> cli::Exit {
    match start::run(loaded, exit_with_stdin) {
        Ok(()) => cli::Exit::Ok,
        Err(error) => cli::fail(format!("{error:#}")),
    }
}
