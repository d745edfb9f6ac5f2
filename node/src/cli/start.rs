//! `spanmq start`.

use std::path::PathBuf;

use spanmq_config::{ConfigErrors, Flags, Inputs, Loaded, Origin, Secret, Warning, load};

use super::out;

/// Starts a node.
///
/// Settings come from built-in defaults, the configuration file, the environment (SPANMQ_A__B sets
/// the key a.b) and flags; the later wins. `spanmq config show --effective --origin` tells what is
/// in force and where it comes from.
///
/// A node that has already joined a cluster ignores --init and --join, and says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Try it out on this machine only, without users and rules:
    spanmq start --dev
  The first node of a cluster, then a second one:
    spanmq start --config /etc/spanmq/spanmq.conf --node-name n1@10.0.0.1 --init
    spanmq cluster token
    spanmq start --node-name n2@10.0.0.2 --join 10.0.0.1:5370 --join-token TOKEN")]
pub(crate) struct StartArgs {
    /// Configuration file (HOCON); relative paths in it count from its folder
    #[arg(long, value_name = "FILE", env = "SPANMQ_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of everything the node stores [default: data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Name of the node, unique in the cluster [default: spanmq@127.0.0.1]
    #[arg(long, value_name = "NAME@HOST")]
    pub node_name: Option<String>,
    /// Name that linked clusters know this one by [default: emqxcl]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Address for MQTT; port 0 = any free one [default: 0.0.0.0:1883, with --dev loopback]
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub listen_mqtt: Option<String>,
    /// Address for the API and the web UI [default: 127.0.0.1:18083]
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub listen_api: Option<String>,
    /// Address for other members [default: 0.0.0.0:5370, with --dev loopback]
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub listen_cluster: Option<String>,
    /// Address that other members dial [default: host of the node name, port of --listen-cluster]
    #[arg(long, value_name = "ADDR", help_heading = "Addresses")]
    pub advertise_cluster: Option<String>,
    /// Make a new cluster, of which this node is the first member
    #[arg(long, conflicts_with = "join", help_heading = "Cluster")]
    pub init: bool,
    /// Join the cluster of these members: HOST:PORT, separated by commas
    #[arg(long, value_name = "SEEDS", help_heading = "Cluster")]
    pub join: Option<String>,
    /// What `spanmq cluster token` prints on a member, or file://PATH
    #[arg(long, value_name = "TOKEN", requires = "join", help_heading = "Cluster")]
    pub join_token: Option<SecretArg>,
    /// How long to try to join before giving up [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Cluster")]
    pub join_timeout: Option<String>,
    /// File that maps addresses of members to those actually dialled
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub dial_map: Option<PathBuf>,
    /// Let MQTT clients in without credentials
    #[arg(long, help_heading = "Access")]
    pub allow_anonymous: bool,
    /// Let the API leave loopback without TLS
    #[arg(long, help_heading = "Access")]
    pub insecure: bool,
    /// For trying out: loopback only, anonymous clients, no rules
    #[arg(long, help_heading = "Access")]
    pub dev: bool,
    /// End when standard input ends, so that the node does not outlive who started it
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
    /// Pause between two heartbeats of the leader
    #[arg(long, value_name = "MS", help_heading = "Timing (equal on all members)")]
    pub raft_heartbeat_ms: Option<u64>,
    /// Silence after which a member stands for election
    #[arg(long, value_name = "MS", help_heading = "Timing (equal on all members)")]
    pub raft_election_ms: Option<u64>,
    /// Log entries after which a snapshot is taken
    #[arg(long, value_name = "N", help_heading = "Timing (equal on all members)")]
    pub snapshot_after: Option<u64>,
    /// Silence after which an actor of a linked cluster counts as gone
    #[arg(long, value_name = "MS", help_heading = "Timing (equal on all members)")]
    pub link_actor_ttl_ms: Option<u64>,
    /// Pause between two collections of such actors
    #[arg(long, value_name = "MS", help_heading = "Timing (equal on all members)")]
    pub gc_interval_ms: Option<u64>,
}

/// A secret on the command line; `Debug` prints `***`.
#[derive(Debug, Clone)]
pub(crate) struct SecretArg(pub Secret);

impl std::str::FromStr for SecretArg {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Secret::new(text)))
    }
}

impl StartArgs {
    /// The arguments as the configuration takes them.
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            data_dir: self.data_dir.clone(),
            node_name: self.node_name.clone(),
            cluster_name: self.cluster_name.clone(),
            listen_mqtt: self.listen_mqtt.clone(),
            listen_api: self.listen_api.clone(),
            listen_cluster: self.listen_cluster.clone(),
            advertise_cluster: self.advertise_cluster.clone(),
            init: self.init,
            join: self.join.clone(),
            join_token: self.join_token.as_ref().map(|token| token.0.clone()),
            join_timeout: self.join_timeout.clone(),
            dial_map: self.dial_map.clone(),
            allow_anonymous: self.allow_anonymous,
            insecure: self.insecure,
            dev: self.dev,
            raft_heartbeat_ms: self.raft_heartbeat_ms,
            raft_election_ms: self.raft_election_ms,
            snapshot_after: self.snapshot_after,
            link_actor_ttl_ms: self.link_actor_ttl_ms,
            gc_interval_ms: self.gc_interval_ms,
        }
    }
}

/// Reads file, environment and flags of a start.
///
/// # Errors
/// Everything that is wrong; [`report`] prints it.
pub(crate) fn load_start(args: &StartArgs) -> Result<Loaded, ConfigErrors> {
    let inputs = Inputs { file: args.config.clone(), env: environment(), flags: args.flags() };
    load(&inputs, |path| std::fs::read_to_string(path))
}

/// The environment; names and values that are no UTF-8 are none of ours.
pub(super) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Prints what keeps a configuration from being used to standard error.
pub(crate) fn report(errors: &ConfigErrors) {
    for error in &errors.0 {
        out::error(Some(&error.origin.to_string()), &error.problem);
    }
}

/// Prints warnings to standard error, as long as there is no log.
pub(super) fn report_warnings(warnings: &[Warning]) {
    for warning in warnings {
        match warning {
            Warning::Advice { key, message, origin: Origin::Default } => {
                out::warning(None, format!("`{key}` {message}"));
            }
            notice if notice.is_notice() => out::notice(notice),
            other => out::warning(None, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use clap::Parser;

    fn start(line: &str) -> super::StartArgs {
        let words = format!("spanmq start {line}");
        match Cli::try_parse_from(words.split_whitespace()).unwrap().command {
            Command::Start(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_flags_of_a_start_are_read() {
        let args = start(
            "--config f --data-dir d --node-name n@h --cluster-name c --listen-mqtt 127.0.0.1:0 \
             --listen-api 127.0.0.1:0 --listen-cluster 127.0.0.1:0 --advertise-cluster h:1 \
             --join a:1,b:2 --join-token t0ken --join-timeout 5s --dial-map m --allow-anonymous \
             --insecure --dev --raft-heartbeat-ms 1 --raft-election-ms 2 --snapshot-after 3 \
             --link-actor-ttl-ms 4 --gc-interval-ms 5",
        );
        let flags = args.flags();
        assert_eq!(flags.join.as_deref(), Some("a:1,b:2"));
        assert_eq!(flags.gc_interval_ms, Some(5));
        assert!(flags.dev && flags.insecure && flags.allow_anonymous && !flags.init);
        assert!(!format!("{args:?}").contains("t0ken"));
    }

    #[test]
    fn init_and_join_are_refused_together() {
        let words = ["spanmq", "start", "--init", "--join", "a:1"];
        assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2);
    }
}
