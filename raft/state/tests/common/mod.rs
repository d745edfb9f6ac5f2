//! One sample of each kind of command, and random ones over a small world in which they collide.

// Each test file uses its part.
#![allow(dead_code)]

use proptest::prelude::*;
use spanmq_state::command::*;
use spanmq_state::{AccessKind, Opaque, SecretText};

pub(crate) fn member(id: u64) -> Member {
    Member {
        id,
        name: format!("n{id}@h").into(),
        disk_id: 7,
        incarnation: 3,
        cluster_addr: "h:1".into(),
        api_addr: "h:2".into(),
        mqtt_addrs: vec!["mqtt://h:3".into()],
        version: "0.1.0".into(),
        features: 1,
    }
}

pub(crate) fn link(name: &str, server: &str, enable: bool) -> LinkSpec {
    LinkSpec {
        name: name.into(),
        server: server.into(),
        clientid: "us".into(),
        enable,
        config: SecretText::new("{}"),
        counter: 0,
    }
}

pub(crate) fn will(delay_s: u32) -> Will {
    Will { topic: "w".into(), delay_s, message: Opaque::new(vec![1, 2]) }
}

pub(crate) fn claim(
    client_id: &str,
    node: u64,
    clean_start: bool,
    expiry_s: u32,
) -> SessionCommand {
    SessionCommand::Claim {
        client_id: client_id.into(),
        node,
        clean_start,
        principal: "p".into(),
        expiry_s,
        persistent: expiry_s > 0,
        will: Some(will(5)),
        at_ms: 1000,
    }
}

fn filter() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a/b", "a/+", "#", "+/b", "a/#", "$x/b", "a//", "bad/#/x", ""])
}

fn client() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["c1", "c2", "c3"])
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["eu", "ap", "sa"])
}

fn route() -> impl Strategy<Value = Command> {
    let change = || {
        prop_oneof![
            filter().prop_map(|f| RouteChange::Add(f.into())),
            filter().prop_map(|f| RouteChange::Remove(f.into())),
            (filter(), 0u32..3).prop_map(|(f, members)| RouteChange::Shared {
                group: "g".into(),
                filter: f.into(),
                members
            }),
        ]
    };
    let changes = || prop::collection::vec(change(), 0..4);
    prop_oneof![
        4 => (1u64..4, 1u64..3, changes()).prop_map(|(node, incarnation, changes)| {
            RouteCommand::RouteBatch { node, incarnation, changes }
        }),
        1 => (1u64..4, 1u64..3).prop_map(|(node, incarnation)| {
            RouteCommand::NodeGone { node, incarnation }
        }),
        3 => (1u64..4, 1u64..3, 0u32..2, any::<bool>(), changes()).prop_map(
            |(node, incarnation, part, last, routes)| {
                RouteCommand::ReplaceNode { node, incarnation, part, last, routes }
            }
        ),
    ]
    .prop_map(Command::Route)
}

fn session() -> impl Strategy<Value = Command> {
    let fate = || prop_oneof![Just(WillFate::Discard), Just(WillFate::Publish)];
    let handover = || prop_oneof![Just(Handover::Complete), Just(Handover::WithoutOwner)];
    let change = || {
        prop_oneof![
            (filter(), 0u8..3).prop_map(|(f, options)| SubscriptionChange::Put(Subscription {
                filter: f.into(),
                options,
                id: None
            })),
            filter().prop_map(|f| SubscriptionChange::Remove(f.into())),
        ]
    };
    prop_oneof![
        3 => (client(), 1u64..4, any::<bool>(), 0u32..2)
            .prop_map(|(c, node, clean, persistent)| claim(c, node, clean, persistent * 60)),
        2 => (client(), 1u64..6, handover()).prop_map(|(c, epoch, handover)| {
            SessionCommand::Installed { client_id: c.into(), epoch, handover }
        }),
        1 => (client(), 1u64..6)
            .prop_map(|(c, epoch)| SessionCommand::Abandon { client_id: c.into(), epoch }),
        2 => (client(), 1u64..6, prop::collection::vec(change(), 0..3)).prop_map(
            |(c, epoch, changes)| {
                SessionCommand::Subscriptions { client_id: c.into(), epoch, changes }
            }
        ),
        2 => (client(), 1u64..6, 0u64..5000, 0u32..3, fate()).prop_map(
            |(c, epoch, at_ms, expiry_s, will)| SessionCommand::Detached {
                client_id: c.into(),
                epoch,
                at_ms,
                expiry_s,
                will
            }
        ),
        1 => (client(), 1u64..6, fate()).prop_map(|(c, epoch, will)| SessionCommand::End {
            client_id: c.into(),
            epoch,
            will,
            at_ms: 9
        }),
        1 => (client(), 1u64..6).prop_map(|(c, epoch)| SessionCommand::Expire {
            client_id: c.into(),
            epoch,
            at_ms: 9
        }),
        1 => (client(), 1u64..6)
            .prop_map(|(c, epoch)| SessionCommand::WillDone { client_id: c.into(), epoch }),
        1 => (client(), 1u64..6)
            .prop_map(|(c, epoch)| SessionCommand::OrphanDrained { client_id: c.into(), epoch }),
    ]
    .prop_map(Command::Session)
}

fn links() -> impl Strategy<Value = Command> {
    let spec = || (name(), name(), any::<bool>()).prop_map(|(n, server, on)| link(n, server, on));
    let revision = || prop::option::weighted(0.2, 1u64..20);
    prop_oneof![
        4 => spec().prop_map(LinkCommand::Create),
        2 => (spec(), revision()).prop_map(|(spec, expected)| LinkCommand::Update { spec, expected }),
        1 => (name(), revision())
            .prop_map(|(n, expected)| LinkCommand::Delete { name: n.into(), expected }),
        1 => (prop::collection::vec(spec(), 0..3), revision())
            .prop_map(|(links, expected)| LinkCommand::ReplaceAll { links, expected }),
        1 => (name(), any::<bool>())
            .prop_map(|(n, enabled)| LinkCommand::SetEnabled { name: n.into(), enabled }),
        1 => (name(), any::<bool>())
            .prop_map(|(n, paused)| LinkCommand::SetPaused { name: n.into(), paused }),
    ]
    .prop_map(Command::Link)
}

fn remote() -> impl Strategy<Value = Command> {
    let actor = || prop::sample::select(vec!["x", "y"]);
    let id = || prop::sample::select(vec!["a", "$s/g/a", "other"]);
    let op = || {
        (filter(), id(), any::<bool>()).prop_map(|(f, id, add)| {
            let (filter, id) = (f.into(), id.into());
            if add { RemoteOp::Add { filter, id } } else { RemoteOp::Delete { filter, id } }
        })
    };
    let refs = || {
        (actor(), 1u64..4)
            .prop_map(|(actor, incarnation)| vec![ActorRef { actor: actor.into(), incarnation }])
    };
    prop_oneof![
        4 => (name(), actor(), 1u64..4).prop_map(|(p, a, incarnation)| RemoteCommand::ActorInit {
            peer: p.into(),
            actor: a.into(),
            incarnation,
            at_ms: 5
        }),
        2 => (name(), actor(), 1u64..4, prop::sample::select(vec!["user:u", "cert:c"])).prop_map(
            |(p, a, incarnation, principal)| RemoteCommand::ActorInitBy {
                peer: p.into(),
                actor: a.into(),
                incarnation,
                at_ms: 5,
                principal: principal.into(),
            }
        ),
        6 => (name(), actor(), 1u64..4, prop::collection::vec(op(), 0..5)).prop_map(
            |(p, a, incarnation, ops)| RemoteCommand::RouteOps {
                peer: p.into(),
                actor: a.into(),
                incarnation,
                ops
            }
        ),
        1 => (name(), actor(), 1u64..4).prop_map(|(p, a, incarnation)| RemoteCommand::Sweep {
            peer: p.into(),
            actor: a.into(),
            incarnation
        }),
        1 => (name(), refs()).prop_map(|(p, actors)| RemoteCommand::ActorsSeen {
            peer: p.into(),
            actors,
            at_ms: 8
        }),
        1 => (name(), refs())
            .prop_map(|(p, actors)| RemoteCommand::Expire { peer: p.into(), actors }),
        1 => name().prop_map(|p| RemoteCommand::Hold { peer: p.into(), since_ms: 6 }),
        1 => name().prop_map(|p| RemoteCommand::PeerForget { peer: p.into() }),
    ]
    .prop_map(Command::Remote)
}

fn others() -> impl Strategy<Value = Command> {
    let topic = || prop::sample::select(vec!["a", "a/b", "$x/b", "a/+"]);
    prop_oneof![
        (1u64..4, any::<bool>()).prop_map(|(id, put)| Command::Cluster(if put {
            ClusterCommand::PutMember(member(id))
        } else {
            ClusterCommand::RemoveMember { id }
        })),
        (name(), prop::option::of(0u32..3)).prop_map(|(key, value)| {
            let value = value.map(|value| value.to_string().into());
            Command::Cluster(ClusterCommand::PutSetting { key: key.into(), value })
        }),
        (topic(), 0usize..4, prop::option::of(0u64..9)).prop_map(|(topic, size, expiry_at_ms)| {
            let message = Opaque::new(vec![9; size]);
            Command::Retained(RetainedCommand::Set { topic: topic.into(), message, expiry_at_ms })
        }),
        topic().prop_map(|t| Command::Retained(RetainedCommand::Clear { topic: t.into() })),
        (topic(), 1u64..20).prop_map(|(topic, revision)| {
            let messages = vec![RetainedRef { topic: topic.into(), revision }];
            Command::Retained(RetainedCommand::Expire { messages })
        }),
        (name(), any::<bool>()).prop_map(|(n, create_only)| Command::Access(AccessCommand::Put {
            kind: AccessKind::User,
            name: n.into(),
            record: SecretText::new("h"),
            create_only,
            expected: None
        })),
        name().prop_map(|n| Command::Access(AccessCommand::Delete {
            kind: AccessKind::User,
            name: n.into(),
            expected: None
        })),
        (name(), 0u64..9).prop_map(|(n, at_ms)| Command::Alarm(AlarmCommand::Activate {
            name: n.into(),
            node: 1,
            message: "m".into(),
            details: "{}".into(),
            at_ms
        })),
        (name(), 0u64..9).prop_map(|(n, at_ms)| Command::Alarm(AlarmCommand::Deactivate {
            name: n.into(),
            node: 1,
            at_ms
        })),
        (0u64..8, 1u32..3).prop_map(|(remote_routes_max, alarm_history_max)| {
            let limits = Limits { remote_routes_max, alarm_history_max, ..Limits::default() };
            Command::Cluster(ClusterCommand::PutLimits(limits))
        }),
    ]
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![4 => route(), 4 => session(), 2 => links(), 5 => remote(), 2 => others()]
}
