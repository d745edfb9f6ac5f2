//! QoS 1/2 messages without a lease (ARCHITECTURE §4): the view may miss a subscription made
//! elsewhere, so they are matched again when the lease is back, or after a second as
//! `cluster.minority` says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmq_session::Message;

use super::Worker;
use crate::config::Minority;
use crate::ports::Outcome;

/// How long a message waits for the lease.
const PATIENCE: Duration = Duration::from_secs(1);

/// A message that waits for the lease.
pub(super) struct Parked {
    message: Arc<Message>,
    lane: u64,
    ticket: u32,
    until: Instant,
}

impl Worker {
    /// Keeps an acknowledged message back while this node holds no lease; behind one that waits,
    /// the others wait too, so that the order stays.
    pub(super) fn park(&mut self, message: &Arc<Message>, lane: u64, ticket: u32) -> bool {
        if self.parked.is_empty() && self.routes.has_lease() {
            return false;
        }
        let (message, until) = (message.clone(), self.now + PATIENCE);
        self.parked.push_back(Parked { message, lane, ticket, until });
        true
    }

    /// Looks at the lease again.
    pub(super) fn unpark(&mut self, now: Instant) {
        while let Some(first) = self.parked.front() {
            let has_lease = self.routes.has_lease();
            if !has_lease && first.until > now {
                return;
            }
            let Some(Parked { message, lane, ticket, .. }) = self.parked.pop_front() else {
                return;
            };
            tracing::debug!(from = ?message.from, id = ?message.id, worker = self.id, has_lease, "unparked");
            if has_lease || self.shared.config.minority == Minority::Available {
                self.route_and_release(&message, lane, Some(ticket));
            } else {
                self.release(ticket, Outcome::Refused(0x83));
            }
        }
    }
}
