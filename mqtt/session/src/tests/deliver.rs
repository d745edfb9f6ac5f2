use super::rig::{QOS0, QOS1, QOS2, Rig, message, v5};
use crate::{
    ConnectTerms, Delivered, DropReason, Limits, MatchedOptions, ProtocolVersion, QoS, RetainFlag,
    SessionExpiry, SubscriptionIds, SubscriptionOptions,
};

// [MQTT-3.8.4-8] [MQTT-4.8.2-3] [MQTT311-3.8.4-6]
#[test]
fn a_delivery_has_the_lower_qos_of_publish_and_subscription() {
    let levels = [QOS0, QOS1, QOS2];
    for (published, wanted) in levels.iter().flat_map(|p| levels.iter().map(move |w| (*p, *w))) {
        let mut rig = Rig::clean();
        let options = MatchedOptions { qos: wanted, ..MatchedOptions::default() };
        rig.deliver_with(message(1, published), &options);
        assert_eq!(rig.pump_one().qos, published.min(wanted));
    }
}

// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT311-3.3.5-1]
#[test]
fn overlapping_subscriptions_give_one_copy_with_the_highest_qos_and_all_identifiers() {
    let subscription = |qos, id| SubscriptionOptions { qos, id, ..Default::default() };
    let mut matched = subscription(QOS0, Some(7)).matched(false).unwrap();
    matched.merge(&subscription(QOS2, None).matched(false).unwrap());
    matched.merge(&subscription(QOS1, Some(200)).matched(false).unwrap());
    assert_eq!(matched.qos, QOS2);
    assert_eq!(matched.ids.as_slice(), [7, 200]);

    let mut rig = Rig::clean();
    rig.deliver_with(message(1, QOS2), &matched);
    let publish = rig.pump_one();
    assert_eq!((publish.qos, publish.subscription_ids.as_slice()), (QOS2, &[7, 200][..]));
}

// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_away_only_what_the_client_itself_published() {
    let options = SubscriptionOptions { no_local: true, ..Default::default() };
    assert_eq!(options.matched(true), None);
    assert!(options.matched(false).is_some());
    assert!(SubscriptionOptions::default().matched(true).is_some());
}

// [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-8] [MQTT311-3.3.1-9]
#[test]
fn the_retain_flag_is_kept_only_for_who_asked_and_set_for_retained_messages() {
    let flag = |options: &MatchedOptions, retain: bool| {
        let mut rig = Rig::clean();
        rig.deliver_with(crate::Message { retain, ..message(1, QOS0) }, options);
        rig.pump_one().retain
    };
    let plain = SubscriptionOptions::default().matched(false).unwrap();
    let asked = SubscriptionOptions { retain_as_published: true, ..Default::default() };
    let asked = asked.matched(false).unwrap();
    assert_eq!((flag(&plain, true), flag(&plain, false)), (false, false));
    assert_eq!((flag(&asked, true), flag(&asked, false)), (true, false));
    assert!(flag(&plain.for_retained(), true));
    assert_eq!(RetainFlag::AsPublished.max(RetainFlag::Clear), RetainFlag::AsPublished);
}

// [MQTT-2.2.1-2] [MQTT-3.3.1-2] [MQTT-4.3.1-1]
#[test]
fn a_qos_0_publish_has_neither_packet_id_nor_dup() {
    let mut rig = Rig::clean();
    rig.deliver(1, QOS0);
    let publish = rig.pump_one();
    assert_eq!((publish.packet_id, publish.dup), (None, false));
}

#[test]
fn qos_0_for_an_offline_session_is_dropped_and_counted_unless_a_setting_stores_it() {
    for store_offline_qos0 in [false, true] {
        let limits = Limits { store_offline_qos0, ..Limits::default() };
        let mut rig = Rig::new(limits, &v5(SessionExpiry::Never));
        rig.disconnect();
        let delivered = rig.deliver(1, QOS0);
        assert_eq!(delivered == Delivered::Queued, store_offline_qos0);
        assert_eq!(rig.dropped(DropReason::Offline), u32::from(!store_offline_qos0));
        rig.connect(&v5(SessionExpiry::Never));
        assert_eq!(rig.pump().len(), usize::from(store_offline_qos0));
    }
}

// [MQTT-4.5.0-1]
#[test]
fn qos_1_and_2_for_an_offline_session_wait() {
    let mut rig = Rig::persistent();
    rig.disconnect();
    assert_eq!(rig.deliver(1, QOS1), Delivered::Queued);
    assert_eq!(rig.deliver(2, QOS2), Delivered::Queued);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(1, 1, false), (2, 2, false)]);
}

// [MQTT-4.6.0-5] [MQTT-4.6.0-6]
#[test]
fn messages_leave_in_the_order_of_arrival_whatever_their_qos() {
    let mut rig = Rig::clean();
    for (number, qos) in [(1, QOS1), (2, QOS0), (3, QOS2), (4, QOS0)] {
        rig.deliver(number, qos);
    }
    let numbers: Vec<_> = rig.pumped().into_iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

// [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn a_full_window_holds_qos_1_and_2_back_but_not_qos_0() {
    let terms = ConnectTerms { receive_max: 2, ..v5(SessionExpiry::AtClose) };
    let mut rig = Rig::new(Limits::default(), &terms);
    for (number, qos) in [(1, QOS1), (2, QOS2), (3, QOS1), (4, QOS0)] {
        rig.deliver(number, qos);
    }
    assert_eq!(rig.pumped(), [(1, 1, false), (2, 2, false), (4, 0, false)]);
    rig.session.on_puback(1, &mut rig.ops);
    assert_eq!(rig.pumped(), [(3, 3, false)]);
}

// [MQTT-4.9.0-2]
#[test]
fn a_qos_2_flow_uses_its_place_in_the_window_until_pubcomp() {
    let terms = ConnectTerms { receive_max: 1, ..v5(SessionExpiry::AtClose) };
    let mut rig = Rig::new(Limits::default(), &terms);
    rig.deliver(1, QOS2);
    rig.deliver(2, QOS2);
    assert_eq!(rig.pumped(), [(1, 1, false)]);
    rig.session.on_pubrec(1, 0, &mut rig.ops);
    assert_eq!(rig.pumped(), []);
    rig.session.on_pubcomp(1, &mut rig.ops);
    assert_eq!(rig.pumped(), [(2, 2, false)]);
}

// [MQTT-2.2.1-4]
#[test]
fn a_packet_id_is_not_used_again_while_its_flow_is_open() {
    let mut rig = Rig::clean();
    rig.deliver(1, QOS1);
    assert_eq!(rig.pumped(), [(1, 1, false)]);
    for _ in 0..65_534 {
        rig.deliver(2, QOS1);
        let (_, packet_id, _) = rig.pumped()[0];
        assert_ne!(packet_id, 1);
        rig.session.on_puback(packet_id, &mut rig.ops);
    }
    rig.deliver(3, QOS1);
    assert_eq!(rig.pumped(), [(3, 2, false)]);
}

#[test]
fn the_room_of_the_output_buffer_ends_a_pump() {
    let mut rig = Rig::clean();
    (0..10).for_each(|number| assert_eq!(rig.deliver(number, QOS1), Delivered::Queued));
    let mut out = Vec::new();
    let used = rig.session.pump(rig.now, 20, &mut out, &mut rig.ops);
    assert_eq!((out.len(), used), (3, 27));
    assert_eq!(rig.session.pump(rig.now, 0, &mut out, &mut rig.ops), 0);
    assert_eq!(rig.pump().len(), 7);
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_message_above_the_clients_maximum_packet_size_is_dropped_and_counted() {
    let terms = ConnectTerms { packet_size_max: Some(9), ..v5(SessionExpiry::Never) };
    let mut rig = Rig::new(Limits::default(), &terms);
    let large = crate::Message { payload: vec![1; 2].into(), ..message(1, QOS1) };
    rig.deliver_message(large);
    rig.deliver(2, QOS1);
    assert_eq!(rig.pumped(), [(2, 1, false)], "PUBLISH has 9 bytes with a payload of one");
    assert_eq!(rig.dropped(DropReason::TooLarge), 1);
    assert_eq!(rig.session.in_flight(), 1);
}

#[test]
fn a_3_1_1_client_gets_no_property_of_version_5() {
    let terms = ConnectTerms {
        topic_alias_max: 10,
        ..ConnectTerms::plain(ProtocolVersion::V311, SessionExpiry::AtClose)
    };
    let mut rig = Rig::new(Limits::default(), &terms);
    let mut published = message(1, QOS0);
    published.properties.message_expiry = Some(60);
    let options = MatchedOptions { ids: SubscriptionIds::One(1), ..Default::default() };
    rig.deliver_with(published, &options);
    let publish = rig.pump_one();
    assert_eq!(publish.alias, crate::AliasUse::None);
    assert_eq!(publish.message_expiry, None);
    assert_eq!(publish.subscription_ids, SubscriptionIds::None);
}

#[test]
fn a_session_without_expiry_writes_no_journal() {
    let mut rig = Rig::clean();
    rig.subscribe("a", SubscriptionOptions::default());
    rig.deliver(1, QoS::ExactlyOnce);
    rig.pump();
    rig.session.on_pubrec(1, 0, &mut rig.ops);
    rig.session.on_pubcomp(1, &mut rig.ops);
    rig.disconnect();
    assert_eq!(rig.ops, []);
}

#[test]
fn a_session_moves_between_threads() {
    fn plain_data<T: Send + Sync>() {}
    plain_data::<crate::Session>();
}
