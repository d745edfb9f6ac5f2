use super::*;

fn add(filter: &str) -> RouteChange {
    RouteChange::Add(filter.into())
}

fn remove(filter: &str) -> RouteChange {
    RouteChange::Remove(filter.into())
}

fn shared(group: &str, filter: &str, members: u32) -> RouteChange {
    RouteChange::Shared { group: group.into(), filter: filter.into(), members }
}

fn done(changed: u32, removed: u32, invalid: u32) -> RouteReply {
    RouteReply::Done { changed, removed, invalid }
}

struct Rig(Routes);

impl Rig {
    /// Nodes 1 and 2 have announced their run 10.
    fn new() -> Self {
        let mut rig = Self(Routes::default());
        for node in [1, 2] {
            assert_eq!(rig.replace(node, 10, 0, true, vec![]), done(0, 0, 0));
        }
        rig
    }

    fn apply(&mut self, command: &RouteCommand) -> RouteReply {
        self.0.apply(command, &mut Changes::default())
    }

    fn batch(&mut self, node: NodeId, run: Incarnation, changes: Vec<RouteChange>) -> RouteReply {
        self.apply(&RouteCommand::RouteBatch { node, incarnation: run, changes })
    }

    fn gone(&mut self, node: NodeId, incarnation: Incarnation) -> RouteReply {
        self.apply(&RouteCommand::NodeGone { node, incarnation })
    }

    fn replace(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        part: u32,
        last: bool,
        routes: Vec<RouteChange>,
    ) -> RouteReply {
        self.apply(&RouteCommand::ReplaceNode { node, incarnation, part, last, routes })
    }

    fn nodes(&self, filter: &str) -> Vec<NodeId> {
        self.0.get(filter).map_or_else(Vec::new, |entry| entry.nodes().to_vec())
    }
}

#[test]
fn there_is_one_entry_per_node_and_filter() {
    let mut rig = Rig::new();
    assert_eq!(rig.batch(2, 10, vec![add("a/+"), add("a/+")]), done(1, 0, 0));
    assert_eq!(rig.batch(1, 10, vec![add("a/+")]), done(1, 0, 0));
    assert_eq!(rig.nodes("a/+"), [1, 2]);
    assert_eq!(rig.batch(2, 10, vec![remove("a/+"), remove("a/+")]), done(0, 1, 0));
    assert_eq!(rig.nodes("a/+"), [1]);
    assert_eq!((rig.0.filters(), rig.0.node(2).unwrap().entries), (1, 0));
}

#[test]
fn a_shared_group_counts_members_per_node() {
    let mut rig = Rig::new();
    let changes = vec![shared("g", "t", 2), shared("h", "t", 1), shared("g", "t", 3)];
    assert_eq!(rig.batch(1, 10, changes), done(3, 0, 0));
    rig.batch(2, 10, vec![shared("g", "t", 1)]);
    let entry = rig.0.get("t").unwrap().clone();
    assert_eq!(entry.nodes(), [0; 0]);
    assert_eq!(entry.groups()[0].members, [(1, 3), (2, 1)].into());
    assert_eq!(&*entry.groups()[0].filter, "t");
    assert_eq!(rig.batch(1, 10, vec![shared("g", "t", 0), shared("h", "t", 0)]), done(0, 2, 0));
    rig.batch(2, 10, vec![shared("g", "t", 0)]);
    assert!(rig.0.get("t").is_none());
}

#[test]
fn what_is_no_filter_is_left_out_and_counted() {
    let mut rig = Rig::new();
    let changes = vec![add("a/#/b"), add(""), shared("", "t", 1), add("ok")];
    assert_eq!(rig.batch(1, 10, changes), done(1, 0, 3));
}

#[test]
fn a_collected_node_is_told_to_replace_before_its_batches_count_again_p5() {
    let mut rig = Rig::new();
    rig.batch(1, 10, vec![add("a"), shared("g", "a", 2)]);
    rig.batch(2, 10, vec![add("a")]);
    assert_eq!(rig.gone(1, 10), done(0, 2, 0));
    assert_eq!(rig.nodes("a"), [2]);
    assert_eq!(rig.batch(1, 10, vec![add("b")]), RouteReply::NeedReplace);
    assert_eq!(rig.replace(1, 10, 0, true, vec![add("a"), add("b")]), done(2, 0, 0));
    assert_eq!(rig.batch(1, 10, vec![add("c")]), done(1, 0, 0));
}

#[test]
fn an_unknown_node_announces_itself_first() {
    assert_eq!(Rig::new().batch(7, 1, vec![add("a")]), RouteReply::NeedReplace);
}

#[test]
fn older_runs_are_void_and_a_late_collection_spares_the_newer_run() {
    let mut rig = Rig::new();
    rig.replace(1, 11, 0, true, vec![add("a")]);
    let stale = RouteReply::StaleIncarnation { stored: 11 };
    assert_eq!(rig.batch(1, 10, vec![remove("a")]), stale);
    assert_eq!(rig.gone(1, 10), stale);
    assert_eq!(rig.replace(1, 10, 0, true, vec![]), stale);
    assert_eq!(rig.batch(1, 12, vec![add("b")]), RouteReply::NeedReplace);
    assert_eq!(rig.nodes("a"), [1]);
}

#[test]
fn a_replacement_leaves_no_gap_and_removes_what_no_part_named() {
    let mut rig = Rig::new();
    rig.batch(1, 10, vec![add("keep"), add("old"), shared("g", "keep", 1), shared("g", "old", 1)]);
    assert_eq!(rig.replace(1, 11, 0, false, vec![add("keep"), add("new")]), done(1, 0, 0));
    assert_eq!((rig.nodes("keep"), rig.nodes("old")), (vec![1], vec![1]));
    // Meanwhile the node goes on living.
    assert_eq!(rig.batch(1, 11, vec![add("live"), remove("new")]), done(1, 1, 0));
    assert_eq!(rig.replace(1, 11, 1, true, vec![shared("g", "keep", 1)]), done(0, 2, 0));
    assert_eq!((rig.nodes("keep"), rig.nodes("old")), (vec![1], vec![]));
    assert_eq!((rig.nodes("live"), rig.nodes("new")), (vec![1], vec![]));
    assert_eq!(rig.0.node(1).unwrap().entries, 3);
}

#[test]
fn parts_come_in_order_or_start_over() {
    let mut rig = Rig::new();
    rig.replace(1, 10, 0, false, vec![add("a")]);
    let order = |expected| RouteReply::PartOutOfOrder { expected };
    assert_eq!(rig.replace(1, 10, 2, true, vec![]), order(1));
    assert_eq!(rig.replace(1, 10, 0, false, vec![add("b")]), done(1, 0, 0));
    assert_eq!(rig.replace(1, 10, 1, true, vec![]), done(0, 1, 0), "`a` was of the first try");
    assert_eq!(rig.replace(1, 10, 1, true, vec![]), order(0));
}

#[test]
fn equal_sets_of_nodes_share_one_allocation_and_the_first_text() {
    let mut rig = Rig::new();
    let mut changes = Changes::default();
    for filter in ["a", "b"] {
        let batch =
            RouteCommand::RouteBatch { node: 1, incarnation: 10, changes: vec![add(filter)] };
        rig.0.apply(&batch, &mut changes);
    }
    assert!(Arc::ptr_eq(rig.0.get("a").unwrap(), rig.0.get("b").unwrap()));
    let (key, _) = rig.0.shards.of("a").entries.get_key_value("a").unwrap();
    let ViewOp::Route { filter, .. } = &changes.view[0] else { panic!("a route") };
    assert!(Arc::ptr_eq(filter, key));
}

#[test]
fn the_digest_returns_when_all_is_undone() {
    let mut rig = Rig::new();
    let empty = rig.0.digest();
    rig.batch(1, 10, vec![add("a"), add("b"), shared("g", "a", 2), shared("g", "a", 1)]);
    assert_ne!(rig.0.digest(), empty);
    rig.batch(1, 10, vec![remove("a"), remove("b"), shared("g", "a", 0)]);
    assert_eq!(rig.0.digest(), empty);
}
