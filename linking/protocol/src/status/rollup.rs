//! States of one link: what a node says, and what that means for the cluster (R-5, R-10, 0.1).

use crate::forward::ConnectionState;
use crate::reason::{AdviceContext, Reason, ReasonWord};
use crate::replication::Phase;
use serde::{Deserialize, Serialize};

/// Which words a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// the forwarding pool alone decides.
    Emqx,
    /// R-10, with LINK-SPEC 0.1: `running` also needs replication to be online.
    Guide,
}

/// The forwarding pool of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolState {
    Connected,
    Connecting,
    Disconnected,
}

impl PoolState {
    /// Connected when every connection is, disconnected when any is down (R-5, W-35).
    pub fn of(connections: impl IntoIterator<Item = ConnectionState>) -> PoolState {
        let mut worst = None;
        for state in connections {
            let state = match state {
                ConnectionState::Connected => PoolState::Connected,
                ConnectionState::Connecting => PoolState::Connecting,
                ConnectionState::Disconnected | ConnectionState::Stopped => {
                    return PoolState::Disconnected;
                }
            };
            if worst != Some(PoolState::Connecting) {
                worst = Some(state);
            }
        }
        worst.unwrap_or(PoolState::Disconnected)
    }
}

/// A reason as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonReport {
    /// Machine word.
    pub code: String,
    /// One sentence, with the detail.
    pub message: String,
    /// What to do; absent when nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl ReasonReport {
    pub fn of(reason: &Reason, context: &AdviceContext<'_>) -> ReasonReport {
        ReasonReport {
            code: reason.word.as_str().to_owned(),
            message: reason.to_string(),
            advice: reason.advice(context),
        }
    }
}

/// What one node says about one link; sent between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    pub pool: PoolState,
    /// The worst of the node's actors.
    pub replication: Phase,
    pub enabled: bool,
    /// The last cause, of replication first, else of the pool.
    #[serde(default)]
    pub reason: Option<ReasonReport>,
    /// RFC 3339, when the state began.
    #[serde(default)]
    pub since: Option<String>,
    /// What is not as it should be, although the link may work.
    #[serde(default)]
    pub warnings: Vec<ReasonReport>,
}

/// A node, and its report unless it did not answer in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLinkState {
    pub node: String,
    pub report: Option<NodeReport>,
}

/// One row of `node_status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub node: String,
    pub status: String,
    pub replication_status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// The status part of a link object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    pub status: String,
    pub node_status: Vec<NodeStatus>,
    pub replication_status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Of all nodes, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReasonReport>,
}

const INCONSISTENT: &str = "inconsistent";

impl NodeReport {
    /// The status word of this node.
    pub fn word(&self, dialect: Dialect) -> &'static str {
        let pool = match self.pool {
            PoolState::Connected => "connected",
            PoolState::Connecting => "connecting",
            PoolState::Disconnected => "disconnected",
        };
        match dialect {
            Dialect::Emqx if !self.enabled => "disconnected",
            Dialect::Emqx => pool,
            Dialect::Guide if !self.enabled => "stopped",
            Dialect::Guide => match (self.pool, self.replication) {
                (PoolState::Connected, Phase::Online) => "running",
                (
                    PoolState::Connected,
                    Phase::Connecting | Phase::Handshaking | Phase::Bootstrapping,
                ) => "connecting",
                (PoolState::Connected, _) => "disconnected",
                _ => pool,
            },
        }
    }
}

/// Rolls the nodes up, in the order of their names. Give running members only.
pub fn roll_up(mut nodes: Vec<NodeLinkState>, dialect: Dialect) -> LinkStatus {
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    let mut warnings: Vec<ReasonReport> = Vec::new();
    for warning in nodes.iter().flat_map(|state| &state.report).flat_map(|r| &r.warnings) {
        if !warnings.iter().any(|known| known.code == warning.code) {
            warnings.push(warning.clone());
        }
    }
    let rows: Vec<NodeStatus> = nodes.into_iter().map(|state| row(state, dialect)).collect();
    let telling = rows.iter().find(|row| row.reason.is_some());
    LinkStatus {
        status: common(&rows, |row| &row.status),
        replication_status: common(&rows, |row| &row.replication_status),
        reason: telling.and_then(|row| row.reason.clone()),
        since: telling.or(rows.first()).and_then(|row| row.since.clone()),
        node_status: rows,
        warnings,
    }
}

fn row(state: NodeLinkState, dialect: Dialect) -> NodeStatus {
    let NodeLinkState { node, report } = state;
    match report {
        Some(report) => NodeStatus {
            node,
            status: report.word(dialect).to_owned(),
            replication_status: report.replication.as_str().to_owned(),
            reason: report.reason,
            since: report.since,
        },
        None => {
            let word = ReasonWord::NodeUnreachable;
            let reason = ReasonReport {
                code: word.as_str().to_owned(),
                message: word.sentence().to_owned(),
                advice: String::new(),
            };
            NodeStatus {
                node,
                status: INCONSISTENT.to_owned(),
                replication_status: INCONSISTENT.to_owned(),
                reason: Some(reason),
                since: None,
            }
        }
    }
}

/// The value of all nodes when they agree. One that did not answer agrees with nobody, not even
/// with another one that did not.
fn common(rows: &[NodeStatus], word: impl Fn(&NodeStatus) -> &String) -> String {
    match rows.first() {
        None => "disconnected".to_owned(),
        Some(first) if rows.iter().all(|row| word(row) == word(first)) => word(first).clone(),
        Some(_) => INCONSISTENT.to_owned(),
    }
}
