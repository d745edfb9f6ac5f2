//! Cluster, Raft and links.

use std::path::PathBuf;
use std::time::Duration;

use super::LinkSeeds;
use crate::declare::{choice, settings};
use crate::scalars::bind;
use crate::setting::Scalar;
use crate::types::{BindAddr, ClusterName, HostPort};
use spanmq_link_protocol::config::Secret;

choice! {
    /// When a SUBACK goes out (ARCHITECTURE.md §4).
    pub enum SubscribeVisibility {
        /// When every member with a lease knows the subscription.
        Cluster = "cluster",
        /// When the client's own node knows it.
        Local = "local",
    }
}

choice! {
    /// What a node without quorum does with QoS 1/2 (ARCHITECTURE.md §4).
    pub enum MinorityMode {
        /// Acknowledges when all targets of the last known view are held.
        Available = "available",
        /// Acknowledges nothing.
        Strict = "strict",
    }
}

choice! {
    /// What the truth about links is (LINK-SPEC 0.1).
    pub enum LinksSource {
        /// The replicated list; the file only seeds it.
        Runtime = "runtime",
        /// The file; REST writes answer 409.
        File = "file",
    }
}

settings! {
    /// The cluster this node belongs to.
    pub struct ClusterConfig {
        /// The name that linked clusters know this one by.
        "name" => name: ClusterName = Scalar::blank(),
        /// Where other members connect to. Port 0 = any free one.
        "listen" => listen: BindAddr = bind([0, 0, 0, 0], 5370),
        /// The address given to other members; absent = host of `node.name`, port of `cluster.listen`.
        "advertise" => advertise: Option<HostPort> = None,
        /// Make a new cluster, of which this node is the first member.
        "init" => init: bool = false,
        /// Join an existing cluster.
        "join" => join: JoinConfig = JoinConfig::default(),
        /// File that maps addresses of members to those actually dialled (tests, NAT).
        "dial_map" => dial_map: Option<PathBuf> = None,
        /// Own certificates for the cluster port, instead of the cluster CA's.
        "ssl" => ssl: Option<ClusterTlsConfig> = None,
        /// When a SUBACK goes out: cluster or local.
        "subscribe_visibility" => subscribe_visibility: SubscribeVisibility = SubscribeVisibility::Cluster,
        /// What a node without quorum does with QoS 1/2: available or strict.
        "minority" => minority: MinorityMode = MinorityMode::Available,
        /// Most members that vote; further ones are learners.
        "voters_max" => voters_max: u32 = 5 => 1..=9,
        /// The truth about links: runtime (the replicated list; the file seeds it once), or file: each
        /// start makes the list that of this node's file, so all members need the same one, and
        /// changes over REST are refused (409).
        "links_source" => links_source: LinksSource = LinksSource::Runtime,
        /// Links to other clusters (LINK-SPEC 1.1).
        "links" => links: LinkSeeds = LinkSeeds::default(),
    }
}

settings! {
    /// How to join an existing cluster.
    pub struct JoinConfig {
        /// Addresses of members, `HOST:PORT`. Empty = do not join.
        "seeds" => seeds: Vec<HostPort> = vec![],
        /// The token that `spanmq cluster token` prints.
        "token" => token: Option<Secret> = None,
        /// How long to try before the start fails.
        "timeout" => timeout: Duration = Duration::from_secs(60),
    }
}

settings! {
    /// Own certificates for the cluster port.
    pub struct ClusterTlsConfig {
        /// CA that all members' certificates come from.
        "cacertfile" => cacertfile: Option<PathBuf> = None,
        /// This node's certificate.
        "certfile" => certfile: Option<PathBuf> = None,
        /// Its key.
        "keyfile" => keyfile: Option<PathBuf> = None,
    }
}

settings! {
    /// Timing of the control group. Equal on all members.
    pub struct RaftConfig {
        /// Pause between two heartbeats of the leader.
        "heartbeat_interval" => heartbeat_interval: Duration = Duration::from_millis(100)
            => Duration::from_millis(10)..=Duration::from_secs(10),
        /// Silence after which a member stands for election; up to twice that at random.
        "election_timeout" => election_timeout: Duration = Duration::from_millis(600)
            => Duration::from_millis(30)..=Duration::from_secs(60),
        /// Log entries after which a snapshot is taken.
        "snapshot_after" => snapshot_after_entries: u64 = 20_000 => 1..=u64::MAX,
    }
}

settings! {
    /// Behaviour common to all links.
    pub struct LinksConfig {
        /// How long the routes of a silent remote are kept; 0s = EMQX's way (LINK-SPEC 0.1).
        "route_hold" => route_hold: Duration = Duration::from_secs(86_400),
        /// Pause between full route syncs with remotes that need them; 0s = off.
        "resync_interval" => resync_interval: Duration = Duration::from_secs(600),
        /// Silence after which a remote's actor counts as gone (LINK-SPEC W-14).
        "actor_ttl" => actor_ttl: Duration = Duration::from_secs(30)
            => Duration::from_millis(100)..=Duration::from_secs(86_400),
        /// Pause between two looks of the leader for dead actors.
        "gc_interval" => gc_interval: Duration = Duration::from_secs(1)
            => Duration::from_millis(50)..=Duration::from_secs(86_400),
        /// Most routes learnt from one remote.
        "routes_max" => routes_max: u32 = 2_000_000 => 1..=u32::MAX,
        /// Most actors of one remote.
        "actors_max" => actors_max: u32 = 256 => 1..=u32::MAX,
    }
}
