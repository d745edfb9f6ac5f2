//! `spanmq cluster status | token | init | join | leave | remove | transfer-leader`.

use super::remote::RemoteArgs;
use super::start::SecretArg;

/// Looks at the cluster and changes its members.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub command: ClusterCommand,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClusterCommand {
    Status(StatusArgs),
    Token(TokenArgs),
    Init(InitArgs),
    Join(JoinArgs),
    Leave(LeaveArgs),
    Remove(RemoveArgs),
    TransferLeader(TransferLeaderArgs),
}

/// Shows members, leader, leases, and how many failures the cluster tolerates.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster status
  spanmq cluster status --wait 30s -o json   exits with 5 if not healthy by then")]
pub(crate) struct StatusArgs {
    /// Wait until every member is up and a leader is known
    #[arg(long, value_name = "TIME")]
    pub wait: Option<String>,
}

/// Prints the token with which nodes join.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster token
  spanmq cluster token --rotate   the old token is refused from now on")]
pub(crate) struct TokenArgs {
    /// Make a new token and void the old one
    #[arg(long)]
    pub rotate: bool,
}

/// Makes a new cluster of a node that waits with `--join` or nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster init --api http://127.0.0.1:18083")]
pub(crate) struct InitArgs {}

/// Lets the asked node join the cluster of these members.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster join 10.0.0.1:5370,10.0.0.2:5370 --token TOKEN")]
pub(crate) struct JoinArgs {
    /// Members: HOST:PORT, separated by commas
    #[arg(value_name = "SEEDS")]
    pub seeds: String,
    /// What `spanmq cluster token` prints on a member, or file://PATH
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<SecretArg>,
}

/// Lets the asked node leave its cluster; its data stays on disk.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster leave --yes")]
pub(crate) struct LeaveArgs {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Removes a member that does not come back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster remove n3@10.0.0.3 --yes")]
pub(crate) struct RemoveArgs {
    /// Name of the node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Hands leadership to another member, such as before maintenance.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster transfer-leader
  spanmq cluster transfer-leader n2@10.0.0.2")]
pub(crate) struct TransferLeaderArgs {
    /// The new leader; any up-to-date voter when left out
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
}
