//! A replication actor and an upstream over a bad network, by seed: whatever happened before, once
//! the network is good the upstream holds exactly the intersections of the live subscriptions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use spanmq_link_protocol::binding::{ClientIdentity, InboundRule};
use spanmq_link_protocol::config::TopicList;
use spanmq_link_protocol::interest::{Interest, LocalSubscription, Source};
use spanmq_link_protocol::message::{RouteAction, RouteKey, RouteOp};
use spanmq_link_protocol::reason::ReasonWord;
use spanmq_link_protocol::replication::{
    self, PacketToken, Phase, RESYNC_INTERVAL, Replication, ReplicationSettings,
};
use spanmq_link_protocol::term::DecodeLimits;
use spanmq_link_protocol::upstream::{
    self, InitOutcome, LinkFacts, PublishToken, RoutePublish, RoutesOutcome, UpstreamConnection,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

const SEEDS: u64 = 400;
const BAD_STEPS: usize = 300;

/// A small generator of our own, so that a seed replays everywhere.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What an upstream stores, by the rules of W-13 and W-15.
#[derive(Default)]
struct Store {
    actors: BTreeMap<String, (u64, BTreeSet<RouteKey>)>,
}

impl Store {
    fn init(&mut self, actor: &str, incarnation: u64) -> InitOutcome {
        match self.actors.get(actor).map(|(stored, _)| *stored) {
            Some(stored) if stored == incarnation => {
                InitOutcome::Accepted { need_bootstrap: false }
            }
            Some(stored) if stored > incarnation => InitOutcome::Stale,
            _ => {
                self.actors.insert(actor.to_owned(), (incarnation, BTreeSet::new()));
                InitOutcome::Accepted { need_bootstrap: true }
            }
        }
    }

    fn apply(&mut self, actor: &str, incarnation: u64, ops: Vec<RouteOp>) -> RoutesOutcome {
        let Some((stored, routes)) = self.actors.get_mut(actor) else {
            return RoutesOutcome::Stale;
        };
        if *stored != incarnation {
            return RoutesOutcome::Stale;
        }
        for op in ops {
            match op.action {
                RouteAction::Add => routes.insert(op.key),
                RouteAction::Delete => routes.remove(&op.key),
            };
        }
        RoutesOutcome::Applied { invalid: 0 }
    }
}

/// Something on its way to the actor.
enum ToActor {
    Connected,
    SubAck(u8),
    PubAck(PacketToken, u8),
}

/// The two sides, the network between them, and the clock.
struct World {
    random: Random,
    now: Instant,
    bad: bool,
    /// EMQX up to 6.0.1 always answers that no bootstrap is needed.
    always_false: bool,
    incarnation: u64,
    resync: Duration,
    actor: Replication,
    interest: Interest,
    live: BTreeSet<u64>,
    link_enabled: bool,
    store: Store,
    connection: Option<UpstreamConnection>,
    to_upstream: VecDeque<replication::Packet>,
    to_actor: VecDeque<ToActor>,
    /// Answers travel through another node: in any order, or not at all.
    answers: Vec<(Bytes, Bytes)>,
    tokens: u64,
    pending: BTreeMap<PublishToken, PacketToken>,
}

fn topics() -> TopicList {
    let texts = ["t/#", "a/+/c", "only/this"].map(str::to_owned);
    TopicList::new(&texts).unwrap()
}

fn subscription(number: u64) -> LocalSubscription {
    let filters = ["t/1", "t/+", "#", "+/x/c", "a/b/c", "only/+", "nothing", "t/2/#"];
    let filter = filters[number as usize % filters.len()].to_owned();
    let source = match number / filters.len() as u64 {
        0 => Source::Plain,
        1 => Source::Shared { group: "g".into() },
        _ => Source::Durable { session: "s".into() },
    };
    LocalSubscription { filter, source }
}

const SUBSCRIPTIONS: u64 = 24;

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let now = Instant::now();
        // Half of the schedules meet a resync while the network is bad.
        let resync = if seed.is_multiple_of(2) { Duration::from_secs(4) } else { RESYNC_INTERVAL };
        let actor = start_actor(1, resync, random.next(), now);
        World {
            always_false: seed % 4 == 3,
            random,
            now,
            bad: true,
            incarnation: 1,
            resync,
            actor,
            interest: Interest::new(topics()),
            live: BTreeSet::new(),
            link_enabled: true,
            store: Store::default(),
            connection: None,
            to_upstream: VecDeque::new(),
            to_actor: VecDeque::new(),
            answers: Vec::new(),
            tokens: 0,
            pending: BTreeMap::new(),
        }
    }

    fn feed(&mut self, event: replication::Event) {
        let commands = self.actor.handle(self.now, event);
        for command in commands {
            self.perform(command);
        }
    }

    fn perform(&mut self, command: replication::Command) {
        use replication::Command as C;
        match command {
            C::Connect { .. } => {
                self.drop_connection();
                if self.bad && self.random.one_in(4) {
                    return self
                        .feed(replication::Event::Lost(ReasonWord::ConnectionRefused.into()));
                }
                let client = ClientIdentity { client_id: "c".into(), ..ClientIdentity::default() };
                let limits = DecodeLimits::default();
                self.connection = Some(UpstreamConnection::new("cl.b", client, limits));
                self.to_actor.push_back(ToActor::Connected);
            }
            C::Subscribe { .. } => {
                let code = if self.bad && self.random.one_in(20) { 0x87 } else { 1 };
                self.to_actor.push_back(ToActor::SubAck(code));
            }
            C::Publish(packet) => self.to_upstream.push_back(packet),
            C::TakeSnapshot => {
                let routes = self.interest.snapshot();
                self.feed(replication::Event::Snapshot(routes));
            }
            C::RenewIncarnation => {
                self.incarnation += 1;
                self.feed(replication::Event::Incarnation(self.incarnation));
            }
            C::Close => self.drop_connection(),
            C::Report { .. } => {}
        }
    }

    fn drop_connection(&mut self) {
        self.connection = None;
        self.to_upstream.clear();
        self.to_actor.clear();
        self.pending.clear();
        if self.random.one_in(2) {
            self.answers.clear();
        }
    }

    fn cut(&mut self) {
        if self.connection.is_some() {
            self.drop_connection();
            self.feed(replication::Event::Lost(ReasonWord::ConnectionLost.into()));
        }
    }

    fn upstream(&mut self, event: upstream::Event) {
        let Some(connection) = &mut self.connection else { return };
        let commands = connection.handle(event);
        for command in commands {
            self.perform_upstream(command);
        }
    }

    fn perform_upstream(&mut self, command: upstream::Command) {
        use upstream::Command as C;
        match command {
            C::ActorInit { token, actor, incarnation, .. } => {
                let mut outcome = self.store.init(&actor.actor, incarnation);
                if self.always_false && matches!(outcome, InitOutcome::Accepted { .. }) {
                    outcome = InitOutcome::Accepted { need_bootstrap: false };
                }
                self.upstream(upstream::Event::InitDone { token, outcome });
            }
            C::RouteOps { token, actor, incarnation, ops } => {
                let over = self.bad && self.random.one_in(10);
                let outcome = if over {
                    RoutesOutcome::OverCap
                } else {
                    self.store.apply(&actor.actor, incarnation, ops)
                };
                self.upstream(upstream::Event::RoutesDone { token, outcome });
            }
            C::Ack { token, code } => {
                if let Some(token) = self.pending.remove(&token) {
                    self.to_actor.push_back(ToActor::PubAck(token, code));
                }
            }
            C::Answer { correlation_data, payload, .. } => {
                self.answers.push((correlation_data, payload));
            }
            C::Disconnect { .. } => self.cut(),
            C::Heartbeat { .. } | C::Note(_) => {}
        }
    }

    fn deliver_to_upstream(&mut self) {
        let Some(packet) = self.to_upstream.pop_front() else { return };
        self.tokens += 1;
        let token = PublishToken(self.tokens);
        if let Some(ours) = packet.token {
            self.pending.insert(token, ours);
        }
        let (response_topic, correlation) = packet.answer.unzip();
        self.upstream(upstream::Event::Publish(RoutePublish {
            token,
            cluster: "cl.a".into(),
            link: Some(LinkFacts {
                enabled: self.link_enabled,
                inbound: InboundRule::default(),
                holder: None,
            }),
            payload: packet.payload,
            response_topic,
            correlation_data: correlation.map(Bytes::from),
        }));
    }

    fn deliver_to_actor(&mut self) {
        use replication::Event as E;
        let event = match self.to_actor.pop_front() {
            None => return,
            Some(ToActor::Connected) => E::Connected { maximum_packet_size: Some(2048) },
            Some(ToActor::SubAck(code)) => E::SubAck { code },
            Some(ToActor::PubAck(token, code)) => E::PubAck { token, code },
        };
        self.feed(event);
    }

    fn deliver_answer(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let at = self.random.below(self.answers.len() as u64) as usize;
        let (correlation_data, payload) = self.answers.swap_remove(at);
        self.feed(replication::Event::Answer { correlation_data, payload });
    }

    fn toggle_subscription(&mut self) {
        let number = self.random.below(SUBSCRIPTIONS);
        let ops = if self.live.remove(&number) {
            self.interest.unsubscribe(&subscription(number))
        } else {
            self.live.insert(number);
            self.interest.subscribe(&subscription(number))
        };
        self.feed(replication::Event::Routes(ops));
    }

    fn restart_actor(&mut self) {
        self.drop_connection();
        self.incarnation += 1;
        self.actor = start_actor(self.incarnation, self.resync, self.random.next(), self.now);
        self.interest = Interest::new(topics());
        for number in self.live.clone() {
            self.interest.subscribe(&subscription(number));
        }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0 => self.cut(),
            1 if self.random.one_in(3) => self.restart_actor(),
            2 if self.random.one_in(4) => {
                // The upstream forgets everything, as a cluster does that was stopped.
                self.store = Store::default();
                self.cut();
            }
            3 => self.link_enabled = self.random.one_in(2),
            4 => self.answers.clear(),
            5..12 => self.toggle_subscription(),
            12..20 => self.deliver_to_upstream(),
            20..28 => self.deliver_to_actor(),
            28..33 => self.deliver_answer(),
            _ => {
                let ms = if self.random.one_in(3) { 4000 } else { 30 };
                self.now += Duration::from_millis(self.random.below(ms));
                self.feed(replication::Event::Tick);
            }
        }
    }

    /// Lets everything arrive, then the time pass to the next deadline, for `time`.
    fn heal(&mut self, time: Duration) {
        self.bad = false;
        self.link_enabled = true;
        let end = self.now + time;
        while self.now < end {
            while !self.to_upstream.is_empty()
                || !self.to_actor.is_empty()
                || !self.answers.is_empty()
            {
                self.deliver_to_upstream();
                self.deliver_answer();
                self.deliver_to_actor();
            }
            let next = self.actor.next_deadline().unwrap_or(end).max(self.now);
            self.now = next.min(end);
            self.feed(replication::Event::Tick);
        }
    }

    fn learnt(&self) -> BTreeSet<RouteKey> {
        self.store.actors.values().flat_map(|(_, routes)| routes.clone()).collect()
    }

    fn wanted(&self) -> BTreeSet<RouteKey> {
        let subscriptions = self.live.iter().map(|number| subscription(*number));
        let mut keys = BTreeSet::new();
        for subscription in subscriptions {
            let id = subscription.route_id();
            for filter in topics().intersections(&subscription.filter) {
                keys.insert(RouteKey::new(&filter, &id));
            }
        }
        keys
    }
}

fn start_actor(incarnation: u64, resync: Duration, seed: u64, now: Instant) -> Replication {
    let settings = ReplicationSettings {
        local_cluster: "cl.a".into(),
        remote_cluster: "cl.b".into(),
        actor: "n1@h".into(),
        resync_interval: Some(resync),
        heartbeat_interval: replication::HEARTBEAT_INTERVAL,
        // Small, so that some schedules overflow.
        pending_keys_max: 12,
    };
    let mut random = Random(seed);
    Replication::new(settings, incarnation, Box::new(move || random.next()), now)
}

#[test]
fn after_any_schedule_the_upstream_knows_exactly_the_live_subscriptions() {
    let (mut overflowed, mut bootstraps) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..BAD_STEPS {
            world.step();
        }
        // Remotes that never ask for a bootstrap are made up for by the resync.
        let patience = if world.always_false {
            RESYNC_INTERVAL + Duration::from_secs(20)
        } else {
            Duration::from_secs(20)
        };
        world.heal(patience);
        assert_eq!(world.actor.phase().0, Phase::Online, "seed {seed}");
        assert_eq!(world.learnt(), world.wanted(), "seed {seed}");
        overflowed += u32::from(world.incarnation > 1);
        bootstraps += world.actor.counters().bootstraps;
    }
    // The schedules really did what they claim to do.
    assert!(overflowed > 50, "{overflowed}");
    assert!(bootstraps > SEEDS, "{bootstraps}");
}

#[test]
fn one_seed_replays_to_the_same_end() {
    let run = |seed| {
        let mut world = World::new(seed);
        for _ in 0..BAD_STEPS {
            world.step();
        }
        (world.random.next(), world.learnt(), world.actor.counters())
    };
    assert_eq!(run(42), run(42));
}
