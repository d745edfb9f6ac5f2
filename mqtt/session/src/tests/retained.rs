use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use spanmq_topic::TopicFilter;

use super::rig::{QOS1, message, topic};
use crate::{Limits, Message, RetainError, RetainedStore};

fn retained(name: &str, payload: &[u8]) -> Arc<Message> {
    let (topic, payload) = (topic(name), payload.to_vec().into());
    Arc::new(Message { topic, payload, retain: true, ..message(1, QOS1) })
}

fn found(store: &RetainedStore, now: Instant, filter: &str) -> Vec<String> {
    let mut messages = Vec::new();
    store.matching(now, &TopicFilter::new(filter).unwrap(), &mut messages);
    let mut topics: Vec<_> = messages.iter().map(|message| message.topic.to_string()).collect();
    topics.sort();
    topics
}

// [MQTT-3.3.1-5] [MQTT311-3.3.1-5]
#[test]
fn the_last_message_of_a_topic_is_kept() {
    let (mut store, limits) = (RetainedStore::new(), Limits::default());
    let first = retained("a", b"1");
    assert_eq!(store.set(first.clone(), &limits), Ok(None));
    assert_eq!(store.set(retained("a", b"22"), &limits), Ok(Some(first)));
    assert_eq!((store.len(), store.bytes()), (1, retained("a", b"22").weight() as u64));
    assert_eq!(&store.get(Instant::now(), "a").unwrap().payload[..], b"22");
}

// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11]
#[test]
fn an_empty_payload_removes_the_message_and_is_not_kept() {
    let (mut store, limits) = (RetainedStore::new(), Limits::default());
    store.set(retained("a", b"1"), &limits).unwrap();
    assert!(store.set(retained("a", b""), &limits).unwrap().is_some());
    assert_eq!(store.set(retained("b", b""), &limits), Ok(None));
    assert_eq!((store.len(), store.bytes(), store.is_empty()), (0, 0, true));
}

// [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn a_wildcard_first_level_finds_no_dollar_topics() {
    let (mut store, limits) = (RetainedStore::new(), Limits::default());
    for name in ["a/b", "c", "$SYS/b", "$SYS"] {
        store.set(retained(name, b"1"), &limits).unwrap();
    }
    let now = Instant::now();
    assert_eq!(found(&store, now, "#"), ["a/b", "c"]);
    assert_eq!(found(&store, now, "+/b"), ["a/b"]);
    assert_eq!(found(&store, now, "$SYS/#"), ["$SYS", "$SYS/b"]);
}

// [MQTT-3.3.2-5]
#[test]
fn an_expired_message_is_never_found_and_named_for_removal() {
    let (mut store, limits, now) = (RetainedStore::new(), Limits::default(), Instant::now());
    for (name, expiry) in [("a", Some(10)), ("b", Some(5)), ("c", None)] {
        let mut message = Message { received: now, ..(*retained(name, b"1")).clone() };
        message.properties.message_expiry = expiry;
        store.set(Arc::new(message), &limits).unwrap();
    }
    let at = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(store.next_expiry(), Some(at(5)));
    assert_eq!(found(&store, at(5), "#"), ["a", "c"]);
    assert_eq!(store.expired(at(10), 10).collect::<Vec<_>>(), [&topic("b"), &topic("a")]);
    assert_eq!(store.expired(at(10), 1).count(), 1);
    assert!(store.get(at(10), "a").is_none());
    store.remove(&topic("b"));
    assert_eq!(store.next_expiry(), Some(at(10)));
}

#[test]
fn each_cap_refuses_and_leaves_the_store_as_it_was() {
    let mut store = RetainedStore::new();
    let limits = Limits {
        retained_messages_max: 2,
        retained_bytes_max: 700,
        retained_message_bytes_max: 500,
        ..Limits::default()
    };
    store.set(retained("a", b"1"), &limits).unwrap();
    let too_large = store.set(retained("a", &[1; 400]), &limits);
    assert!(matches!(too_large, Err(RetainError::TooLarge { .. })));
    store.set(retained("b", &[1; 200]), &limits).unwrap();
    let too_many_bytes = store.set(retained("a", &[1; 200]), &limits);
    assert!(matches!(too_many_bytes, Err(RetainError::TooManyBytes { .. })));
    assert_eq!(store.set(retained("c", b"1"), &limits), Err(RetainError::TooMany { max: 2 }));
    assert_eq!(store.len(), 2);
    assert!(store.set(retained("b", b"2"), &limits).is_ok(), "a smaller one instead");
    assert_eq!(RetainError::TooMany { max: 2 }.reason_code(), 0x97);
}
