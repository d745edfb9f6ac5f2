use super::*;
use crate::command::{LinkCommand, LinkSpec, RemoteCommand, RemoteOp, RouteChange, RouteCommand};
use crate::types::SecretText;
use crate::{Batch, Changes, Command};

struct Rig {
    state: State,
    writer: ViewWriter,
    reader: ViewReader,
    index: u64,
}

impl Rig {
    fn new() -> Self {
        let writer = ViewWriter::new();
        let reader = writer.reader();
        let mut rig = Self { state: State::default(), writer, reader, index: 0 };
        for node in [1, 2, 3] {
            rig.apply(Command::Route(RouteCommand::ReplaceNode {
                node,
                incarnation: 1,
                part: 0,
                last: true,
                routes: vec![],
            }));
        }
        rig
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        let mut changes = Changes::default();
        self.state.apply(self.index, &Batch::from(command), &mut changes);
        self.writer.absorb(changes.view, self.index);
    }

    fn route(&mut self, node: NodeId, change: RouteChange) {
        self.apply(Command::Route(RouteCommand::RouteBatch {
            node,
            incarnation: 1,
            changes: vec![change],
        }));
    }

    fn link(&mut self, command: LinkCommand) {
        self.apply(Command::Link(command));
    }

    fn learn(&mut self, peer: &str, filter: &str) {
        let (peer, actor): (Arc<str>, Arc<str>) = (peer.into(), "a".into());
        self.apply(Command::Remote(RemoteCommand::ActorInit {
            peer: peer.clone(),
            actor: actor.clone(),
            incarnation: 1,
            at_ms: 0,
        }));
        let ops = vec![RemoteOp::Add { filter: filter.into(), id: filter.into() }];
        self.apply(Command::Remote(RemoteCommand::RouteOps { peer, actor, incarnation: 1, ops }));
    }

    fn targets(&mut self, topic: &str) -> Targets {
        let mut targets = Targets::default();
        assert!(self.reader.targets(topic, &mut targets));
        targets
    }

    fn links(&mut self, topic: &str) -> Vec<String> {
        self.targets(topic).links.iter().map(ToString::to_string).collect()
    }
}

fn create(name: &str) -> LinkCommand {
    LinkCommand::Create(LinkSpec {
        name: name.into(),
        server: name.into(),
        clientid: "c".into(),
        enable: true,
        config: SecretText::new("{}"),
        counter: 0,
    })
}

#[test]
fn a_publish_meets_each_node_once_however_many_filters_match() {
    let mut rig = Rig::new();
    rig.route(2, RouteChange::Add("a/+".into()));
    rig.route(1, RouteChange::Add("a/b".into()));
    rig.route(2, RouteChange::Add("#".into()));
    let targets = rig.targets("a/b");
    assert_eq!((targets.nodes.as_slice(), targets.index), ([1, 2].as_slice(), rig.index));
    rig.route(2, RouteChange::Remove("#".into()));
    rig.route(2, RouteChange::Remove("a/+".into()));
    assert_eq!(rig.targets("a/b").nodes, [1]);
    assert_eq!(rig.reader.filters(), 1);
}

#[test]
fn each_shared_group_is_met_per_filter_with_its_members() {
    let mut rig = Rig::new();
    let shared = |filter: &str, members| RouteChange::Shared {
        group: "g".into(),
        filter: filter.into(),
        members,
    };
    rig.route(1, shared("a/+", 2));
    rig.route(3, shared("a/+", 1));
    rig.route(1, shared("a/b", 1));
    let mut groups: Vec<_> = rig
        .targets("a/b")
        .groups
        .iter()
        .map(|g| (g.filter.to_string(), g.members.to_vec()))
        .collect();
    groups.sort();
    assert_eq!(groups, [("a/+".into(), vec![(1, 2), (3, 1)]), ("a/b".into(), vec![(1, 1)])]);
    assert!(rig.targets("a/b").nodes.is_empty());
}

#[test]
fn routes_of_disabled_or_deleted_links_are_not_matched_link_spec_1_6() {
    let mut rig = Rig::new();
    for name in ["eu", "ap"] {
        rig.link(create(name));
        rig.learn(name, "t/+");
    }
    rig.learn("eu", "t/1");
    assert_eq!(rig.links("t/1"), ["eu", "ap"], "one copy per peer (T-6)");
    let enabled = |enabled| LinkCommand::SetEnabled { name: "eu".into(), enabled };
    rig.link(enabled(false));
    assert_eq!(rig.links("t/1"), ["ap"]);
    rig.link(enabled(true));
    rig.link(LinkCommand::SetPaused { name: "eu".into(), paused: true });
    assert_eq!(rig.links("t/1"), ["eu", "ap"], "paused = buffer, do not send");
    rig.link(LinkCommand::Delete { name: "eu".into(), expected: None });
    assert_eq!(rig.links("t/1"), ["ap"]);
    // The number is used again; nothing of the old link must shine through.
    rig.link(create("sa"));
    rig.learn("sa", "x");
    assert_eq!((rig.links("t/1"), rig.links("x")), (vec!["ap".into()], vec!["sa".into()]));
}

#[test]
fn a_rebuilt_view_equals_one_that_followed() {
    let mut rig = Rig::new();
    rig.link(create("eu"));
    rig.learn("eu", "a/#");
    rig.route(1, RouteChange::Add("a/b".into()));
    let mut writer = ViewWriter::new();
    let mut reader = writer.reader();
    writer.absorb([ViewOp::Route { filter: "old".into(), entry: None }], 1);
    writer.rebuild(&rig.state);
    let mut targets = Targets::default();
    assert!(reader.targets("a/b", &mut targets));
    assert_eq!((targets.nodes.as_slice(), targets.links.len()), ([1].as_slice(), 1));
    assert_eq!((targets.index, reader.filters()), (rig.index, 2));
    assert_eq!(reader.explain("a/b"), rig.reader.explain("a/b"));
    assert_eq!(reader.explain("a/b").len(), 2);
}

#[test]
fn a_reader_outlives_the_view_but_knows_nothing_then() {
    let writer = ViewWriter::new();
    let mut reader = writer.factory().reader();
    drop(writer);
    assert!(!reader.targets("a", &mut Targets::default()));
}

#[test]
fn readers_on_other_threads_never_see_a_view_go_back() {
    let mut writer = ViewWriter::new();
    let factory = writer.factory();
    let watch = std::thread::spawn(move || {
        let mut reader = factory.reader();
        let mut targets = Targets::default();
        let mut last = 0;
        while reader.targets("a", &mut targets) && last < 2000 {
            assert!(targets.index >= last);
            // An even index shows the route, an odd one does not.
            assert_eq!(targets.nodes.is_empty(), targets.index % 2 == 1 || targets.index == 0);
            last = targets.index;
        }
    });
    let entry = Arc::new(RouteEntry::new(vec![1], vec![]));
    for index in 1..=2000 {
        let entry = (index % 2 == 0).then(|| entry.clone());
        writer.absorb([ViewOp::Route { filter: "a".into(), entry }], index);
    }
    watch.join().unwrap();
}
