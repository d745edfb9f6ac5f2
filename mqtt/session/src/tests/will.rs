use std::time::{Duration, Instant};

use super::rig::{QOS1, message, topic};
use crate::{CloseCause, Limits, SessionExpiry, Will, WillVerdict};

fn will(delay_s: u32) -> Will {
    Will {
        topic: topic("gone"),
        payload: "now".into(),
        qos: QOS1,
        retain: true,
        properties: Default::default(),
        delay_s,
    }
}

fn on_close(now: Instant, delay_s: u32, cause: CloseCause, expiry: SessionExpiry) -> WillVerdict {
    will(delay_s).on_close(now, cause, expiry, &Limits::default())
}

// [MQTT-3.14.4-3] [MQTT-3.1.2-10]
#[test]
fn a_normal_disconnect_discards_the_will() {
    let now = Instant::now();
    let verdict = on_close(now, 0, CloseCause::Disconnect, SessionExpiry::Never);
    assert_eq!(verdict, WillVerdict::Discard);
}

// [MQTT-3.1.2-8] [MQTT311-3.1.2-8]
#[test]
fn a_will_is_published_at_the_end_of_its_delay_or_of_the_session() {
    let now = Instant::now();
    let at = |seconds| WillVerdict::PublishAt(now + Duration::from_secs(seconds));
    for cause in [CloseCause::Broken, CloseCause::DisconnectWithWill] {
        let verdict = |delay_s, expiry| on_close(now, delay_s, cause, expiry);
        assert_eq!(verdict(0, SessionExpiry::Never), WillVerdict::Publish);
        assert_eq!(verdict(10, SessionExpiry::AtClose), WillVerdict::Publish);
        assert_eq!(verdict(10, SessionExpiry::Never), at(10));
        assert_eq!(verdict(10, SessionExpiry::After(5)), at(5));
        assert_eq!(verdict(10, SessionExpiry::After(50)), at(10));
    }
}

// [MQTT-3.1.3-9]
#[test]
fn a_take_over_cancels_a_delayed_will_unless_it_ends_the_session() {
    let verdict =
        |delay_s, cause| on_close(Instant::now(), delay_s, cause, SessionExpiry::After(50));
    assert_eq!(verdict(10, CloseCause::TakenOver), WillVerdict::Discard);
    assert_eq!(verdict(0, CloseCause::TakenOver), WillVerdict::Publish);
    assert_eq!(verdict(10, CloseCause::TakenOverClean), WillVerdict::Publish);
}

#[test]
fn limits_cut_the_delay_and_refuse_a_large_will() {
    let limits = Limits { will_delay_max_s: 3, will_bytes_max: 2, ..Limits::default() };
    let now = Instant::now();
    let verdict = will(10).on_close(now, CloseCause::Broken, SessionExpiry::Never, &limits);
    assert_eq!(verdict, WillVerdict::PublishAt(now + Duration::from_secs(3)));
    assert!(!will(0).fits(&limits));
    assert!(will(0).fits(&Limits::default()));
}

#[test]
fn the_expiry_of_a_will_counts_from_its_publication() {
    let now = Instant::now();
    let like = message(1, QOS1);
    let published = will(0).into_message(now, 5, like.id, like.from, like.publisher);
    assert_eq!((published.received, published.timestamp_ms, published.retain), (now, 5, true));
}
