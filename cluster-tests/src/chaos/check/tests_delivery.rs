//! Hand-written histories for P1, P2, P3, P7 and P8.

use serde_json::json;

use super::{Promise, Violation, delivery, order};
use crate::chaos::history::build::event;
use crate::chaos::history::{Event, Kind, Op};
use crate::chaos::plan::Plan;

/// A persistent subscriber of `#` at QoS 2 on `a/n1`, from 2 ms on.
fn subscribed() -> Vec<Event> {
    vec![
        event(1, Kind::Ok, "sub", Op::Connect, "", json!({"persistent": true, "present": false})),
        event(2, Kind::Ok, "sub", Op::Subscribe, "#", json!({"qos": 2})),
    ]
}

fn published(at: u64, number: u64, qos: u64, code: u64) -> [Event; 2] {
    let invoke = json!({"s": number, "c": 1, "qos": qos});
    let ok = json!({"s": number, "code": code});
    [
        event(at, Kind::Invoke, "pub", Op::Publish, "x/1", invoke),
        event(at + 1, Kind::Ok, "pub", Op::Publish, "x/1", ok),
    ]
}

fn received(at: u64, number: u64, qos: u64) -> Event {
    event(at, Kind::Recv, "sub", Op::Deliver, "x/1", json!({"p": "pub", "s": number, "qos": qos}))
}

fn promises(found: &[Violation]) -> Vec<Promise> {
    found.iter().map(|violation| violation.promise).collect()
}

fn delivered(history: &[Event]) -> Vec<Promise> {
    promises(&delivery::check(history).0)
}

#[test]
fn what_was_acknowledged_and_came_is_fine() {
    let mut history = subscribed();
    history.extend(published(3, 1, 1, 0));
    history.push(received(9, 1, 1));
    assert_eq!(delivered(&history), []);
}

#[test]
fn what_was_acknowledged_and_never_came_is_lost() {
    let mut history = subscribed();
    history.extend(published(3, 1, 1, 0));
    let (found, counts) = delivery::check(&history);
    assert_eq!(promises(&found), [Promise::P1]);
    assert_eq!(counts.lost, 1);
}

#[test]
fn an_unknown_outcome_or_an_earlier_begin_is_not_lost() {
    let mut history = subscribed();
    // Begun before the SUBACK.
    history.splice(0..0, published(0, 1, 1, 0));
    let invoke = json!({"s": 2, "c": 1, "qos": 1});
    history.push(event(5, Kind::Invoke, "pub", Op::Publish, "x/1", invoke));
    history.push(event(6, Kind::Info, "pub", Op::Publish, "x/1", json!({"s": 2})));
    assert_eq!(delivered(&history), []);
}

#[test]
fn a_message_that_nobody_sent_is_a_phantom() {
    let mut history = subscribed();
    history.push(received(9, 7, 1));
    assert_eq!(delivered(&history), [Promise::P1]);
}

#[test]
fn qos_2_twice_is_a_violation_whatever_happened_between() {
    let mut history = subscribed();
    history.extend(published(3, 1, 2, 0));
    history.push(received(5, 1, 2));
    history.push(event(6, Kind::Info, "sub", Op::Disconnect, "", json!(null)));
    history.push(received(9, 1, 2));
    assert_eq!(delivered(&history), [Promise::P2]);
}

#[test]
fn a_repeat_after_a_take_over_from_a_dead_owner_is_told_and_not_claimed() {
    let mut history = subscribed();
    history.extend(published(3, 1, 2, 0));
    history.push(received(5, 1, 2));
    history.push(event(6, Kind::Nemesis, "nemesis", Op::Fault, "1", json!({})));
    history.push(event(7, Kind::Info, "sub", Op::Disconnect, "", json!(null)));
    let again = json!({"persistent": true, "present": true});
    history.push(event(8, Kind::Ok, "sub", Op::Connect, "", again).on("a/n2"));
    history.push(received(9, 1, 2));
    let (found, _) = delivery::check(&history);
    assert_eq!(promises(&found), [Promise::P2]);
    assert!(Plan::default().not_claimed.iter().any(|excuse| excuse.covers(&found[0])));
}

#[test]
fn qos_1_twice_needs_a_disconnect_that_explains_it() {
    let mut history = subscribed();
    history.extend(published(3, 1, 1, 0));
    history.push(received(5, 1, 1));
    history.push(received(9, 1, 1));
    assert_eq!(delivered(&history), [Promise::P1]);
    history.insert(5, event(6, Kind::Info, "sub", Op::Disconnect, "", json!(null)));
    assert_eq!(delivered(&history), []);
}

#[test]
fn qos_0_that_comes_twice_took_two_ways() {
    let mut history = subscribed();
    history.extend(published(3, 1, 0, 0));
    history.extend([received(5, 1, 0), received(6, 1, 0)]);
    assert_eq!(delivered(&history), [Promise::P8]);
}

#[test]
fn a_message_for_the_other_cluster_is_lost_only_when_it_was_to_cross() {
    let mut history = subscribed();
    history.push(event(3, Kind::State, "run", Op::Phase, "load", json!(null)));
    history.extend(published(4, 1, 1, 0).map(|event| event.on("b/n1")));
    assert_eq!(delivered(&history), [Promise::P7]);
    history.iter_mut().filter(|e| e.op == Op::Publish).for_each(|e| e.key = "seq/1".into());
    assert_eq!(delivered(&history), []);
}

#[test]
fn no_matching_subscribers_is_wrong_when_one_certainly_matched() {
    let mut history = subscribed();
    history.extend(published(3, 1, 1, 0x10));
    history.push(received(5, 1, 1));
    assert_eq!(delivered(&history), [Promise::P1]);
}

#[test]
fn a_session_that_the_broker_forgot_is_told() {
    let mut history = subscribed();
    history.push(event(6, Kind::Info, "sub", Op::Disconnect, "", json!(null)));
    let again = json!({"persistent": true, "present": false});
    history.push(event(8, Kind::Ok, "sub", Op::Connect, "", again));
    assert_eq!(delivered(&history), [Promise::P1]);
}

#[test]
fn a_group_gets_each_message_through_some_member() {
    let mut history = subscribed();
    history[1].key = "$share/g/x/#".into();
    history.extend(published(3, 1, 1, 0));
    assert_eq!(delivered(&history), [Promise::P1]);
    history.push(received(5, 1, 1));
    assert_eq!(delivered(&history), []);
}

#[test]
fn first_receipts_out_of_order_are_told_and_repeats_are_not() {
    let mut history = subscribed();
    for number in 1..=3 {
        history.extend(published(3 + 2 * number, number, 1, 0));
    }
    history.extend([
        received(20, 1, 1),
        received(21, 2, 1),
        received(22, 1, 1),
        received(23, 3, 1),
    ]);
    assert_eq!(promises(&order::check(&history)), []);
    history.truncate(history.len() - 4);
    history.extend([received(20, 2, 1), received(21, 1, 1), received(22, 3, 1)]);
    assert_eq!(promises(&order::check(&history)), [Promise::P3]);
}

#[test]
fn a_take_over_from_a_dead_owner_explains_one_late_batch_and_no_more() {
    let mut history = subscribed();
    for number in 1..=4 {
        history.extend(published(3 + 2 * number, number, 1, 0));
    }
    let taken_over = [
        event(12, Kind::Nemesis, "nemesis", Op::Fault, "1", json!({})),
        event(13, Kind::Info, "sub", Op::Disconnect, "", json!(null)),
        event(14, Kind::Ok, "sub", Op::Connect, "", json!({"persistent": true, "present": true}))
            .on("a/n2"),
    ];
    history.extend(taken_over);
    history.extend([received(20, 3, 1), received(21, 1, 1), received(22, 2, 1)]);
    assert_eq!(promises(&order::check(&history)), []);
    history.truncate(history.len() - 3);
    history.extend([received(20, 3, 1), received(21, 2, 1), received(22, 1, 1)]);
    assert_eq!(promises(&order::check(&history)), [Promise::P3]);
}
