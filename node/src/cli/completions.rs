//! `spanmq completions`.

use clap::CommandFactory;

use super::{Cli, Exit, out};

/// Prints a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq completions bash > /etc/bash_completion.d/spanmq
  spanmq completions zsh > ~/.zfunc/_spanmq
  spanmq completions fish > ~/.config/fish/completions/spanmq.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

pub(crate) fn run_completions(args: &CompletionsArgs) -> Exit {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "spanmq", &mut script);
    out::print(String::from_utf8_lossy(&script))
}
