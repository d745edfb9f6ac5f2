//! What a node is started with.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use spanmq_port::{Credentials, DialMap, JoinToken, PortTuning};

use crate::{batcher::BatchLimits, fatal::FatalHook};

/// How a node with an empty data directory comes to its cluster. A directory that belongs to a
/// cluster is started as it is; the flags are then ignored with a notice (CHAOS J6).
#[derive(Debug, Clone, Default)]
pub enum Formation {
    /// `--init`: make a new cluster, of which this node is the first member.
    Init,
    /// `--join`: ask these members, in turn, until one lets us in.
    Join {
        /// `host:port` of cluster ports; our own may be among them.
        seeds: Vec<String>,
        /// From `spanmq cluster token`; not needed with `--dev` or own certificates.
        token: Option<JoinToken>,
        /// How long to try. `None`: for ever.
        timeout: Option<Duration>,
    },
    /// Wait for [`RaftNode::init_cluster`](crate::RaftNode::init_cluster).
    #[default]
    Wait,
}

/// How the cluster port is protected.
#[derive(Debug, Clone, Default)]
pub enum PortSecurity {
    /// A CA of the cluster's own, made by `--init` and handed on by join token.
    #[default]
    ClusterCa,
    /// The operator's certificates.
    Given(Arc<Credentials>),
    /// `--dev`: plain text between loopback addresses.
    Dev,
}

/// What others are told of this node besides its cluster port.
#[derive(Debug, Clone, Default)]
pub struct Announcement {
    /// `host:port` of the REST API, as other nodes reach it.
    pub api_addr: String,
    /// `scheme://host:port` of the MQTT listeners.
    pub mqtt_addrs: Vec<String>,
    /// The build, for people.
    pub version: String,
    /// The highest feature level this build can apply.
    pub features: u32,
}

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct RaftOptions {
    pub data_dir: PathBuf,
    /// `NAME@HOST`.
    pub node_name: String,
    /// `cluster.name`.
    pub cluster_name: String,
    /// Where the cluster port listens; port 0 = any free one.
    pub listen: SocketAddr,
    /// `host:port` given to other members; `None` = the address in use.
    pub advertise: Option<String>,
    pub formation: Formation,
    pub security: PortSecurity,
    pub announcement: Announcement,
    pub dial_map: DialMap,
    pub port: PortTuning,
    /// Pause between two heartbeats of the leader. A round trip between members must be shorter.
    /// Default: 150 ms.
    pub heartbeat: Duration,
    /// Silence of the leader after which a member has stood for election, at the latest.
    /// Default: 1 s.
    pub election: Duration,
    /// Log entries after which a snapshot is taken. Default: 20,000.
    pub snapshot_after: u64,
    /// Most members that vote; further ones are learners. Default: 5.
    pub voters_max: usize,
    /// Length of a lease (ARCHITECTURE §4). Default: 3 s.
    pub lease: Duration,
    /// How long a member may lag before its lease is no longer renewed. Default: 1 s.
    pub lag_max: Duration,
    /// How long after the end of a member's lease its routes go. Default: 2 s.
    pub gone_after: Duration,
    /// How long a proposal waits for a leader and a quorum. Default: 5 s.
    pub propose_timeout: Duration,
    pub batch: BatchLimits,
    /// What ends the process when going on would be wrong.
    pub on_fatal: FatalHook,
}

impl RaftOptions {
    /// Options with all defaults.
    pub fn new(
        data_dir: impl Into<PathBuf>,
        node_name: impl Into<String>,
        cluster_name: impl Into<String>,
        listen: SocketAddr,
    ) -> Self {
        Self {
            data_dir: data_dir.into(),
            node_name: node_name.into(),
            cluster_name: cluster_name.into(),
            listen,
            advertise: None,
            formation: Formation::Wait,
            security: PortSecurity::ClusterCa,
            announcement: Announcement::default(),
            dial_map: DialMap::default(),
            port: PortTuning::default(),
            heartbeat: Duration::from_millis(150),
            election: Duration::from_secs(1),
            snapshot_after: 20_000,
            voters_max: 5,
            lease: crate::lease::LEASE,
            lag_max: crate::lease::LAG_MAX,
            gone_after: Duration::from_secs(2),
            propose_timeout: Duration::from_secs(5),
            batch: BatchLimits::default(),
            on_fatal: FatalHook::default(),
        }
    }

    /// openraft's settings. A follower stands for election when the leader's lease (openraft's
    /// `election_timeout_max`) and a random time up to as much again have passed in silence, so
    /// half of [`RaftOptions::election`] goes to each.
    pub(crate) fn raft_config(&self) -> openraft::Config {
        let heartbeat = ms(self.heartbeat).max(1);
        let longest = (ms(self.election) / 2).max(heartbeat + 2);
        openraft::Config {
            cluster_name: self.cluster_name.clone(),
            heartbeat_interval: heartbeat,
            election_timeout_max: longest,
            election_timeout_min: (longest * 3 / 5).max(heartbeat + 1),
            install_snapshot_timeout: 120_000,
            max_payload_entries: 256,
            replication_lag_threshold: self.snapshot_after.saturating_mul(2).max(1_000),
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_after),
            max_in_snapshot_log_to_keep: (self.snapshot_after / 10).min(1_000),
            purge_batch_size: 64.min(self.snapshot_after),
            ..openraft::Config::default()
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_times_openraft_accepts_them_and_a_silent_leader_is_replaced_in_time() {
        for (heartbeat, election) in
            [(150, 1_000), (10, 30), (10_000, 60_000), (100, 600), (500, 600)]
        {
            let mut options = RaftOptions::new("x", "n1@a", "east", ([127, 0, 0, 1], 0).into());
            options.heartbeat = Duration::from_millis(heartbeat);
            options.election = Duration::from_millis(election);
            let config = options.raft_config().validate().unwrap();
            if election > 3 * heartbeat {
                assert!(config.election_timeout_max * 2 <= election);
            }
        }
    }
}
