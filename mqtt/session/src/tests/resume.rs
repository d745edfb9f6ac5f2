use super::rig::{QOS0, QOS1, QOS2, Rig, v5};
use crate::{ConnectTerms, DropReason, SessionExpiry};

// [MQTT-3.1.2-5] [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT311-4.4.0-1] [MQTT311-4.6.0-1]
#[test]
fn in_flight_publishes_are_repeated_first_in_order_with_dup_and_their_packet_ids() {
    let mut rig = Rig::persistent();
    for (number, qos) in [(1, QOS1), (2, QOS2), (3, QOS1)] {
        rig.deliver(number, qos);
    }
    rig.pump();
    rig.session.on_puback(1, &mut rig.ops);
    rig.disconnect();
    rig.deliver(4, QOS1);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(2, 2, true), (3, 3, true), (4, 4, false)]);
    assert_eq!(rig.pumped(), [], "once per connection");
}

// [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.6.0-4] [MQTT311-4.6.0-4]
#[test]
fn pubrels_are_repeated_in_the_order_of_their_pubrecs_and_their_publishes_never() {
    let mut rig = Rig::persistent();
    (1..=3).for_each(|number| {
        rig.deliver(number, QOS2);
    });
    rig.pump();
    rig.session.on_pubrec(3, 0, &mut rig.ops);
    rig.session.on_pubrec(1, 0, &mut rig.ops);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(255, 3, false), (255, 1, false), (2, 2, true)]);
}

// [MQTT-4.4.0-1]
#[test]
fn nothing_is_repeated_while_the_connection_lasts() {
    let mut rig = Rig::persistent();
    rig.deliver(1, QOS1);
    assert_eq!(rig.pump().len(), 1);
    rig.wait(1_000);
    assert_eq!(rig.pumped(), []);
}

// [MQTT-3.3.4-9]
#[test]
fn repeats_keep_the_receive_maximum_of_the_new_connection() {
    let mut rig = Rig::persistent();
    (1..=4).for_each(|number| {
        rig.deliver(number, QOS1);
    });
    rig.pump();
    rig.deliver(5, QOS0);
    rig.disconnect();
    rig.connect(&ConnectTerms { receive_max: 2, ..v5(SessionExpiry::Never) });
    rig.deliver(6, QOS0);
    rig.deliver(7, QOS1);
    assert_eq!(rig.pumped(), [(1, 1, true), (2, 2, true), (6, 0, false)]);
    rig.session.on_puback(2, &mut rig.ops);
    assert_eq!(rig.pumped(), [(3, 3, true)]);
    for packet_id in [1, 3] {
        rig.session.on_puback(packet_id, &mut rig.ops);
    }
    assert_eq!(rig.pumped(), [(4, 4, true), (7, 5, false)]);
}

// [MQTT-3.1.2-25]
#[test]
fn a_repeat_that_is_too_large_now_counts_as_sent_and_qos_2_is_released() {
    let mut rig = Rig::persistent();
    for (number, qos) in [(1, QOS1), (2, QOS2), (3, QOS0)] {
        rig.deliver(number, qos);
    }
    rig.pump();
    rig.disconnect();
    rig.connect(&ConnectTerms { packet_size_max: Some(5), ..v5(SessionExpiry::Never) });
    assert_eq!(rig.pumped(), [(255, 2, false)]);
    assert_eq!(rig.dropped(DropReason::TooLarge), 2);
    rig.session.on_pubcomp(2, &mut rig.ops);
    assert_eq!(rig.session.in_flight(), 0);
}

#[test]
fn a_take_over_on_this_node_needs_no_disconnect_first() {
    let mut rig = Rig::persistent();
    rig.deliver(1, QOS1);
    rig.pump();
    rig.connect(&v5(SessionExpiry::Never));
    assert_eq!(rig.pumped(), [(1, 1, true)]);
}

// [MQTT-3.3.2-7]
#[test]
fn topic_aliases_end_with_the_connection() {
    use crate::AliasUse::{Known, Set};
    let terms = ConnectTerms { topic_alias_max: 1, ..v5(SessionExpiry::Never) };
    let mut rig = Rig::persistent();
    for expected in [Set(1), Set(1)] {
        rig.connect(&terms);
        rig.deliver(1, QOS0);
        assert_eq!(rig.pump_one().alias, expected);
        rig.deliver(1, QOS0);
        assert_eq!(rig.pump_one().alias, Known(1));
    }
    let topic = super::rig::topic("t");
    assert!(rig.session.resolve_alias(Some(topic), Some(1)).is_ok());
    assert!(rig.session.resolve_alias(None, Some(1)).is_ok());
    rig.connect(&terms);
    assert!(rig.session.resolve_alias(None, Some(1)).is_err());
}
