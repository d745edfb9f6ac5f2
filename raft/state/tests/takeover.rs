//! The take-over protocol under random schedules: three nodes with lagging views of the directory,
//! crashes, and a client that connects anywhere at any time (ARCHITECTURE §4, CHAOS T0 and R7).
//!
//! What a node does here is what the broker shell has to do:
//! - it learns of its own claim, and of others', when *it* applies the entry;
//! - a claim by another node freezes what it holds; frozen state takes nothing and is given to the
//!   claimant as often as asked;
//! - a complete hand-over lets it delete its copy; one without it makes its copy an orphan, whose
//!   content goes to the owner as one late batch;
//! - a claim given up thaws it;
//! - the claimant says `Installed` only when what it fetched is on its own disk.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use spanmq_state::command::{Command, Handover, SessionCommand};
use spanmq_state::{Batch, Changes, Epoch, Event, NodeId, Reply, State};

const NODES: usize = 3;
const STEPS: usize = 300;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % n
    }
}

/// The session as one node has it, on its disk.
#[derive(Default)]
struct Held {
    epoch: Epoch,
    queue: BTreeSet<u32>,
    frozen: bool,
}

/// A claim of this node that waits for the state.
struct Pending {
    epoch: Epoch,
    from: NodeId,
}

#[derive(Default)]
struct Node {
    alive: bool,
    applied: usize,
    held: Option<Held>,
    pending: Option<Pending>,
    /// What it fetched for a claim, until the log says whether that stands; on its disk.
    fetched: BTreeMap<Epoch, BTreeSet<u32>>,
    orphans: BTreeMap<Epoch, BTreeSet<u32>>,
}

struct Entry {
    proposer: usize,
    events: Vec<Event>,
}

struct World {
    state: State,
    log: Vec<Entry>,
    nodes: Vec<Node>,
    accepted: BTreeSet<u32>,
    takeovers: usize,
    late_batches: usize,
}

impl World {
    fn new() -> Self {
        let nodes = (0..NODES).map(|_| Node { alive: true, ..Node::default() }).collect();
        let (state, log, accepted) = (State::default(), Vec::new(), BTreeSet::new());
        Self { state, log, nodes, accepted, takeovers: 0, late_batches: 0 }
    }

    fn propose(&mut self, proposer: usize, command: SessionCommand) {
        let mut changes = Changes::default();
        let batch = Batch::from(Command::Session(command));
        let index = self.log.len() as u64 + 1;
        let mut replies = self.state.apply(index, &batch, &mut changes);
        let Some(Reply::Session(_)) = replies.pop() else { panic!("a session reply") };
        self.log.push(Entry { proposer, events: changes.events });
    }

    fn connect(&mut self, node: usize) {
        self.propose(
            node,
            SessionCommand::Claim {
                client_id: "c".into(),
                node: node as NodeId,
                clean_start: false,
                principal: "p".into(),
                expiry_s: 3600,
                persistent: true,
                will: None,
                at_ms: 0,
            },
        );
    }

    fn apply_next(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(entry) = self.log.get(node.applied) else { return };
        node.applied += 1;
        for event in &entry.events {
            match event {
                Event::SessionClaimed { claim, previous, installed, .. } => {
                    let mine = claim.node == at as NodeId;
                    if !installed {
                        node.pending = None;
                        if let Some(held) = node.held.as_mut() {
                            held.frozen = true;
                        }
                        if mine && entry.proposer == at {
                            let from = previous.unwrap().node;
                            node.pending = Some(Pending { epoch: claim.epoch, from });
                        }
                    } else if mine {
                        // A new session, or one this node holds already.
                        let held = node.held.get_or_insert_default();
                        (held.epoch, held.frozen) = (claim.epoch, false);
                        node.pending = None;
                    } else {
                        node.pending = None;
                    }
                }
                Event::SessionInstalled { owner, previous, complete, .. } => {
                    if previous.node == at as NodeId {
                        let held = node.held.take().unwrap();
                        assert!(held.frozen && held.epoch == previous.epoch);
                        if !complete {
                            node.orphans.insert(previous.epoch, held.queue);
                        }
                    }
                    if owner.node == at as NodeId {
                        let queue = node.fetched.remove(&owner.epoch).unwrap_or_default();
                        node.fetched.clear();
                        node.held = Some(Held { epoch: owner.epoch, queue, frozen: false });
                        node.pending = None;
                        self.takeovers += 1;
                    }
                }
                Event::SessionReturned { owner, .. } if owner.node == at as NodeId => {
                    node.held.as_mut().unwrap().frozen = false;
                }
                _ => {}
            }
        }
    }

    /// The claimant asks the owner, who answers when it has seen the claim; a dead one cannot.
    fn fetch(&mut self, at: usize) {
        let Some(pending) = &self.nodes[at].pending else { return };
        let (epoch, from) = (pending.epoch, pending.from as usize);
        let owner = &self.nodes[from];
        let handover = if !owner.alive {
            Handover::WithoutOwner
        } else {
            let Some(held) = owner.held.as_ref().filter(|held| held.frozen) else { return };
            if owner.applied < self.nodes[at].applied {
                return;
            }
            let queue = held.queue.clone();
            self.nodes[at].fetched.insert(epoch, queue);
            Handover::Complete
        };
        self.nodes[at].pending = None;
        self.propose(at, SessionCommand::Installed { client_id: "c".into(), epoch, handover });
    }

    /// A message arrives at a node that believes to own the session.
    fn deliver(&mut self, at: usize, message: u32) {
        if let Some(held) = self.nodes[at].held.as_mut().filter(|held| !held.frozen) {
            held.queue.insert(message);
            self.accepted.insert(message);
        }
    }

    /// An orphan's queue goes to a live owner that is not frozen.
    fn drain(&mut self, at: usize) {
        let Some((&epoch, _)) = self.nodes[at].orphans.first_key_value() else { return };
        let serves = |node: &Node| node.alive && node.held.as_ref().is_some_and(|h| !h.frozen);
        let current = self.state.sessions().get("c").unwrap().owner;
        let owner = current.node as usize;
        let fresh = self.nodes[owner].held.as_ref().is_some_and(|h| h.epoch == current.epoch);
        if !serves(&self.nodes[owner]) || !fresh {
            return;
        }
        let queue = self.nodes[at].orphans.remove(&epoch).unwrap();
        let held = self.nodes[owner].held.as_mut().unwrap();
        for message in queue {
            assert!(held.queue.insert(message), "a late batch doubled message {message}");
        }
        self.late_batches += 1;
        self.propose(at, SessionCommand::OrphanDrained { client_id: "c".into(), epoch });
    }

    /// The leader gives up the claim of a dead node.
    fn sweep(&mut self) {
        let Some(session) = self.state.sessions().get("c") else { return };
        let Some(claim) = &session.claim else { return };
        if !self.nodes[claim.holder.node as usize].alive {
            let epoch = claim.holder.epoch;
            self.propose(NODES, SessionCommand::Abandon { client_id: "c".into(), epoch });
        }
    }

    fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.alive = false;
        // In memory only. What it held and fetched is on its disk: a claimant that said `Installed`
        // before that would lose the session with its own crash.
        node.pending = None;
    }

    /// Everybody lives and catches up; then one place has all that was ever accepted, once.
    fn heal_and_check(&mut self) {
        for node in &mut self.nodes {
            node.alive = true;
        }
        self.connect(0);
        for _ in 0..60 {
            for at in 0..NODES {
                while self.nodes[at].applied < self.log.len() {
                    self.apply_next(at);
                }
                self.fetch(at);
                self.drain(at);
            }
        }
        let session = self.state.sessions().get("c").unwrap();
        assert!(session.claim.is_none() && session.orphans.is_empty(), "{session:?}");
        let holders: Vec<_> = self.nodes.iter().filter_map(|node| node.held.as_ref()).collect();
        assert_eq!(holders.len(), 1, "one session for one client id");
        assert_eq!((holders[0].epoch, holders[0].frozen), (session.owner.epoch, false));
        assert_eq!(holders[0].queue, self.accepted);
    }
}

fn run(seed: u64) -> World {
    let mut rng = Rng(seed);
    let mut world = World::new();
    for message in 0..STEPS as u32 {
        let at = rng.below(NODES);
        let alive = world.nodes[at].alive;
        // Entries and transfers outnumber claims and crashes, so that most take-overs come to an end
        // and most runs see several.
        match rng.below(40) {
            0 if alive => world.connect(at),
            1..=15 if alive => world.apply_next(at),
            16..=23 if alive => world.fetch(at),
            24..=33 if alive => world.deliver(at, message),
            34 | 35 if alive => world.drain(at),
            36 => world.sweep(),
            37 if alive => world.crash(at),
            38 | 39 => world.nodes[at].alive = true,
            _ => {}
        }
    }
    world.heal_and_check();
    world
}

#[test]
fn whatever_the_schedule_the_session_ends_in_one_place_with_all_it_accepted() {
    let (mut takeovers, mut late_batches, mut messages) = (0, 0, 0);
    for seed in 0..3000 {
        let world = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|cause| {
            panic!("seed {seed}: {:?}", cause.downcast_ref::<String>());
        });
        takeovers += world.takeovers;
        late_batches += world.late_batches;
        messages += world.accepted.len();
    }
    // The schedules are worth something only when all of this happened.
    assert!(takeovers > 3000 && late_batches > 300 && messages > 30_000);
}
