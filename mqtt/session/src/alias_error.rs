use crate::reason;

/// Why the topic of a PUBLISH from a client cannot be told. The connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// 0, or above what CONNACK allowed.
    #[error("topic alias {alias} is outside 1–{max}")]
    OutOfRange {
        /// As received.
        alias: u16,
        /// As announced.
        max: u16,
    },
    /// No topic was given for it on this connection.
    #[error("topic alias {alias} was not set on this connection")]
    Unknown {
        /// As received.
        alias: u16,
    },
    /// Neither topic nor alias.
    #[error("PUBLISH has neither a topic nor a topic alias")]
    NoTopic,
}

impl AliasError {
    /// The code of the DISCONNECT.
    #[must_use]
    pub const fn reason_code(self) -> u8 {
        match self {
            Self::OutOfRange { .. } => reason::TOPIC_ALIAS_INVALID,
            Self::Unknown { .. } | Self::NoTopic => reason::PROTOCOL_ERROR,
        }
    }
}
