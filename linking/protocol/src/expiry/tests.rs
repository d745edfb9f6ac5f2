use super::*;
use std::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// The collector of a leader, and the time.
struct Rig {
    expiry: Expiry,
    now: Instant,
}

fn key(cluster: &str, actor: &str) -> ActorKey {
    ActorKey { cluster: cluster.into(), actor: actor.into() }
}

impl Rig {
    fn new(settings: ExpirySettings) -> Rig {
        let mut expiry = Expiry::new(settings);
        let now = Instant::now();
        expiry.handle(now, Event::Lead { actors: Vec::new(), held: Vec::new() });
        Rig { expiry, now }
    }

    fn feed(&mut self, event: Event) -> Vec<Command> {
        self.expiry.handle(self.now, event)
    }

    fn init(&mut self, cluster: &str, actor: &str, incarnation: u64, replaced: bool) {
        let actor = key(cluster, actor);
        assert_eq!(self.feed(Event::Init { actor, incarnation, replaced }), []);
    }

    fn beat(&mut self, cluster: &str, actor: &str) -> Vec<Command> {
        self.feed(Event::Heartbeat { actor: key(cluster, actor), incarnation: 1 })
    }

    fn after(&mut self, time: Duration) -> Vec<Command> {
        self.now += time;
        self.feed(Event::Tick)
    }
}

fn expire(cluster: &str, actor: &str) -> Command {
    Command::Expire { actor: key(cluster, actor), incarnation: 1 }
}

fn hold(cluster: &str) -> Command {
    Command::Hold { cluster: cluster.into() }
}

#[test]
fn a_silent_actor_expires_when_a_sibling_spoke_after_its_time_was_up() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    rig.init("eu", "n2", 1, false);
    for _ in 0..2 {
        assert_eq!(rig.after(10 * SECOND), []);
        assert_eq!(rig.beat("eu", "n2"), []);
    }
    assert_eq!(rig.after(10 * SECOND), [], "the sibling's last word is older");
    rig.beat("eu", "n2");
    assert_eq!(rig.after(SECOND), [expire("eu", "n1")]);
    assert_eq!(rig.after(SECOND), [], "once");
}

#[test]
fn an_outage_in_which_actors_fall_silent_one_by_one_expires_nobody() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    rig.now += 9 * SECOND;
    rig.init("eu", "n2", 1, false);
    for second in 1..=29 {
        assert_eq!(rig.after(SECOND), [], "{second}");
    }
    assert_eq!(rig.after(SECOND), [hold("eu")]);
    assert_eq!(rig.after(3600 * SECOND), []);
}

#[test]
fn the_routes_of_a_silent_remote_are_held_until_it_speaks_again() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    assert_eq!(rig.after(30 * SECOND), [hold("eu")]);
    rig.now += 3600 * SECOND;
    let release = Command::Release { actor: key("eu", "n1"), incarnation: 1 };
    assert_eq!(rig.beat("eu", "n1"), [release]);
    assert_eq!(rig.after(SECOND), []);
}

#[test]
fn after_the_hold_the_remote_is_forgotten_as_a_whole() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    rig.init("us", "n1", 1, false);
    rig.after(30 * SECOND);
    rig.now += ROUTE_HOLD - 31 * SECOND;
    rig.beat("us", "n1");
    assert_eq!(rig.after(SECOND), [Command::Forget { cluster: "eu".into() }]);
    assert_eq!(rig.after(SECOND), []);
}

#[test]
fn without_a_hold_the_time_to_live_alone_decides() {
    let mut rig = Rig::new(ExpirySettings { route_hold: Duration::ZERO, ..Default::default() });
    rig.init("eu", "n1", 1, false);
    rig.now += 5 * SECOND;
    rig.init("eu", "n2", 1, false);
    assert_eq!(rig.after(25 * SECOND), [expire("eu", "n1")]);
    assert_eq!(rig.after(5 * SECOND), [expire("eu", "n2")]);
}

#[test]
fn another_remotes_silence_is_its_own() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    rig.init("us", "n1", 1, false);
    rig.now += 20 * SECOND;
    rig.beat("us", "n1");
    assert_eq!(rig.after(10 * SECOND), [hold("eu")]);
}

#[test]
fn a_new_leader_grants_every_actor_a_fresh_time() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    rig.now += 29 * SECOND;
    rig.feed(Event::Follow);
    assert_eq!(rig.after(60 * SECOND), [], "nothing expires without a leader");
    let stored = |actor| StoredActor { actor: key("eu", actor), incarnation: 1, sweeping: false };
    rig.feed(Event::Lead { actors: vec![stored("n1"), stored("n2")], held: Vec::new() });
    assert_eq!(rig.after(29 * SECOND), []);
    rig.beat("eu", "n2");
    assert_eq!(rig.after(SECOND), []);
    rig.now += 9 * SECOND;
    rig.beat("eu", "n2");
    assert_eq!(rig.after(SECOND), [expire("eu", "n1")]);
}

#[test]
fn a_remote_that_was_held_under_the_old_leader_is_released_by_the_new_one() {
    let mut rig = Rig::new(ExpirySettings::default());
    let stored = StoredActor { actor: key("eu", "n1"), incarnation: 1, sweeping: false };
    rig.feed(Event::Lead { actors: vec![stored], held: vec!["eu".into()] });
    assert_eq!(rig.after(60 * SECOND), [], "held already");
    assert!(matches!(rig.beat("eu", "n1")[..], [Command::Release { .. }]));
}

#[test]
fn a_word_of_an_older_incarnation_keeps_nobody_alive() {
    let mut rig = Rig::new(ExpirySettings { route_hold: Duration::ZERO, ..Default::default() });
    rig.init("eu", "n1", 2, false);
    rig.now += 29 * SECOND;
    rig.beat("eu", "n1");
    let gone = Command::Expire { actor: key("eu", "n1"), incarnation: 2 };
    assert_eq!(rig.after(SECOND), [gone]);
}

#[test]
fn old_routes_are_swept_at_the_first_heartbeat_after_a_pause() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, true);
    let sweep = Command::Sweep { actor: key("eu", "n1"), incarnation: 1 };
    rig.feed(Event::BatchReceived { actor: key("eu", "n1"), incarnation: 1 });
    rig.now += 5 * SECOND;
    assert_eq!(rig.beat("eu", "n1"), [], "a batch is being applied");
    rig.feed(Event::BatchApplied { actor: key("eu", "n1"), incarnation: 1 });
    assert_eq!(rig.beat("eu", "n1"), [], "the next batch may be on its way");
    rig.now += BATCH_PAUSE;
    assert_eq!(rig.beat("eu", "n1"), [sweep]);
    assert_eq!(rig.beat("eu", "n1"), []);
}

#[test]
fn old_routes_are_swept_when_a_live_actors_bootstrap_has_been_quiet() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, true);
    rig.now += SECOND;
    rig.beat("eu", "n1");
    assert_eq!(rig.after(8 * SECOND), []);
    let sweep = Command::Sweep { actor: key("eu", "n1"), incarnation: 1 };
    assert_eq!(rig.after(SECOND), [sweep]);
}

#[test]
fn a_bootstrap_that_broke_off_sweeps_nothing() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, true);
    rig.feed(Event::BatchReceived { actor: key("eu", "n1"), incarnation: 1 });
    rig.feed(Event::BatchApplied { actor: key("eu", "n1"), incarnation: 1 });
    assert_eq!(rig.after(29 * SECOND), [], "no sign of life since the last batch");
    rig.init("eu", "n1", 1, false);
    assert_eq!(rig.beat("eu", "n1"), [], "the bootstrap begins anew");
}

#[test]
fn what_others_removed_is_not_expired_again() {
    let mut rig = Rig::new(ExpirySettings::default());
    rig.init("eu", "n1", 1, false);
    rig.init("us", "n1", 1, false);
    rig.feed(Event::ActorRemoved(key("eu", "n1")));
    rig.feed(Event::RemoteRemoved { cluster: "us".into() });
    assert_eq!(rig.after(60 * SECOND), []);
}

#[test]
fn between_two_collections_nothing_expires() {
    let settings = ExpirySettings {
        route_hold: Duration::ZERO,
        gc_interval: 20 * SECOND,
        ..ExpirySettings::default()
    };
    let mut rig = Rig::new(settings);
    rig.init("eu", "n1", 1, false);
    assert_eq!(rig.after(15 * SECOND), []);
    assert_eq!(rig.after(19 * SECOND), [], "its time is up, and the collector rests");
    assert_eq!(rig.after(SECOND), [expire("eu", "n1")]);
}
