use super::rig::{QOS1, QOS2, Rig};
use crate::{AckOutcome, PubrecOutcome};

// [MQTT-4.3.2-3] [MQTT-4.3.3-5]
#[test]
fn flows_end_in_any_order() {
    let mut rig = Rig::clean();
    for (number, qos) in [(1, QOS1), (2, QOS2), (3, QOS1), (4, QOS2)] {
        rig.deliver(number, qos);
    }
    rig.pump();
    let (session, ops) = (&mut rig.session, &mut rig.ops);
    assert_eq!(session.on_pubrec(4, 0, ops), PubrecOutcome::Release);
    assert_eq!(session.on_puback(3, ops), AckOutcome::Done);
    assert_eq!(session.on_pubcomp(4, ops), AckOutcome::Done);
    assert_eq!(session.on_pubrec(2, 0, ops), PubrecOutcome::Release);
    assert_eq!(session.on_puback(1, ops), AckOutcome::Done);
    assert_eq!(session.on_pubcomp(2, ops), AckOutcome::Done);
    assert_eq!(session.in_flight(), 0);
}

// [MQTT-4.4.0-2] [MQTT-4.8.2-6]
#[test]
fn a_refused_publish_is_over_and_never_sent_again() {
    let mut rig = Rig::persistent();
    rig.deliver(1, QOS1);
    rig.deliver(2, QOS2);
    rig.pump();
    assert_eq!(rig.session.on_puback(1, &mut rig.ops), AckOutcome::Done);
    assert_eq!(rig.session.on_pubrec(2, 0x97, &mut rig.ops), PubrecOutcome::Ended);
    rig.reconnect();
    assert_eq!(rig.pumped(), []);
}

// [MQTT-4.3.3-4]
#[test]
fn a_repeated_pubrec_is_answered_with_pubrel_again() {
    let mut rig = Rig::clean();
    rig.deliver(1, QOS2);
    rig.pump();
    assert_eq!(rig.session.on_pubrec(1, 0, &mut rig.ops), PubrecOutcome::Release);
    assert_eq!(rig.session.on_pubrec(1, 0, &mut rig.ops), PubrecOutcome::Release);
    assert_eq!(rig.session.in_flight(), 1);
}

#[test]
fn answers_for_unknown_packet_ids_change_nothing() {
    let mut rig = Rig::clean();
    rig.deliver(1, QOS1);
    rig.pump();
    let (session, ops) = (&mut rig.session, &mut rig.ops);
    assert_eq!(session.on_puback(9, ops), AckOutcome::Unknown);
    assert_eq!(session.on_pubrec(9, 0, ops), PubrecOutcome::Unknown);
    assert_eq!(session.on_pubcomp(9, ops), AckOutcome::Unknown);
    assert_eq!(session.in_flight(), 1);
}

#[test]
fn answers_of_the_other_kind_of_flow_are_protocol_errors() {
    let mut rig = Rig::clean();
    rig.deliver(1, QOS1);
    rig.deliver(2, QOS2);
    rig.pump();
    let (session, ops) = (&mut rig.session, &mut rig.ops);
    assert_eq!(session.on_pubrec(1, 0, ops), PubrecOutcome::WrongFlow);
    assert_eq!(session.on_puback(2, ops), AckOutcome::WrongFlow);
    assert_eq!(session.on_pubcomp(2, ops), AckOutcome::WrongFlow);
    session.on_pubrec(2, 0, ops);
    assert_eq!(session.on_puback(2, ops), AckOutcome::WrongFlow);
    assert_eq!(session.in_flight(), 2);
}
