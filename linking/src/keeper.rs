//! The leader's watch over learnt actors: performs what the expiry machine decides (W-14, W-28).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spanmq_link_protocol::expiry::{Command, Event, Expiry, ExpirySettings, StoredActor};
use spanmq_link_protocol::upstream::ActorKey;
use spanmq_state::Command as StateCommand;
use spanmq_state::command::{ActorRef, RemoteCommand};

use crate::beats::Beat;
use crate::ports::Ports;
use crate::upstream::now_ms;

/// Longest time until the machine hears what other nodes have accepted.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The machine, and what it was told last.
pub(crate) struct Keeper {
    state: Mutex<State>,
    period: Duration,
    ports: Ports,
}

struct State {
    machine: Expiry,
    leads: bool,
    /// Actors as the replicated state had them at the last look.
    known: HashMap<ActorKey, u64>,
}

impl Keeper {
    pub(crate) fn new(settings: ExpirySettings, ports: Ports) -> Arc<Self> {
        let period = settings.gc_interval.min(LOOK_MAX);
        let state = State { machine: Expiry::new(settings), leads: false, known: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), period, ports })
    }

    /// What a node heard of remote actors, on the leader.
    pub(crate) fn heard(&self, beats: Vec<Beat>) -> Vec<Command> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let events = beats.into_iter().flat_map(events_of);
        events.flat_map(|event| state.machine.handle(now, event)).collect()
    }

    fn tick(&self) -> Vec<Command> {
        let leads = self.ports.leader.leading();
        let now = Instant::now();
        let mut state = self.state.lock();
        let mut commands = Vec::new();
        if leads != state.leads {
            state.leads = leads;
            commands.extend(state.take_over(now, leads, &self.ports));
        } else if leads {
            commands.extend(state.look(now, self.ports.leader.stored_actors()));
        }
        commands.extend(state.machine.handle(now, Event::Tick));
        commands
    }

    /// Runs until the node stops.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let commands = self.tick();
            self.propose(commands).await;
        }
    }

    pub(crate) async fn propose(&self, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        let commands = commands.into_iter().map(state_command).collect();
        // Without quorum nothing expires; the machine decides again at its next tick.
        let _ = self.ports.learnt.propose(commands).await;
    }
}

impl State {
    fn take_over(&mut self, now: Instant, leads: bool, ports: &Ports) -> Vec<Command> {
        self.known.clear();
        if !leads {
            return self.machine.handle(now, Event::Follow);
        }
        let (actors, held) = (ports.leader.stored_actors(), ports.leader.held_remotes());
        self.known = actors.iter().map(|a| (a.actor.clone(), a.incarnation)).collect();
        self.machine.handle(now, Event::Lead { actors, held })
    }

    /// Tells the machine which actors other nodes accepted, and which are gone.
    fn look(&mut self, now: Instant, stored: Vec<StoredActor>) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut gone = std::mem::take(&mut self.known);
        for StoredActor { actor, incarnation, sweeping } in stored {
            if gone.remove(&actor) != Some(incarnation) {
                let init = Event::Init { actor: actor.clone(), incarnation, replaced: sweeping };
                commands.extend(self.machine.handle(now, init));
            }
            self.known.insert(actor, incarnation);
        }
        for actor in gone.into_keys() {
            commands.extend(self.machine.handle(now, Event::ActorRemoved(actor)));
        }
        commands
    }
}

/// A batch that is still being applied counts as one just done: its node keeps reporting it, and
/// keeps heartbeats back until it is applied.
fn events_of(beat: Beat) -> Vec<Event> {
    let Beat { cluster, actor, incarnation, handshake, batches, heartbeat } = beat;
    let actor = ActorKey { cluster, actor };
    let mut events = Vec::new();
    if handshake {
        events.push(Event::Init { actor: actor.clone(), incarnation, replaced: false });
    }
    if batches {
        events.push(Event::BatchReceived { actor: actor.clone(), incarnation });
        events.push(Event::BatchApplied { actor: actor.clone(), incarnation });
    }
    if heartbeat {
        events.push(Event::Heartbeat { actor, incarnation });
    }
    events
}

fn state_command(command: Command) -> StateCommand {
    let peer = |actor: &ActorKey| Arc::<str>::from(actor.cluster.as_str());
    let one = |actor: &ActorKey, incarnation| {
        vec![ActorRef { actor: actor.actor.as_str().into(), incarnation }]
    };
    StateCommand::Remote(match command {
        Command::Expire { actor, incarnation } => {
            RemoteCommand::Expire { peer: peer(&actor), actors: one(&actor, incarnation) }
        }
        Command::Sweep { actor, incarnation } => RemoteCommand::Sweep {
            peer: peer(&actor),
            actor: actor.actor.as_str().into(),
            incarnation,
        },
        Command::Hold { cluster } => {
            RemoteCommand::Hold { peer: cluster.as_str().into(), since_ms: now_ms() }
        }
        Command::Release { actor, incarnation } => RemoteCommand::ActorsSeen {
            peer: peer(&actor),
            actors: one(&actor, incarnation),
            at_ms: now_ms(),
        },
        Command::Forget { cluster } => RemoteCommand::PeerForget { peer: cluster.as_str().into() },
    })
}
