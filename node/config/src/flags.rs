//! The flags of `spanmq start`, as plain text; they win over environment and file.

use std::path::PathBuf;

use crate::origin::{KeyPath, Node, Origin};
use crate::overlay::put;

/// What was given on the command line. Texts are checked together with all other values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flags {
    pub data_dir: Option<PathBuf>,
    pub node_name: Option<String>,
    pub cluster_name: Option<String>,
    pub listen_mqtt: Option<String>,
    pub listen_api: Option<String>,
    pub listen_cluster: Option<String>,
    pub advertise_cluster: Option<String>,
    pub init: bool,
    /// Addresses of members, separated by commas.
    pub join: Option<String>,
    pub join_token: Option<crate::Secret>,
    pub join_timeout: Option<String>,
    pub dial_map: Option<PathBuf>,
    pub allow_anonymous: bool,
    pub insecure: bool,
    pub dev: bool,
    pub raft_heartbeat_ms: Option<u64>,
    pub raft_election_ms: Option<u64>,
    pub snapshot_after: Option<u64>,
    pub link_actor_ttl_ms: Option<u64>,
    pub gc_interval_ms: Option<u64>,
}

impl Flags {
    /// Each given flag with the key it sets.
    fn values(&self) -> Vec<(&'static str, &'static str, serde_json::Value)> {
        fn text(value: Option<&str>) -> Option<serde_json::Value> {
            value.map(Into::into)
        }
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| path.to_string_lossy().into_owned().into())
        };
        let on = |given: bool| given.then_some(true.into());
        let token = self.join_token.as_ref().map(|token| token.reveal());
        [
            ("--data-dir", "node.data_dir", path(&self.data_dir)),
            ("--node-name", "node.name", text(self.node_name.as_deref())),
            ("--cluster-name", "cluster.name", text(self.cluster_name.as_deref())),
            ("--listen-mqtt", "listeners.tcp.default.bind", text(self.listen_mqtt.as_deref())),
            ("--listen-api", "dashboard.listeners.http.bind", text(self.listen_api.as_deref())),
            ("--listen-cluster", "cluster.listen", text(self.listen_cluster.as_deref())),
            ("--advertise-cluster", "cluster.advertise", text(self.advertise_cluster.as_deref())),
            ("--init", "cluster.init", on(self.init)),
            ("--join", "cluster.join.seeds", text(self.join.as_deref())),
            ("--join-token", "cluster.join.token", text(token)),
            ("--join-timeout", "cluster.join.timeout", text(self.join_timeout.as_deref())),
            ("--dial-map", "cluster.dial_map", path(&self.dial_map)),
            ("--allow-anonymous", "allow_anonymous", on(self.allow_anonymous)),
            ("--insecure", "insecure", on(self.insecure)),
            ("--dev", "dev", on(self.dev)),
            (
                "--raft-heartbeat-ms",
                "raft.heartbeat_interval",
                self.raft_heartbeat_ms.map(Into::into),
            ),
            ("--raft-election-ms", "raft.election_timeout", self.raft_election_ms.map(Into::into)),
            ("--snapshot-after", "raft.snapshot_after", self.snapshot_after.map(Into::into)),
            ("--link-actor-ttl-ms", "links.actor_ttl", self.link_actor_ttl_ms.map(Into::into)),
            ("--gc-interval-ms", "links.gc_interval", self.gc_interval_ms.map(Into::into)),
        ]
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag, key, value?)))
        .collect()
    }

    /// Lays the flags over `tree`.
    pub(crate) fn overlay(&self, tree: &mut Node) {
        for (flag, key, value) in self.values() {
            let origin = Origin::Flag(flag);
            let node = Node::scalar(value, origin.clone());
            put(tree, KeyPath::of(key).segments(), node, &origin)
                .expect("no flag names an element of a list");
        }
    }
}
