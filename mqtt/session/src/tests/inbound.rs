use std::time::Duration;

use super::rig::{QOS1, QOS2, Rig};
use crate::{
    ConnectTerms, FlowId, InboundDecision, JournalOp, Limits, ProtocolVersion, PublishAnswer,
    PubrelOutcome, QoS, SessionExpiry, reason,
};

impl Rig {
    fn publish(&mut self, packet_id: u16, qos: QoS) -> InboundDecision {
        self.session.on_publish(packet_id, qos, &mut self.ops)
    }

    /// A PUBLISH that is to be routed.
    pub(super) fn route(&mut self, packet_id: u16, qos: QoS) -> FlowId {
        match self.publish(packet_id, qos) {
            InboundDecision::Route(flow) => flow,
            other => panic!("{other:?}"),
        }
    }

    fn held(&mut self, flow: FlowId) -> Option<PublishAnswer> {
        self.session.publish_held(flow, &mut self.ops)
    }

    fn pubrel(&mut self, packet_id: u16) -> PubrelOutcome {
        self.session.on_pubrel(packet_id, &mut self.ops)
    }
}

// [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT311-4.3.2-2]
#[test]
fn a_qos_1_packet_id_is_a_new_message_after_its_puback() {
    let mut rig = Rig::clean();
    for _ in 0..2 {
        let flow = rig.route(1, QOS1);
        assert_eq!(rig.held(flow), Some(PublishAnswer::Puback));
    }
    assert_eq!(rig.session.inbound_flows(), 0);
}

// [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT311-4.3.3-2]
#[test]
fn a_qos_2_packet_id_is_the_same_message_until_pubrel() {
    let mut rig = Rig::clean();
    let flow = rig.route(1, QOS2);
    assert_eq!(rig.publish(1, QOS2), InboundDecision::Pending);
    assert_eq!(rig.held(flow), Some(PublishAnswer::Pubrec));
    assert_eq!(rig.publish(1, QOS2), InboundDecision::Repeat);
    assert_eq!(rig.pubrel(1), PubrelOutcome::Complete);
    rig.route(1, QOS2);
}

// [MQTT-4.3.3-10]
#[test]
fn a_qos_2_packet_id_is_remembered_over_a_reconnect() {
    let mut rig = Rig::persistent();
    let flow = rig.route(1, QOS2);
    rig.held(flow);
    rig.reconnect();
    assert_eq!(rig.publish(1, QOS2), InboundDecision::Repeat);
    assert_eq!(rig.pubrel(1), PubrelOutcome::Complete);
}

// [MQTT-4.3.3-9]
#[test]
fn a_refused_qos_2_publish_leaves_its_packet_id_free() {
    let mut rig = Rig::clean();
    let flow = rig.route(1, QOS2);
    assert_eq!(rig.session.publish_refused(flow, true, &mut rig.ops), Some(PublishAnswer::Pubrec));
    assert_eq!(rig.pubrel(1), PubrelOutcome::Unknown);
    rig.route(1, QOS2);
}

// [MQTT-4.3.3-11]
#[test]
fn a_pubrel_for_an_unknown_packet_id_is_answered_0x92() {
    let mut rig = Rig::clean();
    assert_eq!(rig.pubrel(7), PubrelOutcome::Unknown);
    assert_eq!(reason::PACKET_ID_NOT_FOUND, 0x92);
}

#[test]
fn a_late_answer_goes_only_to_the_connection_that_asked() {
    let mut rig = Rig::persistent();
    let (one, two) = (rig.route(1, QOS1), rig.route(2, QOS2));
    rig.reconnect();
    let again = rig.route(1, QOS1);
    assert_eq!(rig.held(one), None, "the same packet id, another PUBLISH");
    assert_eq!(rig.held(again), Some(PublishAnswer::Puback));
    assert_eq!(rig.held(two), None, "not asked on this connection");
    assert_eq!(rig.publish(2, QOS2), InboundDecision::Repeat);
}

#[test]
fn a_publish_that_is_repeated_while_it_is_routed_is_answered_once_on_the_new_connection() {
    let mut rig = Rig::persistent();
    let flow = rig.route(1, QOS2);
    rig.reconnect();
    assert_eq!(rig.publish(1, QOS2), InboundDecision::Pending);
    assert_eq!(rig.held(flow), Some(PublishAnswer::Pubrec));
    assert_eq!(rig.held(flow), None);
}

// [MQTT-3.3.4-7] [MQTT-4.9.0-2]
#[test]
fn one_publish_above_the_receive_maximum_ends_the_connection_with_0x93() {
    let mut rig = Rig::clean();
    (1..=32).for_each(|packet_id| {
        rig.route(packet_id, if packet_id % 2 == 0 { QOS1 } else { QOS2 });
    });
    assert_eq!(rig.publish(33, QOS1), InboundDecision::Close(0x93));
    assert_eq!(rig.session.inbound_flows(), 32);
}

#[test]
fn held_qos_2_flows_count_until_pubrel() {
    let limits = Limits { receive_max: 1, ..Limits::default() };
    let mut rig = Rig::new(limits, &super::rig::v5(SessionExpiry::AtClose));
    let flow = rig.route(1, QOS2);
    rig.held(flow);
    assert_eq!(rig.publish(2, QOS2), InboundDecision::Close(0x93));
    rig.pubrel(1);
    rig.route(2, QOS2);
}

#[test]
fn packet_ids_of_a_client_that_lost_its_state_do_not_lock_it_out_nor_pile_up() {
    let limits = Limits { receive_max: 2, ..Limits::default() };
    let mut rig = Rig::new(limits, &super::rig::v5(SessionExpiry::Never));
    for packet_id in 1..1_000 {
        let flow = rig.route(packet_id, QOS2);
        rig.held(flow);
        rig.reconnect();
        assert!(rig.session.inbound_flows() <= 4);
    }
}

#[test]
fn a_3_1_1_client_has_a_limit_of_its_own_and_is_paused_before_it() {
    let terms = ConnectTerms::plain(ProtocolVersion::V311, SessionExpiry::AtClose);
    let mut rig = Rig::new(Limits { receive_v3_max: 100, ..Limits::default() }, &terms);
    let flows: Vec<_> = (1..=51).map(|packet_id| rig.route(packet_id, QOS1)).collect();
    assert!(rig.session.wants_pause());
    rig.held(flows[0]);
    assert!(!rig.session.wants_pause());
    (100..=149).for_each(|packet_id| {
        rig.route(packet_id, QOS2);
    });
    assert_eq!(rig.publish(150, QOS2), InboundDecision::Close(0x93));
}

fn few() -> Limits {
    let awaiting_release_time = Duration::from_secs(300);
    Limits { awaiting_release_max: 2, awaiting_release_time, ..Limits::default() }
}

impl Rig {
    fn forget_unreleased(&mut self) {
        let now = self.now;
        self.session.forget_unreleased(now, &mut self.ops);
    }
}

#[test]
fn a_qos_2_publish_above_the_unreleased_ones_is_refused_and_qos_1_is_not() {
    let mut rig = Rig::new(few(), &super::rig::v5(SessionExpiry::AtClose));
    for packet_id in [1, 2] {
        let flow = rig.route(packet_id, QOS2);
        rig.held(flow);
    }
    assert_eq!(rig.publish(3, QOS2), InboundDecision::Refuse(0x97));
    assert_eq!(rig.publish(2, QOS2), InboundDecision::Repeat);
    rig.route(3, QOS1);
    rig.pubrel(1);
    rig.route(4, QOS2);
}

#[test]
fn ids_of_earlier_connections_make_room_for_new_ones() {
    let mut rig = Rig::new(few(), &super::rig::v5(SessionExpiry::Never));
    for packet_id in [1, 2] {
        let flow = rig.route(packet_id, QOS2);
        rig.held(flow);
    }
    rig.reconnect();
    rig.route(3, QOS2);
    assert_eq!(rig.publish(2, QOS2), InboundDecision::Repeat, "the younger one is still known");
    assert_eq!(rig.publish(4, QOS2), InboundDecision::Refuse(0x97));
}

#[test]
fn an_id_is_forgotten_when_a_connected_client_leaves_it_for_too_long() {
    let mut rig = Rig::new(few(), &super::rig::v5(SessionExpiry::Never));
    let flow = rig.route(1, QOS2);
    rig.held(flow);
    rig.forget_unreleased();
    rig.wait(200);
    rig.disconnect();
    assert!(!rig.session.awaits_release(), "nobody could release it");
    rig.wait(1_000);
    rig.reconnect();
    rig.forget_unreleased();
    rig.wait(299);
    rig.forget_unreleased();
    assert_eq!(rig.publish(1, QOS2), InboundDecision::Repeat);
    rig.wait(1);
    rig.forget_unreleased();
    assert_eq!(rig.ops.last(), Some(&JournalOp::Qos2Done { packet_id: 1 }));
    rig.route(1, QOS2);
}
