//! The collector of one cluster: who was heard when, and what follows.

use super::{
    BATCH_PAUSE, BOOTSTRAP_QUIET, Command, Event, ExpirySettings, SWEEP_WAIT_MAX, StoredActor,
};
use crate::upstream::ActorKey;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Runs on every node, decides only on the leader. Tick it every few seconds.
///
/// Of a batch both moments count: a heartbeat between them must not end the bootstrap, however
/// long the entry takes to be applied.
#[derive(Debug)]
pub struct Expiry {
    settings: ExpirySettings,
    leading: bool,
    collected: Option<Instant>,
    remotes: BTreeMap<String, Remote>,
}

#[derive(Debug, Default)]
struct Remote {
    actors: BTreeMap<String, Actor>,
    held: bool,
}

#[derive(Debug)]
struct Actor {
    incarnation: u64,
    heard_at: Instant,
    sweep: Option<Sweep>,
}

/// A bootstrap that replaces routes of an older incarnation.
#[derive(Debug)]
struct Sweep {
    last_batch: Instant,
    in_flight: u32,
    /// A heartbeat came since the last batch: the connection lives, and may have finished.
    heard: bool,
}

impl Sweep {
    fn new(now: Instant) -> Sweep {
        Sweep { last_batch: now, in_flight: 0, heard: false }
    }

    fn batch(&mut self, now: Instant, received: bool) {
        self.last_batch = now;
        self.heard = false;
        self.in_flight = if received {
            self.in_flight.saturating_add(1)
        } else {
            self.in_flight.saturating_sub(1)
        };
    }

    fn is_over(&self, now: Instant) -> bool {
        let quiet = now.duration_since(self.last_batch);
        let idle = self.in_flight == 0 || quiet >= SWEEP_WAIT_MAX;
        idle && self.heard && quiet >= BOOTSTRAP_QUIET
    }
}

impl Expiry {
    pub fn new(settings: ExpirySettings) -> Expiry {
        Expiry { settings, leading: false, collected: None, remotes: BTreeMap::new() }
    }

    /// Takes an event, returns what to propose, in order.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Command> {
        match event {
            Event::Lead { actors, held } => {
                self.lead(now, actors, &held.into_iter().collect());
                return Vec::new();
            }
            Event::Follow => {
                self.leading = false;
                self.remotes.clear();
                return Vec::new();
            }
            _ if !self.leading => return Vec::new(),
            _ => {}
        }
        match event {
            Event::Init { actor, incarnation, replaced } => {
                let out = self.heard(now, &actor, incarnation);
                if let Some(entry) = self.entry(&actor, incarnation) {
                    if replaced {
                        entry.sweep = Some(Sweep::new(now));
                    } else if let Some(sweep) = &mut entry.sweep {
                        // The old connection's batches will not be applied any more.
                        *sweep = Sweep::new(now);
                    }
                }
                out
            }
            Event::BatchReceived { actor, incarnation } => {
                self.batch(now, &actor, incarnation, true)
            }
            Event::BatchApplied { actor, incarnation } => {
                self.batch(now, &actor, incarnation, false)
            }
            Event::Heartbeat { actor, incarnation } => self.heartbeat(now, &actor, incarnation),
            Event::ActorRemoved(actor) => {
                self.remove(&actor);
                Vec::new()
            }
            Event::RemoteRemoved { cluster } => {
                self.remotes.remove(&cluster);
                Vec::new()
            }
            Event::Tick => {
                let pause = self.settings.gc_interval;
                if self.collected.is_some_and(|last| now.duration_since(last) < pause) {
                    return Vec::new();
                }
                self.collected = Some(now);
                self.tick(now)
            }
            Event::Lead { .. } | Event::Follow => Vec::new(),
        }
    }

    /// Every stored actor gets one fresh TTL (W-28).
    fn lead(&mut self, now: Instant, actors: Vec<StoredActor>, held: &BTreeSet<String>) {
        self.leading = true;
        self.remotes.clear();
        for StoredActor { actor, incarnation, sweeping } in actors {
            let remote = self.remotes.entry(actor.cluster.clone()).or_default();
            remote.held = held.contains(&actor.cluster);
            let sweep = sweeping.then(|| Sweep::new(now));
            remote.actors.insert(actor.actor, Actor { incarnation, heard_at: now, sweep });
        }
    }

    fn entry(&mut self, key: &ActorKey, incarnation: u64) -> Option<&mut Actor> {
        let actor = self.remotes.get_mut(&key.cluster)?.actors.get_mut(&key.actor)?;
        (actor.incarnation == incarnation).then_some(actor)
    }

    /// Notes a sign of life; one of an older incarnation counts for nothing.
    fn heard(&mut self, now: Instant, key: &ActorKey, incarnation: u64) -> Vec<Command> {
        let remote = self.remotes.entry(key.cluster.clone()).or_default();
        let fresh = Actor { incarnation, heard_at: now, sweep: None };
        let actor = remote.actors.entry(key.actor.clone()).or_insert(fresh);
        if actor.incarnation > incarnation {
            return Vec::new();
        }
        actor.incarnation = incarnation;
        actor.heard_at = now;
        if std::mem::take(&mut remote.held) {
            return vec![Command::Release { actor: key.clone(), incarnation }];
        }
        Vec::new()
    }

    fn batch(
        &mut self,
        now: Instant,
        key: &ActorKey,
        incarnation: u64,
        received: bool,
    ) -> Vec<Command> {
        let out = self.heard(now, key, incarnation);
        if let Some(sweep) = self.entry(key, incarnation).and_then(|actor| actor.sweep.as_mut()) {
            sweep.batch(now, received);
        }
        out
    }

    fn heartbeat(&mut self, now: Instant, key: &ActorKey, incarnation: u64) -> Vec<Command> {
        let mut out = self.heard(now, key, incarnation);
        let Some(actor) = self.entry(key, incarnation) else { return out };
        if let Some(sweep) = &mut actor.sweep {
            sweep.heard = true;
            if sweep.in_flight == 0 && now.duration_since(sweep.last_batch) >= BATCH_PAUSE {
                actor.sweep = None;
                out.push(Command::Sweep { actor: key.clone(), incarnation });
            }
        }
        out
    }

    fn remove(&mut self, key: &ActorKey) {
        if let Some(remote) = self.remotes.get_mut(&key.cluster) {
            remote.actors.remove(&key.actor);
            if remote.actors.is_empty() {
                self.remotes.remove(&key.cluster);
            }
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Command> {
        let mut out = Vec::new();
        let settings = self.settings;
        self.remotes.retain(|cluster, remote| {
            remote.expire(now, cluster, settings, &mut out);
            remote.sweep(now, cluster, &mut out);
            !remote.actors.is_empty()
        });
        out
    }
}

impl Remote {
    fn expire(
        &mut self,
        now: Instant,
        cluster: &str,
        settings: ExpirySettings,
        out: &mut Vec<Command>,
    ) {
        let Some(last_heard) = self.actors.values().map(|actor| actor.heard_at).max() else {
            return;
        };
        let holds = !settings.route_hold.is_zero();
        if holds && now.duration_since(last_heard) >= settings.ttl {
            return self.hold(now, last_heard, cluster, settings, out);
        }
        self.actors.retain(|name, actor| {
            let silent = now.duration_since(actor.heard_at) >= settings.ttl;
            // In an outage the siblings fall silent one after the other. Only one that spoke after
            // this actor's time was up shows that the remote as a whole is there.
            let alone = last_heard.duration_since(actor.heard_at) >= settings.ttl;
            let gone = silent && (alone || !holds);
            if gone {
                let key = ActorKey { cluster: cluster.to_owned(), actor: name.clone() };
                out.push(Command::Expire { actor: key, incarnation: actor.incarnation });
            }
            !gone
        });
    }

    fn hold(
        &mut self,
        now: Instant,
        last_heard: Instant,
        cluster: &str,
        settings: ExpirySettings,
        out: &mut Vec<Command>,
    ) {
        let cluster = cluster.to_owned();
        if now.duration_since(last_heard) >= settings.route_hold.max(settings.ttl) {
            self.actors.clear();
            out.push(Command::Forget { cluster });
        } else if !self.held {
            self.held = true;
            out.push(Command::Hold { cluster });
        }
    }

    fn sweep(&mut self, now: Instant, cluster: &str, out: &mut Vec<Command>) {
        for (name, actor) in &mut self.actors {
            if actor.sweep.as_ref().is_some_and(|sweep| sweep.is_over(now)) {
                actor.sweep = None;
                let key = ActorKey { cluster: cluster.to_owned(), actor: name.clone() };
                out.push(Command::Sweep { actor: key, incarnation: actor.incarnation });
            }
        }
    }
}
