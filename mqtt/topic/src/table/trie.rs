//! The trie of filters with wildcards.
//!
//! - A path that only one filter takes is not spelled out: the first edge of its own ends in a
//!   *leaf*, and the rest is compared as text. A second filter on the same path pushes the leaf one
//!   node down.
//! - Words are interned, so an edge is found and compared by two numbers.
//! - A node keeps its first literal child inline. The flat edge table is asked only for nodes with
//!   several, which keeps narrow chains (the shape of hostile filters) out of it.
//! - Leaves of many levels and several `+` are compared by sums ([`deep`]), all others by text.
//! - All texts below a node are equal up to `text_at`, so that one offset serves them all.

mod deep;
mod node;

use std::hint::black_box;

use smallvec::SmallVec;

use crate::algebra::{rest_matches, split_word};
use crate::filter::TopicFilter;
use crate::levels::{Edges, LevelId, Levels};
use deep::{DeepFilter, DeepName, Keys};
use node::Node;

const ROOT: u32 = 0;
/// No child, no entry.
const NONE: u32 = u32::MAX;
/// Marks a child as a leaf; the other bits number its entry, or its deep form.
const LEAF: u32 = 1 << 31;
/// Marks a leaf with a deep form, which is compared in place of its text.
const DEEP: u32 = 1 << 30;
/// The `+` edge, in place of an interned word.
const PLUS: LevelId = LevelId::MAX;
/// A word of the name that no edge carries.
const UNKNOWN: LevelId = LevelId::MAX - 1;

/// Where an entry hangs.
#[derive(Clone, Copy)]
enum Place {
    Here(u32),
    Hash(u32),
    Leaf { node: u32, level: LevelId },
}

fn is_leaf(child: u32) -> bool {
    child != NONE && child & LEAF != 0
}

fn number(count: usize) -> u32 {
    let number = u32::try_from(count).ok().filter(|n| n & (LEAF | DEEP) == 0);
    number.expect("memory ends before 2^30 filters")
}

/// Stores an item in a free place, or in a new one.
fn put<T>(items: &mut Vec<T>, free: &mut Vec<u32>, item: T) -> u32 {
    match free.pop() {
        Some(place) => {
            items[place as usize] = item;
            place
        }
        None => {
            items.push(item);
            number(items.len() - 1)
        }
    }
}

/// How many items are fetched together.
const AHEAD: usize = 32;

/// Reads something of each item, so that the fetches from memory overlap before the branches of the
/// work proper part them. It has no other effect.
fn fetch<T>(items: &[T], read: impl Fn(&T) -> u32) {
    if items.len() > 2 {
        black_box(items.iter().map(read).fold(0, |all, one| all ^ one));
    }
}

#[derive(Clone)]
pub(super) struct WildTrie<V> {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    entries: Vec<Option<(TopicFilter, V)>>,
    free_entries: Vec<u32>,
    /// Where the deep form of each entry is, [`NONE`] if it has none.
    deep_at: Vec<u32>,
    deep: Vec<DeepFilter>,
    free_deep: Vec<u32>,
    keys: Keys,
    levels: Levels,
    edges: Edges,
}

impl<V> Default for WildTrie<V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(NONE, UNKNOWN, 0)],
            free_nodes: Vec::new(),
            entries: Vec::new(),
            free_entries: Vec::new(),
            deep_at: Vec::new(),
            deep: Vec::new(),
            free_deep: Vec::new(),
            keys: Keys::default(),
            levels: Levels::default(),
            edges: Edges::default(),
        }
    }
}

impl<V> WildTrie<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free_entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicFilter, &V)> {
        self.entries.iter().flatten().map(|(filter, value)| (filter, value))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&TopicFilter, &mut V)> {
        self.entries.iter_mut().flatten().map(|(filter, value)| (&*filter, value))
    }

    pub(super) fn get(&self, filter: &str) -> Option<&V> {
        let (entry, _) = self.find(filter)?;
        Some(&self.entry(entry).1)
    }

    pub(super) fn get_mut(&mut self, filter: &str) -> Option<&mut V> {
        let (entry, _) = self.find(filter)?;
        Some(self.value_mut(entry))
    }

    pub(super) fn insert(&mut self, filter: TopicFilter, value: V) -> Option<V> {
        if let Some((entry, _)) = self.find(&filter) {
            return Some(std::mem::replace(self.value_mut(entry), value));
        }
        self.add(filter, value);
        None
    }

    pub(super) fn get_or_insert_with(
        &mut self,
        filter: &TopicFilter,
        value: impl FnOnce() -> V,
    ) -> &mut V {
        let entry = match self.find(filter) {
            Some((entry, _)) => entry,
            None => self.add(filter.clone(), value()),
        };
        self.value_mut(entry)
    }

    pub(super) fn remove(&mut self, filter: &str) -> Option<V> {
        let (entry, place) = self.find(filter)?;
        let (_, value) = self.entries[entry as usize].take()?;
        self.free_entries.push(entry);
        let deep = std::mem::replace(&mut self.deep_at[entry as usize], NONE);
        if deep != NONE {
            self.free_deep.push(deep);
        }
        let node = match place {
            Place::Here(node) => {
                self.node_mut(node).here = NONE;
                node
            }
            Place::Hash(node) => {
                self.node_mut(node).hash = NONE;
                node
            }
            Place::Leaf { node, level } => {
                self.detach(node, level);
                node
            }
        };
        self.prune(node);
        Some(value)
    }

    /// See [`FilterTable::for_each_match`](super::FilterTable::for_each_match).
    pub(super) fn for_each_match(&self, name: &str, mut found: impl FnMut(&TopicFilter, &V)) {
        if self.len() == 0 {
            return;
        }
        // T-2: wildcards in the first word do not see a leading `$`.
        let mut wildcards_see = !name.starts_with('$');
        let mut rest = Some(name);
        // Level by level, not path by path: the nodes of one level do not depend on each other, so
        // the processor fetches many at a time. It matters when hostile filters open 100,000 paths.
        let mut open: SmallVec<[u32; 64]> = SmallVec::from_slice(&[ROOT]);
        let mut next = SmallVec::new();
        let mut deep_name = None;
        while !open.is_empty() {
            if wildcards_see {
                self.give(open.iter().map(|at| self.node(*at).hash), &mut found);
            }
            let Some(name_rest) = rest else {
                self.give(open.iter().map(|at| self.node(*at).here), &mut found);
                return;
            };
            let leaves = self.step(&open, name_rest, wildcards_see, &mut next);
            for leaves in leaves.chunks(AHEAD) {
                self.give_matching(name, name_rest, leaves, &mut deep_name, &mut found);
            }
            std::mem::swap(&mut open, &mut next);
            next.clear();
            (rest, wildcards_see) = (split_word(name_rest).1, true);
        }
    }

    fn give(&self, entries: impl Iterator<Item = u32>, found: &mut impl FnMut(&TopicFilter, &V)) {
        for entry in entries.filter(|entry| *entry != NONE) {
            let (filter, value) = self.entry(entry);
            found(filter, value);
        }
    }

    /// Gives those of the leaves whose tails match what is left of the name.
    fn give_matching(
        &self,
        name: &str,
        name_rest: &str,
        leaves: &[(u32, u32)],
        deep_name: &mut Option<Box<DeepName>>,
        found: &mut impl FnMut(&TopicFilter, &V),
    ) {
        fetch(leaves, |(leaf, text_at)| match self.deep_filter(*leaf) {
            Some(deep) => deep.touch(),
            None => {
                let text = self.entry(*leaf).0.as_bytes();
                text.get(*text_at as usize).copied().map_or(0, u32::from)
            }
        });
        // Most of all leaves may match: their entries are fetched together too.
        let mut hits = SmallVec::<[u32; AHEAD]>::new();
        for (leaf, text_at) in leaves {
            let (entry, matches) = match self.deep_filter(*leaf) {
                Some(deep) => {
                    let name = deep_name.get_or_insert_with(|| DeepName::new(name, &self.keys));
                    (deep.entry, name.matches(deep))
                }
                None => {
                    let tail = self.entry(*leaf).0.get(*text_at as usize..);
                    (*leaf, tail.is_some_and(|tail| rest_matches(name_rest, tail)))
                }
            };
            if matches {
                hits.push(entry);
            }
        }
        fetch(&hits, |entry| u32::from(self.entries[*entry as usize].is_some()));
        self.give(hits.into_iter(), found);
    }

    /// Follows the first word of `rest` from all `open` nodes: nodes go to `next`, leaves are
    /// returned with the offset of their tails.
    fn step(
        &self,
        open: &[u32],
        rest: &str,
        wildcards_see: bool,
        next: &mut SmallVec<[u32; 64]>,
    ) -> SmallVec<[(u32, u32); 32]> {
        let level = self.levels.find(split_word(rest).0).unwrap_or(UNKNOWN);
        let mut leaves = SmallVec::new();
        for open in open.chunks(AHEAD) {
            fetch(open, |at| self.node(*at).plus);
            // Whether a child is a node, a leaf or none is a toss-up in hostile filters, so each is
            // written to both lists and counted in one of them: no branch to mispredict.
            let (mut nodes, mut node_count) = ([0; 2 * AHEAD], 0);
            let (mut tails, mut tail_count) = ([(0, 0); 2 * AHEAD], 0);
            for at in open {
                let node = self.node(*at);
                let plus = if wildcards_see { node.plus } else { NONE };
                for child in [plus, self.child(*at, level)] {
                    nodes[node_count] = child;
                    node_count += usize::from(child & LEAF == 0);
                    tails[tail_count] = (child ^ LEAF, node.text_at);
                    tail_count += usize::from(is_leaf(child));
                }
            }
            next.extend_from_slice(&nodes[..node_count]);
            leaves.extend_from_slice(&tails[..tail_count]);
        }
        leaves
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    fn entry(&self, entry: u32) -> &(TopicFilter, V) {
        self.entries[entry as usize].as_ref().expect("the trie names only entries in use")
    }

    /// The deep form of a leaf, if that is what its number names.
    fn deep_filter(&self, leaf: u32) -> Option<&DeepFilter> {
        if leaf & DEEP == 0 { None } else { self.deep.get((leaf ^ DEEP) as usize) }
    }

    /// The child that stands for an entry.
    fn leaf(&self, entry: u32) -> u32 {
        match self.deep_at[entry as usize] {
            NONE => LEAF | entry,
            deep => LEAF | DEEP | deep,
        }
    }

    /// The entry of a leaf.
    fn entry_of(&self, child: u32) -> u32 {
        let leaf = child & !LEAF;
        self.deep_filter(leaf).map_or(leaf, |deep| deep.entry)
    }

    fn value_mut(&mut self, entry: u32) -> &mut V {
        &mut self.entries[entry as usize].as_mut().expect("the trie names only entries in use").1
    }

    fn child(&self, at: u32, level: LevelId) -> u32 {
        let node = self.node(at);
        match level {
            PLUS => node.plus,
            UNKNOWN => NONE,
            _ if node.first_level == level => node.first,
            _ if node.spilled > 0 => self.edges.get(at, level).unwrap_or(NONE),
            _ => NONE,
        }
    }

    /// Where exactly this filter is.
    fn find(&self, filter: &str) -> Option<(u32, Place)> {
        let mut at = ROOT;
        loop {
            let node = self.node(at);
            let Some(rest) = filter.get(node.text_at as usize..) else {
                return (node.here != NONE).then_some((node.here, Place::Here(at)));
            };
            let (word, _) = split_word(rest);
            let level = match word {
                "#" => return (node.hash != NONE).then_some((node.hash, Place::Hash(at))),
                "+" => PLUS,
                _ => self.levels.find(word)?,
            };
            let child = self.child(at, level);
            if child == NONE {
                return None;
            }
            if is_leaf(child) {
                let entry = self.entry_of(child);
                let same = *self.entry(entry).0 == *filter;
                return same.then_some((entry, Place::Leaf { node: at, level }));
            }
            at = child;
        }
    }

    /// Adds a filter that is not there yet.
    fn add(&mut self, filter: TopicFilter, value: V) -> u32 {
        let entry = self.take_slot(filter.clone(), value);
        let mut at = ROOT;
        while let Some((level, child)) = self.hang(at, &filter, entry) {
            at = if is_leaf(child) {
                self.push_down(at, level, self.entry_of(child))
            } else {
                child
            };
        }
        entry
    }

    fn take_slot(&mut self, filter: TopicFilter, value: V) -> u32 {
        let entry = put(&mut self.entries, &mut self.free_entries, Some((filter, value)));
        let deep = DeepFilter::new(&self.entry(entry).0, entry, &self.keys);
        let deep = deep.map_or(NONE, |deep| put(&mut self.deep, &mut self.free_deep, deep));
        self.deep_at.resize(self.entries.len(), NONE);
        self.deep_at[entry as usize] = deep;
        entry
    }

    /// Hangs the entry on the node, or says which child stands in its way.
    fn hang(&mut self, at: u32, filter: &str, entry: u32) -> Option<(LevelId, u32)> {
        let Some(rest) = filter.get(self.node(at).text_at as usize..) else {
            self.node_mut(at).here = entry;
            return None;
        };
        let (word, _) = split_word(rest);
        let level = match word {
            "#" => {
                self.node_mut(at).hash = entry;
                return None;
            }
            "+" => PLUS,
            _ => self.levels.find(word).unwrap_or(UNKNOWN),
        };
        let child = self.child(at, level);
        if child != NONE {
            return Some((level, child));
        }
        let level = if level == PLUS { PLUS } else { self.levels.acquire(word) };
        self.attach(at, level, self.leaf(entry));
        None
    }

    /// Puts a node between `at` and its leaf.
    fn push_down(&mut self, at: u32, level: LevelId, entry: u32) -> u32 {
        let filter = self.entry(entry).0.clone();
        let word_at = self.node(at).text_at as usize;
        let (word, _) =
            filter.get(word_at..).map(split_word).expect("a leaf has a word for its edge");
        // One past the end when the filter ends with this word: then `get(text_at..)` is None.
        let node = Node::new(at, level, number(word_at + word.len() + 1));
        let new = put(&mut self.nodes, &mut self.free_nodes, node);
        self.attach(at, level, new);
        let in_the_way = self.hang(new, &filter, entry);
        debug_assert!(in_the_way.is_none(), "a new node has no children");
        new
    }

    /// Sets the child of an edge, new or not.
    fn attach(&mut self, at: u32, level: LevelId, child: u32) {
        let node = &mut self.nodes[at as usize];
        if level == PLUS {
            node.plus = child;
        } else if node.first_level == level || (node.first == NONE && node.spilled == 0) {
            (node.first_level, node.first) = (level, child);
        } else if self.edges.set(at, level, child) {
            node.spilled += 1;
        }
    }

    /// Removes an edge and gives its word back.
    fn detach(&mut self, at: u32, level: LevelId) {
        let node = &mut self.nodes[at as usize];
        if level == PLUS {
            node.plus = NONE;
            return;
        }
        if node.first_level == level {
            (node.first_level, node.first) = (UNKNOWN, NONE);
        } else if self.edges.remove(at, level) {
            node.spilled -= 1;
        }
        self.levels.release(level);
    }

    /// Frees empty nodes from here upwards, and turns a node with one entry back into a leaf.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT {
            let node = self.node(at).clone();
            if node.is_empty() {
                self.detach(node.parent, node.level);
            } else if let Some(entry) = node.only_entry(|entry| self.leaf(entry)) {
                if node.first != NONE {
                    self.detach(at, node.first_level);
                }
                self.attach(node.parent, node.level, entry);
            } else {
                return;
            }
            self.free_nodes.push(at);
            at = node.parent;
        }
    }

    /// Nodes and words in use, the root included.
    #[cfg(test)]
    fn footprint(&self) -> (usize, usize) {
        (self.nodes.len() - self.free_nodes.len(), self.levels.len())
    }
}

#[cfg(test)]
mod tests;
