use super::*;
use crate::command::{Limits, LinkCommand, LinkSpec};
use crate::types::SecretText;
use crate::{Batch, Command, Reply, State};
use peer::LearntRoute;

struct Rig {
    state: State,
    index: u64,
    changes: Changes,
}

impl Rig {
    /// Links `eu` and `ap` are enabled.
    fn new() -> Self {
        let mut rig = Self { state: State::default(), index: 0, changes: Changes::default() };
        rig.link("eu", true);
        rig.link("ap", true);
        rig
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let batch = Batch::from(command);
        self.state.apply(self.index, &batch, &mut self.changes).remove(0)
    }

    fn link(&mut self, name: &str, enable: bool) {
        self.apply(Command::Link(LinkCommand::Create(LinkSpec {
            name: name.into(),
            server: name.into(),
            clientid: "c".into(),
            enable,
            config: SecretText::new("{}"),
            counter: 0,
        })));
    }

    fn remote(&mut self, command: RemoteCommand) -> RemoteReply {
        match self.apply(Command::Remote(command)) {
            Reply::Remote(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn init(&mut self, peer: &str, actor: &str, incarnation: Incarnation) -> RemoteReply {
        let (peer, actor) = (peer.into(), actor.into());
        self.remote(RemoteCommand::ActorInit { peer, actor, incarnation, at_ms: 1 })
    }

    fn ops(
        &mut self,
        peer: &str,
        actor: &str,
        run: Incarnation,
        ops: Vec<RemoteOp>,
    ) -> RemoteReply {
        let (peer, actor) = (peer.into(), actor.into());
        self.remote(RemoteCommand::RouteOps { peer, actor, incarnation: run, ops })
    }

    fn sweep(&mut self, actor: &str, incarnation: Incarnation) -> RemoteReply {
        self.remote(RemoteCommand::Sweep { peer: "eu".into(), actor: actor.into(), incarnation })
    }

    fn routes(&self, peer: &str) -> Vec<String> {
        let Some(peer) = self.state.remotes().peer(peer) else { return Vec::new() };
        let mut all: Vec<_> = peer.page(None, 100).iter().map(text).collect();
        all.sort();
        all
    }
}

fn text(route: &LearntRoute) -> String {
    let stale = if route.stale { " stale" } else { "" };
    format!("{} {} [{}]{stale}", route.filter, route.id, route.actors.join(" "))
}

fn add(filter: &str, id: &str) -> RemoteOp {
    RemoteOp::Add { filter: filter.into(), id: id.into() }
}

fn delete(filter: &str, id: &str) -> RemoteOp {
    RemoteOp::Delete { filter: filter.into(), id: id.into() }
}

fn accepted(need_bootstrap: bool, sweep_pending: bool) -> RemoteReply {
    RemoteReply::Accepted { need_bootstrap, sweep_pending }
}

#[test]
fn a_handshake_is_answered_by_the_four_rows_of_w13() {
    let mut rig = Rig::new();
    assert_eq!(rig.init("eu", "a", 5), accepted(true, false), "nothing stored");
    assert_eq!(rig.init("eu", "a", 5), accepted(false, false), "equal");
    assert_eq!(rig.init("eu", "a", 4), RemoteReply::ProtocolError { stored: Some(5) }, "lower");
    assert_eq!(rig.init("eu", "a", 6), accepted(true, false), "higher");
}

#[test]
fn whoever_spoke_first_holds_the_name_while_its_actors_live() {
    let mut rig = Rig::new();
    let init = |rig: &mut Rig, actor: &str, incarnation, principal: &str| {
        rig.remote(RemoteCommand::ActorInitBy {
            peer: "eu".into(),
            actor: actor.into(),
            incarnation,
            at_ms: 1,
            principal: principal.into(),
        })
    };
    let held = RemoteReply::HeldBy { principal: "user:x".into() };
    assert_eq!(init(&mut rig, "a", 1, "user:x"), accepted(true, false));
    assert_eq!(init(&mut rig, "b", 1, "user:x"), accepted(true, false));
    assert_eq!(init(&mut rig, "c", 1, "user:y"), held);
    assert_eq!(init(&mut rig, "a", 2, "user:y"), held, "also under the name of a known actor");
    let peer = |rig: &Rig| rig.state.remotes().peer("eu").cloned().unwrap();
    assert_eq!(peer(&rig).actors().len(), 2);
    assert_eq!(peer(&rig).holder().map(|h| &**h), Some("user:x"));
    rig.remote(RemoteCommand::Hold { peer: "eu".into(), since_ms: 2 });
    assert_eq!(peer(&rig).holder(), None, "all its actors are silent");
    assert_eq!(init(&mut rig, "a", 2, "user:y"), accepted(true, false));
    assert_eq!(peer(&rig).holder().map(|h| &**h), Some("user:y"));
    let mut decoder = crate::SnapshotDecoder::new(1 << 20);
    rig.state.snapshot().encode_chunks().for_each(|chunk| decoder.push(&chunk).unwrap());
    let restored = decoder.finish().unwrap();
    assert_eq!(restored.remotes(), rig.state.remotes());
}

#[test]
fn an_unknown_or_disabled_link_refuses_actors_w21() {
    let mut rig = Rig::new();
    assert_eq!(rig.init("xx", "a", 1), RemoteReply::UnknownCluster);
    rig.link("off", false);
    assert_eq!(rig.init("off", "a", 1), RemoteReply::LinkDisabled);
}

#[test]
fn an_operation_of_another_run_is_a_protocol_error_w16() {
    let mut rig = Rig::new();
    let ops = || vec![add("t", "t")];
    assert_eq!(rig.ops("eu", "a", 1, ops()), RemoteReply::ProtocolError { stored: None });
    rig.init("eu", "a", 2);
    for run in [1, 3] {
        let error = RemoteReply::ProtocolError { stored: Some(2) };
        assert_eq!(rig.ops("eu", "a", run, ops()), error);
    }
    assert_eq!(rig.ops("eu", "a", 2, ops()), done(1, 0, 0));
}

#[test]
fn an_entry_is_filter_and_id_with_the_set_of_its_actors_w15() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 1);
    rig.init("eu", "b", 1);
    let both = || vec![add("t/1", "t/+"), add("t/1", "$s/g/t/1"), add("t/1", "t/+")];
    assert_eq!(rig.ops("eu", "a", 1, both()), done(2, 0, 0));
    assert_eq!(rig.ops("eu", "b", 1, vec![add("t/1", "t/+"), add("#/x", "x")]), done(0, 0, 1));
    assert_eq!(rig.routes("eu"), ["t/1 $s/g/t/1 [a]", "t/1 t/+ [a b]"]);
    assert_eq!(rig.state.remotes().peer("eu").unwrap().routes(), 2);
    assert_eq!(
        rig.ops("eu", "a", 1, vec![delete("t/1", "t/+"), delete("no", "no")]),
        done(0, 0, 0)
    );
    assert_eq!(rig.ops("eu", "b", 1, vec![delete("t/1", "t/+")]), done(0, 1, 0));
    assert_eq!(rig.routes("eu"), ["t/1 $s/g/t/1 [a]"]);
}

#[test]
fn one_peers_actor_never_touches_another_peers_entries_w15() {
    let mut rig = Rig::new();
    for peer in ["eu", "ap"] {
        rig.init(peer, "a", 1);
        rig.ops(peer, "a", 1, vec![add("t", "t")]);
    }
    let actors = vec![ActorRef { actor: "a".into(), incarnation: 1 }];
    let expire = RemoteCommand::Expire { peer: "eu".into(), actors };
    assert_eq!(rig.remote(expire), done(0, 1, 0));
    assert_eq!(rig.routes("ap"), ["t t [a]"]);
    assert!(rig.state.remotes().peer("eu").is_none(), "no actor is left");
}

#[test]
fn a_higher_incarnation_marks_and_a_sweep_removes_what_was_not_added_again_0_1() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 1);
    rig.init("eu", "b", 1);
    rig.ops("eu", "a", 1, vec![add("keep", "keep"), add("old", "old"), add("two", "two")]);
    rig.ops("eu", "b", 1, vec![add("two", "two")]);
    assert_eq!(rig.init("eu", "a", 2), accepted(true, true));
    assert_eq!(rig.routes("eu"), ["keep keep [a] stale", "old old [a] stale", "two two [a b]"]);
    assert_eq!(rig.ops("eu", "a", 2, vec![add("keep", "keep")]), done(0, 0, 0));
    let actor = |rig: &Rig| rig.state.remotes().peer("eu").unwrap().actors[&Arc::from("a")].clone();
    assert_eq!((actor(&rig).routes, actor(&rig).stale_routes), (1, 2), "re-added is not stale");
    assert_eq!(rig.sweep("a", 1), RemoteReply::Unknown, "a late sweep of the run before");
    assert_eq!(rig.sweep("a", 2), done(0, 1, 0));
    assert_eq!(rig.routes("eu"), ["keep keep [a]", "two two [b]"]);
    assert_eq!(rig.sweep("a", 2), done(0, 0, 0));
    assert_eq!((actor(&rig).routes, actor(&rig).stale_routes), (1, 0));
}

#[test]
fn runs_that_end_before_their_sweep_leave_one_stale_set() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 1);
    rig.ops("eu", "a", 1, vec![add("one", "one"), add("both", "both")]);
    rig.init("eu", "a", 2);
    rig.ops("eu", "a", 2, vec![add("two", "two"), add("both", "both")]);
    assert_eq!(rig.init("eu", "a", 3), accepted(true, true));
    assert_eq!(rig.routes("eu").len(), 3);
    assert_eq!(rig.ops("eu", "a", 3, vec![delete("one", "one"), add("two", "two")]), done(0, 1, 0));
    assert_eq!(rig.sweep("a", 3), done(0, 1, 0));
    assert_eq!(rig.routes("eu"), ["two two [a]"]);
    let actor = &rig.state.remotes().peer("eu").unwrap().actors[&Arc::from("a")];
    assert_eq!((actor.routes, actor.stale_routes), (1, 0));
}

#[test]
fn caps_refuse_a_batch_as_a_whole_and_an_actor_too_many_k6() {
    let mut rig = Rig::new();
    let limits = Limits { remote_routes_max: 2, remote_actors_max: 2, ..Limits::default() };
    rig.apply(Command::Cluster(crate::command::ClusterCommand::PutLimits(limits)));
    rig.init("eu", "a", 1);
    rig.init("eu", "b", 1);
    assert_eq!(rig.init("eu", "c", 1), RemoteReply::TooManyActors { limit: 2 });
    assert_eq!(rig.init("ap", "c", 1), accepted(true, false), "per link");
    let twice = vec![add("x", "x"), add("x", "x"), add("y", "y"), add("y", "y")];
    assert_eq!(rig.ops("eu", "a", 1, twice), done(2, 0, 0));
    let over = vec![delete("x", "x"), add("z", "z")];
    assert_eq!(rig.ops("eu", "a", 1, over), RemoteReply::TooManyRoutes { limit: 2 });
    assert_eq!(rig.routes("eu"), ["x x [a]", "y y [a]"], "nothing of it was applied");
    assert_eq!(rig.ops("eu", "b", 1, vec![add("x", "x")]), done(0, 0, 0), "no new entry");
}

#[test]
fn an_expiry_that_names_another_run_is_ignored() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 2);
    let actors = vec![ActorRef { actor: "a".into(), incarnation: 1 }];
    let expire = RemoteCommand::Expire { peer: "eu".into(), actors };
    assert_eq!(rig.remote(expire), RemoteReply::Unknown);
}

#[test]
fn a_remote_that_fell_silent_is_held_until_an_actor_is_heard_0_1() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 1);
    rig.ops("eu", "a", 1, vec![add("t", "t")]);
    rig.remote(RemoteCommand::Hold { peer: "eu".into(), since_ms: 70 });
    rig.remote(RemoteCommand::Hold { peer: "eu".into(), since_ms: 90 });
    let held = |rig: &Rig| rig.state.remotes().peer("eu").unwrap().held_since_ms();
    assert_eq!(held(&rig), Some(70));
    assert_eq!(rig.routes("eu"), ["t t [a]"]);
    let heard = |incarnation| RemoteCommand::ActorsSeen {
        peer: "eu".into(),
        actors: vec![ActorRef { actor: "a".into(), incarnation }],
        at_ms: 99,
    };
    assert_eq!(rig.remote(heard(0)), RemoteReply::Unknown);
    assert_eq!(held(&rig), Some(70));
    assert_eq!(rig.remote(heard(1)), done(0, 0, 0));
    assert_eq!(held(&rig), None);
    rig.remote(RemoteCommand::Hold { peer: "eu".into(), since_ms: 100 });
    rig.init("eu", "a", 1);
    assert_eq!(held(&rig), None);
}

#[test]
fn deleting_a_link_forgets_what_its_remote_told() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 1);
    rig.ops("eu", "a", 1, vec![add("t", "t")]);
    rig.apply(Command::Link(LinkCommand::Delete { name: "eu".into(), expected: None }));
    assert!(rig.state.remotes().peer("eu").is_none());
    let ops = vec![add("t", "t")];
    assert_eq!(rig.ops("eu", "a", 1, ops), RemoteReply::ProtocolError { stored: None });
}

#[test]
fn many_ids_of_one_filter_page_without_loss() {
    let mut rig = Rig::new();
    rig.init("eu", "a", 1);
    let ops = (0..50).flat_map(|n| [add("t", &format!("i{n}")), add(&format!("f{n}"), "i")]);
    assert_eq!(rig.ops("eu", "a", 1, ops.collect()), done(100, 0, 0));
    let peer = rig.state.remotes().peer("eu").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut after: Option<LearntRoute> = None;
    loop {
        let page = peer.page(after.as_ref().map(|r| (&*r.filter, &*r.id)), 7);
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        assert!(page.iter().all(|route| seen.insert(text(route))));
    }
    assert_eq!(seen.len(), 100);
}
