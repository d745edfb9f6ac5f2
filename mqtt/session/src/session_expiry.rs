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
/// [MQTT-3.14.2-2].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("DISCONNECT sets a session expiry, but CONNECT had none")]
pub struct ExpiryFromZero;

impl SessionExpiry {
    /// Interval that means "never" in a CONNECT.
    pub const NEVER: u32 = u32::MAX;

    /// The wish of a v5 CONNECT (absent is 0), cut to the cap. When the cap cut it, tell the
    /// client in CONNACK ([`Self::interval`], [MQTT-3.2.2-21]).
    #[must_use]
    pub fn from_v5(interval: Option<u32>, cap_s: Option<u32>) -> Self {
        match (interval.unwrap_or(0), cap_s.unwrap_or(Self::NEVER)) {
            (0, _) | (_, 0) => Self::AtClose,
            (Self::NEVER, Self::NEVER) => Self::Never,
            (wish, cap) => Self::After(wish.min(cap)),
        }
    }

    /// 3.1.1: clean session ends at close, others stay as long as the cap allows
    /// [MQTT-3.1.2-4, MQTT 3.1.1 §3.1.2.4].
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

#[cfg(test)]
mod tests {
    use super::*;

    // [MQTT-3.1.2-23]
    #[test]
    fn a_session_with_an_interval_ends_that_long_after_its_connection() {
        let closed = Instant::now();
        let expiry = SessionExpiry::from_v5(Some(60), None);
        assert_eq!(expiry.ends_at(closed), Some(closed + Duration::from_secs(60)));
        assert_eq!(SessionExpiry::AtClose.ends_at(closed), Some(closed));
        assert_eq!(SessionExpiry::Never.ends_at(closed), None);
    }

    #[test]
    fn a_cap_cuts_long_wishes_and_never() {
        let cap = Some(100);
        assert_eq!(SessionExpiry::from_v5(Some(99), cap), SessionExpiry::After(99));
        assert_eq!(SessionExpiry::from_v5(Some(101), cap), SessionExpiry::After(100));
        assert_eq!(SessionExpiry::from_v5(Some(u32::MAX), cap), SessionExpiry::After(100));
        assert_eq!(SessionExpiry::from_v5(Some(u32::MAX), None), SessionExpiry::Never);
        assert_eq!(SessionExpiry::from_v5(None, None), SessionExpiry::AtClose);
        assert_eq!(SessionExpiry::from_v5(Some(5), Some(0)), SessionExpiry::AtClose);
    }

    // [MQTT-3.1.2-4]
    #[test]
    fn a_3_1_1_session_that_is_not_clean_stays_as_long_as_the_cap() {
        assert_eq!(SessionExpiry::from_v3(true, Some(100)), SessionExpiry::AtClose);
        assert_eq!(SessionExpiry::from_v3(false, Some(100)), SessionExpiry::After(100));
        assert_eq!(SessionExpiry::from_v3(false, None), SessionExpiry::Never);
    }

    // [MQTT-3.14.2-2]
    #[test]
    fn a_disconnect_may_change_an_expiry_but_not_create_one() {
        let ten = SessionExpiry::After(10);
        assert_eq!(
            SessionExpiry::AtClose.changed_by_disconnect(Some(1), None),
            Err(ExpiryFromZero)
        );
        assert_eq!(
            SessionExpiry::AtClose.changed_by_disconnect(Some(0), None),
            Ok(SessionExpiry::AtClose)
        );
        assert_eq!(ten.changed_by_disconnect(Some(0), None), Ok(SessionExpiry::AtClose));
        assert_eq!(ten.changed_by_disconnect(Some(99), Some(50)), Ok(SessionExpiry::After(50)));
        assert_eq!(ten.changed_by_disconnect(None, None), Ok(ten));
    }
}
