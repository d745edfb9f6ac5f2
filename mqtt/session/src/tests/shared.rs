use std::{collections::BTreeMap, sync::Arc};

use spanmq_topic::{SharedFilter, Subscription};

use super::rig::{QOS0, QOS1, QOS2, Rig, filter, message, topic};
use crate::{
    MatchedOptions, Message, Redispatch, SharedMember, SharedPicker, SharedStrategy, SharedTurn,
};

#[derive(Clone, Copy)]
struct Member {
    key: u64,
    local: bool,
    online: bool,
}

impl SharedMember for Member {
    fn key(&self) -> u64 {
        self.key
    }

    fn is_local(&self) -> bool {
        self.local
    }

    fn is_online(&self) -> bool {
        self.online
    }
}

fn members(count: u64) -> Vec<Member> {
    (0..count).map(|key| Member { key, local: key % 2 == 1, online: true }).collect()
}

fn picks(strategy: SharedStrategy, local_first: bool, members: &[Member]) -> Vec<usize> {
    let mut picker = SharedPicker::new(strategy, local_first, 0);
    (0..6).map(|number| picker.pick(members, &message(number, QOS0), &[]).unwrap()).collect()
}

#[test]
fn round_robin_takes_one_after_the_other() {
    assert_eq!(picks(SharedStrategy::RoundRobin, false, &members(3)), [0, 1, 2, 0, 1, 2]);
    assert_eq!(SharedStrategy::default(), SharedStrategy::RoundRobin);
}

#[test]
fn members_of_this_node_come_first_if_asked_for() {
    assert_eq!(picks(SharedStrategy::RoundRobin, true, &members(4)), [1, 3, 1, 3, 1, 3]);
    let remote = [Member { key: 1, local: false, online: true }];
    assert_eq!(picks(SharedStrategy::RoundRobin, true, &remote), [0; 6]);
}

#[test]
fn connected_members_come_before_all_others() {
    let mut members = members(3);
    members[1].online = false;
    assert_eq!(picks(SharedStrategy::RoundRobin, true, &members), [0, 2, 0, 2, 0, 2]);
    members.iter_mut().for_each(|member| member.online = false);
    assert_eq!(picks(SharedStrategy::RoundRobin, false, &members), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn random_gives_everybody_about_the_same() {
    let (members, mut counts) = (members(4), BTreeMap::new());
    let mut picker = SharedPicker::new(SharedStrategy::Random, false, 7);
    for _ in 0..4_000 {
        let picked = picker.pick(&members, &message(1, QOS0), &[]).unwrap();
        *counts.entry(picked).or_insert(0) += 1;
    }
    assert!(counts.len() == 4 && counts.values().all(|count| (850..1_150).contains(count)));
}

#[test]
fn sticky_stays_with_its_member_until_it_goes() {
    let mut picker = SharedPicker::new(SharedStrategy::Sticky, false, 3);
    let mut members = members(4);
    let mut pick =
        |members: &[Member]| members[picker.pick(members, &message(1, QOS0), &[]).unwrap()].key;
    let first = pick(&members);
    assert_eq!([pick(&members), pick(&members)], [first; 2]);
    members.retain(|member| member.key != first);
    let second = pick(&members);
    assert_ne!(second, first);
    members.reverse();
    assert_eq!(pick(&members), second);
}

#[test]
fn hashes_follow_the_publisher_or_the_topic() {
    let members = members(8);
    let from = |client: &str, name: &str| Message {
        from: client.into(),
        topic: topic(name),
        ..message(1, QOS0)
    };
    let spread = |strategy, message: &dyn Fn(u8) -> Message| {
        let mut picker = SharedPicker::new(strategy, false, 0);
        let picks = (0..64).map(|i| picker.pick(&members, &message(i), &[]).unwrap());
        picks.collect::<std::collections::BTreeSet<_>>().len()
    };
    let by_client: &dyn Fn(u8) -> Message = &|i| from(&format!("client-{i}"), "t");
    let by_topic: &dyn Fn(u8) -> Message = &|i| from("c", &format!("t/{i}"));
    assert_eq!(spread(SharedStrategy::HashClientid, by_topic), 1);
    assert_eq!(spread(SharedStrategy::HashTopic, by_client), 1);
    assert!(spread(SharedStrategy::HashClientid, by_client) > 6);
    assert!(spread(SharedStrategy::HashTopic, by_topic) > 6);
}

#[test]
fn a_member_that_was_tried_is_not_picked_again() {
    let members = members(3);
    for strategy in [SharedStrategy::RoundRobin, SharedStrategy::HashTopic, SharedStrategy::Sticky]
    {
        let (mut picker, mut tried) = (SharedPicker::new(strategy, false, 5), Vec::new());
        while let Some(index) = picker.pick(&members, &message(1, QOS0), &tried) {
            assert!(!tried.contains(&members[index].key));
            tried.push(members[index].key);
        }
        assert_eq!(tried.len(), 3);
    }
}

fn shared(text: &str) -> Arc<SharedFilter> {
    match filter(text) {
        Subscription::Shared(shared) => Arc::new(shared),
        Subscription::Plain(_) => panic!("{text} is not shared"),
    }
}

fn deliver(rig: &mut Rig, number: u8, qos: crate::QoS, group: &Arc<SharedFilter>) {
    let options = MatchedOptions { qos: QOS2, ..Default::default() }.for_shared(group.clone());
    rig.deliver_with(message(number, qos), &options);
}

// [MQTT-4.8.2-4] [MQTT-4.8.2-5]
#[test]
fn what_a_member_has_not_acknowledged_goes_back_but_not_qos_2_in_flight() {
    let mut rig = Rig::persistent();
    let (group, lonely) = (shared("$share/g/t"), shared("$share/lonely/t"));
    rig.deliver(1, QOS1);
    deliver(&mut rig, 2, QOS1, &group);
    deliver(&mut rig, 3, QOS2, &group);
    deliver(&mut rig, 4, QOS1, &lonely);
    rig.pump();
    deliver(&mut rig, 5, QOS2, &group);
    rig.disconnect();
    deliver(&mut rig, 6, QOS1, &lonely);

    let mut back = Vec::new();
    rig.session.reclaim_shared(|filter, _, _| *filter == *group, &mut back);
    rig.ops.extend(back.iter().filter_map(|back| back.op.clone()));
    let short = |back: &Redispatch| (back.message.payload[0], back.qos, back.filter.clone());
    let back: Vec<_> = back.iter().map(short).collect();
    assert_eq!(back, [(2, QOS1, group.clone()), (5, QOS2, group)]);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(1, 1, true), (3, 3, true), (4, 4, true), (6, 5, false)]);
}

const NODES: [(u64, u32); 3] = [(1, 1), (2, 3), (5, 2)];

fn nodes_of(strategy: SharedStrategy, here: u64, from: impl Fn(u8) -> Message) -> Vec<u64> {
    let mut turn = SharedTurn::new(strategy, 0);
    (0..60).map(|i| turn.node(&NODES, here, &from(i)).unwrap().0).collect()
}

fn count(picked: &[u64], node: u64) -> usize {
    picked.iter().filter(|picked| **picked == node).count()
}

#[test]
fn in_turn_each_node_gets_the_share_of_its_members_and_each_place_once_a_round() {
    let mut turn = SharedTurn::new(SharedStrategy::RoundRobin, 0);
    let round: Vec<_> = (0..7).map(|_| turn.node(&NODES, 1, &message(1, QOS0)).unwrap()).collect();
    assert_eq!(round, [(1, 0), (2, 0), (2, 1), (2, 2), (5, 0), (5, 1), (1, 0)]);
    let places: Vec<_> = (0..3)
        .map(|place| turn.worker(&[(0, 1), (3, 2)], Some(place), &message(1, QOS0)))
        .collect();
    assert_eq!(places, [Some(0), Some(3), Some(3)]);
    assert_eq!(turn.node(&[], 1, &message(1, QOS0)), None);
    assert_eq!(turn.node(&[(1, 0)], 1, &message(1, QOS0)), None);
}

#[test]
fn local_leaves_the_node_only_when_it_has_no_member() {
    assert_eq!(nodes_of(SharedStrategy::Local, 5, |_| message(1, QOS0)), [5; 60]);
    let picked = nodes_of(SharedStrategy::Local, 9, |_| message(1, QOS0));
    assert!(NODES.iter().all(|(node, _)| count(&picked, *node) > 0), "{picked:?}");
}

#[test]
fn random_and_the_hashes_follow_the_shares_and_a_hash_is_the_same_from_every_node() {
    let by_topic = |i: u8| Message { topic: topic(&format!("t/{i}")), ..message(1, QOS0) };
    for strategy in [SharedStrategy::Random, SharedStrategy::HashTopic] {
        let picked = nodes_of(strategy, 1, by_topic);
        // Shares of 10, 30 and 20.
        assert!((3..20).contains(&count(&picked, 1)), "{strategy:?} {picked:?}");
        assert!((20..42).contains(&count(&picked, 2)), "{strategy:?} {picked:?}");
    }
    let hashed = |here| nodes_of(SharedStrategy::HashTopic, here, by_topic);
    assert_eq!(hashed(1), hashed(5));
    let by_client = |i: u8| Message { from: format!("c{i}").into(), ..message(1, QOS0) };
    assert_eq!(
        nodes_of(SharedStrategy::HashTopic, 1, by_client).iter().min(),
        nodes_of(SharedStrategy::HashTopic, 1, by_client).iter().max()
    );
}

#[test]
fn sticky_keeps_its_node_while_that_has_members() {
    let mut turn = SharedTurn::new(SharedStrategy::Sticky, 3);
    let mut pick = |nodes: &[(u64, u32)]| turn.node(nodes, 1, &message(1, QOS0)).unwrap().0;
    let first = pick(&NODES);
    assert_eq!([pick(&NODES), pick(&NODES)], [first; 2]);
    let others: Vec<_> = NODES.iter().copied().filter(|(node, _)| *node != first).collect();
    let second = pick(&others);
    assert_ne!(second, first);
    assert_eq!(pick(&NODES), second, "it does not go back");
}
