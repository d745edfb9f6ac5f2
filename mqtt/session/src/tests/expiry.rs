use super::rig::{QOS1, QOS2, Rig, message};
use crate::{Delivered, DropReason, Limits, MatchedOptions, Message, SessionExpiry};

fn expiring(number: u8, seconds: u32) -> Message {
    let mut message = message(number, QOS2);
    message.properties.message_expiry = Some(seconds);
    message
}

// [MQTT-3.3.2-5]
#[test]
fn an_expired_message_is_not_sent_but_counted() {
    let mut rig = Rig::persistent();
    rig.disconnect();
    rig.deliver_message(expiring(1, 10));
    rig.deliver_message(expiring(2, 100));
    rig.wait(10);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(2, 1, false)]);
    assert_eq!(rig.dropped(DropReason::Expired), 1);
    assert_eq!(rig.deliver_message(expiring(3, 0)), Delivered::Dropped(DropReason::Expired));
}

// [MQTT-3.3.2-6]
#[test]
fn the_expiry_interval_that_is_sent_is_what_remains() {
    let mut rig = Rig::persistent();
    rig.disconnect();
    rig.deliver_message(expiring(1, 100));
    rig.wait(30);
    rig.reconnect();
    assert_eq!(rig.pump_one().message_expiry, Some(70));
}

// [MQTT-4.3.3-7] [MQTT-4.3.3-13]
#[test]
fn a_message_whose_sending_has_begun_does_not_expire() {
    let mut rig = Rig::persistent();
    rig.deliver_message(expiring(1, 10));
    assert_eq!(rig.pumped(), [(1, 1, false)]);
    rig.wait(60);
    rig.session.sweep(rig.now, &mut rig.ops);
    rig.reconnect();
    let repeated = rig.pump_one();
    assert_eq!((repeated.dup, repeated.message_expiry), (true, Some(0)));
}

#[test]
fn a_sweep_drops_what_expired_in_an_offline_session() {
    let mut rig = Rig::persistent();
    rig.disconnect();
    rig.deliver_message(expiring(1, 10));
    rig.deliver(2, QOS1);
    rig.wait(10);
    rig.session.sweep(rig.now, &mut rig.ops);
    assert_eq!((rig.session.inbox_messages(), rig.dropped(DropReason::Expired)), (1, 1));
}

#[test]
fn a_cap_ends_the_wait_of_messages_without_expiry_but_not_of_retained_ones() {
    let limits = Limits { message_expiry_max_s: Some(100), ..Limits::default() };
    let mut rig = Rig::new(limits, &super::rig::v5(SessionExpiry::Never));
    rig.disconnect();
    rig.deliver(1, QOS1);
    let retained = MatchedOptions { qos: QOS1, ..Default::default() }.for_retained();
    rig.deliver_with(message(2, QOS1), &retained);
    rig.wait(101);
    rig.connect(&super::rig::v5(SessionExpiry::Never));
    assert_eq!(rig.pumped(), [(2, 1, false)]);
    assert_eq!(rig.dropped(DropReason::Expired), 1);
}
