use super::*;
use crate::message::{MessageProperties, Publisher, Qos, Sender};
use bytes::Bytes;

fn record(topic: &str) -> MessageRecord {
    MessageRecord {
        id: [9; 16],
        qos: Qos::AtLeastOnce,
        from: Sender::Client("pub".into()),
        retain: false,
        dup: false,
        topic: topic.into(),
        payload: Bytes::from_static(b"x"),
        timestamp_ms: 1,
        publisher: Publisher::default(),
        properties: MessageProperties::default(),
    }
}

fn topics(filters: &[&str]) -> TopicList {
    TopicList::new(&filters.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn link<'a>(topics: &'a TopicList, rule: &'a InboundRule) -> InboundLink<'a> {
    InboundLink { enabled: true, topics, rule, holder: None }
}

fn received(topic: &str) -> Result<Received<MessageRecord>, MessageError> {
    Ok(Received { message: record(topic), trailing_bytes: 0 })
}

fn dropped(inbound: &Inbound) -> Option<(u8, DropCause)> {
    match inbound {
        Inbound::Drop { code, why } => Some((*code, why.clone())),
        Inbound::Deliver(_) => None,
    }
}

#[test]
fn who_speaks_is_checked_before_anything_else() {
    let (topics, rule) = (topics(&["t/#"]), InboundRule::default());
    let client = ClientIdentity::default();
    let refused = admit(None, &client).unwrap_err();
    assert_eq!(dropped(&refused), Some((0x87, DropCause::UnknownLink)));

    let holder = Principal::User("clink".into());
    let held = InboundLink { holder: Some(&holder), enabled: false, ..link(&topics, &rule) };
    let refused = admit(Some(held), &client).unwrap_err();
    assert_eq!(dropped(&refused), Some((0x87, DropCause::IdentityMismatch)));

    let disabled = InboundLink { enabled: false, ..link(&topics, &rule) };
    let refused = admit(Some(disabled), &client).unwrap_err();
    assert_eq!(dropped(&refused), Some((0x10, DropCause::LinkDisabled)));

    assert!(admit(Some(link(&topics, &rule)), &client).is_ok());
}

#[test]
fn only_what_the_links_topics_want_is_delivered() {
    let (topics, rule) = (topics(&["t/#", "$SYS/brokers/+"]), InboundRule::default());
    let seen = DedupWindow::default();
    let decide = |topic: &str| decide(link(&topics, &rule), received(topic), &seen);
    assert_eq!(decide("t/1"), Inbound::Deliver(Box::new(record("t/1"))));
    assert_eq!(decide("$SYS/brokers/n1"), Inbound::Deliver(Box::new(record("$SYS/brokers/n1"))));
    assert_eq!(dropped(&decide("other")), Some((0x10, DropCause::Filtered)));
    assert_eq!(dropped(&decide("$SYS/other")), Some((0x10, DropCause::Filtered)));
}

#[test]
fn control_topics_and_texts_that_are_no_topic_never_cross() {
    let (topics, rule) = (topics(&["#"]), InboundRule::default());
    let seen = DedupWindow::default();
    for topic in ["$LINK/cluster/route/x", "$share/g/t", "$x", "", "a/+", "a/#", "a\0b"] {
        let decision = decide(link(&topics, &rule), received(topic), &seen);
        assert_eq!(dropped(&decision), Some((0x10, DropCause::BadTopic)), "{topic:?}");
    }
}

#[test]
fn a_payload_that_is_no_record_is_acknowledged_and_dropped() {
    let (topics, rule) = (topics(&["#"]), InboundRule::default());
    let error = MessageError::NotARecord;
    let decision = decide(link(&topics, &rule), Err(error.clone()), &DedupWindow::default());
    assert_eq!(dropped(&decision), Some((0x10, DropCause::BadPayload(error))));
}

#[test]
fn a_repeat_is_acknowledged_as_delivered_and_dropped() {
    let (topics, rule) = (topics(&["#"]), InboundRule::default());
    let mut seen = DedupWindow::default();
    seen.record([9; 16]);
    let decision = decide(link(&topics, &rule), received("t"), &seen);
    assert_eq!(dropped(&decision), Some((0x00, DropCause::Duplicate)));
}
