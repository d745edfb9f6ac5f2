//! The reverse table: topic names → values, asked with a filter. Retained messages need it.

use std::ops::ControlFlow;

use crate::algebra::split_word;
use crate::levels::{Edges, LevelId, Levels};
use crate::name::TopicName;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// One level of one or more names. Siblings are linked both ways, so that a removal is cheap.
#[derive(Clone)]
struct Node {
    parent: u32,
    level: LevelId,
    first_child: u32,
    next: u32,
    previous: u32,
    entry: u32,
}

/// Topic names with one value each, kept in a trie.
///
/// Memory freed by a removal is used again by the next insertion.
#[derive(Clone)]
pub struct NameTable<V> {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    entries: Vec<Option<(TopicName, V)>>,
    free_entries: Vec<u32>,
    levels: Levels,
    edges: Edges,
}

impl<V> Default for NameTable<V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(NONE, 0)],
            free_nodes: Vec::new(),
            entries: Vec::new(),
            free_entries: Vec::new(),
            levels: Levels::default(),
            edges: Edges::default(),
        }
    }
}

impl Node {
    fn new(parent: u32, level: LevelId) -> Self {
        Self { parent, level, first_child: NONE, next: NONE, previous: NONE, entry: NONE }
    }
}

impl<V> NameTable<V> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free_entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, name: &str) -> Option<&V> {
        let entry = self.node(self.find(name)?).entry;
        (entry != NONE).then(|| &self.entry(entry).1)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let entry = self.node(self.find(name)?).entry;
        let slot = self.entries.get_mut(entry as usize)?;
        slot.as_mut().map(|(_, value)| value)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the value of a name and returns the former one.
    pub fn insert(&mut self, name: TopicName, value: V) -> Option<V> {
        let mut at = ROOT;
        for word in name.split('/') {
            at = match self.levels.find(word).and_then(|level| self.edges.get(at, level)) {
                Some(child) => child,
                None => self.add_child(at, word),
            };
        }
        let entry = self.node(at).entry;
        if entry != NONE {
            let slot =
                self.entries[entry as usize].as_mut().expect("nodes name only entries in use");
            return Some(std::mem::replace(&mut slot.1, value));
        }
        let entry = match self.free_entries.pop() {
            Some(entry) => {
                self.entries[entry as usize] = Some((name, value));
                entry
            }
            None => {
                self.entries.push(Some((name, value)));
                number(self.entries.len() - 1)
            }
        };
        self.node_mut(at).entry = entry;
        None
    }

    pub fn remove(&mut self, name: &str) -> Option<V> {
        let mut at = self.find(name)?;
        let entry = std::mem::replace(&mut self.node_mut(at).entry, NONE);
        let (_, value) = self.entries.get_mut(entry as usize)?.take()?;
        self.free_entries.push(entry);
        while at != ROOT && self.node(at).entry == NONE && self.node(at).first_child == NONE {
            at = self.remove_leaf(at);
        }
        Some(value)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, &V)> {
        self.entries.iter().flatten().map(|(name, value)| (name, value))
    }

    /// Calls `found` with each name that `filter` matches (T-2), in no order.
    pub fn for_each_matching(&self, filter: &str, mut found: impl FnMut(&TopicName, &V)) {
        let _ = self.try_for_each_matching(filter, |name, value| {
            found(name, value);
            ControlFlow::<()>::Continue(())
        });
    }

    /// As [`for_each_matching`](Self::for_each_matching), until `found` breaks.
    ///
    /// Cost: a literal level is one probe, `+` visits all siblings, `#` the whole subtree.
    pub fn try_for_each_matching<B>(
        &self,
        filter: &str,
        mut found: impl FnMut(&TopicName, &V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        // What is left to do: a node, and the words of the filter that its children must match.
        let mut open: Vec<(u32, Option<&str>)> = vec![(ROOT, Some(filter))];
        while let Some((at, rest)) = open.pop() {
            let node = self.node(at);
            let Some(rest) = rest else {
                self.visit(node, &mut found)?;
                continue;
            };
            match split_word(rest) {
                ("#", _) => {
                    // The parent level too; the root is no level.
                    self.visit(node, &mut found)?;
                    self.for_each_child(at, |child| open.push((child, Some("#"))));
                }
                ("+", rest) => self.for_each_child(at, |child| open.push((child, rest))),
                (word, rest) => {
                    let child = self.levels.find(word).and_then(|level| self.edges.get(at, level));
                    open.extend(child.map(|child| (child, rest)));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn visit<B>(
        &self,
        node: &Node,
        found: &mut impl FnMut(&TopicName, &V) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if node.entry == NONE {
            return ControlFlow::Continue(());
        }
        let (name, value) = self.entry(node.entry);
        found(name, value)
    }

    /// The children that a wildcard sees: at the root not those with a `$` in front (T-2).
    fn for_each_child(&self, at: u32, mut each: impl FnMut(u32)) {
        let mut child = self.node(at).first_child;
        while child != NONE {
            let node = self.node(child);
            if at != ROOT || !self.levels.starts_with_dollar(node.level) {
                each(child);
            }
            child = node.next;
        }
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    fn entry(&self, entry: u32) -> &(TopicName, V) {
        self.entries[entry as usize].as_ref().expect("nodes name only entries in use")
    }

    fn find(&self, name: &str) -> Option<u32> {
        let mut at = ROOT;
        for word in name.split('/') {
            at = self.edges.get(at, self.levels.find(word)?)?;
        }
        Some(at)
    }

    fn add_child(&mut self, parent: u32, word: &str) -> u32 {
        let level = self.levels.acquire(word);
        let next = self.node(parent).first_child;
        let node = Node { next, ..Node::new(parent, level) };
        let child = match self.free_nodes.pop() {
            Some(child) => {
                self.nodes[child as usize] = node;
                child
            }
            None => {
                self.nodes.push(node);
                number(self.nodes.len() - 1)
            }
        };
        if next != NONE {
            self.node_mut(next).previous = child;
        }
        self.node_mut(parent).first_child = child;
        self.edges.set(parent, level, child);
        child
    }

    /// Frees a node without children or value; returns its parent.
    fn remove_leaf(&mut self, at: u32) -> u32 {
        let Node { parent, level, next, previous, .. } = *self.node(at);
        if next != NONE {
            self.node_mut(next).previous = previous;
        }
        if previous == NONE {
            self.node_mut(parent).first_child = next;
        } else {
            self.node_mut(previous).next = next;
        }
        self.edges.remove(parent, level);
        self.levels.release(level);
        self.free_nodes.push(at);
        parent
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).ok().filter(|n| *n != NONE).expect("memory ends before 2^32 names")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> NameTable<usize> {
        let mut table = NameTable::new();
        for (value, name) in names.iter().enumerate() {
            table.insert(TopicName::new(*name).unwrap(), value);
        }
        table
    }

    fn found(table: &NameTable<usize>, filter: &str) -> Vec<String> {
        let mut names = Vec::new();
        table.for_each_matching(filter, |name, _| names.push(name.to_string()));
        names.sort();
        names
    }

    #[test]
    fn wildcards_find_names_as_t2_says() {
        let table = table(&["a", "a/b", "a/b/c", "a/", "/", "$SYS/a", "b/b", "$"]);
        assert_eq!(found(&table, "#"), ["/", "a", "a/", "a/b", "a/b/c", "b/b"]);
        assert_eq!(found(&table, "a/#"), ["a", "a/", "a/b", "a/b/c"]);
        assert_eq!(found(&table, "a/+"), ["a/", "a/b"]);
        assert_eq!(found(&table, "+/b"), ["a/b", "b/b"]);
        assert_eq!(found(&table, "+"), ["a"]);
        assert_eq!(found(&table, "+/+"), ["/", "a/", "a/b", "b/b"]);
        assert_eq!(found(&table, "$SYS/#"), ["$SYS/a"]);
        assert_eq!(found(&table, "$SYS/+"), ["$SYS/a"]);
        assert_eq!(found(&table, "a/b"), ["a/b"]);
        assert_eq!(found(&table, "a/c"), Vec::<String>::new());
    }

    #[test]
    fn the_last_removal_frees_all_nodes_and_words() {
        let names = ["a", "a/b", "a/b/c", "x//y", "x//z"];
        let mut table = table(&names);
        assert_eq!(table.remove("a/b"), Some(1));
        assert_eq!(table.remove("a/b"), None);
        assert_eq!(table.get("a/b/c"), Some(&2));
        for name in names {
            table.remove(name);
        }
        assert_eq!((table.len(), table.levels.len()), (0, 0));
        assert_eq!(table.nodes.len() - table.free_nodes.len(), 1);
        let nodes = table.nodes.len();
        table.insert(TopicName::new("p/q/r").unwrap(), 9);
        assert_eq!(table.nodes.len(), nodes, "free nodes are used again");
    }

    #[test]
    fn a_caller_may_stop_early() {
        let table = table(&["a/1", "a/2", "a/3"]);
        let mut seen = 0;
        let flow = table.try_for_each_matching("a/+", |_, _| {
            seen += 1;
            if seen == 2 { ControlFlow::Break("full") } else { ControlFlow::Continue(()) }
        });
        assert_eq!((flow, seen), (ControlFlow::Break("full"), 2));
    }
}
