//! Interned levels: each distinct word of a trie is kept once, counted, and named by a number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The number of an interned word. Numbers are used again after a release.
pub(crate) type LevelId = u32;

/// Words of a trie. Short ones lie in their slot, so a device id costs no allocation.
#[derive(Clone, Default)]
pub(crate) struct Levels {
    slots: Vec<Slot>,
    free: Vec<LevelId>,
    index: HashTable<LevelId>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone)]
struct Slot {
    word: Word,
    /// How many edges carry the word; 0 = the slot is free.
    refs: u32,
    hash: u32,
}

const SHORT_BYTES_MAX: usize = 22;

#[derive(Clone)]
enum Word {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Box<[u8]>),
}

impl Word {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES_MAX];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(target), Ok(len)) => {
                target.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.as_bytes().into()),
        }
    }

    fn is(&self, text: &str) -> bool {
        match self {
            Self::Short { len, bytes } => {
                usize::from(*len) == text.len() && bytes[..usize::from(*len)] == *text.as_bytes()
            }
            Self::Long(bytes) => **bytes == *text.as_bytes(),
        }
    }
}

/// The table wants 64 bits and takes its tag from the top ones; 32 are stored.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Levels {
    fn hash(&self, word: &str) -> u32 {
        let hash = self.hasher.hash_one(word);
        (hash ^ (hash >> 32)) as u32
    }

    fn find_hashed(&self, hash: u32, word: &str) -> Option<LevelId> {
        let is_it = |id: &LevelId| {
            let slot = &self.slots[*id as usize];
            slot.hash == hash && slot.word.is(word)
        };
        self.index.find(spread(hash), is_it).copied()
    }

    /// The number of a word that some edge carries.
    pub(crate) fn find(&self, word: &str) -> Option<LevelId> {
        if self.index.is_empty() {
            return None;
        }
        self.find_hashed(self.hash(word), word)
    }

    /// The number of a word, for one more edge.
    pub(crate) fn acquire(&mut self, word: &str) -> LevelId {
        let hash = self.hash(word);
        if let Some(id) = self.find_hashed(hash, word) {
            self.slots[id as usize].refs += 1;
            return id;
        }
        let slot = Slot { word: Word::new(word), refs: 1, hash };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                LevelId::try_from(self.slots.len() - 1).expect("memory ends before 2^32 words")
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(spread(hash), id, |id| spread(slots[*id as usize].hash));
        id
    }

    /// One edge less; the last one frees the word.
    pub(crate) fn release(&mut self, id: LevelId) {
        let slot = &mut self.slots[id as usize];
        slot.refs -= 1;
        if slot.refs > 0 {
            return;
        }
        slot.word = Word::Short { len: 0, bytes: [0; SHORT_BYTES_MAX] };
        let hash = spread(slot.hash);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    pub(crate) fn starts_with_dollar(&self, id: LevelId) -> bool {
        let first = match &self.slots[id as usize].word {
            Word::Short { len: 0, .. } => None,
            Word::Short { bytes, .. } => bytes.first(),
            Word::Long(bytes) => bytes.first(),
        };
        first == Some(&b'$')
    }

    /// How many distinct words are held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }
}

/// Where a literal word leads from a node: (parent, word) → child, for all nodes in one flat table.
#[derive(Clone, Default)]
pub(crate) struct Edges {
    table: HashTable<Edge>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Copy)]
struct Edge {
    parent: u32,
    level: LevelId,
    child: u32,
}

impl Edges {
    fn hash(hasher: &DefaultHashBuilder, parent: u32, level: LevelId) -> u64 {
        hasher.hash_one(u64::from(parent) << 32 | u64::from(level))
    }

    pub(crate) fn get(&self, parent: u32, level: LevelId) -> Option<u32> {
        let hash = Self::hash(&self.hasher, parent, level);
        self.table
            .find(hash, |edge| edge.parent == parent && edge.level == level)
            .map(|edge| edge.child)
    }

    /// Sets the child of an edge; true when the edge is new.
    pub(crate) fn set(&mut self, parent: u32, level: LevelId, child: u32) -> bool {
        let hash = Self::hash(&self.hasher, parent, level);
        let is_it = |edge: &Edge| edge.parent == parent && edge.level == level;
        if let Some(edge) = self.table.find_mut(hash, is_it) {
            edge.child = child;
            return false;
        }
        let hasher = &self.hasher;
        self.table.insert_unique(hash, Edge { parent, level, child }, |edge| {
            Self::hash(hasher, edge.parent, edge.level)
        });
        true
    }

    /// True when there was such an edge.
    pub(crate) fn remove(&mut self, parent: u32, level: LevelId) -> bool {
        let hash = Self::hash(&self.hasher, parent, level);
        let is_it = |edge: &Edge| edge.parent == parent && edge.level == level;
        match self.table.find_entry(hash, is_it) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_lives_as_long_as_its_edges() {
        let mut levels = Levels::default();
        let long = "x".repeat(100);
        let (a, b) = (levels.acquire("a"), levels.acquire(&long));
        assert_eq!(levels.acquire("a"), a);
        assert_ne!(a, b);
        levels.release(a);
        assert_eq!(levels.find("a"), Some(a));
        levels.release(a);
        assert_eq!(levels.find("a"), None);
        assert_eq!(levels.find(&long), Some(b));
        assert_eq!(levels.acquire("c"), a, "a free slot is used again");
        assert_eq!(levels.len(), 2);
    }
}
