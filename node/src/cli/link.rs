//! `spanmq link ls | show | add | edit | rm | enable | disable | pause | resume | test | explain`.

use std::path::PathBuf;

use super::remote::RemoteArgs;

/// Looks at links to other clusters and changes them.
#[derive(Debug, clap::Args)]
#[command(alias = "links")]
pub(crate) struct LinkArgs {
    #[command(subcommand)]
    pub command: LinkCommand,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum LinkCommand {
    #[command(alias = "list")]
    Ls(LsArgs),
    Show(ShowArgs),
    #[command(alias = "create")]
    Add(AddArgs),
    #[command(alias = "update")]
    Edit(EditArgs),
    #[command(alias = "delete")]
    Rm(RmArgs),
    Enable(EnableArgs),
    Disable(DisableArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Test(TestArgs),
    Explain(ExplainArgs),
}

/// Lists links with their status.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link ls
  spanmq link ls -o json")]
pub(crate) struct LsArgs {}

/// What `--wait` waits for: the status that the whole link has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WaitFor {
    Running,
    Disconnected,
    Stopped,
}

/// Shows one link: settings, status per node, counters, and what to do if it does not run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link show eu-west
  spanmq link show eu-west --wait running --timeout 30s   exits with 5 if it does not run by then")]
pub(crate) struct ShowArgs {
    /// Name of the link
    pub name: String,
    /// Wait until the link has this status
    #[arg(long, value_name = "STATUS")]
    pub wait: Option<WaitFor>,
}

/// The settings of a link that have flags of their own.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Settings {
    /// Address of an MQTT listener of the remote: HOST[:PORT], several separated by commas
    #[arg(long, value_name = "ADDR")]
    pub server: Option<String>,
    /// Topic filter that this cluster wants to receive; may be repeated
    #[arg(long = "topic", value_name = "FILTER")]
    pub topics: Vec<String>,
    /// Prefix of the client ids
    #[arg(long, value_name = "PREFIX")]
    pub clientid: Option<String>,
    /// User name for the remote
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// File with the password for the remote; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// CA that the remote's certificate comes from; turns TLS on
    #[arg(long, value_name = "FILE")]
    pub cacertfile: Option<PathBuf>,
    /// Settings as a JSON file; flags win over it. `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Makes a link to another cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link add eu-west --server mqtt.eu.example:1883 --topic 'global/#' --clientid clink-us-east-
  spanmq link add eu-west -f eu-west.json")]
pub(crate) struct AddArgs {
    /// Name of the remote cluster, as it calls itself
    pub name: String,
    #[command(flatten)]
    pub settings: Settings,
}

/// Changes a link; settings that are not given stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link edit eu-west --topic 'global/#' --topic 'fwd/#'")]
pub(crate) struct EditArgs {
    /// Name of the link
    pub name: String,
    #[command(flatten)]
    pub settings: Settings,
}

/// Deletes a link, with what its buffers hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link rm eu-west --yes")]
pub(crate) struct RmArgs {
    /// Name of the link
    pub name: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Turns a link on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link enable eu-west")]
pub(crate) struct EnableArgs {
    /// Name of the link
    pub name: String,
}

/// Turns a link off: nothing is sent, received or buffered. Disable it on the other side too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link disable eu-west")]
pub(crate) struct DisableArgs {
    /// Name of the link
    pub name: String,
}

/// Stops sending; matching messages are buffered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link pause eu-west")]
pub(crate) struct PauseArgs {
    /// Name of the link
    pub name: String,
}

/// Goes on sending, beginning with what was buffered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link resume eu-west")]
pub(crate) struct ResumeArgs {
    /// Name of the link
    pub name: String,
}

/// Tries a connection to the remote, step by step, without changing anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link test eu-west")]
pub(crate) struct TestArgs {
    /// Name of the link
    pub name: String,
}

/// Tells over which links a message on a topic would go, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq link explain global/alarms")]
pub(crate) struct ExplainArgs {
    /// Topic of the message
    pub topic: String,
}
