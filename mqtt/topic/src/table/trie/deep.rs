//! Filters of many levels and several `+`, compared by sums instead of by text.
//!
//! 100,000 filters of random `+` and literals stay open nearly to their end, and then each text
//! costs a cache miss and a mispredicted branch for every `+` (SECURITY-REQUIREMENTS L6). Instead
//! each such filter has the mask of its literal levels and the sum of their keyed hashes. A name
//! has the sums of each group of eight levels, for each of the 256 masks of that group; a filter adds
//! up what its own mask selects of each group and compares once.
//!
//! The sum is of SipHashes with a random key of this table, which no client can see or search
//! against: a filter is taken for a match that is none with a probability of 2⁻⁶⁴ per comparison,
//! which at a million comparisons a second is once in half a million years.

use std::hash::{BuildHasher, RandomState};

use crate::algebra::split_word;

const LEVELS_MAX: usize = 128;
/// Fewer levels cannot keep many paths open; fewer `+` cost few mispredictions.
const LEVELS_MIN: usize = 12;
const PLUS_MIN: u32 = 3;

/// Levels of a group: with eight, the sums of a name (32 KiB) still fit into the first-level cache.
const GROUP: usize = 8;
const GROUPS: usize = LEVELS_MAX / GROUP;

fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (word, after) = split_word(rest?);
        rest = after;
        Some(word)
    })
}

/// The key of a table's sums.
#[derive(Clone, Default)]
pub(super) struct Keys(RandomState);

impl Keys {
    fn level(&self, at: usize, word: &str) -> u64 {
        self.0.hash_one((at, word))
    }
}

/// What is compared of a deep filter.
#[derive(Clone)]
pub(super) struct DeepFilter {
    /// Bit n of byte m: level 8m + n is a literal.
    literals: [u8; GROUPS],
    sum: u64,
    /// Without a closing `#`.
    levels: u8,
    open_end: bool,
    /// Whose filter it is.
    pub(super) entry: u32,
}

impl DeepFilter {
    /// None when comparing the text is as good.
    pub(super) fn new(filter: &str, entry: u32, keys: &Keys) -> Option<Self> {
        let (fixed, open_end) = match filter.strip_suffix("/#") {
            Some(fixed) => (fixed, true),
            None => (filter, false),
        };
        let levels = words(fixed).count();
        if !(LEVELS_MIN..=LEVELS_MAX).contains(&levels) {
            return None;
        }
        let (mut literals, mut sum) = ([0_u8; GROUPS], 0_u64);
        for (at, word) in words(fixed).enumerate().filter(|(_, word)| *word != "+") {
            literals[at / GROUP] |= 1 << (at % GROUP);
            sum = sum.wrapping_add(keys.level(at, word));
        }
        let levels = u8::try_from(levels).ok()?;
        let plus = u32::from(levels) - literals.iter().map(|group| group.count_ones()).sum::<u32>();
        (plus >= PLUS_MIN).then_some(Self { literals, sum, levels, open_end, entry })
    }

    /// Something to read, see [`fetch`](super::fetch).
    pub(super) fn touch(&self) -> u32 {
        u32::from(self.levels)
    }
}

/// A topic name, made ready for comparison with many deep filters.
pub(super) struct DeepName {
    levels: usize,
    groups: [[u64; 1 << GROUP]; GROUPS],
}

impl DeepName {
    pub(super) fn new(name: &str, keys: &Keys) -> Box<Self> {
        let mut this = Box::new(Self { levels: 0, groups: [[0; 1 << GROUP]; GROUPS] });
        for (at, word) in words(name).enumerate() {
            this.levels += 1;
            let Some(group) = this.groups.get_mut(at / GROUP) else { continue };
            let sum = keys.level(at, word);
            let bit = 1 << (at % GROUP);
            for mask in bit..2 * bit {
                group[mask] = group[mask - bit].wrapping_add(sum);
            }
        }
        this
    }

    /// T-2 but for the rule about `$`.
    pub(super) fn matches(&self, filter: &DeepFilter) -> bool {
        let levels = usize::from(filter.levels);
        if if filter.open_end { self.levels < levels } else { self.levels != levels } {
            return false;
        }
        let groups = self.groups.iter().zip(filter.literals);
        let groups = groups.take(levels.div_ceil(GROUP));
        let sums = groups.map(|(group, literals)| group[usize::from(literals)]);
        let sum = sums.fold(0_u64, u64::wrapping_add);
        sum == filter.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algebra::matches;

    fn agrees(name: &str, filter: &str) -> bool {
        let keys = Keys::default();
        let deep = DeepFilter::new(filter, 0, &keys).expect(filter);
        let answer = DeepName::new(name, &keys).matches(&deep);
        assert_eq!(answer, matches(name, filter), "{name} {filter}");
        answer
    }

    #[test]
    fn sums_say_what_the_text_says_t2() {
        let name = "a/b/c/d/e/f/g/h/i/j/k/l";
        assert!(agrees(name, "+/b/c/+/e/f/g/+/i/j/k/l"));
        assert!(agrees(name, "+/b/c/+/e/f/g/+/i/j/k/l/#"));
        assert!(agrees(&format!("{name}/m/n"), "+/b/c/+/e/f/g/+/i/j/k/l/#"));
        assert!(!agrees(&format!("{name}/m"), "+/b/c/+/e/f/g/+/i/j/k/l"));
        assert!(!agrees("a/b/c/d/e/f/g/h/i/j/k", "+/b/c/+/e/f/g/+/i/j/k/l/#"));
        assert!(!agrees(name, "+/b/c/+/e/f/g/+/i/j/k/m"));
        assert!(!agrees(name, "+/c/b/+/e/f/g/+/i/j/k/l"), "the place of a word counts");
        assert!(agrees("a//c/d/e/f/g/h/i/j/k/", "+//c/+/e/f/g/+/i/j/k/"));
    }

    #[test]
    fn all_depths_up_to_the_last_bit_of_the_mask() {
        for levels in LEVELS_MIN..=LEVELS_MAX {
            let name = vec!["a"; levels].join("/");
            let mut words = vec!["a"; levels];
            for plus in [0, levels / 2, levels - 2] {
                words[plus] = "+";
            }
            assert!(agrees(&name, &words.join("/")));
            assert!(agrees(&format!("{name}/x"), &format!("{}/#", words.join("/"))));
            words[levels - 1] = "z";
            assert!(!agrees(&name, &words.join("/")));
        }
        assert!(
            DeepFilter::new(&vec!["+"; LEVELS_MAX + 1].join("/"), 0, &Keys::default()).is_none()
        );
        assert!(agrees(
            &vec!["a"; LEVELS_MAX + 9].join("/"),
            &format!("{}/#", vec!["+"; LEVELS_MAX].join("/"))
        ));
    }

    #[test]
    fn what_is_cheap_as_text_stays_text() {
        let keys = Keys::default();
        assert!(DeepFilter::new("+/+/+/+/#", 0, &keys).is_none());
        assert!(DeepFilter::new("a/b/c/d/e/f/g/h/i/j/+/+/m", 0, &keys).is_none());
    }
}
