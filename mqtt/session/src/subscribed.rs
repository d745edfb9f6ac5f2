use crate::SubscriptionOptions;

/// A subscription was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// The options that it replaced [MQTT-3.8.4-3]; no new route is needed then.
    pub before: Option<SubscriptionOptions>,
    /// Whether the retained messages of the filter are to be delivered now.
    pub wants_retained: bool,
}
