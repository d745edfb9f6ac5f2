use super::*;
use crate::config::DispatchStrategy;
use crate::reason::ReasonWord;

const SECOND: Duration = Duration::from_secs(1);

struct Rig {
    forwarder: Forwarder,
    now: Instant,
}

impl Rig {
    fn new(max_inflight: u16) -> Rig {
        let settings = ForwardSettings {
            max_inflight,
            retry_interval: 15 * SECOND,
            topic: "$LINK/cluster/msg/cl.a".into(),
        };
        let now = Instant::now();
        Rig { forwarder: Forwarder::new(settings, Box::new(|| 0), now), now }
    }

    fn feed(&mut self, event: Event) -> Vec<Command> {
        self.forwarder.handle(self.now, event)
    }

    fn after(&mut self, time: Duration) -> Vec<Command> {
        self.now += time;
        self.feed(Event::Tick)
    }

    fn connect(&mut self) -> Vec<Command> {
        let commands = self.feed(Event::Tick);
        assert!(matches!(commands.first(), Some(Command::Connect { .. })), "{commands:?}");
        self.feed(Event::Connected { receive_maximum: Some(32), maximum_packet_size: None })
    }

    /// Connected, with the answer to its first fetch.
    fn with(max_inflight: u16, items: Vec<Item>) -> (Rig, Vec<Command>) {
        let mut rig = Rig::new(max_inflight);
        rig.connect();
        let commands = rig.feed(Event::Fetched(items));
        (rig, commands)
    }

    fn ack(&mut self, seq: u64, code: u8) -> Vec<Command> {
        self.feed(Event::Ack { seq, code })
    }

    fn lose(&mut self) {
        self.feed(Event::Lost(ReasonWord::ConnectionLost.into()));
        self.now += SECOND;
    }
}

fn item(seq: u64, qos: Qos) -> Item {
    Item { seq, qos, payload: Bytes::from_static(b"payload"), expires_at: None }
}

fn items(seqs: std::ops::RangeInclusive<u64>) -> Vec<Item> {
    seqs.map(|seq| item(seq, Qos::AtLeastOnce)).collect()
}

/// (seq, resend) of everything published.
fn published(commands: &[Command]) -> Vec<(u64, bool)> {
    let of = |command: &Command| match command {
        Command::Publish { item, resend, .. } => Some((item.seq, *resend)),
        _ => None,
    };
    commands.iter().filter_map(of).collect()
}

fn settled(commands: &[Command]) -> Vec<(u64, Outcome)> {
    let of = |command: &Command| match command {
        Command::Settle { seq, outcome } => Some((*seq, *outcome)),
        _ => None,
    };
    commands.iter().filter_map(of).collect()
}

fn trimmed(commands: &[Command]) -> Option<u64> {
    commands.iter().find_map(|command| match command {
        Command::Trim { below } => Some(*below),
        _ => None,
    })
}

#[test]
fn a_connection_that_opens_asks_for_as_many_as_the_window_holds() {
    let mut rig = Rig::new(100);
    assert!(rig.connect().contains(&Command::Fetch { count: 32 }), "the remote allows 32");
    let mut rig = Rig::new(0);
    assert!(rig.connect().contains(&Command::Fetch { count: 1 }), "0 works as 1");
}

#[test]
fn the_window_bounds_what_is_unacknowledged_and_each_answer_lets_one_more_out() {
    let (mut rig, commands) = Rig::with(2, items(1..=3));
    assert_eq!(published(&commands), [(1, false), (2, false)]);
    assert_eq!(rig.forwarder.inflight(), 2);
    let commands = rig.ack(1, 0);
    assert_eq!(settled(&commands), [(1, Outcome::Success)]);
    assert_eq!(trimmed(&commands), Some(2));
    assert_eq!(published(&commands), [(3, false)]);
}

#[test]
fn the_buffer_is_trimmed_only_below_the_oldest_unacknowledged() {
    let (mut rig, _) = Rig::with(3, items(1..=3));
    assert_eq!(trimmed(&rig.ack(2, 0)), None);
    assert_eq!(trimmed(&rig.ack(1, 0)), Some(3));
    assert_eq!(trimmed(&rig.ack(3, 0)), Some(4));
}

#[test]
fn after_a_loss_everything_unacknowledged_goes_again_in_order() {
    let (mut rig, _) = Rig::with(3, items(1..=5));
    rig.ack(2, 0);
    rig.lose();
    let commands = rig.connect();
    assert_eq!(published(&commands), [(1, true), (3, true), (4, true)]);
    assert_eq!(rig.forwarder.counters().retried, 3);
    assert_eq!(published(&rig.ack(1, 0)), [(5, false)]);
    assert_eq!(rig.forwarder.counters().reconnects, 1);
}

#[test]
fn a_smaller_window_after_a_reconnect_is_respected() {
    let (mut rig, _) = Rig::with(4, items(1..=4));
    rig.lose();
    rig.feed(Event::Tick);
    let event = Event::Connected { receive_maximum: Some(2), maximum_packet_size: None };
    assert_eq!(published(&rig.feed(event)), [(1, true), (2, true)]);
    assert_eq!(published(&rig.ack(1, 0)), [(3, true)]);
}

#[test]
fn reason_codes_below_0x80_are_success_and_the_others_are_final() {
    let (mut rig, _) = Rig::with(4, items(1..=4));
    for (seq, code, outcome) in [
        (1, 0x00, Outcome::Success),
        (2, 0x10, Outcome::Success),
        (3, 0x87, Outcome::Failed { code: 0x87 }),
        (4, 0x97, Outcome::Failed { code: 0x97 }),
    ] {
        assert_eq!(settled(&rig.ack(seq, code)), [(seq, outcome)]);
    }
    let counters = rig.forwarder.counters();
    assert_eq!((counters.success, counters.failed), (2, 2));
    rig.lose();
    assert_eq!(published(&rig.connect()), [], "a refusal is not retried");
}

#[test]
fn an_answer_that_comes_twice_or_too_late_is_only_counted() {
    let (mut rig, _) = Rig::with(2, items(1..=1));
    rig.ack(1, 0);
    assert_eq!(rig.ack(1, 0), []);
    assert_eq!(rig.ack(99, 0), []);
    assert_eq!(rig.forwarder.counters().late_reply, 2);
}

#[test]
fn qos_zero_is_done_when_it_is_sent_and_keeps_its_place_in_the_order() {
    let all = vec![
        item(1, Qos::AtMostOnce),
        item(2, Qos::ExactlyOnce),
        item(3, Qos::AtMostOnce),
        item(4, Qos::AtLeastOnce),
        item(5, Qos::AtMostOnce),
    ];
    let (mut rig, commands) = Rig::with(1, all);
    assert_eq!(published(&commands), [(1, false), (2, false), (3, false)]);
    assert_eq!(settled(&commands), [(1, Outcome::Success), (3, Outcome::Success)]);
    let carriers = commands.iter().filter(|command| {
        matches!(command, Command::Publish { carrier_qos: Qos::ExactlyOnce, .. })
    });
    assert_eq!(carriers.count(), 0, "the hop is at most QoS 1");
    assert_eq!(trimmed(&commands), Some(2));
    let commands = rig.ack(2, 0);
    assert_eq!(published(&commands), [(4, false), (5, false)]);
}

#[test]
fn too_old_and_too_large_items_are_settled_without_being_sent() {
    let mut rig = Rig::new(8);
    rig.feed(Event::Tick);
    rig.feed(Event::Connected { receive_maximum: None, maximum_packet_size: Some(100) });
    let old = Item { expires_at: Some(rig.now), ..item(1, Qos::AtLeastOnce) };
    let large = Item { payload: vec![0; 100].into(), ..item(2, Qos::AtLeastOnce) };
    let commands = rig.feed(Event::Fetched(vec![old, large, item(3, Qos::AtLeastOnce)]));
    assert_eq!(settled(&commands), [(1, Outcome::Expired), (2, Outcome::TooLarge)]);
    assert_eq!(published(&commands), [(3, false)]);
    assert_eq!(trimmed(&commands), Some(3));
}

#[test]
fn the_watchdog_closes_after_thirty_seconds_and_the_next_connection_sends_again() {
    let (mut rig, _) = Rig::with(2, items(1..=2));
    assert_eq!(rig.forwarder.next_deadline(), Some(rig.now + WATCHDOG_MIN));
    assert_eq!(rig.after(29 * SECOND), []);
    let commands = rig.after(SECOND);
    assert_eq!(commands[0], Command::Close);
    let (state, reason) = rig.forwarder.state();
    assert_eq!(state, ConnectionState::Disconnected);
    assert_eq!(reason.map(|reason| reason.word), Some(ReasonWord::UnackedTooLong));
    rig.now += SECOND;
    assert_eq!(published(&rig.connect()), [(1, true), (2, true)]);
}

#[test]
fn the_next_attempt_comes_within_a_second() {
    let mut rig = Rig::new(1);
    rig.feed(Event::Tick);
    rig.feed(Event::Lost(ReasonWord::ConnectionRefused.into()));
    let pause = rig.forwarder.next_deadline().unwrap() - rig.now;
    assert!(pause <= SECOND, "{pause:?}");
}

#[test]
fn a_paused_link_keeps_its_connection_and_sends_nothing() {
    let (mut rig, _) = Rig::with(2, items(1..=2));
    rig.feed(Event::Pause);
    assert_eq!(rig.feed(Event::Available), []);
    let commands = rig.ack(1, 0);
    assert_eq!((settled(&commands).len(), published(&commands).len()), (1, 0));
    assert!(!commands.iter().any(|command| matches!(command, Command::Fetch { .. })));
    let commands = rig.feed(Event::Resume);
    assert!(commands.contains(&Command::Fetch { count: 1 }));
}

#[test]
fn an_empty_buffer_is_not_asked_again_until_something_is_there() {
    let mut rig = Rig::new(2);
    rig.connect();
    assert_eq!(rig.feed(Event::Fetched(Vec::new())), []);
    assert_eq!(rig.after(SECOND), []);
    assert_eq!(rig.feed(Event::Available), [Command::Fetch { count: 2 }]);
    assert_eq!(rig.feed(Event::Available), [], "one question at a time");
}

#[test]
fn what_was_fetched_while_the_connection_broke_is_sent_on_the_next_one() {
    let mut rig = Rig::new(2);
    rig.connect();
    rig.lose();
    assert_eq!(rig.feed(Event::Fetched(items(1..=2))), []);
    assert_eq!(published(&rig.connect()), [(1, false), (2, false)]);
}

#[test]
fn after_stop_nothing_is_sent() {
    let (mut rig, _) = Rig::with(1, items(1..=2));
    assert!(rig.feed(Event::Stop).contains(&Command::Close));
    assert_eq!(rig.feed(Event::Available), []);
    assert_eq!(rig.after(60 * SECOND), []);
}

#[test]
fn one_client_always_takes_one_lane_and_one_connection() {
    let lanes = Lanes { workers: 16, connections: 8 };
    let hash = |id: &str| lane_hash(DispatchStrategy::PerClientId, id, 12_345);
    assert_eq!(hash("client-1"), hash("client-1"));
    assert_eq!(hash("client-1"), 0xb61d_e2d2_08d3_6e08, "stable over releases");
    let used: std::collections::BTreeSet<u32> =
        (0..200).map(|n| lanes.connection(hash(&format!("client-{n}")))).collect();
    assert_eq!(used.len(), 8, "clients spread over all connections");
    for n in 0..200 {
        let hash = hash(&format!("client-{n}"));
        assert_eq!(lanes.worker(hash) / 2, lanes.connection(hash), "a lane feeds one connection");
    }
    assert_eq!(lane_hash(DispatchStrategy::Random, "client-1", 77), 77);
    assert_eq!(Lanes { workers: 0, connections: 0 }.worker(5), 0);
}
