use super::*;

fn spec(name: &str, server: &str) -> LinkSpec {
    LinkSpec {
        name: name.into(),
        server: server.into(),
        clientid: "us-east".into(),
        enable: true,
        config: SecretText::new(format!("{{\"password\":\"hush-{name}\"}}")),
        counter: 0,
    }
}

fn apply(links: &mut Links, index: u64, command: LinkCommand) -> LinkReply {
    let context = LinkContext { index, own_name: Some("us-east"), links_max: 3 };
    links.apply(&context, &command, &mut Changes::default()).0
}

fn create(links: &mut Links, index: u64, name: &str) -> LinkReply {
    apply(links, index, LinkCommand::Create(spec(name, name)))
}

fn delete(name: &str) -> LinkCommand {
    LinkCommand::Delete { name: name.into(), expected: None }
}

#[test]
fn of_concurrent_creates_and_deletes_exactly_one_wins_r3() {
    let mut l = Links::default();
    assert_eq!(create(&mut l, 5, "eu"), LinkReply::Done { revision: 5, counter: 0 });
    assert_eq!(create(&mut l, 6, "eu"), LinkReply::AlreadyExists { name: "eu".into() });
    assert_eq!(apply(&mut l, 7, delete("eu")), LinkReply::Done { revision: 7, counter: 0 });
    assert_eq!(apply(&mut l, 8, delete("eu")), LinkReply::NotFound { name: "eu".into() });
}

#[test]
fn the_hidden_counter_grows_with_each_change_and_outlives_the_link_c12() {
    let mut l = Links::default();
    create(&mut l, 1, "eu");
    let disable = LinkCommand::SetEnabled { name: "eu".into(), enabled: false };
    assert_eq!(apply(&mut l, 2, disable.clone()), LinkReply::Done { revision: 2, counter: 1 });
    assert_eq!(apply(&mut l, 3, disable), LinkReply::Unchanged { revision: 2 });
    let update = LinkCommand::Update { spec: spec("eu", "other"), expected: Some(2) };
    assert_eq!(apply(&mut l, 4, update), LinkReply::Done { revision: 4, counter: 2 });
    apply(&mut l, 5, delete("eu"));
    assert_eq!(create(&mut l, 6, "eu"), LinkReply::Done { revision: 6, counter: 3 });
    let given = LinkCommand::Create(LinkSpec { counter: 40, ..spec("ap", "ap") });
    assert_eq!(apply(&mut l, 7, given), LinkReply::Done { revision: 7, counter: 40 });
}

#[test]
fn an_update_at_another_revision_than_expected_is_a_conflict_p6() {
    let mut l = Links::default();
    create(&mut l, 1, "eu");
    let update = LinkCommand::Update { spec: spec("eu", "x"), expected: Some(9) };
    assert_eq!(apply(&mut l, 2, update), LinkReply::Conflict { revision: 1 });
    let same = LinkCommand::Update { spec: spec("eu", "eu"), expected: None };
    assert_eq!(apply(&mut l, 3, same), LinkReply::Unchanged { revision: 1 });
}

#[test]
fn two_changes_at_one_index_have_two_revisions_p6() {
    let mut l = Links::default();
    assert_eq!(create(&mut l, 9, "a"), LinkReply::Done { revision: 9, counter: 0 });
    assert_eq!(create(&mut l, 9, "b"), LinkReply::Done { revision: 10, counter: 0 });
}

#[test]
fn the_same_server_and_client_id_twice_is_refused_w4() {
    let mut l = Links::default();
    apply(&mut l, 1, LinkCommand::Create(spec("a", "h")));
    let twin = || spec("b", "h");
    let refused = LinkReply::SameConnection { other: "a".into() };
    assert_eq!(apply(&mut l, 2, LinkCommand::Create(twin())), refused);
    create(&mut l, 3, "b");
    let update = LinkCommand::Update { spec: twin(), expected: None };
    assert_eq!(apply(&mut l, 4, update), refused);
    let all = LinkCommand::ReplaceAll { links: vec![spec("a", "h"), twin()], expected: None };
    assert_eq!(apply(&mut l, 5, all), refused);
}

#[test]
fn our_own_name_and_too_many_links_are_refused_c3() {
    let mut l = Links::default();
    assert_eq!(create(&mut l, 1, "us-east"), LinkReply::LinkToSelf);
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        create(&mut l, n as u64 + 2, name);
    }
    assert_eq!(create(&mut l, 9, "d"), LinkReply::TooMany { limit: 3 });
}

#[test]
fn a_replacement_is_all_or_nothing_and_keeps_what_is_equal() {
    let mut l = Links::default();
    create(&mut l, 1, "a");
    create(&mut l, 2, "b");
    apply(&mut l, 3, LinkCommand::SetPaused { name: "b".into(), paused: true });
    let all = |links, expected| LinkCommand::ReplaceAll { links, expected };
    let twice = vec![spec("c", "c"), spec("c", "d")];
    assert_eq!(apply(&mut l, 4, all(twice, None)), LinkReply::Duplicate { name: "c".into() });
    assert_eq!(l.list().len(), 2);
    assert_eq!(
        apply(&mut l, 5, all(vec![], Some(1))),
        LinkReply::Conflict { revision: 3 },
        "the list's revision is that of its last change"
    );
    let new = vec![spec("c", "c"), spec("b", "b")];
    assert_eq!(
        apply(&mut l, 6, all(new.clone(), Some(3))),
        LinkReply::Done { revision: 6, counter: 0 }
    );
    let names: Vec<_> = l.list().map(|link| (&*link.name, link.revision, link.paused)).collect();
    assert_eq!(names, [("c", 6, false), ("b", 3, true)]);
    assert_eq!(apply(&mut l, 7, all(new, None)), LinkReply::Unchanged { revision: 6 });
}

#[test]
fn secrets_are_not_printed_security_a9() {
    let mut l = Links::default();
    create(&mut l, 1, "a");
    assert!(!format!("{l:?} {:?}", LinkCommand::Create(spec("a", "h"))).contains("hush"));
}

#[test]
fn a_counter_given_at_its_end_does_not_break_the_next_change() {
    let mut l = Links::default();
    apply(&mut l, 1, LinkCommand::Create(LinkSpec { counter: u64::MAX, ..spec("eu", "eu") }));
    let disable = LinkCommand::SetEnabled { name: "eu".into(), enabled: false };
    assert_eq!(apply(&mut l, 2, disable), LinkReply::Done { revision: 2, counter: u64::MAX });
}
