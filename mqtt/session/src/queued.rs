use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Entry, Message};

/// An entry whose message is in memory.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) entry: Entry,
    pub(crate) message: Arc<Message>,
}

impl Queued {
    pub(crate) fn size(&self) -> u64 {
        u64::from(self.entry.size)
    }

    /// Whether it waited too long: by its own interval [MQTT-3.3.2-5], or by our cap (L8). The cap
    /// leaves out retained messages: they may be old before they begin to wait.
    pub(crate) fn is_expired(&self, now: Instant, cap_s: Option<u32>) -> bool {
        let waited = || now.saturating_duration_since(self.message.received);
        self.message.is_expired(now)
            || !self.entry.retain
                && cap_s.is_some_and(|cap| waited() >= Duration::from_secs(u64::from(cap)))
    }
}
