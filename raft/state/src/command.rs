//! What can be proposed, and what comes back: the log entries of the control group.
//!
//! Whatever needs a time or a random value carries it, put there by the proposer: `apply` has
//! neither. A command names one filter, one client id or one link, so that the state can later be
//! split into several groups (ARCHITECTURE §7).

use serde::{Deserialize, Serialize};

pub use crate::access::command::{AccessCommand, AccessReply};
pub use crate::alarms::command::{AlarmCommand, AlarmReply};
pub use crate::cluster::command::{ClusterCommand, ClusterReply, Limits, Member};
pub use crate::links::command::{LinkCommand, LinkReply, LinkSpec};
pub use crate::remote::command::{ActorRef, RemoteCommand, RemoteOp, RemoteReply};
pub use crate::retained::command::{RetainedCommand, RetainedRef, RetainedReply};
pub use crate::routes::command::{RouteChange, RouteCommand, RouteReply};
pub use crate::sessions::command::{
    Handover, Holder, SessionCommand, SessionReply, Subscription, SubscriptionChange, Will,
    WillFate,
};

/// The version of the commands below. A batch of another version is not applied; see
/// [`Batch::is_supported`].
pub const COMMAND_VERSION: u16 = 1;

/// One log entry: commands applied together, in order. openraft's `D`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Format of the commands, [`COMMAND_VERSION`].
    pub version: u16,
    /// Applied in this order at one index.
    pub commands: Vec<Command>,
}

impl Batch {
    /// A batch of the present version.
    #[must_use]
    pub fn new(commands: Vec<Command>) -> Self {
        Self { version: COMMAND_VERSION, commands }
    }

    /// Whether this build can apply the batch. A node that meets a newer one in its log must stop:
    /// skipping it would let its state differ from the others' (CHAOS P9). Proposers prevent this
    /// by looking at the cluster's feature level first.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.version == COMMAND_VERSION
    }
}

impl From<Command> for Batch {
    fn from(command: Command) -> Self {
        Self::new(vec![command])
    }
}

/// What a proposal gives back: one reply per command, in order. openraft's `R`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The raft index of the entry; 0 for entries that carry no batch (blank, membership).
    pub index: u64,
    /// As many as commands; empty for entries that carry no batch.
    pub replies: Vec<Reply>,
}

/// One change of the replicated state. The order of the variants is part of the stored format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Members, settings, feature level.
    Cluster(ClusterCommand),
    /// Topic filter → nodes.
    Route(RouteCommand),
    /// Client id → owner.
    Session(SessionCommand),
    /// Link configurations.
    Link(LinkCommand),
    /// What remote clusters told us they want.
    Remote(RemoteCommand),
    /// Retained messages.
    Retained(RetainedCommand),
    /// Users, API keys, ACL overrides.
    Access(AccessCommand),
    /// Alarms.
    Alarm(AlarmCommand),
}

/// The answer to one [`Command`], of the same area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Command::Cluster`].
    Cluster(ClusterReply),
    /// To [`Command::Route`].
    Route(RouteReply),
    /// To [`Command::Session`].
    Session(SessionReply),
    /// To [`Command::Link`].
    Link(LinkReply),
    /// To [`Command::Remote`].
    Remote(RemoteReply),
    /// To [`Command::Retained`].
    Retained(RetainedReply),
    /// To [`Command::Access`].
    Access(AccessReply),
    /// To [`Command::Alarm`].
    Alarm(AlarmReply),
    /// The batch has a version this build does not know; nothing was changed.
    UnsupportedVersion {
        /// The version found.
        version: u16,
    },
}
