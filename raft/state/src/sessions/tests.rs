use super::*;
use command::{Handover, Holder, Subscription, Will};

fn subscription(filter: &str) -> Subscription {
    Subscription { filter: filter.into(), options: 1, id: None }
}

fn will(delay_s: u32) -> Option<Will> {
    Some(Will { topic: "w".into(), delay_s, message: crate::Opaque::new(vec![1]) })
}

#[derive(Default)]
struct Rig {
    sessions: Sessions,
    changes: Changes,
}

/// A claim with the common choices filled in.
struct Connect {
    node: NodeId,
    clean_start: bool,
    principal: &'static str,
    expiry_s: u32,
    will: Option<Will>,
    at_ms: Millis,
}

impl Connect {
    fn to(node: NodeId) -> Self {
        Self { node, clean_start: false, principal: "p", expiry_s: 60, will: None, at_ms: 1000 }
    }
}

impl Rig {
    fn apply(&mut self, command: &SessionCommand) -> SessionReply {
        self.sessions.apply(command, &mut self.changes)
    }

    fn claim(&mut self, connect: Connect) -> SessionReply {
        let Connect { node, clean_start, principal, expiry_s, will, at_ms } = connect;
        self.apply(&SessionCommand::Claim {
            client_id: "c".into(),
            node,
            clean_start,
            principal: principal.into(),
            expiry_s,
            persistent: expiry_s > 0,
            will,
            at_ms,
        })
    }

    /// The epoch of a claim that must succeed.
    fn epoch(&mut self, connect: Connect) -> Epoch {
        match self.claim(connect) {
            SessionReply::Claimed { epoch, .. } => epoch,
            other => panic!("{other:?}"),
        }
    }

    fn installed(&mut self, epoch: Epoch, handover: Handover) -> SessionReply {
        self.apply(&SessionCommand::Installed { client_id: "c".into(), epoch, handover })
    }

    fn subscribe(&mut self, epoch: Epoch, filter: &str) -> SessionReply {
        let changes = vec![SubscriptionChange::Put(subscription(filter))];
        self.apply(&SessionCommand::Subscriptions { client_id: "c".into(), epoch, changes })
    }

    fn detach(
        &mut self,
        epoch: Epoch,
        at_ms: Millis,
        expiry_s: u32,
        will: WillFate,
    ) -> SessionReply {
        let client_id = "c".into();
        self.apply(&SessionCommand::Detached { client_id, epoch, at_ms, expiry_s, will })
    }

    fn get(&self) -> &Session {
        self.sessions.get("c").unwrap()
    }

    fn due_wills(&self, now_ms: Millis) -> Vec<Epoch> {
        self.sessions.due_wills(now_ms, 9).iter().map(|(_, epoch, _)| *epoch).collect()
    }
}

#[test]
fn a_new_client_is_installed_with_its_claim() {
    let mut rig = Rig::default();
    let expected = SessionReply::Claimed {
        epoch: 1,
        previous: None,
        session_present: false,
        installed: true,
        subscriptions: vec![],
    };
    assert_eq!(rig.claim(Connect::to(1)), expected);
    assert_eq!(rig.installed(1, Handover::Complete), SessionReply::Done, "saying it is harmless");
    assert_eq!(rig.get().owner, Holder { node: 1, epoch: 1 });
}

#[test]
fn a_take_over_is_two_steps_and_the_owner_keeps_the_state_between_them() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    rig.subscribe(e1, "a");
    let reply = rig.claim(Connect::to(2));
    let expected = SessionReply::Claimed {
        epoch: 2,
        previous: Some(Holder { node: 1, epoch: e1 }),
        session_present: true,
        installed: false,
        subscriptions: vec![subscription("a")],
    };
    assert_eq!(reply, expected);
    assert_eq!(rig.get().owner.node, 1);
    assert_eq!(rig.subscribe(e1, "b"), SessionReply::Stale { current: 2 }, "the owner is frozen");
    assert_eq!(rig.subscribe(2, "b"), SessionReply::Stale { current: 2 }, "not installed yet");
    assert_eq!(rig.installed(2, Handover::Complete), SessionReply::Done);
    assert_eq!(rig.get().owner, Holder { node: 2, epoch: 2 });
    assert_eq!(rig.subscribe(2, "b"), SessionReply::Done);
    assert_eq!(rig.subscribe(e1, "x"), SessionReply::Stale { current: 2 });
}

#[test]
fn a_later_claim_voids_an_earlier_one_that_was_not_installed() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    let e2 = rig.epoch(Connect::to(2));
    let SessionReply::Claimed { epoch: e3, previous, .. } = rig.claim(Connect::to(3)) else {
        panic!("claimed")
    };
    assert_eq!(previous, Some(Holder { node: 1, epoch: e1 }), "the last installed owner has it");
    assert_eq!(rig.installed(e2, Handover::Complete), SessionReply::Stale { current: e3 });
    assert_eq!(rig.installed(e3, Handover::Complete), SessionReply::Done);
    assert_eq!(rig.get().owner.node, 3);
}

#[test]
fn a_claim_given_up_returns_the_session_to_its_owner() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    let e2 = rig.epoch(Connect::to(2));
    let abandon = SessionCommand::Abandon { client_id: "c".into(), epoch: e2 };
    assert_eq!(rig.apply(&abandon), SessionReply::Done);
    assert_eq!(rig.apply(&abandon), SessionReply::Stale { current: e1 });
    assert_eq!(rig.subscribe(e1, "a"), SessionReply::Done);
    assert_eq!(rig.installed(e2, Handover::Complete), SessionReply::Stale { current: e1 });
}

#[test]
fn the_same_node_needs_no_second_step() {
    let mut rig = Rig::default();
    rig.epoch(Connect::to(1));
    let reply = rig.claim(Connect::to(1));
    assert!(matches!(reply, SessionReply::Claimed { installed: true, session_present: true, .. }));
    assert_eq!(rig.get().owner, Holder { node: 1, epoch: 2 });
}

#[test]
fn another_principal_cannot_take_a_session_over_even_with_clean_start_a6() {
    let mut rig = Rig::default();
    rig.epoch(Connect::to(1));
    for clean_start in [false, true] {
        let thief = Connect { principal: "q", clean_start, ..Connect::to(2) };
        assert_eq!(rig.claim(thief), SessionReply::PrincipalDiffers);
    }
    assert_eq!(rig.get().newest_epoch(), 1);
}

#[test]
fn clean_start_discards_the_old_session_but_names_its_owner() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    rig.subscribe(e1, "a");
    rig.changes.events.clear();
    let reply = rig.claim(Connect { clean_start: true, ..Connect::to(2) });
    let expected = SessionReply::Claimed {
        epoch: 2,
        previous: Some(Holder { node: 1, epoch: e1 }),
        session_present: false,
        installed: true,
        subscriptions: vec![],
    };
    assert_eq!(reply, expected);
    assert!(rig.get().subscriptions().is_empty());
    let gone =
        Event::PersistentSubscribed { client_id: "c".into(), filter: "a".into(), present: false };
    assert_eq!(rig.changes.events[0], gone);
    assert_eq!(rig.sessions.count(), 1);
}

#[test]
fn a_session_that_is_not_persistent_ends_with_its_connection_mqtt5_4_1() {
    let mut rig = Rig::default();
    rig.epoch(Connect { expiry_s: 0, ..Connect::to(1) });
    let reply = rig.claim(Connect::to(2));
    assert!(matches!(reply, SessionReply::Claimed { session_present: false, .. }));
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect { expiry_s: 0, ..Connect::to(1) });
    assert_eq!(rig.detach(e1, 5, 0, WillFate::Discard), SessionReply::Done);
    assert_eq!((rig.sessions.get("c"), rig.sessions.count()), (None, 0));
}

#[test]
fn an_epoch_is_never_given_twice_even_after_the_session_ended() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect { expiry_s: 0, ..Connect::to(1) });
    rig.detach(e1, 5, 0, WillFate::Discard);
    assert!(rig.epoch(Connect::to(1)) > e1);
}

#[test]
fn a_dead_owner_is_remembered_until_its_late_batch_came() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    let e2 = rig.epoch(Connect::to(2));
    rig.installed(e2, Handover::WithoutOwner);
    assert_eq!(rig.get().orphans, [Holder { node: 1, epoch: e1 }]);
    let drained = SessionCommand::OrphanDrained { client_id: "c".into(), epoch: e1 };
    assert_eq!(rig.apply(&drained), SessionReply::Done);
    assert_eq!(rig.apply(&drained), SessionReply::Unknown);
    assert!(rig.get().orphans.is_empty());
}

#[test]
fn expiry_counts_from_the_end_of_the_connection_and_spares_who_came_back() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    assert_eq!(rig.sessions.due(u64::MAX, 9), [], "connected");
    rig.detach(e1, 10_000, 60, WillFate::Discard);
    assert_eq!(rig.sessions.due(69_999, 9), []);
    assert_eq!(rig.sessions.due(70_000, 9), [("c".into(), e1)]);
    let e2 = rig.epoch(Connect::to(1));
    let expire = |epoch| SessionCommand::Expire { client_id: "c".into(), epoch, at_ms: 70_000 };
    assert_eq!(rig.apply(&expire(e1)), SessionReply::Stale { current: e2 });
    assert_eq!(rig.apply(&expire(e2)), SessionReply::Stale { current: e2 });
    assert_eq!(rig.sessions.due(u64::MAX, 9), []);
    rig.detach(e2, 80_000, NEVER, WillFate::Discard);
    assert_eq!(rig.sessions.due(u64::MAX, 9), [], "this one never expires");
    assert_eq!(rig.apply(&expire(e2)), SessionReply::Done);
    assert_eq!(rig.sessions.count(), 0);
}

const NEVER: u32 = session::NEVER_EXPIRES;

#[test]
fn a_will_waits_for_its_delay_or_the_end_of_the_session() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect { will: will(30), ..Connect::to(1) });
    rig.detach(e1, 10_000, 60, WillFate::Publish);
    assert_eq!(rig.due_wills(39_999), []);
    assert_eq!(rig.due_wills(40_000), [e1]);
    let end = SessionCommand::End {
        client_id: "c".into(),
        epoch: e1,
        will: WillFate::Publish,
        at_ms: 20_000,
    };
    rig.apply(&end);
    assert_eq!(rig.due_wills(20_000), [e1], "the session has ended before the delay");
    let done = SessionCommand::WillDone { client_id: "c".into(), epoch: e1 };
    assert_eq!(rig.apply(&done), SessionReply::Done);
    assert_eq!(rig.apply(&done), SessionReply::Unknown);
}

#[test]
fn a_delayed_will_is_cancelled_when_the_session_resumes_in_time() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect { will: will(30), ..Connect::to(1) });
    rig.detach(e1, 10_000, 60, WillFate::Publish);
    let e2 = rig.epoch(Connect { at_ms: 20_000, ..Connect::to(2) });
    assert_eq!(rig.due_wills(u64::MAX), [e1], "not before step 2");
    rig.installed(e2, Handover::Complete);
    assert_eq!(rig.due_wills(u64::MAX), []);
}

#[test]
fn a_will_without_delay_is_published_at_a_take_over_and_a_skewed_clock_cannot_cancel_it() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect { will: will(0), at_ms: 9_000_000, ..Connect::to(1) });
    rig.detach(e1, 9_000_000, 60, WillFate::Publish);
    let e2 = rig.epoch(Connect { will: will(0), at_ms: 5, ..Connect::to(1) });
    assert_eq!(rig.due_wills(0), [e1]);
    rig.epoch(Connect { at_ms: 6, ..Connect::to(1) });
    assert_eq!(rig.due_wills(0), [e1, e2]);
}

#[test]
fn a_will_is_dropped_by_a_clean_disconnect_and_published_after_the_owner_died() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect { will: will(0), ..Connect::to(1) });
    rig.detach(e1, 10, 60, WillFate::Discard);
    assert_eq!(rig.due_wills(u64::MAX), []);
    let e2 = rig.epoch(Connect { will: will(0), expiry_s: 0, ..Connect::to(1) });
    rig.detach(e2, 20, 0, WillFate::Publish);
    let due = rig.sessions.due_wills(20, 9);
    assert_eq!((due[0].1, due[0].2.node, &*due[0].2.principal), (e2, 1, "p"));
}

#[test]
fn a_disconnect_with_expiry_0_ends_a_persistent_session_unless_it_is_claimed() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    let e2 = rig.epoch(Connect::to(2));
    assert_eq!(rig.detach(e1, 10, 0, WillFate::Discard), SessionReply::Done);
    assert_eq!(rig.installed(e2, Handover::Complete), SessionReply::Done);
    assert_eq!(rig.get().detached_at_ms, None);
    assert_eq!(rig.detach(e2, 20, 0, WillFate::Discard), SessionReply::Done);
    assert_eq!(rig.sessions.get("c"), None);
}

#[test]
fn all_sessions_of_a_dead_node_are_found() {
    let mut rig = Rig::default();
    for n in 0..500u64 {
        rig.apply(&SessionCommand::Claim {
            client_id: format!("c{n}").into(),
            node: n % 2,
            clean_start: false,
            principal: "p".into(),
            expiry_s: 1,
            persistent: true,
            will: None,
            at_ms: 0,
        });
    }
    let found = rig.sessions.of_node(1, None, 200);
    let last = found.last().unwrap().0.clone();
    assert_eq!(found.len() + rig.sessions.of_node(1, Some(&last), 200).len(), 250);
}

#[test]
fn the_digest_returns_when_subscriptions_do() {
    let mut rig = Rig::default();
    let e1 = rig.epoch(Connect::to(1));
    let before = rig.sessions.digest();
    rig.subscribe(e1, "b");
    rig.subscribe(e1, "a");
    assert_ne!(rig.sessions.digest(), before);
    let changes = ["a", "b"].map(|f| SubscriptionChange::Remove(f.into())).to_vec();
    rig.apply(&SessionCommand::Subscriptions { client_id: "c".into(), epoch: e1, changes });
    assert_eq!(rig.sessions.digest(), before);
}
