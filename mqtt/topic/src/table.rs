//! The table behind "who wants this topic": filters → values, asked with a topic name.
//!
//! Filters without a wildcard sit in a flat hash map: one probe however many there are. The others
//! sit in a trie ([`trie`]).

mod trie;

use hashbrown::HashMap;

use crate::filter::{TopicFilter, has_wildcard};
use trie::WildTrie;

/// Topic filters with one value each.
///
/// Clones share the texts. Memory freed by a removal is used again by the next insertion.
#[derive(Clone)]
pub struct FilterTable<V> {
    exact: HashMap<TopicFilter, V>,
    wild: WildTrie<V>,
}

impl<V> Default for FilterTable<V> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wild: WildTrie::default() }
    }
}

impl<V> FilterTable<V> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.exact.len() + self.wild.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the filters hold a wildcard.
    pub fn wildcard_len(&self) -> usize {
        self.wild.len()
    }

    /// The value of exactly this filter.
    pub fn get(&self, filter: &str) -> Option<&V> {
        if has_wildcard(filter) { self.wild.get(filter) } else { self.exact.get(filter) }
    }

    pub fn get_mut(&mut self, filter: &str) -> Option<&mut V> {
        if has_wildcard(filter) { self.wild.get_mut(filter) } else { self.exact.get_mut(filter) }
    }

    pub fn contains(&self, filter: &str) -> bool {
        self.get(filter).is_some()
    }

    /// Sets the value of a filter and returns the former one.
    pub fn insert(&mut self, filter: TopicFilter, value: V) -> Option<V> {
        if filter.has_wildcard() {
            self.wild.insert(filter, value)
        } else {
            self.exact.insert(filter, value)
        }
    }

    /// The value of a filter, made by `value` when the filter is new.
    pub fn get_or_insert_with(
        &mut self,
        filter: &TopicFilter,
        value: impl FnOnce() -> V,
    ) -> &mut V {
        if filter.has_wildcard() {
            self.wild.get_or_insert_with(filter, value)
        } else {
            self.exact.entry_ref(filter).or_insert_with(value)
        }
    }

    pub fn remove(&mut self, filter: &str) -> Option<V> {
        if has_wildcard(filter) { self.wild.remove(filter) } else { self.exact.remove(filter) }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All filters, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicFilter, &V)> {
        self.exact.iter().chain(self.wild.iter())
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TopicFilter, &mut V)> {
        self.exact.iter_mut().chain(self.wild.iter_mut())
    }

    /// Removes the filters for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&TopicFilter, &mut V) -> bool) {
        self.exact.retain(&mut keep);
        let mut gone = Vec::new();
        for (filter, value) in self.wild.iter_mut() {
            if !keep(filter, value) {
                gone.push(filter.clone());
            }
        }
        for filter in gone {
            self.wild.remove(&filter);
        }
    }

    /// Calls `found` with the value of each filter that matches the topic `name` (T-2), in no order.
    ///
    /// Cost: one hash probe for the exact filters, and for the others two steps per trie node on a
    /// matching path. No recursion, and no allocation below 64 such paths.
    pub fn for_each_match(&self, name: &str, mut found: impl FnMut(&V)) {
        self.for_each_match_with_filter(name, |_, value| found(value));
    }

    /// As [`for_each_match`](Self::for_each_match), with the filter that matched.
    pub fn for_each_match_with_filter(&self, name: &str, mut found: impl FnMut(&TopicFilter, &V)) {
        if let Some((filter, value)) = self.exact.get_key_value(name) {
            found(filter, value);
        }
        self.wild.for_each_match(name, found);
    }

    /// Whether any filter matches the topic `name`.
    pub fn matches_any(&self, name: &str) -> bool {
        let mut any = false;
        self.for_each_match(name, |_| any = true);
        any
    }
}

impl<V: std::fmt::Debug> std::fmt::Debug for FilterTable<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V> FromIterator<(TopicFilter, V)> for FilterTable<V> {
    fn from_iter<I: IntoIterator<Item = (TopicFilter, V)>>(filters: I) -> Self {
        let mut table = Self::new();
        for (filter, value) in filters {
            table.insert(filter, value);
        }
        table
    }
}
