use super::rig::{QOS0, QOS1, QOS2, Rig, filter};
use crate::{Limits, RetainHandling, SessionExpiry, SubscribeError, SubscriptionOptions};

// [MQTT-3.8.4-3] [MQTT311-3.8.4-3]
#[test]
fn a_second_subscription_with_the_same_filter_replaces_the_first() {
    let mut rig = Rig::clean();
    let options = |qos| SubscriptionOptions { qos, ..Default::default() };
    rig.subscribe("a/+", options(QOS0));
    let again = rig.session.subscribe(filter("a/+"), options(QOS2), &mut rig.ops).unwrap();
    assert_eq!(again.before, Some(options(QOS0)));
    assert_eq!(rig.session.subscription_count(), 1);
    assert_eq!(rig.session.subscription(&filter("a/+")), Some(&options(QOS2)));
}

// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] [MQTT311-3.3.1-6]
#[test]
fn retained_messages_come_as_the_retain_handling_says_and_never_to_groups() {
    let cases = [
        (RetainHandling::Send, [true, true]),
        (RetainHandling::SendIfNew, [true, false]),
        (RetainHandling::Skip, [false, false]),
    ];
    for (retain_handling, expected) in cases {
        let mut rig = Rig::clean();
        let options = SubscriptionOptions { retain_handling, ..Default::default() };
        let wants = expected.map(|_| {
            rig.session.subscribe(filter("a"), options, &mut rig.ops).unwrap().wants_retained
        });
        assert_eq!(wants, expected);
        let shared = rig.session.subscribe(filter("$share/g/a"), options, &mut rig.ops);
        assert!(!shared.unwrap().wants_retained);
    }
}

// [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut rig = Rig::clean();
    let options = SubscriptionOptions { no_local: true, ..Default::default() };
    let refused = rig.session.subscribe(filter("$share/g/a"), options, &mut rig.ops).unwrap_err();
    assert_eq!((refused.reason_code(), refused.closes()), (0x82, true));
    assert_eq!(rig.session.subscription_count(), 0);
}

#[test]
fn one_subscription_above_the_limit_is_answered_0x97_and_not_stored() {
    let limits = Limits { filters_per_session_max: 1, ..Limits::default() };
    let mut rig = Rig::new(limits, &super::rig::v5(SessionExpiry::Never));
    let options = SubscriptionOptions::default();
    rig.subscribe("a", options);
    let refused = rig.session.subscribe(filter("b"), options, &mut rig.ops).unwrap_err();
    assert_eq!(refused, SubscribeError::TooMany { max: 1 });
    assert_eq!((refused.reason_code(), refused.closes()), (0x97, false));
    rig.subscribe("a", SubscriptionOptions { qos: QOS1, ..options });
    assert_eq!(rig.session.subscription_count(), 1);
}

// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT311-3.10.4-1]
#[test]
fn an_unsubscribe_removes_exactly_the_same_filter() {
    let mut rig = Rig::clean();
    rig.subscribe("a/+", SubscriptionOptions::default());
    assert_eq!(rig.session.unsubscribe(&filter("a/b"), &mut rig.ops), None);
    assert!(rig.session.unsubscribe(&filter("a/+"), &mut rig.ops).is_some());
    assert_eq!(rig.session.subscription_count(), 0);
}

// [MQTT-3.10.4-3]
#[test]
fn what_is_in_flight_when_the_client_unsubscribes_is_completed() {
    let mut rig = Rig::persistent();
    rig.subscribe("t", SubscriptionOptions { qos: QOS1, ..Default::default() });
    rig.deliver(1, QOS1);
    rig.pump();
    rig.session.unsubscribe(&filter("t"), &mut rig.ops);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(1, 1, true)]);
}
