use std::sync::Arc;

use crate::{AliasUse, Message, QoS, SubscriptionIds};

/// Everything that a PUBLISH to one client has besides the shared message.
#[derive(Debug, Clone, PartialEq)]
pub struct OutgoingPublish {
    /// Topic, payload and properties.
    pub message: Arc<Message>,
    /// For QoS 1 and 2, else `None`.
    pub packet_id: Option<u16>,
    /// QoS of this delivery.
    pub qos: QoS,
    /// Retain flag of this delivery.
    pub retain: bool,
    /// Whether it may have been sent before [MQTT-3.3.1-1].
    pub dup: bool,
    /// Subscription identifiers (v5).
    pub subscription_ids: SubscriptionIds,
    /// Message expiry interval to send (v5); replaces that of the message.
    pub message_expiry: Option<u32>,
    /// Topic alias (v5).
    pub alias: AliasUse,
}
