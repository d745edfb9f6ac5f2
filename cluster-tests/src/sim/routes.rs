//! The replicated route table: nodes that lose their lease and come back, proposals that are made
//! twice, replicas that lag or start from a snapshot.
//!
//! Claimed: equal index means equal digest, whichever way a replica came there; in the end the table
//! is exactly what the nodes want (CHAOS P5, P9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use spanmq_state::command::{RouteChange, RouteCommand, RouteReply};
use spanmq_state::{Batch, Changes, Command, Reply, SnapshotDecoder, State};

use super::Trace;

const NODES: u64 = 3;
const FILTERS: u32 = 12;
const STEPS: usize = 150;
const SNAPSHOT_BYTES_MAX: u64 = 1 << 20;

/// What one node wants, and what it has told.
#[derive(Default)]
struct Wants {
    filters: BTreeSet<u32>,
    incarnation: u64,
    /// Its whole set has to be announced.
    replaces: bool,
}

struct World {
    random: StdRng,
    log: Vec<Batch>,
    replicas: Vec<State>,
    /// Digest at each index, from whoever came there first.
    digests: BTreeMap<u64, u64>,
    nodes: BTreeMap<u64, Wants>,
    trace: Trace,
}

/// Runs one schedule.
///
/// # Errors
/// Which promise broke.
pub fn schedule(seed: u64) -> Result<Trace, String> {
    let mut world = World {
        random: StdRng::seed_from_u64(seed),
        log: Vec::new(),
        replicas: vec![State::default(); NODES as usize],
        digests: BTreeMap::new(),
        nodes: (1..=NODES)
            .map(|node| (node, Wants { replaces: true, ..Wants::default() }))
            .collect(),
        trace: Trace::default(),
    };
    for _ in 0..STEPS {
        world.step()?;
    }
    for node in 1..=NODES {
        world.announce(node)?;
    }
    for replica in 0..world.replicas.len() {
        world.apply(replica, usize::MAX)?;
    }
    world.judge()?;
    Ok(world.trace)
}

impl World {
    fn step(&mut self) -> Result<(), String> {
        let node = self.random.random_range(1..=NODES);
        let choice = self.random.random_range(0..100);
        self.trace.event(&[choice, node]);
        match choice {
            0..45 => self.change(node),
            45..75 => {
                let (replica, count) = (
                    self.random.random_range(0..self.replicas.len()),
                    self.random.random_range(1..6),
                );
                self.apply(replica, count).map(|_| ())
            }
            75..82 => self.announce(node),
            82..88 => self.gone(node),
            88..93 => {
                // A restart: its clean sessions are gone, and it speaks with a new incarnation.
                let wants = self.nodes.entry(node).or_default();
                wants.incarnation += 1;
                wants.replaces = true;
                wants.filters.retain(|filter| filter % 2 == 0);
                Ok(())
            }
            93..97 => self.install(),
            _ => self.repeat(),
        }
    }

    /// A subscription comes or goes; told in a batch, if the node is known.
    fn change(&mut self, node: u64) -> Result<(), String> {
        let filter = self.random.random_range(0..FILTERS);
        let wants = self.nodes.entry(node).or_default();
        let change = if wants.filters.insert(filter) {
            RouteChange::Add(name(filter))
        } else {
            wants.filters.remove(&filter);
            RouteChange::Remove(name(filter))
        };
        if wants.replaces {
            return Ok(());
        }
        let (incarnation, changes) = (wants.incarnation, vec![change]);
        self.propose(node, RouteCommand::RouteBatch { node, incarnation, changes })
    }

    /// The whole set, in parts of three.
    fn announce(&mut self, node: u64) -> Result<(), String> {
        let wants = self.nodes.entry(node).or_default();
        let (incarnation, filters) = (wants.incarnation, wants.filters.clone());
        let all: Vec<RouteChange> =
            filters.into_iter().map(|f| RouteChange::Add(name(f))).collect();
        wants.replaces = false;
        let parts: Vec<&[RouteChange]> =
            if all.is_empty() { vec![&[]] } else { all.chunks(3).collect() };
        for (part, entries) in parts.iter().enumerate() {
            let (part, last) = (part as u32, part + 1 == parts.len());
            let command = RouteCommand::ReplaceNode {
                node,
                incarnation,
                part,
                last,
                routes: entries.to_vec(),
            };
            self.propose(node, command)?;
        }
        Ok(())
    }

    /// The leader collects a node whose lease has ended; the node hears of it when it speaks again.
    fn gone(&mut self, node: u64) -> Result<(), String> {
        let incarnation = self.nodes.get(&node).map_or(0, |wants| wants.incarnation);
        self.propose(node, RouteCommand::NodeGone { node, incarnation })
    }

    /// Appends to the log; the proposer's own replica applies it, and its answer is obeyed.
    fn propose(&mut self, node: u64, command: RouteCommand) -> Result<(), String> {
        self.log.push(Batch::new(vec![Command::Route(command)]));
        let replies = self.apply(node as usize - 1, usize::MAX)?;
        let refused = matches!(
            replies.last(),
            Some(Reply::Route(RouteReply::NeedReplace | RouteReply::PartOutOfOrder { .. }))
        );
        if refused && let Some(wants) = self.nodes.get_mut(&node) {
            wants.replaces = true;
        }
        Ok(())
    }

    /// A proposal whose answer was lost is made again: the last entry comes twice.
    fn repeat(&mut self) -> Result<(), String> {
        let Some(last) = self.log.last().cloned() else { return Ok(()) };
        let alone = matches!(last.commands[..], [Command::Route(RouteCommand::RouteBatch { .. })]);
        if alone {
            self.log.push(last);
        }
        Ok(())
    }

    fn apply(&mut self, replica: usize, count: usize) -> Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        for _ in 0..count {
            let index = self.replicas[replica].applied();
            let Some(batch) = self.log.get(index as usize) else { break };
            replies = self.replicas[replica].apply(index + 1, batch, &mut Changes::default());
            self.compare(replica)?;
        }
        Ok(replies)
    }

    fn compare(&mut self, replica: usize) -> Result<(), String> {
        let state = &self.replicas[replica];
        let (index, digest) = (state.applied(), state.digest().total);
        let known = *self.digests.entry(index).or_insert(digest);
        self.trace.state(state.routes().filters() | (index.min(63)) << 8);
        if known == digest {
            return Ok(());
        }
        Err(format!("replica {replica} differs at index {index}"))
    }

    /// A replica is wiped and starts from the snapshot of another one.
    fn install(&mut self) -> Result<(), String> {
        let from = self.random.random_range(0..self.replicas.len());
        let to = (from + 1) % self.replicas.len();
        if self.replicas[to].applied() > self.replicas[from].applied() {
            return Ok(());
        }
        let mut decoder = SnapshotDecoder::new(SNAPSHOT_BYTES_MAX);
        for chunk in self.replicas[from].snapshot().encode_chunks() {
            decoder.push(&chunk).map_err(|error| format!("own snapshot refused: {error}"))?;
        }
        self.replicas[to] =
            decoder.finish().map_err(|error| format!("own snapshot refused: {error}"))?;
        self.compare(to)
    }

    fn judge(&self) -> Result<(), String> {
        let mut wanted: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for (node, wants) in &self.nodes {
            for filter in &wants.filters {
                wanted.entry(name(*filter).to_string()).or_default().insert(*node);
            }
        }
        for (number, state) in self.replicas.iter().enumerate() {
            let table: BTreeMap<String, BTreeSet<u64>> = state
                .routes()
                .iter()
                .map(|(filter, entry)| {
                    (filter.to_string(), entry.nodes().iter().copied().collect())
                })
                .collect();
            if table != wanted {
                return Err(format!("replica {number} has {table:?}, wanted is {wanted:?}"));
            }
        }
        Ok(())
    }
}

fn name(filter: u32) -> Arc<str> {
    format!("f/{filter}/+").into()
}
