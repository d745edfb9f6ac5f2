//! One entry of the session directory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::EntryHash;
use crate::sessions::command::{Holder, Subscription, Will};
use crate::types::{Epoch, Millis, NodeId};

/// Left-behind owners remembered per session; the oldest is forgotten beyond this.
pub(crate) const ORPHANS_MAX: usize = 8;

/// `expiry_s` of a session that never expires (MQTT 5.0 §3.1.2.11.2).
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// What all nodes know about one client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who owns the client id (SECURITY A6).
    pub principal: Arc<str>,
    /// The last installed owner: it has the state.
    pub owner: Holder,
    /// Whether it outlives its connection.
    pub persistent: bool,
    /// Expiry after the connection ends.
    pub expiry_s: u32,
    /// When the connection ended; none while it is up.
    pub detached_at_ms: Option<Millis>,
    /// Will of the present connection.
    pub will: Option<Box<Will>>,
    /// A take-over that has not been installed yet.
    pub claim: Option<Box<PendingClaim>>,
    /// Owners from whom a late batch may still come, oldest first.
    pub orphans: Vec<Holder>,
    /// Of a persistent session, by filter.
    pub(crate) subscriptions: Vec<Subscription>,
}

/// Step 1 of a take-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingClaim {
    /// The claimant.
    pub holder: Holder,
    /// What it will make of the session.
    pub persistent: bool,
    /// Same.
    pub expiry_s: u32,
    /// Will of the new connection.
    pub will: Option<Will>,
    /// When it was made, by the claimant's clock.
    pub at_ms: Millis,
}

/// A will whose connection is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingWill {
    /// The node that held the connection: it publishes the will while it lives.
    pub node: NodeId,
    /// When it is to be published.
    pub due_at_ms: Millis,
    /// What.
    pub will: Will,
    /// Whose rights apply (SECURITY A6).
    pub principal: Arc<str>,
}

impl Session {
    /// The newest epoch, installed or claimed.
    #[must_use]
    pub fn newest_epoch(&self) -> Epoch {
        self.claim.as_ref().map_or(self.owner.epoch, |claim| claim.holder.epoch)
    }

    /// When it ends, if its client does not come back.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<Millis> {
        let detached = self.detached_at_ms.filter(|_| self.expiry_s != NEVER_EXPIRES)?;
        Some(detached.saturating_add(u64::from(self.expiry_s) * 1000))
    }

    /// Subscriptions of a persistent session, by filter.
    #[must_use]
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Returns the one replaced.
    pub(crate) fn subscribe(&mut self, new: &Subscription) -> Option<Subscription> {
        match self.subscriptions.binary_search_by(|s| s.filter.cmp(&new.filter)) {
            Ok(at) => Some(std::mem::replace(&mut self.subscriptions[at], new.clone())),
            Err(at) => {
                self.subscriptions.insert(at, new.clone());
                None
            }
        }
    }

    /// Returns the one removed.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Option<Subscription> {
        let at = self.subscriptions.binary_search_by(|s| (*s.filter).cmp(filter)).ok()?;
        Some(self.subscriptions.remove(at))
    }

    /// Hash of everything but the subscriptions: these may be 10,000 and change one by one.
    pub(crate) fn head_hash(&self, client_id: &str) -> u64 {
        let hash = EntryHash::new(30)
            .text(client_id)
            .text(&self.principal)
            .u64(self.owner.node)
            .u64(self.owner.epoch)
            .u64(u64::from(self.persistent))
            .u64(u64::from(self.expiry_s))
            .u64(self.detached_at_ms.map_or(u64::MAX, |at| at));
        if self.will.is_none() && self.claim.is_none() && self.orphans.is_empty() {
            return hash.finish();
        }
        hash.value(&self.will).value(&self.claim).value(&self.orphans).finish()
    }

    pub(crate) fn whole_hash(&self, client_id: &str) -> u64 {
        let subscriptions = self.subscriptions.iter();
        subscriptions.fold(self.head_hash(client_id), |sum, subscription| {
            sum.wrapping_add(subscription_hash(client_id, subscription))
        })
    }
}

pub(crate) fn subscription_hash(client_id: &str, subscription: &Subscription) -> u64 {
    EntryHash::new(31)
        .text(client_id)
        .text(&subscription.filter)
        .u64(u64::from(subscription.options))
        .u64(subscription.id.map_or(0, |id| u64::from(id) + 1))
        .finish()
}

pub(crate) fn will_hash(client_id: &str, epoch: Epoch, will: &PendingWill) -> u64 {
    EntryHash::new(32).text(client_id).u64(epoch).value(will).finish()
}
