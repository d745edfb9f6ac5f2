use super::*;
use crate::ids::RequestId;
use crate::message::{ActorInitAck, ControlOp, InitResult, RouteKey};
use crate::reason::ReasonWord;
use crate::term::DecodeLimits;
use std::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const ACTOR: &str = "n1@h";

fn settings() -> ReplicationSettings {
    ReplicationSettings {
        local_cluster: "cl.a".into(),
        remote_cluster: "cl.b".into(),
        actor: ACTOR.into(),
        resync_interval: Some(RESYNC_INTERVAL),
        heartbeat_interval: HEARTBEAT_INTERVAL,
        pending_keys_max: 100,
    }
}

/// A machine, the time, and the last handshake packet.
struct Rig {
    actor: Replication,
    now: Instant,
}

impl Rig {
    fn new() -> Rig {
        let now = Instant::now();
        Rig { actor: Replication::new(settings(), 1000, Box::new(|| 7), now), now }
    }

    fn feed(&mut self, event: Event) -> Vec<Command> {
        self.actor.handle(self.now, event)
    }

    fn after(&mut self, time: Duration) -> Vec<Command> {
        self.now += time;
        self.feed(Event::Tick)
    }

    /// Up to the handshake packet; returns its token.
    fn handshake(&mut self) -> PacketToken {
        let commands = self.feed(Event::Tick);
        assert!(matches!(commands.first(), Some(Command::Connect { .. })), "{commands:?}");
        let commands = self.feed(Event::Connected { maximum_packet_size: Some(1 << 20) });
        let topic = "$LINK/cluster/resp/cl.a/n1@h".to_owned();
        assert_eq!(commands.first(), Some(&Command::Subscribe { topic }));
        token(&self.feed(Event::SubAck { code: 1 }))
    }

    fn answer(&mut self, result: InitResult) -> Vec<Command> {
        let correlation_data = Bytes::from(request_id());
        let payload = ActorInitAck::new(ACTOR, result).encode();
        self.feed(Event::Answer { correlation_data, payload })
    }

    fn ack(&mut self, token: PacketToken) -> Vec<Command> {
        self.feed(Event::PubAck { token, code: 0x10 })
    }

    /// Connects, hears `need_bootstrap`, and returns the commands of the acceptance.
    fn accepted(&mut self, need_bootstrap: bool) -> Vec<Command> {
        let token = self.handshake();
        assert_eq!(self.ack(token), []);
        self.answer(InitResult::Accepted { need_bootstrap })
    }

    fn online(&mut self) {
        assert!(self.accepted(true).contains(&Command::TakeSnapshot));
        self.feed(Event::Snapshot(Vec::new()));
        assert_eq!(self.actor.phase(), (Phase::Online, None));
    }

    fn word(&self) -> Option<ReasonWord> {
        self.actor.phase().1.map(|reason| reason.word)
    }
}

fn request_id() -> String {
    RequestId::from_random(7_u64.to_be_bytes()).as_str().to_owned()
}

/// The token of the only acknowledged packet among the commands.
fn token(commands: &[Command]) -> PacketToken {
    let tokens: Vec<PacketToken> = commands
        .iter()
        .filter_map(|command| match command {
            Command::Publish(packet) => packet.token,
            _ => None,
        })
        .collect();
    assert_eq!(tokens.len(), 1, "{commands:?}");
    tokens[0]
}

/// What the published packets say.
fn sent(commands: &[Command]) -> Vec<ControlOp> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Publish(packet) => {
                assert_eq!(packet.topic, "$LINK/cluster/route/cl.a");
                let op = ControlOp::decode(packet.payload.clone(), DecodeLimits::default());
                Some(op.unwrap().message)
            }
            _ => None,
        })
        .collect()
}

fn routes(commands: &[Command]) -> Vec<RouteOp> {
    let batches = sent(commands).into_iter().filter_map(|op| match op {
        ControlOp::Route(batch) => Some(batch.ops),
        _ => None,
    });
    batches.flatten().collect()
}

fn heartbeats(commands: &[Command]) -> usize {
    sent(commands).iter().filter(|op| matches!(op, ControlOp::Heartbeat(_))).count()
}

fn changed(filter: &str) -> Event {
    Event::Routes(vec![RouteOp::add(filter, filter)])
}

#[test]
fn the_handshake_introduces_the_actor_and_says_where_to_answer() {
    let mut rig = Rig::new();
    rig.feed(Event::Tick);
    rig.feed(Event::Connected { maximum_packet_size: None });
    let commands = rig.feed(Event::SubAck { code: 1 });
    let Some(Command::Publish(packet)) = commands.first() else { panic!("{commands:?}") };
    let topic = "$LINK/cluster/resp/cl.a/n1@h".to_owned();
    assert_eq!(packet.answer, Some((topic, request_id())));
    let ControlOp::ActorInit(init) = &sent(&commands)[0] else { panic!("{commands:?}") };
    assert_eq!((init.incarnation, init.target_cluster.as_str()), (1000, "cl.b"));
}

#[test]
fn answer_and_puback_complete_the_handshake_in_either_order() {
    let mut rig = Rig::new();
    assert!(rig.accepted(true).contains(&Command::TakeSnapshot));

    let mut rig = Rig::new();
    let token = rig.handshake();
    assert_eq!(rig.answer(InitResult::Accepted { need_bootstrap: true }), []);
    assert!(rig.ack(token).contains(&Command::TakeSnapshot));
}

#[test]
fn an_answer_to_another_request_counts_for_nothing() {
    let mut rig = Rig::new();
    let token = rig.handshake();
    rig.ack(token);
    let result = InitResult::Refused { reason: "unknown_cluster".into() };
    let payload = ActorInitAck::new(ACTOR, result).encode();
    let correlation_data = Bytes::from_static(b"0123456789abcdef");
    assert_eq!(rig.feed(Event::Answer { correlation_data, payload }), []);
}

#[test]
fn the_first_acceptance_always_bootstraps() {
    let mut rig = Rig::new();
    assert!(rig.accepted(false).contains(&Command::TakeSnapshot));
}

#[test]
fn a_bootstrap_sends_all_routes_and_then_the_actor_is_online() {
    let mut rig = Rig::new();
    rig.accepted(true);
    let commands = rig.feed(Event::Snapshot(vec![RouteKey::new("t/1", "t/+")]));
    assert_eq!(routes(&commands), [RouteOp::add("t/1", "t/+")]);
    assert_eq!(rig.actor.phase().0, Phase::Bootstrapping);
    let commands = rig.ack(token(&commands));
    assert_eq!(rig.actor.phase(), (Phase::Online, None));
    assert_eq!(heartbeats(&commands), 1);
    assert_eq!(rig.actor.counters().bootstraps, 1);
    assert_eq!(rig.actor.counters().sent_adds, 1);
}

#[test]
fn nothing_to_report_is_no_packet_at_all() {
    let mut rig = Rig::new();
    rig.accepted(true);
    let commands = rig.feed(Event::Snapshot(Vec::new()));
    assert_eq!(routes(&commands), []);
    assert_eq!(rig.actor.counters().batches, 0);
}

#[test]
fn a_large_bootstrap_waits_for_each_puback_and_keeps_its_heartbeats() {
    let mut rig = Rig::new();
    rig.accepted(true);
    let all = (0..9000).map(|n| RouteKey::new(&format!("t/{n}"), "#")).collect();
    let first = rig.feed(Event::Snapshot(all));
    assert_eq!(routes(&first).len(), 4000);
    assert_eq!(heartbeats(&rig.after(HEARTBEAT_INTERVAL)), 1);
    let second = rig.ack(token(&first));
    assert_eq!(routes(&second).len(), 4000);
    let third = rig.ack(token(&second));
    assert_eq!(routes(&third).len(), 1000);
    rig.ack(token(&third));
    assert_eq!(rig.actor.phase().0, Phase::Online);
    assert_eq!(rig.actor.counters().sent_adds, 9000);
}

#[test]
fn changes_gather_for_ten_milliseconds_and_one_packet_is_outstanding() {
    let mut rig = Rig::new();
    rig.online();
    assert_eq!(rig.feed(changed("a")), []);
    assert_eq!(rig.feed(changed("b")), []);
    assert_eq!(rig.actor.next_deadline(), Some(rig.now + Duration::from_millis(10)));
    let commands = rig.after(Duration::from_millis(10));
    assert_eq!(routes(&commands), [RouteOp::add("a", "a"), RouteOp::add("b", "b")]);
    rig.feed(changed("c"));
    assert_eq!(rig.after(SECOND), []);
    let commands = rig.ack(token(&commands));
    assert_eq!(routes(&commands), [RouteOp::add("c", "c")]);
    assert_eq!(rig.actor.counters().batches, 2);
}

#[test]
fn changes_during_the_bootstrap_leave_after_it() {
    let mut rig = Rig::new();
    rig.accepted(true);
    let first = rig.feed(Event::Snapshot(vec![RouteKey::new("a", "a")]));
    assert_eq!(rig.feed(Event::Routes(vec![RouteOp::delete("a", "a")])), []);
    let commands = rig.ack(token(&first));
    assert_eq!(routes(&commands), [RouteOp::delete("a", "a")]);
}

#[test]
fn changes_before_the_first_snapshot_are_in_the_snapshot() {
    let mut rig = Rig::new();
    rig.feed(changed("a"));
    assert_eq!(rig.actor.counters().pending, 0);
    rig.accepted(true);
    rig.feed(changed("b"));
    assert_eq!(rig.actor.counters().pending, 1, "the snapshot was taken before this change");
}

#[test]
fn a_quick_reconnect_that_needs_no_bootstrap_sends_only_what_is_pending() {
    let mut rig = Rig::new();
    rig.online();
    rig.feed(changed("a"));
    let commands = rig.after(Duration::from_millis(10));
    assert_eq!(routes(&commands).len(), 1);
    rig.feed(Event::Lost(ReasonWord::ConnectionLost.into()));
    rig.feed(Event::Routes(vec![RouteOp::delete("b", "b")]));
    rig.now += 5 * SECOND;
    let commands = rig.accepted(false);
    assert!(!commands.contains(&Command::TakeSnapshot));
    assert_eq!(routes(&commands), [RouteOp::add("a", "a"), RouteOp::delete("b", "b")]);
}

#[test]
fn a_bootstrap_that_was_cut_off_starts_again() {
    let mut rig = Rig::new();
    rig.accepted(true);
    rig.feed(Event::Snapshot(vec![RouteKey::new("a", "a")]));
    rig.feed(Event::Lost(ReasonWord::ConnectionLost.into()));
    rig.now += 5 * SECOND;
    assert!(rig.accepted(false).contains(&Command::TakeSnapshot));
}

#[test]
fn old_remotes_say_false_so_ten_silent_seconds_force_a_bootstrap() {
    let mut rig = Rig::new();
    rig.online();
    rig.now += 11 * SECOND;
    rig.feed(Event::Lost(ReasonWord::ConnectionLost.into()));
    rig.now += SECOND;
    assert!(rig.accepted(false).contains(&Command::TakeSnapshot));
}

#[test]
fn heartbeats_flow_every_ten_seconds_while_online() {
    let mut rig = Rig::new();
    rig.online();
    assert_eq!(heartbeats(&rig.after(9 * SECOND)), 0);
    assert_eq!(heartbeats(&rig.after(SECOND)), 1);
    assert_eq!(heartbeats(&rig.after(10 * SECOND)), 1);
}

#[test]
fn every_ten_minutes_all_routes_are_told_again_without_a_change_of_phase() {
    let mut rig = Rig::new();
    rig.online();
    let commands = rig.after(RESYNC_INTERVAL);
    assert!(commands.contains(&Command::TakeSnapshot));
    assert_eq!(rig.actor.phase().0, Phase::Online);
    let commands = rig.feed(Event::Snapshot(vec![RouteKey::new("a", "a")]));
    rig.ack(token(&commands));
    assert!(!rig.after(SECOND).contains(&Command::TakeSnapshot));
    assert_eq!(rig.actor.counters().bootstraps, 2);
}

#[test]
fn a_resync_that_was_cut_off_is_made_up_for() {
    let mut rig = Rig::new();
    rig.online();
    rig.feed(changed("a"));
    rig.now += RESYNC_INTERVAL - Duration::from_millis(1);
    let commands = rig.feed(Event::Tick);
    rig.ack(token(&commands));
    rig.feed(changed("b"));
    // The resync is due before the gathered change leaves; its snapshot has the change.
    let commands = rig.after(Duration::from_millis(1));
    assert!(commands.contains(&Command::TakeSnapshot), "{commands:?}");
    rig.feed(Event::Lost(ReasonWord::ConnectionLost.into()));
    rig.now += 5 * SECOND;
    assert!(rig.accepted(false).contains(&Command::TakeSnapshot));
}

#[test]
fn a_refusal_shows_as_rejected_with_its_word_and_is_tried_again_within_five_seconds() {
    for (text, word) in [
        ("unknown_cluster", ReasonWord::UnknownCluster),
        ("bad_remote_cluster_link_name", ReasonWord::BadRemoteClusterName),
        ("cluster_link_disabled", ReasonWord::LinkDisabledAtRemote),
    ] {
        let mut rig = Rig::new();
        rig.handshake();
        let commands = rig.answer(InitResult::Refused { reason: text.into() });
        assert_eq!(commands.first(), Some(&Command::Close));
        assert_eq!(rig.actor.phase().0, Phase::Rejected);
        assert_eq!(rig.word(), Some(word));
        let retry = rig.actor.next_deadline().unwrap() - rig.now;
        assert!(retry <= 5 * SECOND && retry >= 4 * SECOND, "{retry:?}");
        rig.now += retry;
        rig.online();
    }
}

#[test]
fn the_reason_stays_visible_while_the_next_attempt_runs() {
    let mut rig = Rig::new();
    rig.feed(Event::Tick);
    rig.feed(Event::Lost(ReasonWord::ConnectionRefused.into()));
    rig.now += 5 * SECOND;
    rig.feed(Event::Tick);
    assert_eq!(rig.actor.phase().0, Phase::Connecting);
    assert_eq!(rig.word(), Some(ReasonWord::ConnectionRefused));
}

#[test]
fn a_refused_subscription_is_reported_at_once() {
    let mut rig = Rig::new();
    rig.feed(Event::Tick);
    rig.feed(Event::Connected { maximum_packet_size: None });
    assert!(rig.feed(Event::SubAck { code: 0x87 }).contains(&Command::Close));
    assert_eq!(rig.word(), Some(ReasonWord::RespSubscriptionDenied));
}

#[test]
fn a_handshake_refused_by_access_rules_is_reported_at_once() {
    let mut rig = Rig::new();
    let token = rig.handshake();
    assert!(rig.feed(Event::PubAck { token, code: 0x87 }).contains(&Command::Close));
    assert_eq!(rig.word(), Some(ReasonWord::AclDenied));
    assert_eq!(rig.actor.phase().0, Phase::Rejected);
}

#[test]
fn silence_ends_each_step_in_its_time() {
    let mut rig = Rig::new();
    rig.feed(Event::Tick);
    assert!(rig.after(CONNECT_LIMIT).contains(&Command::Close));
    assert_eq!(rig.word(), Some(ReasonWord::ConnectTimeout));

    let mut rig = Rig::new();
    rig.handshake();
    assert!(rig.after(ANSWER_LIMIT).contains(&Command::Close));
    assert_eq!(rig.word(), Some(ReasonWord::HandshakeTimeout));

    let mut rig = Rig::new();
    rig.accepted(true);
    rig.feed(Event::Snapshot(vec![RouteKey::new("a", "a")]));
    assert!(rig.after(BATCH_ACK_LIMIT).contains(&Command::Close));
    assert_eq!(rig.word(), Some(ReasonWord::BatchTimeout));
}

#[test]
fn a_refused_batch_is_tried_again_after_half_a_second_or_with_the_next_change() {
    let refused = |token| Event::PubAck { token, code: 0x97 };
    let mut rig = Rig::new();
    rig.online();
    rig.feed(changed("a"));
    let commands = rig.after(Duration::from_millis(10));
    assert_eq!(rig.feed(refused(token(&commands))), []);
    assert_eq!(rig.after(Duration::from_millis(499)), []);
    let commands = rig.after(Duration::from_millis(1));
    assert_eq!(routes(&commands).len(), 1);

    assert_eq!(rig.feed(refused(token(&commands))), []);
    rig.feed(changed("b"));
    assert_eq!(rig.after(Duration::from_millis(199)), []);
    let commands = rig.after(Duration::from_millis(1));
    assert_eq!(routes(&commands).len(), 2);
    assert!(rig.feed(refused(token(&commands))).contains(&Command::Close), "the third in a row");
}

#[test]
fn too_many_changes_start_over_with_a_new_incarnation() {
    let mut rig = Rig::new();
    rig.online();
    rig.feed(Event::Lost(ReasonWord::ConnectionLost.into()));
    let many = (0..101).map(|n| RouteOp::delete(&format!("t/{n}"), "x")).collect();
    let commands = rig.feed(Event::Routes(many));
    assert!(commands.contains(&Command::RenewIncarnation));
    assert_eq!(rig.word(), Some(ReasonWord::SyncOverflow));
    assert_eq!(rig.actor.next_deadline(), None);
    assert_eq!(rig.actor.counters().pending, 0);
    assert_eq!(rig.after(60 * SECOND), [], "without an incarnation nothing connects");
    let commands = rig.feed(Event::Incarnation(2000));
    assert!(matches!(commands.first(), Some(Command::Connect { .. })));
    rig.feed(Event::Connected { maximum_packet_size: None });
    let commands = rig.feed(Event::SubAck { code: 0 });
    let ControlOp::ActorInit(init) = &sent(&commands)[0] else { panic!("{commands:?}") };
    assert_eq!(init.incarnation, 2000);
}

#[test]
fn an_answer_that_is_no_answer_is_a_protocol_error() {
    for payload in [Bytes::from_static(b"garbage"), {
        let result = InitResult::Accepted { need_bootstrap: true };
        ActorInitAck::new("other@h", result).encode()
    }] {
        let mut rig = Rig::new();
        rig.handshake();
        let correlation_data = Bytes::from(request_id());
        let commands = rig.feed(Event::Answer { correlation_data, payload });
        assert!(commands.contains(&Command::Close));
        assert_eq!(rig.word(), Some(ReasonWord::ProtocolError));
    }
}

#[test]
fn after_stop_nothing_happens_any_more() {
    let mut rig = Rig::new();
    rig.online();
    assert!(rig.feed(Event::Stop).contains(&Command::Close));
    assert_eq!(rig.actor.phase().0, Phase::Disabled);
    for event in [Event::Tick, changed("a"), Event::Lost(ReasonWord::ConnectionLost.into())] {
        assert_eq!(rig.feed(event), []);
    }
    assert_eq!(rig.actor.next_deadline(), None);
}
