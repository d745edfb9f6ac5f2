use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spanmq_topic::SharedFilter;

use crate::{MessageId, QoS, SubscriptionIds};

/// One message in the queue of one session, without the message: what the journal keeps for each
/// session, while the body is kept once for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Place in this session's order; grows, unique among what waits or is in flight.
    pub seq: u64,
    /// Which message.
    pub message: MessageId,
    /// Its [`crate::Message::weight`].
    pub size: u32,
    /// QoS of this delivery.
    pub qos: QoS,
    /// Retain flag of this delivery.
    pub retain: bool,
    /// Subscription identifiers to send.
    pub ids: SubscriptionIds,
    /// The shared subscription it was picked for, if any.
    pub shared: Option<Arc<SharedFilter>>,
}
