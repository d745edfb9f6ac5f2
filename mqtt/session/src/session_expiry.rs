use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long a session stays after its connection ended (MQTT 5.0 §3.1.2.11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SessionExpiry {
    /// It ends with the connection.
    #[default]
    AtClose,
    /// Seconds, not 0.
    After(u32),
    /// It stays until a clean start.
    Never,
}

/// A DISCONNECT asked for an expiry after CONNECT had said 0: protocol error, 0x82
/// (MQTT 5.0 §3.14.2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("DISCONNECT sets a session expiry, but CONNECT had none")]
pub struct ExpiryFromZero;

impl SessionExpiry {
    /// Interval that means "never" in a CONNECT.
    pub const NEVER: u32 = u32::MAX;

    /// The wish of a v5 CONNECT (absent is 0), cut to the cap. When the cap cut it, tell the
    /// client in CONNACK ([`Self::interval`], MQTT 5.0 §3.2.2.3.2).
    #[must_use]
    pub fn from_v5(interval: Option<u32>, cap_s: Option<u32>) -> Self {
        match (interval.unwrap_or(0), cap_s.unwrap_or(Self::NEVER)) {
            (0, _) | (_, 0) => Self::AtClose,
            (Self::NEVER, Self::NEVER) => Self::Never,
            (wish, cap) => Self::After(wish.min(cap)),
        }
    }

    /// 3.1.1: clean session ends at close, others stay as long as the cap allows
    /// (MQTT 3.1.1 §3.1.2.4).
    #[must_use]
    pub fn from_v3(clean_session: bool, cap_s: Option<u32>) -> Self {
        Self::from_v5((!clean_session).then_some(Self::NEVER), cap_s)
    }

    /// The expiry after a DISCONNECT that may change it.
    ///
    /// # Errors
    /// [`ExpiryFromZero`]: a session that ends at close cannot be made to stay.
    pub fn changed_by_disconnect(
        self,
        interval: Option<u32>,
        cap_s: Option<u32>,
    ) -> Result<Self, ExpiryFromZero> {
        match (self, interval) {
            (_, None) => Ok(self),
            (Self::AtClose, Some(wish)) if wish != 0 => Err(ExpiryFromZero),
            (_, Some(_)) => Ok(Self::from_v5(interval, cap_s)),
        }
    }

    /// The property's value.
    #[must_use]
    pub const fn interval(self) -> u32 {
        match self {
            Self::AtClose => 0,
            Self::After(seconds) => seconds,
            Self::Never => Self::NEVER,
        }
    }

    /// Whether the session outlives its connection.
    #[must_use]
    pub const fn is_persistent(self) -> bool {
        !matches!(self, Self::AtClose)
    }

    /// When a session whose connection ended at `closed` ends; `None` is never.
    #[must_use]
    pub fn ends_at(self, closed: Instant) -> Option<Instant> {
        match self {
            Self::AtClose => Some(closed),
            Self::After(seconds) => closed.checked_add(Duration::from_secs(u64::from(seconds))),
            Self::Never => None,
        }
    }
}
