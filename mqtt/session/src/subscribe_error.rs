use crate::reason;

/// Why a subscription was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The session has as many as it may (L6).
    #[error("the session already has {max} subscriptions; unsubscribe some or raise the limit")]
    TooMany {
        /// The limit.
        max: u32,
    },
    /// A protocol error: the connection ends [MQTT-3.8.3-4].
    #[error("a shared subscription cannot have no-local")]
    SharedNoLocal,
}

impl SubscribeError {
    /// The code in SUBACK, or of the DISCONNECT if [`Self::closes`].
    #[must_use]
    pub const fn reason_code(self) -> u8 {
        match self {
            Self::TooMany { .. } => reason::QUOTA_EXCEEDED,
            Self::SharedNoLocal => reason::PROTOCOL_ERROR,
        }
    }

    /// Whether the connection must end.
    #[must_use]
    pub const fn closes(self) -> bool {
        matches!(self, Self::SharedNoLocal)
    }
}
