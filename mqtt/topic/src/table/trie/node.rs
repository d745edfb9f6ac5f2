//! A place in the trie: how far the text is read there, and where it goes on.

use super::{NONE, UNKNOWN, is_leaf};
use crate::levels::LevelId;

#[derive(Clone)]
pub(super) struct Node {
    /// Where the words of this node's children begin in the text of each filter below.
    pub(super) text_at: u32,
    pub(super) parent: u32,
    /// The word that leads here from the parent.
    pub(super) level: LevelId,
    pub(super) plus: u32,
    /// The entry of the filter that ends here, and of the one that ends here with `#`.
    pub(super) here: u32,
    pub(super) hash: u32,
    pub(super) first_level: LevelId,
    pub(super) first: u32,
    /// Literal children in the edge table.
    pub(super) spilled: u32,
}

impl Node {
    pub(super) fn new(parent: u32, level: LevelId, text_at: u32) -> Self {
        Self {
            text_at,
            parent,
            level,
            plus: NONE,
            here: NONE,
            hash: NONE,
            first_level: UNKNOWN,
            first: NONE,
            spilled: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        [self.plus, self.here, self.hash, self.first] == [NONE; 4] && self.spilled == 0
    }

    /// The leaf of the single entry below this node, if there is just one and it is near.
    pub(super) fn only_entry(&self, leaf: impl Fn(u32) -> u32) -> Option<u32> {
        let mut held = [self.here, self.hash, self.plus, self.first]
            .into_iter()
            .enumerate()
            .filter(|(_, c)| *c != NONE);
        match (held.next(), held.next(), self.spilled) {
            (Some((place, child)), None, 0) if place < 2 => Some(leaf(child)),
            (Some((_, child)), None, 0) if is_leaf(child) => Some(child),
            _ => None,
        }
    }
}
