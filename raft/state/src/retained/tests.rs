use super::*;

const LIMITS: Limits = Limits {
    retained_count_max: 2,
    retained_bytes_max: 20,
    retained_message_max: 10,
    remote_routes_max: 0,
    remote_actors_max: 0,
    links_max: 0,
    alarm_history_max: 0,
};

fn apply(retained: &mut Retained, index: u64, command: RetainedCommand) -> RetainedReply {
    retained.apply(index, &LIMITS, &command, &mut Changes::default())
}

fn set(topic: &str, bytes: usize, expiry_at_ms: Option<Millis>) -> RetainedCommand {
    let message = Opaque::new(vec![7; bytes]);
    RetainedCommand::Set { topic: topic.into(), message, expiry_at_ms }
}

fn done(revision: Revision, replaced: u32) -> RetainedReply {
    RetainedReply::Done { revision, replaced }
}

#[test]
fn a_topic_has_one_value_and_clearing_leaves_nothing() {
    let mut r = Retained::default();
    let empty = r.digest();
    assert_eq!(apply(&mut r, 1, set("a", 3, None)), done(1, 0));
    assert_eq!(apply(&mut r, 2, set("a", 4, Some(9))), done(2, 1));
    assert_eq!((r.count(), r.bytes()), (1, 5));
    assert_eq!(apply(&mut r, 3, RetainedCommand::Clear { topic: "a".into() }), done(3, 1));
    assert_eq!(apply(&mut r, 4, RetainedCommand::Clear { topic: "a".into() }), done(4, 0));
    assert_eq!(r, Retained::default());
    assert_eq!(r.digest(), empty);
}

#[test]
fn over_a_cap_the_old_value_stays_l8() {
    let mut r = Retained::default();
    assert_eq!(apply(&mut r, 1, set("a", 11, None)), RetainedReply::TooLarge { limit: 10 });
    apply(&mut r, 2, set("a", 9, None));
    apply(&mut r, 3, set("b", 9, None));
    let full = RetainedReply::Full { count: 2, bytes: 20 };
    assert_eq!(apply(&mut r, 4, set("b", 10, None)), full);
    assert_eq!(apply(&mut r, 5, set("c", 0, None)), full);
    assert_eq!(apply(&mut r, 6, set("b", 9, None)), done(6, 1), "the same size still fits");
    assert_eq!(apply(&mut r, 7, set("a/+", 1, None)), RetainedReply::InvalidTopic);
}

#[test]
fn an_expiry_spares_a_later_write() {
    let mut r = Retained::default();
    apply(&mut r, 1, set("a", 1, Some(100)));
    apply(&mut r, 2, set("b", 1, Some(100)));
    assert_eq!(r.due(99, 10), []);
    let due = r.due(100, 10);
    assert_eq!(due.len(), 2);
    apply(&mut r, 3, set("b", 1, Some(500)));
    assert_eq!(apply(&mut r, 4, RetainedCommand::Expire { messages: due }), done(4, 1));
    assert!(r.get("a").is_none() && r.get("b").is_some());
    assert_eq!(r.due(1000, 10), [RetainedRef { topic: "b".into(), revision: 3 }]);
}

#[test]
fn pages_by_filter_meet_every_match_once() {
    let limits = Limits::default();
    let mut r = Retained::default();
    for n in 0..300 {
        r.apply(1, &limits, &set(&format!("a/{n}"), 1, None), &mut Changes::default());
    }
    r.apply(1, &limits, &set("$SYS/x", 1, None), &mut Changes::default());
    let (mut cursor, mut topics) = (Some(0), BTreeSet::new());
    while let Some(at) = cursor {
        let (page, next) = r.page("#", at, 20);
        assert!(page.iter().all(|(topic, _)| topics.insert(topic.to_string())));
        cursor = next;
    }
    assert_eq!(topics.len(), 300, "`#` does not match $-topics");
    let (page, next) = r.page("a/7", 0, 20);
    assert_eq!((page.len(), next), (1, None));
    let mut seen = 0;
    let flow = r.matching("a/+", |_, _| {
        seen += 1;
        if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(flow.is_break());
}
