//! What one remote cluster has told us: its actors, and the routes they hold (LINK-SPEC W-15).
//!
//! Each actor run has a slot; an entry is a set of slots. When an actor comes with a higher
//! incarnation it gets a fresh slot and the old one is kept as its *stale* slot, so marking its old
//! routes costs nothing; a sweep removes what still has the stale slot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::EntryHash;
use crate::remote::ids::Ids;
use crate::shards::{SHARDS, Shards, shard_of, sorted};
use crate::slots::{SlotSet, lowest_free};
use crate::types::{Incarnation, Millis};

/// One actor of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The run whose operations count (W-13, W-16).
    pub incarnation: Incarnation,
    /// When it was last known to live, by a proposer's clock. For people.
    pub last_seen_ms: Millis,
    /// Routes it holds in this run.
    pub routes: u64,
    /// Routes of earlier runs, not added again yet.
    pub stale_routes: u64,
    pub(crate) slot: u16,
    pub(crate) stale_slot: Option<u16>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RemoteShard {
    pub(crate) filters: HashMap<Arc<str>, Ids>,
    digest: u64,
}

/// One remote cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    pub(crate) view_slot: u16,
    pub(crate) actors: BTreeMap<Arc<str>, Actor>,
    pub(crate) held_since_ms: Option<Millis>,
    pub(crate) shards: Shards<RemoteShard>,
    routes: u64,
    /// Who spoke for it last, if no rule says who may.
    pub(crate) principal: Option<Arc<str>>,
}

/// One learnt route, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearntRoute {
    /// What the remote wants.
    pub filter: Arc<str>,
    /// Where it comes from (2.5).
    pub id: Arc<str>,
    /// Who holds it.
    pub actors: Vec<Arc<str>>,
    /// Whether only earlier runs of its actors hold it.
    pub stale: bool,
}

/// A filter that appeared (true) for this remote or disappeared (false).
pub(crate) type Crossing = (Arc<str>, bool);

impl Peer {
    pub(crate) fn new(view_slot: u16) -> Self {
        Self {
            view_slot,
            actors: BTreeMap::new(),
            held_since_ms: None,
            shards: Shards::default(),
            routes: 0,
            principal: None,
        }
    }

    /// Entries (filter, id).
    #[must_use]
    pub fn routes(&self) -> u64 {
        self.routes
    }

    /// By name.
    pub fn actors(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Actor)> {
        self.actors.iter()
    }

    /// Since when all actors are silent; the routes are kept, marked stale (LINK-SPEC 0.1).
    #[must_use]
    pub fn held_since_ms(&self) -> Option<Millis> {
        self.held_since_ms
    }

    /// Who holds the remote's name: who spoke for it, as long as any of its actors lives (LINK-SPEC
    /// 0.1 "Identity").
    #[must_use]
    pub fn holder(&self) -> Option<&Arc<str>> {
        let lives = self.held_since_ms.is_none() && !self.actors.is_empty();
        self.principal.as_ref().filter(|_| lives)
    }

    /// Whether any route has the filter.
    #[must_use]
    pub fn wants(&self, filter: &str) -> bool {
        self.shards.of(filter).filters.contains_key(filter)
    }

    /// Up to `limit` routes after (filter, id), in shard order.
    #[must_use]
    pub fn page(&self, after: Option<(&str, &str)>, limit: usize) -> Vec<LearntRoute> {
        let mut found = Vec::new();
        let first = after.map_or(0, |(filter, _)| shard_of(filter));
        for number in first..SHARDS {
            let Some(shard) = self.shards.at(number) else { break };
            let bound = after.filter(|_| number == first);
            for (filter, ids) in sorted(&shard.filters) {
                if bound.is_some_and(|(b, _)| **filter < *b) {
                    continue;
                }
                let from = bound.filter(|(b, _)| **filter == **b).map(|(_, id)| id);
                for (id, slots) in ids.iter(filter) {
                    if from.is_some_and(|from| **id <= *from) {
                        continue;
                    }
                    if found.len() == limit {
                        return found;
                    }
                    found.push(self.learnt(filter, id, slots));
                }
            }
        }
        found
    }

    /// Filters with at least one route, in no order.
    pub fn filters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.shards.iter().flat_map(|shard| shard.filters.keys())
    }

    fn learnt(&self, filter: &Arc<str>, id: &Arc<str>, slots: &SlotSet) -> LearntRoute {
        let now = |actor: &Actor| slots.contains(actor.slot);
        let old = |actor: &Actor| actor.stale_slot.is_some_and(|slot| slots.contains(slot));
        let holders = self.actors.iter().filter(|(_, actor)| now(actor) || old(actor));
        LearntRoute {
            filter: filter.clone(),
            id: id.clone(),
            actors: holders.map(|(name, _)| name.clone()).collect(),
            stale: !self.actors.values().any(now),
        }
    }

    pub(crate) fn digest(&self, name: &str) -> u64 {
        let mut hash =
            EntryHash::new(50).text(name).u64(u64::from(self.view_slot)).value(&self.held_since_ms);
        for (actor, record) in &self.actors {
            hash = hash.text(actor).value(record);
        }
        if let Some(principal) = &self.principal {
            hash = hash.text(principal);
        }
        self.shards.iter().fold(hash, |h, shard| h.u64(shard.digest)).finish()
    }

    pub(crate) fn free_slot(&self) -> u16 {
        let both = |actor: &Actor| [Some(actor.slot), actor.stale_slot];
        lowest_free(self.actors.values().flat_map(both).flatten())
    }

    /// Puts `add` into the entry and takes `remove` out of it.
    pub(crate) fn edit(
        &mut self,
        filter: &Arc<str>,
        id: &Arc<str>,
        edit: Edit,
    ) -> (Edited, Option<Crossing>) {
        let shard = self.shards.of_mut(filter);
        let base = EntryHash::new(51).text(filter).text(id);
        let hash = |slot: u16| base.u64(u64::from(slot)).finish();
        let mut done = Edited::default();
        let known = shard.filters.get_key_value(filter).map(|(key, _)| key.clone());
        let ids = match (shard.filters.get_mut(filter), edit.add) {
            (Some(ids), _) => ids,
            (None, None) => return (done, None),
            (None, Some(slot)) => {
                shard.digest = shard.digest.wrapping_add(hash(slot));
                shard.filters.insert(filter.clone(), Ids::one(filter, id, slot));
                self.routes += 1;
                done = Edited { added: true, ..done };
                done.entry = 1;
                return (done, Some((filter.clone(), true)));
            }
        };
        let change = ids.change(filter, id, |slots| {
            done.removed = edit.remove.map(|slot| slot.is_some_and(|slot| slots.remove(slot)));
            done.added = edit.add.is_some_and(|slot| slots.insert(slot));
        });
        done.entry = change;
        if done.added {
            shard.digest = shard.digest.wrapping_add(edit.add.map_or(0, hash));
        }
        for (slot, removed) in edit.remove.iter().zip(done.removed) {
            if removed {
                shard.digest = shard.digest.wrapping_sub(slot.map_or(0, hash));
            }
        }
        self.routes = self.routes.wrapping_add_signed(i64::from(change));
        if !ids.is_empty() {
            return (done, None);
        }
        shard.filters.remove(filter);
        (done, known.map(|filter| (filter, false)))
    }

    /// How many entries the additions would make, counting equal ones once.
    pub(crate) fn would_add<'a>(
        &self,
        adds: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
    ) -> u64 {
        let unknown = |(filter, id): &(&Arc<str>, &Arc<str>)| {
            let ids = self.shards.of(filter).filters.get(*filter);
            !ids.is_some_and(|ids| ids.contains(filter, id))
        };
        adds.filter(unknown).collect::<std::collections::HashSet<_>>().len() as u64
    }

    /// Takes `slots` out of all entries, putting `into` in their place if given. A pass over the
    /// remote's table; returns entries removed.
    pub(crate) fn clear_slots(
        &mut self,
        slots: &[u16],
        into: Option<u16>,
        crossings: &mut Vec<Crossing>,
    ) -> u64 {
        let before = self.routes;
        for number in 0..SHARDS {
            let Some(shard) = self.shards.at(number) else { break };
            let holds = |set: &SlotSet| slots.iter().any(|slot| set.contains(*slot));
            let mut keys = Vec::new();
            for (filter, ids) in &shard.filters {
                let held = ids.iter(filter).filter(|(_, set)| holds(set));
                keys.extend(held.map(|(id, _)| (filter.clone(), id.clone())));
            }
            keys.sort_unstable();
            for (filter, id) in keys {
                for slot in slots {
                    let edit = Edit { add: into, remove: [Some(*slot), None] };
                    let (_, crossing) = self.edit(&filter, &id, edit);
                    crossings.extend(crossing);
                }
            }
        }
        before - self.routes
    }

    /// Every entry, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &SlotSet)> {
        let filters = self.shards.iter().flat_map(|shard| &shard.filters);
        filters
            .flat_map(|(filter, ids)| ids.iter(filter).map(move |(id, slots)| (filter, id, slots)))
    }

    /// For a snapshot being read; the entry must be new, and its holders known.
    pub(crate) fn restore(
        &mut self,
        filter: &Arc<str>,
        id: &Arc<str>,
        slots: &[u16],
    ) -> Result<(), &'static str> {
        for slot in slots {
            let holder = self
                .actors
                .values_mut()
                .find(|actor| actor.slot == *slot || actor.stale_slot == Some(*slot))
                .ok_or("a learnt route of an unknown actor")?;
            if holder.slot == *slot {
                holder.routes += 1;
            } else {
                holder.stale_routes += 1;
            }
            let (edited, _) =
                self.edit(filter, id, Edit { add: Some(*slot), remove: [None, None] });
            if !edited.added {
                return Err("learnt route twice");
            }
        }
        Ok(())
    }
}

/// A change of one entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    pub(crate) add: Option<u16>,
    pub(crate) remove: [Option<u16>; 2],
}

/// What a change did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Edited {
    pub(crate) added: bool,
    pub(crate) removed: [bool; 2],
    /// +1: the entry appeared; -1: it disappeared.
    pub(crate) entry: i8,
}
