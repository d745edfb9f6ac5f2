use serde::{Deserialize, Serialize};

/// When a SUBSCRIBE brings the retained messages of its filter (MQTT 5.0 §3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum RetainHandling {
    /// Always [MQTT-3.3.1-9].
    #[default]
    Send = 0,
    /// Only if the subscription did not exist [MQTT-3.3.1-10].
    SendIfNew = 1,
    /// Never [MQTT-3.3.1-11].
    Skip = 2,
}

impl RetainHandling {
    /// `None` for 3, a protocol error (MQTT 5.0 §3.8.3.1).
    #[must_use]
    pub const fn from_u8(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Send),
            1 => Some(Self::SendIfNew),
            2 => Some(Self::Skip),
            _ => None,
        }
    }

    /// Whether a subscription gets the retained messages of its filter. Shared ones never do
    /// (MQTT 5.0 §4.8.2).
    #[must_use]
    pub const fn wants(self, existed: bool, shared: bool) -> bool {
        match self {
            _ if shared => false,
            Self::Send => true,
            Self::SendIfNew => !existed,
            Self::Skip => false,
        }
    }
}
