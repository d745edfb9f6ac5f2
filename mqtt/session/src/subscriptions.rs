use std::collections::HashMap;

use spanmq_topic::Subscription;

use crate::{Limits, SubscribeError, Subscribed, SubscriptionOptions};

/// The subscriptions of one session.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_filter: HashMap<Subscription, SubscriptionOptions>,
}

impl Subscriptions {
    /// Adds or replaces [MQTT-3.8.4-3].
    pub(crate) fn insert(
        &mut self,
        filter: Subscription,
        options: SubscriptionOptions,
        limits: &Limits,
    ) -> Result<Subscribed, SubscribeError> {
        let shared = filter.group().is_some();
        if shared && options.no_local {
            return Err(SubscribeError::SharedNoLocal);
        }
        let max = limits.filters_per_session_max;
        if self.by_filter.len() >= max as usize && !self.by_filter.contains_key(&filter) {
            return Err(SubscribeError::TooMany { max });
        }
        let retain = options.retain_handling;
        let before = self.by_filter.insert(filter, options);
        let existed = before.is_some();
        Ok(Subscribed { before, wants_retained: retain.wants(existed, shared) })
    }

    /// Adds what the journal knows, whatever the limits are today.
    pub(crate) fn restore(&mut self, filter: Subscription, options: SubscriptionOptions) {
        self.by_filter.insert(filter, options);
    }

    pub(crate) fn remove(&mut self, filter: &Subscription) -> Option<SubscriptionOptions> {
        let removed = self.by_filter.remove(filter);
        if self.by_filter.is_empty() {
            self.by_filter = HashMap::new();
        }
        removed
    }

    pub(crate) fn get(&self, filter: &Subscription) -> Option<&SubscriptionOptions> {
        self.by_filter.get(filter)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_filter.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Subscription, &SubscriptionOptions)> {
        self.by_filter.iter()
    }

    /// All of them, in the order of their filters.
    pub(crate) fn sorted(&self) -> Vec<(Subscription, SubscriptionOptions)> {
        let mut all: Vec<_> =
            self.by_filter.iter().map(|(filter, options)| (filter.clone(), *options)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }
}
