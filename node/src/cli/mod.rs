//! The command line: what can be said, as plain values. Those who carry it out come after.
//!
//! One file per command, with its help and its examples. Help lists nothing that does nothing.

mod client;
mod cluster;
mod completions;
mod config;
mod exit;
mod link;
mod link_run;
mod out;
mod remote;
mod repair;
mod start;
mod version;
mod yaml;

pub(crate) use cluster::{ClusterArgs, run_cluster};
pub(crate) use completions::{CompletionsArgs, run_completions};
pub(crate) use config::{ConfigArgs, run_config};
pub(crate) use exit::Exit;
pub(crate) use link::LinkArgs;
pub(crate) use link_run::run_link;
pub(crate) use out::fail;
pub(crate) use repair::{RepairArgs, run_repair};
pub(crate) use start::{StartArgs, load_start, report};
pub(crate) use version::{VersionArgs, run_version};

/// A clustered MQTT broker whose heart is cluster linking.
#[derive(Debug, clap::Parser)]
#[command(name = "spanmq", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Start(Box<StartArgs>),
    Demo(crate::demo::DemoArgs),
    Cluster(Box<ClusterArgs>),
    Config(ConfigArgs),
    Link(Box<LinkArgs>),
    Repair(RepairArgs),
    Completions(CompletionsArgs),
    Version(VersionArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let leaf = command.get_subcommands().next().is_none();
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || examples.contains("Examples:"), "{path} has no examples");
            assert!(command.get_about().is_some(), "{path} says nothing about itself");
            command.get_subcommands().for_each(|sub| visit(sub, &path));
        }
        visit(&Cli::command(), "");
    }

    #[test]
    fn wrong_usage_exits_with_2() {
        let error = Cli::try_parse_from(["spanmq", "start", "--no-such"]).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
    }
}
