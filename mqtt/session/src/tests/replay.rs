use std::sync::Arc;

use super::rig::{QOS1, QOS2, Rig, filter, message, meta, v5};
use crate::{
    Begun, DropReason, Entry, JournalOp, Limits, MessageId, ReplayError, Session, SessionExpiry,
    SubscriptionIds, SubscriptionOptions, in_flight_messages,
};

fn replay(ops: &[JournalOp]) -> Result<Session, ReplayError> {
    let find = |id: crate::MessageId| Some(Arc::new(message(id.0[0], QOS2)));
    Session::replay("client".into(), Arc::new(Limits::default()), ops.to_vec(), find)
}

fn entry(seq: u64) -> Entry {
    let message = message(1, QOS1).id;
    let ids = SubscriptionIds::None;
    Entry { seq, message, size: 10, qos: QOS1, retain: false, ids, shared: None }
}

/// A session with something of everything.
fn busy() -> Rig {
    let mut rig = Rig::persistent();
    rig.subscribe("a/+", SubscriptionOptions { id: Some(3), ..Default::default() });
    rig.subscribe("$share/g/b", SubscriptionOptions::default());
    rig.session.unsubscribe(&filter("$share/g/b"), &mut rig.ops);
    for number in 1..=4 {
        rig.deliver(number, if number % 2 == 0 { QOS2 } else { QOS1 });
    }
    rig.pump();
    rig.session.on_puback(3, &mut rig.ops);
    rig.session.on_pubrec(2, 0, &mut rig.ops);
    let crate::InboundDecision::Route(flow) = rig.session.on_publish(9, QOS2, &mut rig.ops) else {
        panic!("a new packet id");
    };
    rig.session.publish_held(flow, &mut rig.ops);
    rig.disconnect();
    rig.deliver(5, QOS1);
    rig
}

/// A publisher's session after the node died while it routed a QoS 2 PUBLISH, and the id that the
/// message had.
fn left_unanswered() -> (Rig, crate::MessageId) {
    let mut rig = Rig::persistent();
    let flow = rig.route(7, QOS2);
    let fresh = message(1, QOS2).id;
    let begun = rig.session.begin_routing(flow, false, fresh, &mut rig.ops);
    assert_eq!(begun, Begun { message: fresh, repeated: false, noted: true });
    assert_eq!(rig.ops.last(), Some(&JournalOp::Qos2Begun { packet_id: 7, message: fresh }));
    rig.session = replay(&rig.ops).unwrap();
    assert_eq!(replay(&rig.session.snapshot()).unwrap().snapshot(), rig.session.snapshot());
    rig.connect(&v5(SessionExpiry::Never));
    (rig, fresh)
}

// [MQTT-4.3.3-10]
#[test]
fn the_repeat_of_a_qos_2_publish_that_a_dead_node_left_unanswered_keeps_its_name() {
    let (mut rig, before) = left_unanswered();
    let flow = rig.route(7, QOS2);
    rig.ops.clear();
    let fresh = message(2, QOS2).id;
    let begun = rig.session.begin_routing(flow, true, fresh, &mut rig.ops);
    assert_eq!(begun, Begun { message: before, repeated: true, noted: true });
    assert_eq!(rig.ops, [], "the journal knows it");
    rig.session.publish_held(flow, &mut rig.ops);
    assert_eq!(rig.ops, [JournalOp::Qos2Received { packet_id: 7 }]);
}

// [MQTT-3.3.1-1]
#[test]
fn without_dup_it_is_another_message() {
    let (mut rig, _) = left_unanswered();
    let flow = rig.route(7, QOS2);
    let fresh = message(2, QOS2).id;
    let begun = rig.session.begin_routing(flow, false, fresh, &mut rig.ops);
    assert_eq!(begun, Begun { message: fresh, repeated: false, noted: true });
    rig.session.publish_refused(flow, true, &mut rig.ops);
    assert_eq!(rig.ops.last(), Some(&JournalOp::Qos2Done { packet_id: 7 }));
    assert!(!rig.session.snapshot().iter().any(|op| matches!(op, JournalOp::Qos2Begun { .. })));
}

// [MQTT-4.3.3-10]
#[test]
fn the_repeat_of_a_qos_2_publish_whose_refusal_nobody_heard_keeps_its_name() {
    let mut rig = Rig::persistent();
    let flow = rig.route(7, QOS2);
    let first = message(1, QOS2).id;
    rig.session.begin_routing(flow, false, first, &mut rig.ops);
    rig.ops.clear();
    rig.session.publish_refused(flow, false, &mut rig.ops);
    assert_eq!(rig.ops, [], "the journal keeps its name");
    assert!(
        rig.session.snapshot().contains(&JournalOp::Qos2Begun { packet_id: 7, message: first })
    );
    rig.reconnect();
    let flow = rig.route(7, QOS2);
    let begun = rig.session.begin_routing(flow, true, message(2, QOS2).id, &mut rig.ops);
    assert_eq!(begun, Begun { message: first, repeated: true, noted: true });
    rig.session.publish_refused(flow, true, &mut rig.ops);
    let last = rig.ops.last();
    assert_eq!(last, Some(&JournalOp::Qos2Done { packet_id: 7 }), "now it has been told");
    let flow = rig.route(7, QOS2);
    let begun = rig.session.begin_routing(flow, true, message(3, QOS2).id, &mut rig.ops);
    assert!(!begun.repeated, "another message, whatever the flag says");
}

#[test]
fn a_refusal_before_routing_that_was_told_ends_what_could_be_repeated() {
    let (mut rig, _) = left_unanswered();
    let flow = rig.route(7, QOS2);
    rig.ops.clear();
    rig.session.publish_refused(flow, true, &mut rig.ops);
    assert_eq!(rig.ops, [JournalOp::Qos2Done { packet_id: 7 }]);
}

#[test]
fn names_of_refused_messages_are_kept_for_as_many_as_a_client_may_have_open() {
    let mut rig = Rig::persistent();
    let max = Limits::default().receive_max.max(Limits::default().receive_v3_max);
    for packet_id in 1..=max + 1 {
        let flow = rig.route(packet_id, QOS2);
        let fresh = MessageId(u128::from(packet_id).to_be_bytes());
        rig.session.begin_routing(flow, false, fresh, &mut rig.ops);
        rig.session.publish_refused(flow, false, &mut rig.ops);
    }
    assert_eq!(rig.ops.last(), Some(&JournalOp::Qos2Done { packet_id: 1 }));
    let names = rig.session.snapshot();
    let names = names.iter().filter(|op| matches!(op, JournalOp::Qos2Begun { .. }));
    assert_eq!(names.count(), usize::from(max));
}

#[test]
fn a_session_takes_no_second_time_what_it_had_before_the_restart() {
    let mut rig = Rig::persistent();
    rig.ops.push(JournalOp::Took { message: message(1, QOS2).id });
    rig.session = replay(&rig.ops).unwrap();
    assert_eq!(rig.deliver(1, QOS2), crate::Delivered::Repeat);
    assert_eq!(rig.deliver(2, QOS2), crate::Delivered::Queued);
}

// [MQTT-4.1.0-1]
#[test]
fn a_replay_equals_the_session_and_goes_on_like_it() {
    let mut rig = busy();
    let mut session = replay(&rig.ops).unwrap();
    assert_eq!(session.snapshot(), rig.session.snapshot());
    let mut again =
        Rig { now: rig.now, session: replay(&session.snapshot()).unwrap(), ops: vec![] };
    session.take_drops();
    again.connect(&v5(SessionExpiry::Never));
    rig.connect(&v5(SessionExpiry::Never));
    assert_eq!(again.pumped(), [(255, 2, false), (1, 1, true), (4, 4, true), (5, 3, false)]);
    assert_eq!(rig.pumped(), [(255, 2, false), (1, 1, true), (4, 4, true), (5, 5, false)]);
    let repeat = again.session.on_publish(9, QOS2, &mut again.ops);
    assert_eq!(repeat, crate::InboundDecision::Repeat);
}

#[test]
fn every_prefix_of_a_journal_is_a_session() {
    let ops = busy().ops;
    assert_eq!(replay(&[]).unwrap_err(), ReplayError::NoMeta);
    for end in 1..=ops.len() {
        replay(&ops[..end]).unwrap();
    }
}

#[test]
fn only_messages_in_flight_must_be_at_hand_the_others_wait_in_the_store() {
    let rig = busy();
    let needed = in_flight_messages(&rig.ops);
    assert_eq!(needed.len(), 2);
    let find = |id| needed.contains(&id).then(|| Arc::new(message(id.0[0], QOS2)));
    let limits = Arc::new(Limits::default());
    let mut session = Session::replay("client".into(), limits, rig.ops, find).unwrap();
    assert!(session.take_drops().is_empty());
    let mut wanted = Vec::new();
    session.refill(&mut wanted);
    assert_eq!(wanted, [message(5, QOS1).id]);
}

#[test]
fn a_message_in_flight_that_is_not_at_hand_is_counted_as_lost() {
    let limits = Arc::new(Limits::default());
    let mut session = Session::replay("client".into(), limits, busy().ops, |_| None).unwrap();
    assert_eq!(session.take_drops().get(DropReason::Lost), 2);
}

#[test]
fn a_journal_that_contradicts_itself_is_refused() {
    let refused = |more: &[JournalOp]| {
        let mut ops = vec![JournalOp::Meta(meta())];
        ops.extend_from_slice(more);
        replay(&ops).unwrap_err()
    };
    let enqueued = || JournalOp::Enqueued(entry(1));
    let in_flight = |packet_id| JournalOp::InFlight { seq: 1, packet_id };
    assert_eq!(refused(&[enqueued(), enqueued()]), ReplayError::EnqueuedTwice { seq: 1 });
    assert_eq!(refused(&[in_flight(1)]), ReplayError::NotWaiting { seq: 1 });
    assert_eq!(refused(&[enqueued(), in_flight(0)]), ReplayError::PacketIdTaken { packet_id: 0 });
    let released = JournalOp::Released { seq: 0, packet_id: 1 };
    let taken = ReplayError::PacketIdTaken { packet_id: 1 };
    assert_eq!(refused(&[released.clone(), released, enqueued()]), taken);
}

#[test]
fn a_session_that_becomes_persistent_writes_all_of_itself() {
    let mut rig = Rig::clean();
    rig.subscribe("a", SubscriptionOptions::default());
    rig.deliver(1, QOS1);
    assert_eq!(rig.ops, []);
    rig.connect(&v5(SessionExpiry::Never));
    assert_eq!(rig.ops, rig.session.snapshot());
    assert_eq!(rig.ops.len(), 3);
}

#[test]
fn ops_that_guard_exactly_once_go_before_their_packet() {
    let before = [
        JournalOp::InFlight { seq: 1, packet_id: 1 },
        JournalOp::Released { seq: 1, packet_id: 1 },
        JournalOp::Qos2Received { packet_id: 1 },
        JournalOp::Qos2Done { packet_id: 1 },
    ];
    assert!(before.iter().all(JournalOp::goes_before_the_packet));
    assert!(!JournalOp::Acked { seq: 1, packet_id: 1 }.goes_before_the_packet());
}
