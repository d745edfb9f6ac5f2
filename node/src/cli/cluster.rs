//! `spanmq cluster status | token | remove | transfer-leader`.

use std::time::Duration;

use comfy_table::{Table, presets::NOTHING};
use serde_json::{Value, json};

use super::Exit;
use super::client::{Client, Failure, confirmed, wait_for};
use super::out::{self, Format};
use super::remote::RemoteArgs;

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
    Remove(RemoveArgs),
    TransferLeader(TransferLeaderArgs),
}

/// What `--wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Condition {
    /// A leader is known and every member answers.
    Healthy,
}

/// Shows members, leader, and how many more failures the cluster tolerates.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster status
  spanmq cluster status --wait healthy --timeout 30s   exits with 5 if it is not by then
  spanmq cluster status -o json")]
pub(crate) struct StatusArgs {
    /// Wait until the cluster is so
    #[arg(long, value_name = "CONDITION", value_enum)]
    pub wait: Option<Condition>,
}

/// Prints a token with which nodes join. Whoever has it may become a member.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq cluster token
  spanmq cluster token --valid-for 10m > token
  spanmq start --node-name n2@10.0.0.2 --join 10.0.0.1:5370 --join-token file://token")]
pub(crate) struct TokenArgs {
    /// How long it is good for; 0s = without end
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        value_parser = humantime::parse_duration
    )]
    pub valid_for: Duration,
}

/// Removes a member that does not come back, or lets one leave; its data stays on its disk.
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
    /// The new leader; the voter whose log is furthest when left out
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
}

pub(crate) fn run_cluster(args: &ClusterArgs) -> Exit {
    let done = match &args.command {
        ClusterCommand::Status(status) => run_status(status, &args.remote),
        ClusterCommand::Token(token) => run_token(token, &args.remote),
        ClusterCommand::Remove(remove) => run_remove(remove, &args.remote),
        ClusterCommand::TransferLeader(transfer) => run_transfer(transfer, &args.remote),
    };
    done.unwrap_or_else(Failure::end)
}

/// The cluster with its members, as one document.
fn look(client: &Client) -> Result<Value, Failure> {
    let mut cluster = client.get("/cluster")?;
    cluster["nodes"] = client.get("/nodes")?;
    Ok(cluster)
}

fn is_healthy(cluster: &Value) -> bool {
    let nodes = cluster["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    cluster["quorum"] == true && nodes.iter().all(|node| node["node_status"] == "running")
}

fn run_status(args: &StatusArgs, remote: &RemoteArgs) -> Result<Exit, Failure> {
    let Some(Condition::Healthy) = args.wait else {
        return Ok(show(&look(&Client::new(remote)?)?, remote.output));
    };
    let (cluster, healthy) = wait_for(remote, look, is_healthy)?;
    let shown = show(&cluster, remote.output);
    match healthy {
        true => Ok(shown),
        false => Err(Failure::new(Exit::ConditionNotMet, "the cluster is not healthy yet")),
    }
}

fn show(cluster: &Value, format: Format) -> Exit {
    if format != Format::Table {
        return out::document(cluster, format);
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["NODE", "STATUS", "ROLE", "CLUSTER PORT", "VERSION"]);
    for node in cluster["nodes"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let fields = ["node", "node_status", "role", "cluster_addr", "version"];
        table.add_row(fields.map(|field| text(&node[field])));
    }
    let health = match (cluster["quorum"] == true, cluster["failures_tolerated"].as_u64()) {
        (false, _) => "no majority answers: changes wait, traffic goes on".to_owned(),
        (true, Some(1)) => "tolerates 1 more failure".to_owned(),
        (true, more) => format!("tolerates {} more failures", more.unwrap_or(0)),
    };
    let (name, leader) = (text(&cluster["name"]), text(&cluster["leader"]));
    let term = &cluster["term"];
    out::print(format!(
        "Cluster {name}: leader {leader} (term {term}), {health}\n{}\n",
        table.trim_fmt()
    ))
}

fn run_token(args: &TokenArgs, remote: &RemoteArgs) -> Result<Exit, Failure> {
    let body = json!({ "expires_in": args.valid_for.as_secs() });
    let answer = Client::new(remote)?.post("/cluster/join_token", &body)?;
    if remote.output != Format::Table {
        return Ok(out::document(&answer, remote.output));
    }
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    // The token alone on standard output, so that it can go into a file.
    out::notice(format!("good until {}; join with --join {}", text("expires_at"), text("seed")));
    Ok(out::print(format!("{}\n", text("token"))))
}

fn run_remove(args: &RemoveArgs, remote: &RemoteArgs) -> Result<Exit, Failure> {
    if !args.yes && !confirmed(&format!("Remove {} from the cluster?", args.node))? {
        return Err(Failure::new(Exit::Failed, "not removed"));
    }
    Client::new(remote)?.delete(&format!("/cluster/{}/force_leave", args.node))?;
    out::notice(format!("{} is no member any more", args.node));
    Ok(Exit::Ok)
}

fn run_transfer(args: &TransferLeaderArgs, remote: &RemoteArgs) -> Result<Exit, Failure> {
    let body = args.node.as_ref().map_or_else(|| json!({}), |node| json!({ "node": node }));
    Client::new(remote)?.post("/cluster/transfer_leader", &body)?;
    out::notice("leadership moves within a few seconds; `spanmq cluster status` shows who has it");
    Ok(Exit::Ok)
}
