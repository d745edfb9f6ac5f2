//! The bytes of every kind of command, as they lie in logs: format version 1 (contract: every stored
//! format begins with a version). A change here is a change of the log format and needs a new
//! `COMMAND_VERSION`; new commands are appended, with a new line in `golden_v1.txt`.
#![allow(clippy::unwrap_used)]

mod common;

use common::{claim, link, member};
use spanmq_state::command::*;
use spanmq_state::{AccessKind, Opaque, SecretText, encode_batch};

const GOLDEN: &str = include_str!("golden_v1.txt");

fn cluster() -> Vec<(&'static str, Command)> {
    let commands = [
        ("found", ClusterCommand::Found { cluster_id: 7, name: "us".into() }),
        ("put_member", ClusterCommand::PutMember(member(1))),
        ("remove_member", ClusterCommand::RemoveMember { id: 1 }),
        ("put_setting", ClusterCommand::PutSetting { key: "k".into(), value: Some("1".into()) }),
        ("put_limits", ClusterCommand::PutLimits(Limits::default())),
        ("raise_features", ClusterCommand::RaiseFeatures { level: 2 }),
    ];
    commands.map(|(name, command)| (name, Command::Cluster(command))).into()
}

fn routes() -> Vec<(&'static str, Command)> {
    let changes = || {
        vec![
            RouteChange::Add("a/+".into()),
            RouteChange::Remove("b".into()),
            RouteChange::Shared { group: "g".into(), filter: "c".into(), members: 300 },
        ]
    };
    let commands = [
        ("route_batch", RouteCommand::RouteBatch { node: 1, incarnation: 300, changes: changes() }),
        ("node_gone", RouteCommand::NodeGone { node: 1, incarnation: 300 }),
        (
            "replace_node",
            RouteCommand::ReplaceNode {
                node: 1,
                incarnation: 300,
                part: 2,
                last: true,
                routes: changes(),
            },
        ),
    ];
    commands.map(|(name, command)| (name, Command::Route(command))).into()
}

fn sessions() -> Vec<(&'static str, Command)> {
    let c = || "c".into();
    let subscription = Subscription { filter: "a".into(), options: 1, id: Some(5) };
    let changes =
        vec![SubscriptionChange::Put(subscription), SubscriptionChange::Remove("b".into())];
    let commands = [
        ("claim", claim("c", 1, false, 60)),
        (
            "installed",
            SessionCommand::Installed {
                client_id: c(),
                epoch: 2,
                handover: Handover::WithoutOwner,
            },
        ),
        ("abandon", SessionCommand::Abandon { client_id: c(), epoch: 2 }),
        ("subscriptions", SessionCommand::Subscriptions { client_id: c(), epoch: 2, changes }),
        (
            "detached",
            SessionCommand::Detached {
                client_id: c(),
                epoch: 2,
                at_ms: 1000,
                expiry_s: u32::MAX,
                will: WillFate::Publish,
            },
        ),
        (
            "end",
            SessionCommand::End { client_id: c(), epoch: 2, will: WillFate::Discard, at_ms: 1 },
        ),
        ("expire_session", SessionCommand::Expire { client_id: c(), epoch: 2, at_ms: 1 }),
        ("will_done", SessionCommand::WillDone { client_id: c(), epoch: 2 }),
        ("orphan_drained", SessionCommand::OrphanDrained { client_id: c(), epoch: 2 }),
    ];
    commands.map(|(name, command)| (name, Command::Session(command))).into()
}

fn links() -> Vec<(&'static str, Command)> {
    let spec = || link("eu", "h:1", true);
    let commands = [
        ("create_link", LinkCommand::Create(spec())),
        ("update_link", LinkCommand::Update { spec: spec(), expected: Some(9) }),
        ("delete_link", LinkCommand::Delete { name: "eu".into(), expected: None }),
        ("replace_links", LinkCommand::ReplaceAll { links: vec![spec()], expected: None }),
        ("enable_link", LinkCommand::SetEnabled { name: "eu".into(), enabled: true }),
        ("pause_link", LinkCommand::SetPaused { name: "eu".into(), paused: true }),
    ];
    commands.map(|(name, command)| (name, Command::Link(command))).into()
}

fn remote() -> Vec<(&'static str, Command)> {
    let (peer, actor) = (|| "eu".into(), || "n1@h".into());
    let actors = || vec![ActorRef { actor: actor(), incarnation: 1_790_000_000_123 }];
    let ops = vec![
        RemoteOp::Add { filter: "a".into(), id: "a".into() },
        RemoteOp::Delete { filter: "a".into(), id: "$s/g/a".into() },
    ];
    let commands = [
        (
            "actor_init",
            RemoteCommand::ActorInit { peer: peer(), actor: actor(), incarnation: 5, at_ms: 6 },
        ),
        (
            "route_ops",
            RemoteCommand::RouteOps { peer: peer(), actor: actor(), incarnation: 5, ops },
        ),
        ("sweep", RemoteCommand::Sweep { peer: peer(), actor: actor(), incarnation: 5 }),
        ("actors_seen", RemoteCommand::ActorsSeen { peer: peer(), actors: actors(), at_ms: 6 }),
        ("expire_actors", RemoteCommand::Expire { peer: peer(), actors: actors() }),
        ("hold", RemoteCommand::Hold { peer: peer(), since_ms: 6 }),
        ("peer_forget", RemoteCommand::PeerForget { peer: peer() }),
        (
            "actor_init_by",
            RemoteCommand::ActorInitBy {
                peer: peer(),
                actor: actor(),
                incarnation: 5,
                at_ms: 6,
                principal: "user:u".into(),
            },
        ),
    ];
    commands.map(|(name, command)| (name, Command::Remote(command))).into()
}

fn others() -> Vec<(&'static str, Command)> {
    let user = AccessKind::User;
    let topic = || "t".into();
    let messages = vec![RetainedRef { topic: topic(), revision: 4 }];
    let set = RetainedCommand::Set {
        topic: topic(),
        message: Opaque::new(vec![1, 2, 3]),
        expiry_at_ms: Some(1000),
    };
    let put = AccessCommand::Put {
        kind: user,
        name: "u".into(),
        record: SecretText::new("h"),
        create_only: true,
        expected: None,
    };
    let activate = AlarmCommand::Activate {
        name: "full".into(),
        node: 1,
        message: "m".into(),
        details: "{}".into(),
        at_ms: 6,
    };
    vec![
        ("retain", Command::Retained(set)),
        ("clear_retained", Command::Retained(RetainedCommand::Clear { topic: topic() })),
        ("expire_retained", Command::Retained(RetainedCommand::Expire { messages })),
        ("put_access", Command::Access(put)),
        (
            "delete_access",
            Command::Access(AccessCommand::Delete {
                kind: AccessKind::ApiKey,
                name: "k".into(),
                expected: Some(3),
            }),
        ),
        ("activate_alarm", Command::Alarm(activate)),
        (
            "deactivate_alarm",
            Command::Alarm(AlarmCommand::Deactivate { name: "full".into(), node: 1, at_ms: 7 }),
        ),
        ("clear_alarms", Command::Alarm(AlarmCommand::ClearHistory)),
    ]
}

#[test]
fn every_kind_of_command_has_its_fixed_bytes() {
    let all = [cluster(), routes(), sessions(), links(), remote(), others()].concat();
    let lines = all.into_iter().map(|(name, command)| {
        let bytes = encode_batch(&Batch::from(command));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name} {hex}\n")
    });
    let now: String = lines.collect();
    assert_eq!(now, GOLDEN, "the log format has changed; now it is\n{now}");
}

#[test]
fn a_batch_begins_with_its_version() {
    assert_eq!(encode_batch(&Batch::new(vec![]))[..2], [1, 0], "version 1, no commands");
}
