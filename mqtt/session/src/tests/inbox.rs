use std::{collections::HashMap, sync::Arc};

use super::rig::{QOS0, QOS1, QOS2, Rig, filter, message, v5};
use crate::{
    ConnectTerms, Delivered, DropReason, JournalOp, Limits, MatchedOptions, Message, Overflow,
    SessionExpiry,
};
use spanmq_topic::Subscription;

fn small() -> Limits {
    Limits { inbox_messages_max: 4, spill_messages_max: 6, ..Limits::default() }
}

/// Takes part in one refill with a store that has these messages.
fn refill(rig: &mut Rig, store: &HashMap<u8, Arc<Message>>) -> usize {
    let mut ids = Vec::new();
    rig.session.refill(&mut ids);
    let count = ids.len();
    let found: Vec<_> = ids.into_iter().map(|id| (id, store.get(&id.0[0]).cloned())).collect();
    rig.session.loaded(found, &mut rig.ops);
    count
}

#[test]
fn a_full_inbox_of_a_clean_session_drops_the_newest_and_counts_it() {
    let mut rig = Rig::new(small(), &v5(SessionExpiry::AtClose));
    let delivered: Vec<_> = (0..5).map(|number| rig.deliver(number, QOS1)).collect();
    assert_eq!(delivered[3..], [Delivered::Queued, Delivered::Dropped(DropReason::QueueFull)]);
    assert_eq!(rig.dropped(DropReason::QueueFull), 1);
    assert_eq!(rig.pump().len(), 4);
}

#[test]
fn qos_0_is_dropped_first_when_the_bytes_are_full() {
    let limits = Limits { inbox_bytes_max: 2_500, ..Limits::default() };
    let mut rig = Rig::new(limits, &v5(SessionExpiry::AtClose));
    let large = |number, qos| Message { payload: vec![number; 800].into(), ..message(number, qos) };
    for (number, qos) in [(1, QOS0), (2, QOS0), (3, QOS1), (4, QOS2)] {
        assert_eq!(rig.deliver_message(large(number, qos)), Delivered::Queued, "{number}");
        assert!(rig.session.inbox_bytes() <= 2_500);
    }
    let dropped = rig.session.take_drops();
    assert_eq!((dropped.get(DropReason::Evicted), dropped.iter().count()), (2, 1));
    assert_eq!(rig.deliver_message(large(5, QOS0)), Delivered::Dropped(DropReason::QueueFull));
    assert_eq!(rig.pumped().len(), 2);
}

#[test]
fn a_message_larger_than_the_whole_inbox_passes_when_it_is_empty() {
    let limits = Limits { inbox_bytes_max: 100, ..Limits::default() };
    let mut rig = Rig::new(limits, &v5(SessionExpiry::AtClose));
    assert_eq!(rig.deliver(1, QOS1), Delivered::Queued);
    assert_eq!(rig.deliver(2, QOS1), Delivered::Dropped(DropReason::QueueFull));
    assert_eq!(rig.pump().len(), 1);
}

#[test]
fn a_persistent_session_spills_and_gets_everything_back_in_order() {
    let mut rig = Rig::new(small(), &v5(SessionExpiry::Never));
    rig.disconnect();
    let mut store = HashMap::new();
    for number in 0..10 {
        let expected = if number < 4 { Delivered::Queued } else { Delivered::Spilled };
        assert_eq!(rig.deliver(number, QOS1), expected);
        store.insert(number, Arc::new(message(number, QOS1)));
    }
    assert_eq!(rig.deliver(10, QOS1), Delivered::Dropped(DropReason::QueueFull));
    assert_eq!((rig.session.inbox_messages(), rig.session.spilled_messages()), (4, 6));
    assert_eq!(refill(&mut rig, &store), 0, "memory is full still");

    rig.connect(&v5(SessionExpiry::Never));
    let mut numbers = Vec::new();
    for _ in 0..4 {
        numbers.extend(rig.pumped().into_iter().map(|(number, ..)| number));
        refill(&mut rig, &store);
    }
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    assert_eq!((rig.session.spilled_messages(), rig.session.spilled_bytes()), (0, 0));
}

#[test]
fn a_new_message_queues_behind_those_in_the_store() {
    let mut rig = Rig::new(small(), &v5(SessionExpiry::Never));
    (0..5).for_each(|number| {
        rig.deliver(number, QOS1);
    });
    assert_eq!(rig.pump().len(), 4);
    assert_eq!(rig.deliver(5, QOS1), Delivered::Spilled);
    assert_eq!(rig.deliver(6, QOS0), Delivered::Queued);
}

#[test]
fn a_message_that_the_store_has_lost_is_counted_and_leaves_the_journal() {
    let mut rig = Rig::new(small(), &v5(SessionExpiry::Never));
    (0..6).for_each(|number| {
        rig.deliver(number, QOS1);
    });
    rig.pump();
    let store = HashMap::from([(5, Arc::new(message(5, QOS1)))]);
    assert_eq!(refill(&mut rig, &store), 2);
    assert_eq!(rig.dropped(DropReason::Lost), 1);
    assert_eq!(rig.ops.last(), Some(&JournalOp::Dropped { seq: 4 }));
    assert_eq!(rig.pumped(), [(5, 5, false)]);
}

#[test]
fn an_answer_of_the_store_that_nobody_asked_for_changes_nothing() {
    let mut rig = Rig::new(small(), &v5(SessionExpiry::Never));
    (0..6).for_each(|number| {
        rig.deliver(number, QOS1);
    });
    let unasked = Arc::new(message(4, QOS1));
    rig.session.loaded([(unasked.id, Some(unasked.clone()))], &mut rig.ops);
    assert_eq!(rig.session.spilled_messages(), 2);
}

#[test]
fn in_flight_messages_have_their_share_of_memory_too() {
    let limits = Limits { inbox_bytes_max: 500, ..Limits::default() };
    let mut rig = Rig::new(limits, &v5(SessionExpiry::Never));
    for number in 0..6 {
        rig.deliver(number, QOS1);
        rig.pump();
    }
    assert_eq!(rig.session.in_flight(), 3, "two of about 200 bytes, and one that goes over");
}

#[test]
fn the_window_of_a_client_may_be_larger_than_ours() {
    let limits = Limits { in_flight_max: 2, ..Limits::default() };
    let terms = ConnectTerms { receive_max: 10, ..v5(SessionExpiry::AtClose) };
    let mut rig = Rig::new(limits, &terms);
    (0..5).for_each(|number| {
        rig.deliver(number, QOS1);
    });
    assert_eq!(rig.pump().len(), 2);
}

fn oldest_goes() -> Limits {
    Limits { overflow: Overflow::DropOldest, ..small() }
}

#[test]
fn the_oldest_gives_way_if_it_is_to() {
    let mut rig = Rig::new(oldest_goes(), &v5(SessionExpiry::AtClose));
    for number in 0..6 {
        assert_eq!(rig.deliver(number, QOS1), Delivered::Queued);
    }
    for number in 10..16 {
        assert_eq!(rig.deliver(number, QOS0), Delivered::Queued);
    }
    assert_eq!(rig.dropped(DropReason::Evicted), 4);
    let numbers: Vec<_> = rig.pumped().into_iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 12, 13, 14, 15]);
}

#[test]
fn the_oldest_gives_way_in_the_store_too_and_the_journal_knows() {
    let mut rig = Rig::new(oldest_goes(), &v5(SessionExpiry::Never));
    rig.disconnect();
    let mut store = HashMap::new();
    for number in 0..17 {
        assert!(!matches!(rig.deliver(number, QOS1), Delivered::Dropped(_)), "{number}");
        store.insert(number, Arc::new(message(number, QOS1)));
    }
    assert_eq!(rig.session.inbox_messages() + rig.session.spilled_messages(), 10);
    assert_eq!(rig.dropped(DropReason::Evicted), 7);
    let gone: Vec<_> = rig
        .ops
        .iter()
        .filter_map(|op| match op {
            JournalOp::Dropped { seq } => Some(*seq),
            _ => None,
        })
        .collect();
    assert_eq!(gone, (0..7).collect::<Vec<_>>());
    rig.connect(&v5(SessionExpiry::Never));
    let mut numbers = Vec::new();
    while numbers.len() < 10 {
        refill(&mut rig, &store);
        numbers.extend(rig.pumped().into_iter().map(|(number, ..)| number));
    }
    assert_eq!(numbers, (7..17).collect::<Vec<_>>());
}

#[test]
fn a_shared_message_makes_nobody_lose_an_older_one() {
    let mut rig = Rig::new(oldest_goes(), &v5(SessionExpiry::AtClose));
    for number in 0..4 {
        rig.deliver(number, QOS1);
    }
    let Subscription::Shared(shared) = filter("$share/g/t") else { panic!() };
    let options =
        MatchedOptions { qos: QOS1, shared: Some(Arc::new(shared)), ..Default::default() };
    let delivered = rig.deliver_with(message(9, QOS1), &options);
    assert_eq!(delivered, Delivered::Dropped(DropReason::QueueFull));
}
