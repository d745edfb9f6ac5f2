//! A small set of small numbers: actors of a remote, links of a filter. 16 bytes while it has up to
//! six members, which is nearly always.

use std::fmt;

const FEW: usize = 6;

/// Ascending, without repeats.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SlotSet(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Few { len: u8, slots: [u16; FEW] },
    Many(Box<Slots>),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Slots(Vec<u16>);

impl Default for SlotSet {
    fn default() -> Self {
        Self(Repr::Few { len: 0, slots: [0; FEW] })
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.as_slice()).finish()
    }
}

impl SlotSet {
    pub(crate) fn of(slots: impl IntoIterator<Item = u16>) -> Self {
        let mut set = Self::default();
        for slot in slots {
            set.insert(slot);
        }
        set
    }

    pub(crate) fn as_slice(&self) -> &[u16] {
        match &self.0 {
            Repr::Few { len, slots } => slots.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Many(slots) => &slots.0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(crate) fn contains(&self, slot: u16) -> bool {
        self.as_slice().binary_search(&slot).is_ok()
    }

    /// Whether it was new.
    pub(crate) fn insert(&mut self, slot: u16) -> bool {
        let Err(at) = self.as_slice().binary_search(&slot) else { return false };
        match &mut self.0 {
            Repr::Few { len, slots } if usize::from(*len) < FEW => {
                slots.copy_within(at..usize::from(*len), at + 1);
                slots[at] = slot;
                *len += 1;
            }
            Repr::Many(slots) => slots.0.insert(at, slot),
            Repr::Few { slots, .. } => {
                let mut all = slots.to_vec();
                all.insert(at, slot);
                self.0 = Repr::Many(Box::new(Slots(all)));
            }
        }
        true
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, slot: u16) -> bool {
        let Ok(at) = self.as_slice().binary_search(&slot) else { return false };
        match &mut self.0 {
            Repr::Few { len, slots } => {
                slots.copy_within(at + 1..usize::from(*len), at);
                *len -= 1;
                slots[usize::from(*len)] = 0;
            }
            Repr::Many(slots) => {
                slots.0.remove(at);
                // One representation per content, so that equality needs no thought.
                if let Ok(few) = <[u16; FEW]>::try_from(slots.0.as_slice()) {
                    self.0 = Repr::Few { len: FEW as u8, slots: few };
                }
            }
        }
        true
    }
}

/// The lowest number that is not in `used`.
pub(crate) fn lowest_free(used: impl Iterator<Item = u16>) -> u16 {
    let mut used: Vec<u16> = used.collect();
    used.sort_unstable();
    used.iter().zip(0u16..).find(|(used, n)| **used != *n).map_or(used.len() as u16, |(_, n)| n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set_in_order_small_or_large() {
        assert_eq!(size_of::<SlotSet>(), 16);
        let mut set = SlotSet::default();
        for slot in [9, 3, 7, 3, 1, 0, 300, 8, 2] {
            set.insert(slot);
        }
        assert_eq!(set.as_slice(), [0, 1, 2, 3, 7, 8, 9, 300]);
        for slot in [0, 7, 300, 5] {
            assert_eq!(set.remove(slot), slot != 5);
        }
        assert_eq!(set, SlotSet::of([9, 8, 3, 2, 1]));
    }

    #[test]
    fn the_lowest_free_number_is_found() {
        assert_eq!(lowest_free([].into_iter()), 0);
        assert_eq!(lowest_free([2, 0, 1].into_iter()), 3);
        assert_eq!(lowest_free([3, 0, 1].into_iter()), 2);
    }
}
