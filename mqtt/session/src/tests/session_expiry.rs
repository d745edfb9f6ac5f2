use std::time::{Duration, Instant};

use crate::{ExpiryFromZero, SessionExpiry};

// [MQTT-3.1.2-23] [MQTT-4.1.0-2]
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

// [MQTT311-3.1.2-4] [MQTT311-3.1.2-6]
#[test]
fn a_3_1_1_session_that_is_not_clean_stays_as_long_as_the_cap() {
    assert_eq!(SessionExpiry::from_v3(true, Some(100)), SessionExpiry::AtClose);
    assert_eq!(SessionExpiry::from_v3(false, Some(100)), SessionExpiry::After(100));
    assert_eq!(SessionExpiry::from_v3(false, None), SessionExpiry::Never);
}

#[test]
fn a_disconnect_may_change_an_expiry_but_not_create_one() {
    let ten = SessionExpiry::After(10);
    assert_eq!(SessionExpiry::AtClose.changed_by_disconnect(Some(1), None), Err(ExpiryFromZero));
    assert_eq!(
        SessionExpiry::AtClose.changed_by_disconnect(Some(0), None),
        Ok(SessionExpiry::AtClose)
    );
    assert_eq!(ten.changed_by_disconnect(Some(0), None), Ok(SessionExpiry::AtClose));
    assert_eq!(ten.changed_by_disconnect(Some(99), Some(50)), Ok(SessionExpiry::After(50)));
    assert_eq!(ten.changed_by_disconnect(None, None), Ok(ten));
}
