//! Commands about the session directory: who owns which client id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Epoch, Millis, NodeId, Opaque};

/// A node that holds a session, and under which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// The epoch its writes carry.
    pub epoch: Epoch,
}

/// The will of one connection, as far as another node needs it to publish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Will {
    /// Where it goes; authorised again when published (SECURITY A6).
    pub topic: Arc<str>,
    /// Will delay interval; 0 = at once.
    pub delay_s: u32,
    /// The encoded message; ≤ 64 KiB, which `mqtt` checks (SECURITY L8).
    pub message: Opaque,
}

/// What becomes of the will when a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WillFate {
    /// DISCONNECT 0x00: never published.
    Discard,
    /// To be published after its delay, or when the session ends, whichever is first. It stays in
    /// the directory until [`SessionCommand::WillDone`].
    Publish,
}

/// One subscription of a persistent session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// As the client wrote it, with `$share/…`.
    pub filter: Arc<str>,
    /// The options byte of MQTT 5.0 §3.8.3.1.
    pub options: u8,
    /// Subscription identifier.
    pub id: Option<u32>,
}

/// One change of the subscriptions of a persistent session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubscriptionChange {
    /// Adds, or replaces the one with the same filter.
    Put(Subscription),
    /// Removes the one with this filter.
    Remove(Arc<str>),
}

/// How the new owner got the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handover {
    /// From the previous owner, whole; that one may delete its copy.
    Complete,
    /// Only from the directory, as the previous owner is unreachable. What lies in its queue
    /// follows as one late batch, so the directory remembers it until
    /// [`SessionCommand::OrphanDrained`].
    WithoutOwner,
}

/// Changes of the session directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionCommand {
    /// A client connects at `node` (step 1 of a take-over). When nothing has to be moved, the claim
    /// is installed at once; the reply says so.
    Claim {
        /// Client id.
        client_id: Arc<str>,
        /// Where it connects.
        node: NodeId,
        /// Whether to discard what is there.
        clean_start: bool,
        /// Who it authenticated as; must equal the session's (SECURITY A6).
        principal: Arc<str>,
        /// Session expiry after the connection ends; `u32::MAX` = never.
        expiry_s: u32,
        /// Whether the session outlives the connection (`expiry_s > 0`, or 3.1.1 without clean
        /// session).
        persistent: bool,
        /// Will of this connection.
        will: Option<Will>,
        /// When, by the proposer's clock.
        at_ms: Millis,
    },
    /// The claimant holds the state (step 2). Until then the last installed owner has it.
    Installed {
        /// Client id.
        client_id: Arc<str>,
        /// The claim's epoch.
        epoch: Epoch,
        /// Whether the previous owner gave it.
        handover: Handover,
    },
    /// The claimant gives up before step 2 (or died): the last installed owner keeps the session.
    Abandon {
        /// Client id.
        client_id: Arc<str>,
        /// The claim's epoch.
        epoch: Epoch,
    },
    /// Subscriptions of a persistent session changed. Refused as stale while a claim is pending:
    /// the claimant has read them already.
    Subscriptions {
        /// Client id.
        client_id: Arc<str>,
        /// The owner's epoch.
        epoch: Epoch,
        /// In order.
        changes: Vec<SubscriptionChange>,
    },
    /// The connection ended. A session that is not persistent ends with it.
    Detached {
        /// Client id.
        client_id: Arc<str>,
        /// The owner's epoch.
        epoch: Epoch,
        /// When, by the proposer's clock; expiry counts from here.
        at_ms: Millis,
        /// The expiry in force at the end (DISCONNECT may have changed it); 0 ends the session.
        expiry_s: u32,
        /// What becomes of the will.
        will: WillFate,
    },
    /// The session ends: by its owner, or by an operator.
    End {
        /// Client id.
        client_id: Arc<str>,
        /// The owner's epoch.
        epoch: Epoch,
        /// What becomes of the will.
        will: WillFate,
        /// When, by the proposer's clock.
        at_ms: Millis,
    },
    /// The leader found that the expiry has passed. Ignored when the client is back.
    Expire {
        /// Client id.
        client_id: Arc<str>,
        /// The epoch the leader saw.
        epoch: Epoch,
        /// When, by the leader's clock.
        at_ms: Millis,
    },
    /// A will was published, or must not be any more (session resumed in time).
    WillDone {
        /// Client id.
        client_id: Arc<str>,
        /// The epoch of the connection it belonged to.
        epoch: Epoch,
    },
    /// A left-behind owner has delivered its late batch (or has nothing).
    OrphanDrained {
        /// Client id.
        client_id: Arc<str>,
        /// The left-behind owner's epoch.
        epoch: Epoch,
    },
}

/// Answers to [`SessionCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionReply {
    /// To a claim.
    Claimed {
        /// The new epoch; all writes of the claimant carry it.
        epoch: Epoch,
        /// Who was installed before, if anyone; it must close its connection (0x8E).
        previous: Option<Holder>,
        /// Whether the client goes on with an existing session.
        session_present: bool,
        /// Whether the claim is installed already (nothing to move, or the same node has it). If
        /// not: fetch the state from `previous`, then propose `Installed`.
        installed: bool,
        /// Of the session that goes on.
        subscriptions: Vec<Subscription>,
    },
    /// The session belongs to another principal (SECURITY A6). Nothing changed.
    PrincipalDiffers,
    /// Applied.
    Done,
    /// The epoch is not the present one; nothing changed.
    Stale {
        /// The newest epoch, installed or claimed.
        current: Epoch,
    },
    /// No such session, will or orphan; nothing changed.
    Unknown,
}
