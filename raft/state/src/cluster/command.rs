//! Commands about the cluster itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Incarnation, NodeId, Revision};

/// A node that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Raft's number of the node.
    pub id: NodeId,
    /// `NAME@HOST`; also the actor name towards remotes (LINK-SPEC W-10).
    pub name: Arc<str>,
    /// Made once when the data directory is created. The same id with another value is a wiped or
    /// copied node and is refused (SECURITY C2, CHAOS J4).
    pub disk_id: u128,
    /// Grows with each start of the node.
    pub incarnation: Incarnation,
    /// `host:port` of the cluster port.
    pub cluster_addr: Arc<str>,
    /// `host:port` of the REST API, as other nodes reach it.
    pub api_addr: Arc<str>,
    /// `scheme://host:port` of the MQTT listeners.
    pub mqtt_addrs: Vec<Arc<str>>,
    /// The build, for people.
    pub version: Arc<str>,
    /// The highest feature level this build can apply.
    pub features: u32,
}

/// Caps that `apply` itself keeps, so they are replicated too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Learnt routes per link. Default 2,000,000 (SECURITY K6).
    pub remote_routes_max: u64,
    /// Actors per link. Default 256 (SECURITY K6); never above 256.
    pub remote_actors_max: u32,
    /// Retained messages. Default 1,000,000 (SECURITY L8).
    pub retained_count_max: u64,
    /// Bytes of retained messages with their topics. Default 1 GiB (SECURITY L8).
    pub retained_bytes_max: u64,
    /// Bytes of one retained message. Default 1 MiB (SECURITY L1, L8).
    pub retained_message_max: u64,
    /// Links. Default 1,000.
    pub links_max: u32,
    /// Ended alarms kept for reading. Default 1,000.
    pub alarm_history_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            remote_routes_max: 2_000_000,
            remote_actors_max: 256,
            retained_count_max: 1_000_000,
            retained_bytes_max: 1 << 30,
            retained_message_max: 1 << 20,
            links_max: 1_000,
            alarm_history_max: 1_000,
        }
    }
}

/// Changes of the cluster itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterCommand {
    /// The first entry of a cluster's life.
    Found {
        /// Random, made by `--init`.
        cluster_id: u128,
        /// `cluster.name`, fixed for ever (LINK-SPEC 0, C-3).
        name: Arc<str>,
    },
    /// Adds a node or refreshes what is known of it.
    PutMember(Member),
    /// Forgets a node. Its routes and sessions are other commands of the same batch.
    RemoveMember {
        /// Which.
        id: NodeId,
    },
    /// Sets a run-time setting, or removes it when `value` is none.
    PutSetting {
        /// Dotted path, such as `cluster.subscribe_visibility`.
        key: Arc<str>,
        /// JSON text.
        value: Option<Arc<str>>,
    },
    /// Replaces the replicated caps.
    PutLimits(Limits),
    /// Lets the cluster use newer commands. Refused while a member cannot apply them.
    RaiseFeatures {
        /// Never goes down.
        level: u32,
    },
}

/// Answers to [`ClusterCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterReply {
    /// It stands, with this revision.
    Done {
        /// Raft index of the change.
        revision: Revision,
    },
    /// Equal to what was there; nothing changed.
    Unchanged,
    /// The cluster exists already (CHAOS J2, P10).
    AlreadyFounded {
        /// Its id.
        cluster_id: u128,
    },
    /// Another member has this name.
    NameTaken {
        /// That member.
        by: NodeId,
    },
    /// The id belongs to another data directory; remove that member first (CHAOS J4).
    IdTaken,
    /// A later run of that node is known already.
    StaleIncarnation {
        /// The one known.
        stored: Incarnation,
    },
    /// No such member or setting.
    NotFound,
    /// A member cannot apply this feature level.
    MemberTooOld {
        /// That member.
        id: NodeId,
        /// What it can.
        features: u32,
    },
}
