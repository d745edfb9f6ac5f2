use super::*;
use crate::binding::ClientIdentity;
use crate::message::{ActorInit, ActorInitAck, ControlOp, Heartbeat, InitResult, RouteBatch};
use crate::term::DecodeLimits;

const TOKEN: PublishToken = PublishToken(1);
const TOPIC: &str = "$LINK/cluster/resp/cl.x/n1@x";

fn identity() -> ClientIdentity {
    ClientIdentity {
        client_id: "cl.x:routesync:1".into(),
        username: Some("clink".into()),
        cert_cn: None,
    }
}

fn connection() -> UpstreamConnection {
    UpstreamConnection::new("cl.a", identity(), DecodeLimits::default())
}

fn link() -> LinkFacts {
    LinkFacts { enabled: true, inbound: InboundRule::default(), holder: None }
}

fn actor() -> ActorKey {
    ActorKey { cluster: "cl.x".into(), actor: "n1@x".into() }
}

fn publish(payload: Bytes) -> RoutePublish {
    RoutePublish {
        token: TOKEN,
        cluster: "cl.x".into(),
        link: Some(link()),
        payload,
        response_topic: Some(TOPIC.into()),
        correlation_data: Some(Bytes::from_static(b"req1")),
    }
}

fn init(target: &str) -> Bytes {
    let init = ActorInit {
        actor: "n1@x".into(),
        incarnation: 1000,
        target_cluster: target.into(),
        protocol_version: 99,
    };
    init.encode()
}

fn batch(actor: &str, incarnation: u64, filters: &[&str]) -> Bytes {
    let ops = filters.iter().map(|filter| RouteOp::add(filter, filter)).collect();
    ControlOp::Route(RouteBatch { actor: actor.into(), incarnation, ops }).encode()
}

fn heartbeat(actor: &str, incarnation: u64) -> Bytes {
    Heartbeat { actor: actor.into(), incarnation }.encode()
}

fn feed(connection: &mut UpstreamConnection, publish: RoutePublish) -> Vec<Command> {
    connection.handle(Event::Publish(publish))
}

/// A connection whose actor was accepted.
fn accepted() -> UpstreamConnection {
    let mut connection = connection();
    feed(&mut connection, publish(init("cl.a")));
    let outcome = InitOutcome::Accepted { need_bootstrap: true };
    connection.handle(Event::InitDone { token: TOKEN, outcome });
    connection
}

fn ack(code: u8) -> Command {
    Command::Ack { token: TOKEN, code }
}

fn answered(result: InitResult) -> [Command; 2] {
    [
        ack(code::NO_MATCHING_SUBSCRIBERS),
        Command::Answer {
            topic: TOPIC.into(),
            correlation_data: Bytes::from_static(b"req1"),
            payload: ActorInitAck::new("n1@x", result).encode(),
        },
    ]
}

fn refused(commands: &[Command]) -> Option<String> {
    commands.iter().find_map(|command| match command {
        Command::Note(Note::InitRejected { word, .. }) => Some(word.clone()),
        _ => None,
    })
}

#[track_caller]
fn assert_protocol_error(commands: &[Command]) {
    let expected = code::IMPLEMENTATION_SPECIFIC_ERROR;
    assert!(
        matches!(commands, [Command::Disconnect { code, .. }] if *code == expected),
        "{commands:?}"
    );
}

#[test]
fn a_handshake_is_proposed_first_and_answered_when_it_is_applied() {
    let mut connection = connection();
    let commands = feed(&mut connection, publish(init("cl.a")));
    let principal = Principal::User("clink".into());
    let expected =
        Command::ActorInit { token: TOKEN, actor: actor(), incarnation: 1000, principal };
    assert_eq!(commands, [expected]);
    assert_eq!(connection.actor(), None);
    for need_bootstrap in [true, false] {
        feed(&mut connection, publish(init("cl.a")));
        let outcome = InitOutcome::Accepted { need_bootstrap };
        let commands = connection.handle(Event::InitDone { token: TOKEN, outcome });
        assert_eq!(commands, answered(InitResult::Accepted { need_bootstrap }));
        assert_eq!(connection.actor(), Some((&actor(), 1000)));
    }
}

#[test]
fn the_three_refusals_come_in_their_order_and_leave_the_connection_open() {
    let disabled = || Some(LinkFacts { enabled: false, ..link() });
    let cases = [
        (None, "cl.wrong", "unknown_cluster"),
        (None, "cl.a", "unknown_cluster"),
        (Some(link()), "cl.wrong", "bad_remote_cluster_link_name"),
        (disabled(), "cl.wrong", "cluster_link_disabled"),
        (disabled(), "cl.a", "cluster_link_disabled"),
    ];
    for (link, target, word) in cases {
        let mut connection = connection();
        let commands = feed(&mut connection, RoutePublish { link, ..publish(init(target)) });
        assert_eq!(refused(&commands).as_deref(), Some(word), "{target}");
        assert_eq!(commands[1..], answered(InitResult::Refused { reason: word.into() }));
        let commands = feed(&mut connection, publish(init("cl.a")));
        assert!(matches!(commands[..], [Command::ActorInit { .. }]), "the next one may work");
    }
}

#[test]
fn what_the_log_says_when_applying_is_answered_too() {
    for (outcome, word) in [
        (InitOutcome::UnknownCluster, "unknown_cluster"),
        (InitOutcome::LinkDisabled, "cluster_link_disabled"),
        (InitOutcome::TooManyActors, "too_many_actors"),
    ] {
        let mut connection = connection();
        feed(&mut connection, publish(init("cl.a")));
        let commands = connection.handle(Event::InitDone { token: TOKEN, outcome });
        assert_eq!(refused(&commands).as_deref(), Some(word));
        assert_eq!(connection.actor(), None);
    }
}

#[test]
fn an_older_incarnation_is_a_protocol_error() {
    let mut connection = connection();
    feed(&mut connection, publish(init("cl.a")));
    let stale = Event::InitDone { token: TOKEN, outcome: InitOutcome::Stale };
    assert_protocol_error(&connection.handle(stale));
    let mut connection = accepted();
    feed(&mut connection, publish(batch("n1@x", 1000, &["t"])));
    let stale = Event::RoutesDone { token: TOKEN, outcome: RoutesOutcome::Stale };
    assert_protocol_error(&connection.handle(stale));
}

#[test]
fn without_quorum_the_remote_is_sent_away_without_an_acknowledgement() {
    let mut connection = connection();
    feed(&mut connection, publish(init("cl.a")));
    let event = Event::InitDone { token: TOKEN, outcome: InitOutcome::NoQuorum };
    let commands = connection.handle(event);
    assert!(matches!(commands[..], [Command::Disconnect { code: code::SERVER_BUSY, .. }]));
}

#[test]
fn a_batch_is_acknowledged_when_it_is_applied() {
    let mut connection = accepted();
    let commands = feed(&mut connection, publish(batch("n1@x", 1000, &["t/1"])));
    let ops = vec![RouteOp::add("t/1", "t/1")];
    let expected = Command::RouteOps { token: TOKEN, actor: actor(), incarnation: 1000, ops };
    assert_eq!(commands, [expected]);
    let applied =
        Event::RoutesDone { token: TOKEN, outcome: RoutesOutcome::Applied { invalid: 0 } };
    assert_eq!(connection.handle(applied), [ack(code::NO_MATCHING_SUBSCRIBERS)]);
}

#[test]
fn control_topics_shared_and_malformed_filters_are_never_learnt() {
    let mut connection = accepted();
    let filters = ["$LINK/#", "$LINK/cluster/msg/x", "$share/g/t", "a/#/b", "", "t/+", "$SYS/#"];
    let commands = feed(&mut connection, publish(batch("n1@x", 1000, &filters)));
    let Command::RouteOps { ops, .. } = &commands[1] else { panic!("{commands:?}") };
    assert_eq!(*ops, [RouteOp::add("t/+", "t/+"), RouteOp::add("$SYS/#", "$SYS/#")]);
    let note = Note::BadFilters { cluster: "cl.x".into(), count: 5 };
    assert_eq!(commands[0], Command::Note(note));
}

#[test]
fn an_empty_batch_is_a_sign_of_life() {
    let mut connection = accepted();
    let commands = feed(&mut connection, publish(batch("n1@x", 1000, &[])));
    let beat = Command::Heartbeat { actor: actor(), incarnation: 1000 };
    assert_eq!(commands, [beat, ack(code::NO_MATCHING_SUBSCRIBERS)]);
}

#[test]
fn a_remote_at_its_cap_is_told_so_and_keeps_its_connection() {
    let mut connection = accepted();
    feed(&mut connection, publish(batch("n1@x", 1000, &["t"])));
    let event = Event::RoutesDone { token: TOKEN, outcome: RoutesOutcome::OverCap };
    assert!(connection.handle(event).contains(&ack(code::QUOTA_EXCEEDED)));
    assert!(connection.actor().is_some());
}

#[test]
fn heartbeats_count_after_the_handshake_and_are_ignored_before() {
    let mut fresh = connection();
    let commands = feed(&mut fresh, publish(heartbeat("n1@x", 1000)));
    assert_eq!(commands, [ack(code::NO_MATCHING_SUBSCRIBERS)]);
    let mut connection = accepted();
    let commands = feed(&mut connection, publish(heartbeat("n1@x", 1000)));
    assert_eq!(commands[0], Command::Heartbeat { actor: actor(), incarnation: 1000 });
}

#[test]
fn everything_that_w25_names_ends_the_connection() {
    let unknown = |operation: &str| {
        let mut out = crate::term::Encoder::default();
        out.map(1);
        out.atom(crate::term::Atom::Op);
        out.text(operation);
        out.finish()
    };
    let ack = ActorInitAck::new("n1@x", InitResult::Accepted { need_bootstrap: true });
    let other_actor = {
        let init = ActorInit {
            actor: "n2@x".into(),
            incarnation: 1,
            target_cluster: "cl.a".into(),
            protocol_version: 1,
        };
        init.encode()
    };
    let cases = [
        ("garbage", publish(Bytes::from_static(b"garbage"))),
        ("empty", publish(Bytes::new())),
        ("unknown operation", publish(unknown("bogus"))),
        ("missing keys", publish(unknown("route"))),
        ("an answer", publish(ack.encode())),
        ("another actor", publish(batch("n2@x", 1000, &["t"]))),
        ("another incarnation", publish(batch("n1@x", 999, &["t"]))),
        ("heartbeat of another incarnation", publish(heartbeat("n1@x", 1001))),
        ("second handshake for another actor", publish(other_actor)),
        (
            "another cluster",
            RoutePublish { cluster: "cl.y".into(), ..publish(batch("n1@x", 1000, &["t"])) },
        ),
        ("no response topic", RoutePublish { response_topic: None, ..publish(init("cl.a")) }),
        ("no correlation", RoutePublish { correlation_data: None, ..publish(init("cl.a")) }),
        ("link gone", RoutePublish { link: None, ..publish(batch("n1@x", 1000, &["t"])) }),
    ];
    for (name, publish) in cases {
        let mut connection = accepted();
        let commands = feed(&mut connection, publish.clone());
        assert!(matches!(commands[..], [Command::Disconnect { .. }]), "{name}: {commands:?}");
        assert_eq!(feed(&mut connection, publish), [], "{name}: nothing after the end");
    }
}

#[test]
fn an_operation_before_the_handshake_is_a_protocol_error() {
    let mut fresh = connection();
    assert_protocol_error(&feed(&mut fresh, publish(batch("n1@x", 1000, &["t"]))));
    let mut waiting = connection();
    feed(&mut waiting, publish(init("cl.a")));
    assert_protocol_error(&feed(&mut waiting, publish(batch("n1@x", 1000, &["t"]))));
}

#[test]
fn an_answer_goes_only_below_the_asking_clusters_own_prefix() {
    for topic in [
        "t/1",
        "$LINK/cluster/resp/cl.y/n1@x",
        "$LINK/cluster/resp/cl.x",
        "$LINK/cluster/resp/cl.x/",
        "$LINK/cluster/resp/cl.x/#",
        "$LINK/cluster/msg/cl.x",
    ] {
        let mut connection = connection();
        let response_topic = Some(topic.to_owned());
        let publish = RoutePublish { response_topic, ..publish(init("cl.a")) };
        assert_protocol_error(&feed(&mut connection, publish));
    }
}

#[test]
fn a_stranger_gets_0x87_whatever_it_sends_and_keeps_its_connection() {
    let holder = Some(Principal::Certificate("clink".into()));
    for payload in [init("cl.a"), Bytes::from_static(b"garbage")] {
        let mut connection = connection();
        let link = Some(LinkFacts { holder: holder.clone(), ..link() });
        let commands = feed(&mut connection, RoutePublish { link, ..publish(payload) });
        let note = Note::IdentityMismatch { cluster: "cl.x".into(), holder: holder.clone() };
        assert_eq!(commands, [Command::Note(note), ack(code::NOT_AUTHORIZED)]);
    }
}

#[test]
fn trailing_bytes_are_noted_and_the_operation_counts() {
    let mut connection = accepted();
    let mut payload = heartbeat("n1@x", 1000).to_vec();
    payload.push(0);
    let commands = feed(&mut connection, publish(payload.into()));
    let note = Note::TrailingBytes { cluster: "cl.x".into(), count: 1 };
    assert_eq!(commands[0], Command::Note(note));
    assert_eq!(commands.len(), 3);
}

#[test]
fn proposals_without_answers_pile_up_only_to_a_limit() {
    let mut connection = accepted();
    let batch = || publish(batch("n1@x", 1000, &["t"]));
    for _ in 0..64 {
        assert!(matches!(feed(&mut connection, batch())[..], [Command::RouteOps { .. }]));
    }
    let commands = feed(&mut connection, batch());
    let code = code::RECEIVE_MAXIMUM_EXCEEDED;
    assert!(matches!(commands[..], [Command::Disconnect { code: c, .. }] if c == code));
}
