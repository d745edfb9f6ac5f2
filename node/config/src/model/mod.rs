//! The sections of the configuration, one struct per component.

mod access;
mod cluster;
mod dashboard;
mod limits;
mod links;
mod listeners;
mod mqtt;

pub use access::*;
pub use cluster::*;
pub use dashboard::*;
pub use limits::*;
pub use links::*;
pub use listeners::*;
pub use mqtt::*;

use std::path::PathBuf;

use crate::declare::{choice, settings};
use crate::setting::Scalar;
use crate::types::{HostPort, NodeName};

choice! {
    /// What an acknowledgement survives (CHAOS.md §1).
    pub enum Durability {
        /// Nothing is written; a message dies with its node.
        Memory = "memory",
        /// Written before the acknowledgement: survives kill -9 of all nodes.
        Local = "local",
        /// Synced before the acknowledgement: survives a power loss.
        LocalFsync = "local_fsync" | "local+fsync",
    }
}

settings! {
    /// All settings of one node.
    pub struct Config {
        /// The node itself.
        "node" => node: NodeConfig = NodeConfig::default(),
        /// The cluster it belongs to, and the links of that cluster.
        "cluster" => cluster: ClusterConfig = ClusterConfig::default(),
        /// What an acknowledgement survives: memory, local or local+fsync.
        "durability" => durability: Durability = Durability::Local,
        /// MQTT listeners by kind and name.
        "listeners" => listeners: Listeners = Listeners::default(),
        /// Rules of the MQTT protocol and of sessions.
        "mqtt" => mqtt: MqttConfig = MqttConfig::default(),
        /// What becomes of sessions when their node is gone.
        "session" => session: SessionConfig = SessionConfig::default(),
        /// Retained messages.
        "retainer" => retainer: RetainerConfig = RetainerConfig::default(),
        /// The node's own numbers below `$SYS/`.
        "sys_topics" => sys_topics: SysTopicsConfig = SysTopicsConfig::default(),
        /// Where MQTT clients are looked up, in this order.
        "authentication" => authentication: Vec<Authenticator> = vec![],
        /// What MQTT clients may do.
        "authorization" => authorization: AuthorizationConfig = AuthorizationConfig::default(),
        /// Keys of the management API.
        "api_key" => api_key: ApiKeyConfig = ApiKeyConfig::default(),
        /// Management API and web UI.
        "dashboard" => dashboard: DashboardConfig = DashboardConfig::default(),
        /// Behaviour common to all links.
        "links" => links: LinksConfig = LinksConfig::default(),
        /// Timing of the control group.
        "raft" => raft: RaftConfig = RaftConfig::default(),
        /// Limits that protect the node.
        "limits" => limits: LimitsConfig = LimitsConfig::default(),
        /// Log output.
        "log" => log: LogConfig = LogConfig::default(),
        /// Whether clients without credentials may connect over MQTT.
        "allow_anonymous" => allow_anonymous: bool = false,
        /// Whether the management API may leave loopback without TLS.
        "insecure" => insecure: bool = false,
        /// For trying out on one machine: loopback only, anonymous clients, no ACL.
        "dev" => dev: bool = false,
    }
}

settings! {
    /// What the node calls itself and where it keeps its data.
    pub struct NodeConfig {
        /// `NAME@HOST`, unique in the cluster.
        "name" => name: NodeName = Scalar::blank(),
        /// Folder of everything the node stores; created with mode 0700.
        "data_dir" => data_dir: PathBuf = PathBuf::from("data"),
        /// Threads that serve MQTT clients; 0 = one for each core.
        "workers" => workers: u32 = 0 => 0..=64,
    }
}

choice! {
    /// How a log line looks.
    pub enum LogFormatter {
        /// For people; coloured on a terminal.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// The least level that is logged.
    pub enum LogLevel {
        Error = "error" | "critical" | "alert" | "emergency",
        Warn = "warn" | "warning",
        Info = "info" | "notice",
        Debug = "debug" | "all",
        Trace = "trace",
    }
}

settings! {
    /// Log output.
    pub struct LogConfig {
        /// The log on standard error.
        "console" => console: ConsoleLogConfig = ConsoleLogConfig::default(),
    }
}

settings! {
    /// The log on standard error.
    pub struct ConsoleLogConfig {
        /// Off = nothing is logged.
        "enable" => enable: bool = true,
        /// error, warn, info, debug or trace.
        "level" => level: LogLevel = LogLevel::Info,
        /// text or json.
        "formatter" => formatter: LogFormatter = LogFormatter::Text,
    }
}

impl Config {
    /// What holds when nothing is set; with `dev` everything stays on loopback.
    pub fn defaults(dev: bool) -> Self {
        let mut config = Self::default();
        if dev {
            let loopback = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
            for listener in config.listeners.tcp.values_mut() {
                listener.bind.0.set_ip(loopback);
            }
            config.cluster.listen.0.set_ip(loopback);
        }
        config
    }

    /// Where other members reach this node, if its cluster port is `port` (after binding port 0).
    pub fn advertised(&self, port: u16) -> HostPort {
        let own = || HostPort { host: self.node.name.host().to_owned(), port };
        self.cluster.advertise.clone().unwrap_or_else(own)
    }
}
