//! Keys of EMQX that mean nothing here, or lie elsewhere.

use crate::origin::KeyPath;

/// Keys (with all below them) that a file written for EMQX may keep; each is ignored with a warning.
const IGNORED: &[(&str, &str)] = &[
    ("node.cookie", "nodes prove themselves by certificates of the cluster CA"),
    ("node.process_limit", "there is no Erlang VM"),
    ("node.max_ports", "there is no Erlang VM"),
    ("node.dist_buffer_size", "there is no Erlang VM"),
    ("node.etc_dir", "relative paths count from the file's folder"),
    ("node.role", "every member may vote; see cluster.voters_max"),
    ("cluster.discovery_strategy", "use --init or --join"),
    ("cluster.autoclean", "members are removed by `spanmq cluster remove`"),
    ("cluster.autoheal", "a partition heals by Raft"),
    ("cluster.proto_dist", "the cluster port is always TLS 1.3"),
    ("telemetry", "nothing is sent home"),
    ("sysmon", "there is no Erlang VM"),
];

/// Keys that have another name here.
const MOVED: &[(&str, &str)] = &[
    ("cluster.static.seeds", "cluster.join.seeds"),
    ("cluster.static", "cluster.join"),
    ("authn", "authentication"),
    ("authz", "authorization"),
    ("data_dir", "node.data_dir"),
    ("api", "dashboard.listeners"),
    ("management", "dashboard.listeners"),
];

/// Why a key of EMQX is ignored; `None` for every other key.
pub(crate) fn ignored(path: &KeyPath) -> Option<&'static str> {
    IGNORED.iter().find(|(key, _)| path.starts_with(&KeyPath::of(key))).map(|(_, reason)| *reason)
}

/// The key that `path` goes by here.
pub(crate) fn moved(path: &KeyPath) -> Option<&'static str> {
    MOVED.iter().find(|(key, _)| *path == KeyPath::of(key)).map(|(_, ours)| *ours)
}
