use std::{collections::BTreeMap, sync::Arc};

use spanmq_topic::{SharedFilter, Subscription};

use super::rig::{QOS0, QOS1, QOS2, Rig, filter, message, topic};
use crate::{MatchedOptions, Message, Redispatch, SharedMember, SharedPicker, SharedStrategy};

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
    rig.session.reclaim_shared(|filter| *filter == *group, &mut back, &mut rig.ops);
    let short = |back: &Redispatch| (back.message.payload[0], back.qos, back.filter.clone());
    let back: Vec<_> = back.iter().map(short).collect();
    assert_eq!(back, [(2, QOS1, group.clone()), (5, QOS2, group)]);
    rig.reconnect();
    assert_eq!(rig.pumped(), [(1, 1, true), (3, 3, true), (4, 4, true), (6, 5, false)]);
}
