use crate::reason;

/// Why a message was not retained. It is still delivered to the present subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetainError {
    /// One message above its limit.
    #[error("the message has {bytes} bytes, a retained one may have {max}")]
    TooLarge {
        /// Its weight.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// All messages together are at their number.
    #[error("{max} messages are retained already; clear some or raise the limit")]
    TooMany {
        /// The limit.
        max: u32,
    },
    /// All messages together would be above their bytes.
    #[error(
        "retained messages would have {bytes} bytes, allowed are {max}; clear some or raise the limit"
    )]
    TooManyBytes {
        /// Bytes with the new one.
        bytes: u64,
        /// The limit.
        max: u64,
    },
}

impl RetainError {
    /// The code in PUBACK or PUBREC.
    #[must_use]
    pub const fn reason_code(self) -> u8 {
        reason::QUOTA_EXCEEDED
    }
}
