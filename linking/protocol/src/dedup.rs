//! The window of message ids that were delivered lately (W-44).
//!
//! An id is recorded after its delivery is durable (LINK-SPEC 0.1), so a message whose delivery
//! failed may come again.

use std::collections::{HashSet, VecDeque};

/// Ids remembered per link and node.
pub const WINDOW_IDS: usize = 4096;

/// The last [`WINDOW_IDS`] ids, oldest forgotten first.
#[derive(Debug, Default)]
pub struct DedupWindow {
    order: VecDeque<[u8; 16]>,
    known: HashSet<[u8; 16]>,
}

impl DedupWindow {
    pub fn contains(&self, id: &[u8; 16]) -> bool {
        self.known.contains(id)
    }

    /// Remembers an id; a repeat keeps its old place.
    pub fn record(&mut self, id: [u8; 16]) {
        if !self.known.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > WINDOW_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> [u8; 16] {
        (number as u128).to_be_bytes()
    }

    #[test]
    fn a_repeat_is_found_only_after_it_was_recorded() {
        let mut window = DedupWindow::default();
        assert!(!window.contains(&id(1)));
        window.record(id(1));
        assert!(window.contains(&id(1)));
    }

    #[test]
    fn the_oldest_id_leaves_when_the_window_is_full_and_repeats_take_no_room() {
        let mut window = DedupWindow::default();
        for number in 0..WINDOW_IDS {
            window.record(id(number));
            window.record(id(number));
        }
        assert!(window.contains(&id(0)));
        window.record(id(WINDOW_IDS));
        assert!(!window.contains(&id(0)));
        assert!(window.contains(&id(1)));
        assert_eq!((window.order.len(), window.known.len()), (WINDOW_IDS, WINDOW_IDS));
    }
}
