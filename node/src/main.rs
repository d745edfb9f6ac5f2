//! The `spanmq` binary.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Start(args) => match cli::load_start(&args) {
            Ok(_) => start_is_not_wired(),
            Err(errors) => {
                cli::report(&errors);
                cli::Exit::Failed
            }
        },
        cli::Command::Config(args) => cli::run_config(&args),
        cli::Command::Completions(args) => cli::run_completions(&args),
        cli::Command::Version(args) => cli::run_version(&args),
    }
    .into()
}

/// The configuration is good, but nothing yet connects the parts of a node.
fn start_is_not_wired() -> cli::Exit {
    cli::fail("this build checks its configuration but cannot run a node yet")
}
