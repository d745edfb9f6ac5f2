//! Tables cut into shards behind `Arc`s: a snapshot clones 64 pointers, and a write to a shared
//! shard copies that shard only (ARCHITECTURE §9: a big state cloned under its lock stalls apply).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::digest::EntryHash;

/// Part of the stored format: a client id's epochs are counted per shard.
pub(crate) const SHARDS: usize = 64;

/// A table in [`SHARDS`] parts, chosen by a fixed hash of the key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shards<S>(Box<[Arc<S>]>);

impl<S: Default + Clone> Default for Shards<S> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::new(S::default())).collect())
    }
}

/// Which shard a key is in.
pub(crate) fn shard_of(key: &str) -> usize {
    (EntryHash::new(u64::MAX).text(key).finish() % SHARDS as u64) as usize
}

impl<S: Default + Clone> Shards<S> {
    pub(crate) fn of(&self, key: &str) -> &S {
        &self.0[shard_of(key)]
    }

    pub(crate) fn of_mut(&mut self, key: &str) -> &mut S {
        Arc::make_mut(&mut self.0[shard_of(key)])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        self.0.iter().map(|shard| &**shard)
    }

    /// By number, for loops that first look and then change. A copy is made only by `change`.
    pub(crate) fn at(&self, shard: usize) -> Option<&S> {
        self.0.get(shard).map(|shard| &**shard)
    }

    pub(crate) fn at_mut(&mut self, shard: usize) -> Option<&mut S> {
        self.0.get_mut(shard).map(Arc::make_mut)
    }
}

/// Up to `limit` entries after `after`, in the order (shard, key). The last key is the next
/// `after`. Sorts the shards it touches: for people and leaders' sweeps, not for publishes.
pub(crate) fn page<'a, S, V>(
    shards: &'a Shards<S>,
    entries: impl Fn(&'a S) -> &'a HashMap<Arc<str>, V>,
    after: Option<&str>,
    limit: usize,
) -> Vec<(&'a Arc<str>, &'a V)>
where
    S: Default + Clone,
    V: 'a,
{
    let first = after.map_or(0, shard_of);
    let mut found = Vec::new();
    for number in first..SHARDS {
        let Some(shard) = shards.at(number) else { break };
        let bound = after.filter(|_| number == first);
        let mut part: Vec<_> =
            entries(shard).iter().filter(|(key, _)| bound.is_none_or(|b| &***key > b)).collect();
        part.sort_unstable_by(|a, b| a.0.cmp(b.0));
        found.extend(part.into_iter().take(limit - found.len()));
        if found.len() == limit {
            break;
        }
    }
    found
}

/// The entries of a map in key order, where the order shows.
pub(crate) fn sorted<K: Ord + Hash + Eq, V>(map: &HashMap<K, V>) -> Vec<(&K, &V)> {
    let mut all: Vec<_> = map.iter().collect();
    all.sort_unstable_by(|a, b| a.0.cmp(b.0));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq)]
    struct Shard(HashMap<Arc<str>, u32>);

    #[test]
    fn a_clone_shares_all_shards_until_one_is_written() {
        let mut shards = Shards::<Shard>::default();
        shards.of_mut("a").0.insert("a".into(), 1);
        let copy = shards.clone();
        shards.of_mut("a").0.insert("a".into(), 2);
        assert_eq!(copy.of("a").0.get("a"), Some(&1));
        let shared = shards.0.iter().zip(copy.0.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, SHARDS - 1);
    }

    #[test]
    fn pages_meet_every_entry_once() {
        let mut shards = Shards::<Shard>::default();
        for n in 0..1000 {
            let key: Arc<str> = format!("k{n}").into();
            shards.of_mut(&key).0.insert(key, n);
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let part = page(&shards, |s| &s.0, after.as_deref(), 7);
            let Some((last, _)) = part.last() else { break };
            after = Some(last.to_string());
            for (_, n) in part {
                assert!(seen.insert(*n));
            }
        }
        assert_eq!(seen.len(), 1000);
    }
}
