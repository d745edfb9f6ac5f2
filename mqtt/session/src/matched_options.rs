use std::sync::Arc;

use spanmq_topic::SharedFilter;

use crate::{QoS, RetainFlag, SubscriptionIds};

/// With what one session gets one message: the sum of its matching subscriptions.
///
/// Overlapping subscriptions give one copy with the highest QoS and all identifiers; the other
/// choice of the spec, a copy for each, would multiply traffic [MQTT-3.3.4-2]. A shared
/// subscription is a delivery of its own, as it may go to any member of its group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatchedOptions {
    /// Highest QoS wanted; the delivery has the lower of this and the published one.
    pub qos: QoS,
    /// What the retain flag of the delivery says.
    pub retain: RetainFlag,
    /// Identifiers of all matching subscriptions [MQTT-3.3.4-4].
    pub ids: SubscriptionIds,
    /// The shared subscription for which the session was picked, if any.
    pub shared: Option<Arc<SharedFilter>>,
}

impl MatchedOptions {
    /// Adds another matching subscription of the same session.
    pub fn merge(&mut self, other: &Self) {
        self.qos = self.qos.max(other.qos);
        self.retain = self.retain.max(other.retain);
        self.ids.append(&other.ids);
    }

    /// These options for a retained message that answers a SUBSCRIBE (MQTT 5.0 §3.3.1.3).
    #[must_use]
    pub fn for_retained(mut self) -> Self {
        self.retain = RetainFlag::Set;
        self
    }

    /// These options for the member of a shared group.
    #[must_use]
    pub fn for_shared(mut self, filter: Arc<SharedFilter>) -> Self {
        self.shared = Some(filter);
        self
    }
}
