//! What the handlers need from the node. `node/src/wiring` implements it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use spanmq_access::{Action, ClientInfo, Decision};
use spanmq_linking::Linking;
use spanmq_mqtt::BrokerHandle;
use spanmq_state::{Applied, Command, NodeId, State};

use crate::audit::AuditLog;

/// A boxed future that may be awaited on any thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The cluster cannot decide now: no leader, or no majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoQuorum;

/// Why a change was not made, or not to anybody's knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMade {
    /// No leader, or no majority.
    NoQuorum,
    /// The leader's disk is full.
    DiskFull,
    /// The leader was lost in between: it may be made or not.
    Open,
}

/// Why members or leadership are as before, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotChanged {
    /// What the cluster says to it.
    Refused(String),
    /// It could not be decided.
    NotMade(NotMade),
}

/// What a joining node needs.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinTokenView {
    /// One line of text.
    pub token: String,
    /// Seconds since 1970; `None`: it does not expire.
    pub expires_unix_s: Option<u64>,
}

/// A member as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Raft's number.
    pub id: NodeId,
    /// `NAME@HOST`.
    pub name: Arc<str>,
    /// Whether this node can talk to it (itself: always).
    pub running: bool,
    /// `leader`, `follower`, `learner` or `unknown`.
    pub role: &'static str,
    /// Cluster port.
    pub cluster_addr: Arc<str>,
    /// REST.
    pub api_addr: Arc<str>,
    /// Build.
    pub version: Arc<str>,
}

/// The cluster as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// Everybody, by name.
    pub members: Vec<MemberView>,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// Raft term.
    pub term: u64,
    /// Applied index here.
    pub applied: u64,
    /// How many more failures the cluster survives.
    pub failures_tolerated: usize,
    /// Whether a majority is reachable.
    pub quorum: bool,
}

/// The node behind the API.
pub trait Node: Send + Sync + 'static {
    /// This node's id, name, cluster name.
    fn id(&self) -> NodeId;
    /// `NAME@HOST`.
    fn name(&self) -> Arc<str>;
    /// `cluster.name`.
    fn cluster_name(&self) -> Arc<str>;
    /// Whether it serves clients.
    fn ready(&self) -> Result<(), String>;
    /// Bytes of the process that are in memory, where the system tells.
    fn resident_memory(&self) -> Option<u64>;
    /// Commits commands; the answer comes when this node has applied them.
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Applied, NotMade>>;
    /// Waits until this node has applied all that was committed when it was called.
    fn barrier(&self) -> BoxFuture<Result<(), NoQuorum>>;
    /// Looks at the replicated state of this node.
    fn read(&self, look: &mut dyn FnMut(&State));
    /// Members and Raft.
    fn cluster(&self) -> ClusterView;
    /// Asks another node; its API answers with [`crate::answer`].
    fn ask(&self, node: NodeId, question: Vec<u8>) -> BoxFuture<Option<Vec<u8>>>;
    /// A token that lets nodes join for so many seconds, or without end.
    ///
    /// # Errors
    /// Why this cluster has none.
    fn join_token(&self, valid_s: Option<u64>) -> Result<JoinTokenView, String>;
    /// Removes a member, dead or alive.
    fn remove_member(&self, node: NodeId) -> BoxFuture<Result<(), NotChanged>>;
    /// Lets another voter lead.
    fn transfer_leader(&self, to: Option<NodeId>) -> BoxFuture<Result<(), NotChanged>>;
    /// Linking on this node.
    fn linking(&self) -> Arc<Linking>;
    /// The MQTT side of this node.
    fn broker(&self) -> BrokerHandle;
    /// What the rules of this node say.
    fn check_access(&self, client: &ClientInfo, action: Action, topic: &str) -> Decision;
    /// Raft as this node sees it, for the chaos suite (CHAOS §3).
    #[cfg(feature = "testing")]
    fn debug_state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    /// Takes a snapshot and purges the log behind it (CHAOS N15).
    #[cfg(feature = "testing")]
    fn debug_snapshot(&self) -> BoxFuture<Result<(), NoQuorum>> {
        Box::pin(async { Err(NoQuorum) })
    }
    /// The audit records of this node; one for its whole run.
    fn audit(&self) -> Arc<AuditLog>;
}
