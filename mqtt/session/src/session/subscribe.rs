use spanmq_topic::Subscription;

use super::Session;
use crate::{JournalOp, SubscribeError, Subscribed, SubscriptionOptions};

impl Session {
    /// Adds a subscription, or replaces the options of one with the same filter.
    ///
    /// # Errors
    /// [`SubscribeError`]; nothing has changed then.
    pub fn subscribe(
        &mut self,
        filter: Subscription,
        options: SubscriptionOptions,
        ops: &mut Vec<JournalOp>,
    ) -> Result<Subscribed, SubscribeError> {
        let journaled = self.is_persistent().then(|| filter.clone());
        let subscribed = self.subscriptions.insert(filter, options, &self.limits)?;
        ops.extend(journaled.map(|filter| JournalOp::Subscribed { filter, options }));
        Ok(subscribed)
    }

    /// Removes a subscription and returns its options; `None` is UNSUBACK 0x11. What already
    /// waits is still delivered [MQTT-3.10.4-3].
    pub fn unsubscribe(
        &mut self,
        filter: &Subscription,
        ops: &mut Vec<JournalOp>,
    ) -> Option<SubscriptionOptions> {
        let removed = self.subscriptions.remove(filter)?;
        self.log(ops, || JournalOp::Unsubscribed(filter.clone()));
        Some(removed)
    }

    /// The options of one filter.
    #[must_use]
    pub fn subscription(&self, filter: &Subscription) -> Option<&SubscriptionOptions> {
        self.subscriptions.get(filter)
    }

    /// All subscriptions, in no order.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Subscription, &SubscriptionOptions)> {
        self.subscriptions.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }
}
